//! Strips a core module: names, producers and debug sections say where and how it was built, and every worker would carry them.

use super::error::{BuildError, Step};
use wasmparser::{Parser, Payload};

/// The header of a core module: magic and version.
const HEADER: &[u8] = b"\0asm\x01\0\0\0";

/// The module without custom sections, except those that describe the component to be.
///
/// # Errors
///
/// [`Step::Snapshot`] where the bytes are no WebAssembly.
pub fn strip(core: &[u8]) -> Result<Vec<u8>, BuildError> {
    let mut stripped = Vec::with_capacity(core.len());
    stripped.extend_from_slice(HEADER);
    for payload in Parser::new(0).parse_all(core) {
        let payload = payload.map_err(|error| BuildError::invalid(Step::Snapshot, error))?;
        if let Payload::CustomSection(custom) = &payload
            && !custom.name().starts_with("component-type")
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

fn write_leb128(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn stripping_keeps_the_code_and_the_component_type_alone() {
        let core = wat::parse_str(
            r#"(module $named
                (@custom "component-type:x" "keep")
                (@custom "producers" "drop")
                (func $long_name (export "f") (result i32) i32.const 300)
                (memory 1) (data (i32.const 0) "0123456789"))"#,
        )
        .expect("is WAT");
        let stripped = strip(&core).expect("is a module");
        wasmparser::validate(&stripped).expect("is still a module");
        let has = |text: &str| stripped.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(has("component-type:x") && has("0123456789"));
        assert!(!has("producers") && !has("long_name"));
        assert_eq!(strip(&stripped).expect("is a module"), stripped);
    }
}
