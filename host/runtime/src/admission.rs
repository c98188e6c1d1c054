//! The rules for a guest before its compile, and for its manifest.
//!
//! All bytes are parsed and validated here, with fewer features than the engine's defaults: compilers trust what parsers accept.

use assay_core::{
    finding_code::{CODES_KEYWORD, declared_codes},
    manifest::{MAX_DESCRIPTION_BYTES, is_version},
};
use serde_json::{Map, Value};
use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};
use wasmtime::component::{Component, types::ComponentItem};

use crate::{
    bindings::log::NAME as LOG_INTERFACE,
    contract::Manifest,
    engine::{MEMORIES_PER_GUEST, TABLES_PER_GUEST},
    limits::Limits,
    load_error::LoadError,
    options::Wasi,
};

const TYPES_INTERFACE: &str = "assay:report/types@0.1.0";
const GUEST_INTERFACE: &str = "assay:report/guest@0.1.0";

/// WebAssembly 2.0, tail calls, constant expressions, and components; no threads, GC, exceptions, 64-bit or several memories, relaxed SIMD, no asynchronous components.
const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::COMPONENT_MODEL);

/// Checks the size, without reading the bytes.
///
/// # Errors
/// [`LoadError::TooLarge`].
pub(crate) fn size(bytes: &[u8], limits: &Limits) -> Result<(), LoadError> {
    if bytes.len() > limits.component_bytes {
        return Err(LoadError::TooLarge { bytes: bytes.len(), limit: limits.component_bytes });
    }
    Ok(())
}

/// Checks that the bytes are a component, valid to the last byte.
///
/// # Errors
/// One variant per kind of file that people mistake for a guest; else [`LoadError::Invalid`].
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), LoadError> {
    if bytes.starts_with(b"\x7fELF") {
        return Err(LoadError::Precompiled);
    }
    if !bytes.starts_with(b"\0asm") {
        let is_text = bytes.trim_ascii_start().starts_with(b"(") || bytes.trim_ascii_start().starts_with(b";;");
        return Err(if is_text { LoadError::Text } else { LoadError::NotWasm });
    }
    if let Some(Ok(Payload::Version { encoding: Encoding::Module, .. })) = Parser::new(0).parse_all(bytes).next() {
        return Err(LoadError::CoreModule);
    }
    Validator::new_with_features(FEATURES).validate_all(bytes).map_err(invalid)?;
    Ok(())
}

/// Checks the world by the names of imports and exports.
///
/// # Errors
/// [`LoadError::WasiImport`], [`LoadError::ForeignImport`], [`LoadError::MissingExport`].
pub(crate) fn world(bytes: &[u8], wasi: Wasi) -> Result<(), LoadError> {
    let mut depth = 0_u32;
    let mut foreign = false;
    let mut exported = false;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(invalid)? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            // At other depths they belong to the component's own parts.
            Payload::ComponentImportSection(imports) if depth == 1 => {
                for import in imports {
                    match check_import(import.map_err(invalid)?.name.name, wasi) {
                        Err(LoadError::ForeignImport) => foreign = true,
                        checked => checked?,
                    }
                }
            }
            Payload::ComponentExportSection(exports) if depth == 1 => {
                for export in exports {
                    exported |= export.map_err(invalid)?.name.name == GUEST_INTERFACE;
                }
            }
            _ => {}
        }
    }
    match (foreign, exported) {
        (true, _) => Err(LoadError::ForeignImport),
        (false, false) => Err(LoadError::MissingExport),
        (false, true) => Ok(()),
    }
}

fn check_import(import: &str, wasi: Wasi) -> Result<(), LoadError> {
    match import {
        LOG_INTERFACE | TYPES_INTERFACE => Ok(()),
        name if name.starts_with("wasi:") => match wasi {
            Wasi::Off => Err(LoadError::WasiImport),
            #[cfg(feature = "wasi")]
            Wasi::DenyAll => Ok(()),
        },
        _ => Err(LoadError::ForeignImport),
    }
}

fn invalid(error: wasmparser::BinaryReaderError) -> LoadError {
    LoadError::Invalid { offset: error.offset() }
}

/// Checks compiled code: its resources, and no functions under the name of the types. Imports are checked again, because an image
/// may be of a time when others were admitted.
///
/// # Errors
/// [`LoadError::WasiImport`], [`LoadError::ForeignImport`], [`LoadError::TooManyResources`].
pub(crate) fn compiled(component: &Component, limits: &Limits, wasi: Wasi) -> Result<(), LoadError> {
    let engine = component.engine();
    for (name, import) in component.component_type().imports(engine) {
        check_import(name, wasi)?;
        if name == TYPES_INTERFACE && !is_function_free(&import.ty, engine) {
            return Err(LoadError::ForeignImport);
        }
    }
    resources(component, limits)
}

fn is_function_free(item: &ComponentItem, engine: &wasmtime::Engine) -> bool {
    let ComponentItem::ComponentInstance(instance) = item else { return false };
    instance.exports(engine).all(|(_, export)| matches!(export.ty, ComponentItem::Type(_)))
}

fn resources(component: &Component, limits: &Limits) -> Result<(), LoadError> {
    const WASM_PAGE_BYTES: u64 = 64 << 10;

    // None: it instantiates modules that it imports, which the rules above already refuse.
    let needs = component.resources_required().ok_or(LoadError::ForeignImport)?;
    let memory_bytes = needs.max_initial_memory_size.unwrap_or(0).saturating_mul(WASM_PAGE_BYTES);
    let fits = needs.num_memories <= MEMORIES_PER_GUEST
        && needs.num_tables <= TABLES_PER_GUEST
        && memory_bytes <= limits.memory_bytes as u64
        && needs.max_initial_table_size.unwrap_or(0) <= limits.table_elements as u64;
    if fits { Ok(()) } else { Err(LoadError::TooManyResources) }
}

