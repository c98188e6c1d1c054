//! Releases and channels: which components are published, which of them a channel runs, and the audit of changes.

mod change;
mod publish;
mod read;
mod shadow;
mod stats;

pub use change::{By, Changed};
pub use publish::{NewRelease, Published};
pub use read::{ChangeRow, ChannelRow, ReleaseRow};
pub use shadow::{ShadowResult, ShadowTally};
