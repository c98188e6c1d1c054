//! The glibc that a binary needs: it is linked against that of the machine that built it.

const PREFIX: &[u8] = b"GLIBC_";

/// Returns the newest version of glibc that a binary asks for, such as `2.36`.
pub fn newest_needed(binary: &[u8]) -> Option<String> {
    let mut newest = None;
    let mut rest = binary;
    while let Some(at) = rest.windows(PREFIX.len()).position(|window| window == PREFIX) {
        rest = &rest[at + PREFIX.len()..];
        newest = newest.max(version(rest));
    }
    newest.map(|(major, minor)| format!("{major}.{minor}"))
}

/// Reads `2.36` in front of a byte that ends it. A third number, of long ago, is left out.
fn version(bytes: &[u8]) -> Option<(u32, u32)> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
    let mut numbers = std::str::from_utf8(&bytes[..end]).ok()?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_found_and_words_are_no_version() {
        let of = |bytes: &[u8]| newest_needed(bytes);
        assert_eq!(of(b"..GLIBC_2.9\0GLIBC_2.34\0GLIBC_2.2.5\0").as_deref(), Some("2.34"));
        assert_eq!(of(b"GLIBC_PRIVATE\0GLIBC_2.17\0").as_deref(), Some("2.17"));
        assert_eq!((of(b"GLIBC_PRIVATE\0"), of(b""), of(b"GLIBC_2.34")), (None, None, None));
    }
}
