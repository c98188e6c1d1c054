//! Documents on which the model fails whatever it is asked, while it works for all others.

use std::fmt;

use assay_tests::{Call, Reply};

use crate::{
    faults::{
        met::{Dealt, Met},
        model_trouble::ModelTrouble,
    },
    ledger::Asked,
    talk::{Kind, Marker},
    times::Times,
};

/// How the model answers about such a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Poison {
    /// 500.
    ServerError,
    /// 404, as for a model that is not there.
    NotFound,
    /// 403, as of a firewall that reads along.
    Forbidden,
    /// 307.
    Redirected,
    /// A refusal by moderation.
    Moderated,
}

impl Poison {
    pub const ALL: [Self; 5] = [Self::ServerError, Self::NotFound, Self::Forbidden, Self::Redirected, Self::Moderated];

    /// Returns the name of its kind of transcript.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServerError => "500",
            Self::NotFound => "404",
            Self::Forbidden => "403",
            Self::Redirected => "307",
            Self::Moderated => "moderated",
        }
    }

    /// Returns what befalls every question about it.
    pub const fn trouble(self) -> ModelTrouble {
        match self {
            Self::ServerError => ModelTrouble::ServerError,
            Self::NotFound => ModelTrouble::NotFound,
            Self::Forbidden => ModelTrouble::Forbidden,
            Self::Redirected => ModelTrouble::Redirected,
            Self::Moderated => ModelTrouble::Refused,
        }
    }
}

impl fmt::Display for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "document with {}", self.as_str())
    }
}

/// Returns what becomes of a reply: about such a document it is no answer, which is counted.
pub fn spoil(call: &Call, reply: Reply, met: &Met, times: &Times) -> Reply {
    let Some(Marker { kind: Kind::Poisoned(poison), .. }) = Marker::find(&call.text()) else { return reply };
    met.count(&poison, 1);
    if let Some(Asked { at, slot, file, question }) = Asked::read(call) {
        met.deal(Dealt { at, slot, file, question, trouble: poison.trouble() });
    }
    poison.trouble().spoil(reply, &mut rand::rng(), times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_poison_leads_to_a_code_of_its_own_or_of_its_like() {
        let codes = Poison::ALL.map(|poison| poison.trouble().leads_to().unwrap_or_default());
        let [not_found, forbidden] = ["llm_model_not_found", "llm_auth_failed"];
        assert_eq!(codes, ["llm_provider_5xx", not_found, forbidden, not_found, "llm_refused"]);
    }
}
