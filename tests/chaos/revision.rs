//! The two revisions of `upgrade`.

use std::fmt;

/// A revision of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    /// The one that `--before` names.
    Before,
    This,
}

impl Revision {
    pub const ALL: [Self; 2] = [Self::Before, Self::This];
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "the revision before",
            Self::This => "this revision",
        })
    }
}
