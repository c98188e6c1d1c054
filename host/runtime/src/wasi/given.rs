//! What one call gets from WASI, within bounds.

use wasmtime::component::Resource;

/// Any number would do.
const RANDOM_SEED: u64 = 0x6173_7361_795f_7631;
/// Per request: the host cannot be interrupted while it makes them.
const MAX_RANDOM_BYTES: u64 = 64 << 10;
/// Per call, dropped handles included: the engine's table of them is host memory.
const MAX_HANDLES: u32 = 1_000;
/// A request that WASI in this host denies.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("WASI is denied")]
pub(crate) struct WasiDenied;

/// The random numbers and handles that a call has had.
#[derive(Debug, Default)]
pub(crate) struct WasiGiven {
    randoms: u64,
    handles: u32,
}

impl WasiGiven {
    /// Returns the next number of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). No number repeats, and every call gets the same.
    pub(super) fn random(&mut self) -> u64 {
        self.randoms += 1;
        let mut number = RANDOM_SEED.wrapping_add(self.randoms.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    pub(super) fn random_bytes(&mut self, len: u64) -> Result<Vec<u8>, WasiDenied> {
        if len > MAX_RANDOM_BYTES {
            return Err(WasiDenied);
        }
        let words = (0..len.div_ceil(8)).flat_map(|_| self.random().to_le_bytes());
        Ok(words.take(usize::try_from(len).map_err(|_| WasiDenied)?).collect())
    }

    pub(super) fn handle(&mut self) -> Result<Resource<Handle>, WasiDenied> {
        self.handles += 1;
        if self.handles > MAX_HANDLES { Err(WasiDenied) } else { Ok(Resource::new_own(0)) }
    }
}

/// Stands for every resource; none has anything behind it.
pub(super) enum Handle {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_differ_within_a_call_and_not_between_calls() {
        let numbers = || {
            let mut given = WasiGiven::default();
            [given.random(), given.random(), given.random()]
        };
        let [first, second, third] = numbers();
        assert!(first != second && second != third && first != third);
        assert_eq!(numbers(), [first, second, third]);
    }

    #[test]
    fn random_bytes_are_as_many_as_asked_for_up_to_a_bound() {
        let bytes = |len| WasiGiven::default().random_bytes(len).map(|bytes| bytes.len());
        assert!(matches!((bytes(0), bytes(13)), (Ok(0), Ok(13))));
        assert!(bytes(MAX_RANDOM_BYTES).is_ok() && bytes(MAX_RANDOM_BYTES + 1).is_err());
    }
}
