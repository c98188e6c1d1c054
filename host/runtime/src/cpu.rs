//! The processors that compiled code runs on.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wasmtime::Config;

/// The processors that compiled code runs on. An image for a level runs on each processor of that level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cpu {
    /// Those with every feature of this machine's.
    Native,
    /// The level `x86-64-v2`: servers since about 2009.
    X86_64V2,
    /// The level `x86-64-v3`: servers since about 2015.
    X86_64V3,
}

/// What the compiler may use of the level `x86-64-v2`, by its names of the features.
const V2_FEATURES: [&str; 6] = ["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt", "has_cmpxchg16b"];
/// What the level `x86-64-v3` adds.
const V3_FEATURES: [&str; 6] = ["has_avx", "has_avx2", "has_fma", "has_bmi1", "has_bmi2", "has_lzcnt"];

impl Cpu {
    /// Every choice, this machine first, then the better level.
    pub const ALL: [Self; 3] = [Self::Native, Self::X86_64V3, Self::X86_64V2];

    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::X86_64V2 => "x86-64-v2",
            Self::X86_64V3 => "x86-64-v3",
        }
    }

    /// Returns whether this machine's processor is one of them.
    pub fn is_here(self) -> bool {
        match self {
            Self::Native => true,
            Self::X86_64V2 => has_v2(),
            Self::X86_64V3 => has_v2() && has_v3(),
        }
    }

    /// Configures the compiler.
    ///
    /// # Errors
    /// The engine's: it has no compiler for the level's architecture.
    pub(crate) fn configure(self, config: &mut Config) -> wasmtime::Result<()> {
        let features: &[&[&str]] = match self {
            // The engine asks the processor.
            Self::Native => return Ok(()),
            Self::X86_64V2 => &[&V2_FEATURES],
            Self::X86_64V3 => &[&V2_FEATURES, &V3_FEATURES],
        };
        // Named, the target has no features but those that follow.
        config.target("x86_64-unknown-linux-gnu")?;
        for feature in features.iter().copied().flatten() {
            // SAFETY: a flag may break what the generated code relies on. Each of these only lets the compiler choose instructions of one
            // feature of the processor, as it does of itself where it finds the feature. The code is run by way of `Runtime::deserialize`
            // alone, and there wasmtime asks the processor for each feature in the image's header and refuses an image that needs another.
            #[expect(unsafe_code, reason = "there is no other way to name a level; the proof is above")]
            unsafe {
                config.cranelift_flag_enable(feature)
            };
        }
        Ok(())
    }
}

#[cfg(target_arch = "x86_64")]
fn has_v2() -> bool {
    is_x86_feature_detected!("sse3")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1")
        && is_x86_feature_detected!("sse4.2")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("cmpxchg16b")
}

#[cfg(target_arch = "x86_64")]
fn has_v3() -> bool {
    is_x86_feature_detected!("avx")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_v2() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn has_v3() -> bool {
    false
}

impl FromStr for Cpu {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|cpu| cpu.name() == name).ok_or_else(|| format!("expected one of {}", names()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_has_a_name_and_no_other_name_is_one() {
        for cpu in Cpu::ALL {
            assert_eq!(cpu.name().parse(), Ok(cpu));
        }
        for name in ["", "x86-64", "x86-64-v4", "X86-64-V2", "aarch64"] {
            assert_eq!(name.parse::<Cpu>(), Err("expected one of native, x86-64-v3, x86-64-v2".to_owned()), "{name}");
        }
    }
}
