//! Lays out values of the contract in a guest's memory, in the canonical ABI.

use std::fmt::Write;

/// The start of a guest's memory. Grows as values are put into it.
#[derive(Debug, Clone, Default)]
pub struct Data(Vec<u8>);

/// Pointer and length of a text or a list, in bytes or items.
pub type Span = (u32, u32);

/// Not 0: a null pointer must not point to a value.
const BASE_ADDRESS: u32 = 1024;

/// Of the longest case of `step`.
const STEP_WORDS: usize = 6;

impl Data {
    /// Adds a text and returns its place.
    pub fn text(&mut self, text: &str) -> Span {
        self.bytes(text.as_bytes())
    }

    /// Adds bytes, which need not be UTF-8.
    pub fn bytes(&mut self, bytes: &[u8]) -> Span {
        let at = self.end();
        self.0.extend_from_slice(bytes);
        (at, length(bytes))
    }

    /// Adds aligned words, a record or a list of records, and returns the address.
    pub fn words(&mut self, words: &[u32]) -> u32 {
        while !self.0.len().is_multiple_of(8) {
            self.0.push(0);
        }
        let at = self.end();
        self.0.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        at
    }

    /// Adds a `manifest` and returns its address.
    pub fn manifest(&mut self, prompt_version: &str, schema_version: &str, schema: &str) -> u32 {
        let texts = [prompt_version, schema_version, schema, "A guest for tests."].map(|text| self.text(text));
        self.words(&texts.map(|(at, len)| [at, len]).concat())
    }

    /// Adds one user message and returns the words of its prompt; other fields are `none`.
    pub fn prompt(&mut self, content: Span, answer_schema: Option<&str>) -> [u32; 12] {
        let role = self.text("user");
        let messages = self.words(&[role.0, role.1, content.0, content.1]);
        let schema = answer_schema.map_or([0, 0, 0], |schema| {
            let (at, len) = self.text(schema);
            [1, at, len]
        });
        let mut prompt = [0; 12];
        prompt[..2].copy_from_slice(&[messages, 1]);
        prompt[2..5].copy_from_slice(&schema);
        prompt
    }

    /// Adds the step `ask` and returns its address.
    pub fn ask(&mut self, prompts: &[[u32; 12]]) -> u32 {
        let list = self.words(&prompts.concat());
        self.step(&[0, list, length(prompts)])
    }

    /// Adds the step `accept`, without notes, and returns its address.
    pub fn accept(&mut self, document: Span) -> u32 {
        self.step(&[1, document.0, document.1, 0, 0])
    }

    /// Adds the step `reject(invalid)` with one finding and returns its address.
    pub fn reject(&mut self, code: &str, pointer: &str, message: &str) -> u32 {
        let finding = [code, pointer, message].map(|text| self.text(text)).map(|(at, len)| [at, len]).concat();
        let findings = self.words(&finding);
        self.step(&[2, 1, findings, 1])
    }

    /// Adds a `step` from its words and returns its address.
    pub fn step(&mut self, words: &[u32]) -> u32 {
        let mut step = [0; STEP_WORDS];
        step[..words.len()].copy_from_slice(words);
        self.words(&step)
    }

    /// Returns the address behind the data.
    pub fn end(&self) -> u32 {
        BASE_ADDRESS + length(&self.0)
    }

    /// Returns the data segment as WAT.
    pub(super) fn segment(&self) -> String {
        let mut text = format!("(data (i32.const {BASE_ADDRESS}) \"");
        for byte in &self.0 {
            write!(text, "\\{byte:02x}").expect("a String takes all");
        }
        text + "\")"
    }
}

fn length<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).expect("a guest for tests fits into its memory")
}
