//! The header of `results.jsonl`.

use std::path::Path;

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The first line of `results.jsonl`: what was compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayHeader {
    /// The format of this file.
    pub replay: u32,
    /// Digest of the candidate.
    pub guest: String,
    pub prompt_version: String,
    /// Digest of the guest to compare with; `None` compares with the stored results.
    pub against: Option<String>,
    /// Which files the first run selected.
    pub selection: Value,
}

/// The format that this binary writes.
pub const RESULTS_FORMAT: u32 = 1;

impl ReplayHeader {
    /// Checks that the results of a folder belong to the wanted comparison.
    pub(super) fn check(&self, wanted: &Self, folder: &Path) -> anyhow::Result<()> {
        let folder = folder.display();
        let fix = "name another folder with --out, or delete this one";
        ensure!(self.replay == wanted.replay, "{folder} was written by another version of assay; {fix}");
        ensure!(
            self.guest == wanted.guest,
            "{folder} has the results of another guest, {} (sha256:{}); {fix}",
            self.prompt_version,
            self.guest.get(..12).unwrap_or(&self.guest)
        );
        let name = |against: &Option<String>| {
            let digest = against.as_deref().map(|digest| digest.get(..12).unwrap_or(digest));
            digest.map_or_else(|| "what is stored".to_owned(), |digest| format!("the release sha256:{digest}"))
        };
        ensure!(
            self.against == wanted.against,
            "{folder} has a comparison with {}, not with {}; {fix}",
            name(&self.against),
            name(&wanted.against)
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(guest: &str, against: Option<&str>) -> ReplayHeader {
        ReplayHeader {
            replay: RESULTS_FORMAT,
            guest: guest.repeat(64),
            prompt_version: "minutes-v2".to_owned(),
            against: against.map(|digest| digest.repeat(64)),
            selection: Value::Null,
        }
    }

    #[test]
    fn results_of_another_comparison_are_refused_with_the_fix() {
        let check = |found: &ReplayHeader, wanted: &ReplayHeader| {
            found.check(wanted, Path::new("out")).map_err(|error| error.to_string())
        };
        let found = header("a", None);
        assert_eq!(check(&found, &found.clone()), Ok(()));
        let other_files = ReplayHeader { selection: serde_json::json!({"limit": 5}), ..header("a", None) };
        assert_eq!(check(&found, &other_files), Ok(()), "more files of the same comparison");
        let error = check(&found, &header("b", None)).unwrap_err();
        assert_eq!(
            error,
            "out has the results of another guest, minutes-v2 (sha256:aaaaaaaaaaaa); name another folder with --out, or delete this one"
        );
        let error = check(&found, &header("a", Some("c"))).unwrap_err();
        assert!(error.contains("with what is stored, not with the release sha256:cccccccccccc"), "{error}");
        assert!(check(&ReplayHeader { replay: 7, ..found.clone() }, &found).unwrap_err().contains("another version"));
    }
}