/// Checks a manifest: its versions become names in the database, in metrics and of files; its schema becomes the verifier.
///
/// # Errors
/// [`LoadError::Manifest`] with the field's name.
pub(crate) fn manifest(manifest: &Manifest, limits: &Limits) -> Result<(), LoadError> {
    if !is_version(&manifest.prompt_version) {
        return Err(LoadError::Manifest("prompt_version"));
    }
    if !is_version(&manifest.schema_version) {
        return Err(LoadError::Manifest("schema_version"));
    }
    if manifest.schema.len() > limits.schema_bytes {
        return Err(LoadError::Manifest("schema"));
    }
    let schema: Map<String, Value> =
        serde_json::from_str(&manifest.schema).map_err(|_| LoadError::Manifest("schema"))?;
    declared_codes(&schema).map_err(|_| LoadError::Manifest(CODES_KEYWORD))?;
    if manifest.description.len() > MAX_DESCRIPTION_BYTES || manifest.description.contains(char::is_control) {
        return Err(LoadError::Manifest("description"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Manifest {
        Manifest {
            prompt_version: "meeting-v1".into(),
            schema_version: "report.v1".into(),
            schema: r#"{"type":"object"}"#.into(),
            description: "Reports on a meeting".into(),
        }
    }

    #[test]
    fn each_field_of_a_manifest_has_its_rule() {
        let limits = Limits::default();
        assert_eq!(manifest(&good(), &limits), Ok(()));
        type Spoil = fn(&mut Manifest);
        let cases: [(&str, Spoil); 11] = [
            ("prompt_version", |m| m.prompt_version.clear()),
            ("prompt_version", |m| m.prompt_version = "../../etc".into()),
            ("prompt_version", |m| m.prompt_version = "x".repeat(65)),
            ("schema_version", |m| m.schema_version = "a b".into()),
            ("schema", |m| m.schema = "[]".into()),
            ("schema", |m| m.schema = "{".into()),
            ("schema", |m| m.schema = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
            ("schema", |m| m.schema = format!("{{\"$comment\":\"{}\"}}", "x".repeat(1 << 20))),
            ("x-assay-codes", |m| m.schema = r#"{"x-assay-codes": "more"}"#.into()),
            ("x-assay-codes", |m| m.schema = r#"{"x-assay-codes": ["Bob owes Alice"]}"#.into()),
            ("description", |m| m.description = "a\u{1b}[2J".into()),
        ];
        for (field, spoil) in cases {
            let mut spoilt = good();
            spoil(&mut spoilt);
            assert_eq!(manifest(&spoilt, &limits), Err(LoadError::Manifest(field)));
        }
    }

    #[test]
    fn bytes_that_are_not_a_component_are_refused_by_kind() {
        assert_eq!(bytes(b""), Err(LoadError::NotWasm));
        assert_eq!(bytes(b"GIF89a"), Err(LoadError::NotWasm));
        assert_eq!(bytes(b"  (component)"), Err(LoadError::Text));
        assert_eq!(bytes(b";; a comment\n(component)"), Err(LoadError::Text));
        assert_eq!(bytes(b"\x7fELF\x02\x01"), Err(LoadError::Precompiled));
        assert_eq!(bytes(b"\0asm\x01\0\0\0"), Err(LoadError::CoreModule));
        assert_eq!(bytes(b"\0asm\x0d\0\x01"), Err(LoadError::Invalid { offset: 4 }));
    }

    #[test]
    fn a_folder_and_a_manifest_have_the_same_bounds() {
        let limits = Limits::default();
        let judged = |description: &str, schema: &str| {
            let toml = format!("prompt-version = 'p-v1'\nschema-version = 's.v1'\ndescription = {description:?}");
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in
                [("guest.toml", toml.as_str()), ("prompt.md", "{{transcript}}"), ("schema.json", schema)]
            {
                std::fs::write(folder.path().join(name), text).unwrap();
            }
            let read =
                assay_guest_build::GuestFolder::read(folder.path()).map(|_| ()).map_err(|error| error.to_string());
            let manifest = Manifest {
                prompt_version: "p-v1".into(),
                schema_version: "s.v1".into(),
                schema: schema.to_owned(),
                description: description.to_owned(),
            };
            assert_eq!(read.is_ok(), super::manifest(&manifest, &limits).is_ok(), "{read:?}");
            read
        };
        let of_size = |bytes: usize| format!("{{{}}}", " ".repeat(bytes - 2));
        judged(&"d".repeat(4096), &of_size(limits.schema_bytes)).unwrap();
        let long = judged(&"d".repeat(4097), "{}").unwrap_err();
        assert!(long.contains("guest.toml") && long.contains("4097 bytes of description, over 4096"), "{long}");
        let lines = judged("two\nlines", "{}").unwrap_err();
        assert!(lines.contains("description must be one line, without control characters"), "{lines}");
        let large = judged("", &of_size(limits.schema_bytes + 1)).unwrap_err();
        assert!(large.contains("schema.json") && large.contains("1048577 bytes of schema, over 1048576"), "{large}");
        judged("", r#"{"x-assay-codes": ["quote-not-found"]}"#).unwrap();
        let code = judged("", r#"{"x-assay-codes": ["Bob"]}"#).unwrap_err();
        assert!(code.contains("schema.json: x-assay-codes: entry 1 is no code"), "{code}");
    }
}
