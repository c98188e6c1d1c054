//! A guest for tests with parts that a test can replace.

use crate::testing::{
    assemble::{guest_from_wat, wasi_guest_from_wat},
    data::{Data, Span},
};

/// Moves a pointer up, grows the memory if needed, and never frees: an instance lives for one call.
const ALLOCATE: &str = "
    (local $at i32)
    (local.set $at (i32.and
      (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $at) (local.get $len)))
    (if (i32.gt_u (global.get $heap) (i32.shl (memory.size) (i32.const 16))) (then
      (if (i32.eq (i32.const -1) (memory.grow
            (i32.add (i32.const 1) (i32.sub (i32.shr_u (global.get $heap) (i32.const 16)) (memory.size)))))
        (then unreachable))))
    (memory.copy (local.get $at) (local.get $old) (local.get $old_len))
    (local.get $at)";

/// A whole guest. By default it asks one prompt, then accepts a document.
///
/// Bodies are WAT that leaves an `i32` on the stack: the address of a result, as [`Data`] lays it out. `advance` has the locals `$text`, `$text_len`, `$answers` and `$answers_len`,
/// `check` has `$document` and `$document_len`.
#[derive(Debug, Clone)]
pub struct WatGuest {
    /// Its memory at the start.
    pub data: Data,
    prompt_version: String,
    schema_version: String,
    schema: String,
    document: String,
    describe: Option<String>,
    advance: Option<String>,
    check: Option<String>,
    allocate: Option<String>,
    fields: String,
    imports_log: bool,
    wasi_imports: &'static str,
    pages: u32,
}

impl WatGuest {
    /// Makes a guest that keeps the contract: schema `{"type":"object"}`, document `{}`.
    pub fn new(prompt_version: &str) -> Self {
        Self {
            data: Data::default(),
            prompt_version: prompt_version.to_owned(),
            schema_version: "test.v1".to_owned(),
            schema: r#"{"type":"object"}"#.to_owned(),
            document: "{}".to_owned(),
            describe: None,
            advance: None,
            check: None,
            allocate: None,
            fields: String::new(),
            imports_log: false,
            wasi_imports: "",
            pages: 2,
        }
    }

    /// Sets the schema of the manifest and of the prompt.
    pub fn schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.schema);
        self
    }

    /// Sets the prompt version.
    pub fn prompt_version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.prompt_version);
        self
    }

    /// Sets the schema version.
    pub fn schema_version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.schema_version);
        self
    }

    /// Sets the accepted document, whatever the answer.
    pub fn document(mut self, document: &str) -> Self {
        document.clone_into(&mut self.document);
        self
    }

    /// Sets the body of `describe`.
    pub fn describe(mut self, body: impl Into<String>) -> Self {
        self.describe = Some(body.into());
        self
    }

    /// Sets the body of `advance`.
    pub fn advance(mut self, body: impl Into<String>) -> Self {
        self.advance = Some(body.into());
        self
    }

    /// Sets the body of `check`.
    pub fn check(mut self, body: impl Into<String>) -> Self {
        self.check = Some(body.into());
        self
    }

    /// Sets the body of `cabi_realloc`, which returns the address for an argument.
    pub fn allocate(mut self, body: impl Into<String>) -> Self {
        self.allocate = Some(body.into());
        self
    }

    /// Adds fields to the module: functions, tables, globals, a start.
    pub fn fields(mut self, fields: &str) -> Self {
        self.fields.push_str(fields);
        self
    }

    /// Imports `assay:report/log` as `$log (level, pointer, length)`.
    pub fn imports_log(mut self) -> Self {
        self.imports_log = true;
        self
    }

    /// Adds imports of WASI, as WAT.
    pub(super) fn wasi_imports(mut self, imports: &'static str) -> Self {
        self.wasi_imports = imports;
        self
    }

    /// Sets the initial memory, in pages of 64 KiB.
    pub fn pages(mut self, pages: u32) -> Self {
        self.pages = pages;
        self
    }

    /// Returns the core module's text.
    pub fn core(&self) -> String {
        let mut data = self.data.clone();
        let constant = |at: u32| format!("(i32.const {at})");
        let describe = self
            .describe
            .clone()
            .unwrap_or_else(|| constant(data.manifest(&self.prompt_version, &self.schema_version, &self.schema)));
        let advance = self.advance.clone().unwrap_or_else(|| {
            let question = data.text("What is it about?");
            let prompt = data.prompt(question, Some(&self.schema));
            let ask = data.ask(&[prompt]);
            let document: Span = data.text(&self.document);
            let accept = data.accept(document);
            format!("(select (i32.const {accept}) (i32.const {ask}) (local.get $answers_len))")
        });
        let check = self.check.clone().unwrap_or_else(|| constant(data.words(&[0, 0])));
        let log = if self.imports_log {
            r#"(import "assay:report/log@0.1.0" "emit" (func $log (param i32 i32 i32)))"#
        } else {
            ""
        };
        let imports = self.wasi_imports;
        let allocate = self.allocate.as_deref().unwrap_or(ALLOCATE);
        let fields = &self.fields;
        let pages = self.pages.max(data.end().div_ceil(64 << 10) + 1);
        let heap = data.end().next_multiple_of(16);
        let segment = data.segment();
        format!(
            r#"(module
  {log}
  {imports}
  (memory (export "memory") {pages})
  (global $heap (mut i32) (i32.const {heap}))
  (func $allocate (export "cabi_realloc") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32) (result i32)
    {allocate})
  (func (export "assay:report/guest@0.1.0#describe") (result i32) {describe})
  (func (export "assay:report/guest@0.1.0#advance")
    (param $id i32) (param $id_len i32) (param $text i32) (param $text_len i32) (param $media_type i32) (param $media_type_len i32)
    (param $filename i32) (param $filename_len i32) (param $received_at i32) (param $received_at_len i32)
    (param $attributes i32) (param $attributes_len i32) (param $answers i32) (param $answers_len i32)
    (result i32) {advance})
  (func (export "assay:report/guest@0.1.0#check") (param $document i32) (param $document_len i32) (result i32) {check})
  {fields}
  {segment})"#
        )
    }

    /// Returns the component.
    ///
    /// # Panics
    /// When a body is not WAT that leaves an `i32`: a mistake in the test.
    pub fn build(&self) -> Vec<u8> {
        let core = self.core();
        if self.wasi_imports.is_empty() { guest_from_wat(&core) } else { wasi_guest_from_wat(&core) }
    }
}
