//! Undoes the encoding that an object was stored with.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

/// The first bytes of every gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What became of an object's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    Bytes(Bytes),
    /// More bytes than the limit.
    TooLarge,
    /// It breaks off, or its checksum is wrong.
    Broken,
}

/// Returns the bytes without gzip, where the object says so and is so. All other encodings, and words that are none, leave
/// the bytes as they are: stores keep whatever an upload said, `aws-chunked` and `utf-8` too.
pub(crate) fn decode(encoding: Option<&str>, bytes: Bytes, max_bytes: usize) -> Decoded {
    let says_gzip = encoding.unwrap_or_default().split(',').any(|word| {
        let word = word.trim();
        word.eq_ignore_ascii_case("gzip") || word.eq_ignore_ascii_case("x-gzip")
    });
    if !says_gzip || !bytes.starts_with(&GZIP) {
        return Decoded::Bytes(bytes);
    }
    let mut plain = Vec::new();
    // One byte more shows that the limit is passed. What a small file can expand to has no other bound.
    match MultiGzDecoder::new(&*bytes).take(max_bytes as u64 + 1).read_to_end(&mut plain) {
        Err(_) => Decoded::Broken,
        Ok(length) if length > max_bytes => Decoded::TooLarge,
        Ok(_) => Decoded::Bytes(plain.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory").into()
    }

    fn bytes(text: &'static [u8]) -> Decoded {
        Decoded::Bytes(Bytes::from_static(text))
    }

    #[test]
    fn gzip_is_undone_where_the_object_says_so_and_is_so() {
        for encoding in ["gzip", "GZIP", "x-gzip", "aws-chunked,gzip", "gzip, aws-chunked"] {
            assert_eq!(decode(Some(encoding), gzip(b"words"), 100), bytes(b"words"), "{encoding}");
        }
        let twice = [gzip(b"two "), gzip(b"parts")].concat();
        assert_eq!(decode(Some("gzip"), twice.into(), 100), bytes(b"two parts"));
    }

    #[test]
    fn all_else_stays_as_it_is() {
        let plain = || Bytes::from_static(b"words");
        for encoding in
            [None, Some(""), Some("identity"), Some("utf-8"), Some("aws-chunked"), Some("br"), Some("gzipped")]
        {
            assert_eq!(decode(encoding, plain(), 100), bytes(b"words"), "{encoding:?}");
            assert_eq!(decode(encoding, gzip(b"words"), 100), Decoded::Bytes(gzip(b"words")), "{encoding:?}");
        }
        // A gateway undid it and left the header.
        assert_eq!(decode(Some("gzip"), plain(), 100), bytes(b"words"));
        assert_eq!(decode(Some("gzip"), Bytes::new(), 100), bytes(b""));
    }

    #[test]
    fn what_expands_too_far_or_breaks_off_is_told() {
        let bomb = gzip(&vec![b'x'; 10_000_000]);
        assert!(bomb.len() < 20_000);
        assert_eq!(decode(Some("gzip"), bomb, 1_000_000), Decoded::TooLarge);
        assert_eq!(decode(Some("gzip"), gzip(b"words"), 5), bytes(b"words"), "the limit itself is allowed");
        let whole = gzip(b"many words");
        assert_eq!(decode(Some("gzip"), whole.slice(..whole.len() - 6), 100), Decoded::Broken);
        let mut wrong = whole.to_vec();
        let last = wrong.len() - 5;
        wrong[last] ^= 1;
        assert_eq!(decode(Some("gzip"), wrong.into(), 100), Decoded::Broken);
    }
}
