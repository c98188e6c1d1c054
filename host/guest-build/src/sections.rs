//! Strips a core module: names and debug sections have paths of the build machine, and every worker would load them. The section
//! `producers` stays: a fuel budget belongs to a compiler.

use wasmparser::{Parser, Payload};

use crate::error::{BuildError, BuildStep};

/// Magic and version.
const MODULE_HEADER: &[u8] = b"\0asm\x01\0\0\0";

/// Returns the module without custom sections, except its component type and its producers.
///
/// # Errors
///
/// [`BuildStep::Snapshot`] if the bytes are not WebAssembly.
pub fn strip(core: &[u8]) -> Result<Vec<u8>, BuildError> {
    let mut stripped = Vec::with_capacity(core.len());
    stripped.extend_from_slice(MODULE_HEADER);
    for payload in Parser::new(0).parse_all(core) {
        let payload = payload.map_err(|error| BuildError::invalid(BuildStep::Snapshot, error))?;
        if let Payload::CustomSection(custom) = &payload
            && !custom.name().starts_with("component-type")
            && custom.name() != "producers"
        {
            continue;
        }
        if let Some((id, range)) = payload.as_section() {
            stripped.push(id);
            write_leb128(&mut stripped, range.len());
            stripped.extend_from_slice(&core[range]);
        }
    }
    Ok(stripped)
}

/// Returns the component with one custom section of this name, at its end.
pub(crate) fn with_custom(component: &[u8], name: &str, content: &[u8]) -> Result<Vec<u8>, BuildError> {
    let mut out = Vec::with_capacity(component.len() + name.len() + content.len() + 16);
    let mut depth = 0_usize;
    let mut copied = 0;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|error| BuildError::invalid(BuildStep::Stamp, error))? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(custom) if depth == 0 && custom.name() == name => {
                let section = custom.range();
                // Id and length stand before a section's content.
                let mut length = Vec::new();
                write_leb128(&mut length, section.len());
                out.extend_from_slice(&component[copied..section.start - length.len() - 1]);
                copied = section.end;
            }
            _ => {}
        }
    }
    out.extend_from_slice(&component[copied..]);
    let mut section = Vec::new();
    write_leb128(&mut section, name.len());
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(content);
    out.push(0);
    write_leb128(&mut out, section.len());
    out.extend_from_slice(&section);
    Ok(out)
}

/// Returns the content of a component's own custom section.
pub(crate) fn custom(component: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload.ok()? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(custom) if depth == 0 && custom.name() == name => {
                return Some(custom.data().to_vec());
            }
            _ => {}
        }
    }
    None
}

fn write_leb128(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::{custom, strip, with_custom};

    #[test]
    fn a_custom_section_is_added_once_and_exchanged_after_that() {
        let component = wat::parse_str("(component (core module (@custom \"notes\" \"inner\")))").expect("is WAT");
        assert_eq!(custom(&component, "notes"), None, "that of a module inside is not the component's");
        let long = vec![b'x'; 300];
        let first = with_custom(&component, "notes", &long).expect("is a component");
        assert_eq!(custom(&first, "notes"), Some(long));
        let second = with_custom(&with_custom(&first, "other", b"o").expect("is a component"), "notes", b"new");
        let second = second.expect("is a component");
        wasmparser::validate(&second).expect("is still a component");
        assert_eq!((custom(&second, "notes"), custom(&second, "other")), (Some(b"new".to_vec()), Some(b"o".to_vec())));
        assert!(second.len() < first.len());
    }

    #[test]
    fn stripping_keeps_the_code_the_component_type_and_the_producers_alone() {
        let core = wat::parse_str(
            r#"(module $named
                (@custom "component-type:x" "keep")
                (@custom "name-of-mine" "drop")
                (@producers (processed-by "rustc" "1.95.0"))
                (func $long_name (export "f") (result i32) i32.const 300)
                (memory 1) (data (i32.const 0) "0123456789"))"#,
        )
        .expect("is WAT");
        let stripped = strip(&core).expect("is a module");
        wasmparser::validate(&stripped).expect("is still a module");
        let has = |text: &str| stripped.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(has("component-type:x") && has("0123456789"));
        assert!(has("producers") && has("1.95.0"));
        assert!(!has("name-of-mine") && !has("long_name"));
        assert_eq!(strip(&stripped).expect("is a module"), stripped);
    }
}
