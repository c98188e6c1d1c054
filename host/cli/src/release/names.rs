//! Names of releases, and how users write them.

use anyhow::{Context, bail};
use assay_core::channel::Channel;
use assay_db::releases::ReleaseRow;

/// Finds a release by prompt version, revision or start of its digest.
pub fn find<'a>(releases: &'a [ReleaseRow], meant: &str) -> anyhow::Result<&'a ReleaseRow> {
    if let Some((version, revision)) = meant.split_once('@') {
        let revision: i32 = revision.parse().with_context(|| format!("{meant:?}: a revision is a number"))?;
        let found = releases.iter().find(|row| row.prompt_version == version && row.revision == revision);
        return found.with_context(|| format!("{meant} is not published; `assay release list` shows all releases"));
    }
    let revisions = releases.iter().filter(|row| row.prompt_version == meant);
    if let Some(newest) = revisions.max_by_key(|row| (row.retired_at.is_none(), row.revision)) {
        return Ok(newest);
    }
    let digest = meant.strip_prefix("sha256:").unwrap_or(meant);
    let is_digest = digest.len() >= 8 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found: Vec<_> = releases.iter().filter(|row| is_digest && row.digest.starts_with(digest)).collect();
    match found[..] {
        [only] => Ok(only),
        [] => {
            bail!("{meant} is not published; `assay release list` shows all releases, `assay release publish` adds one")
        }
        _ => bail!("{meant} is the start of {} digests; add more of its characters", found.len()),
    }
}

/// Returns prompt version and revision, as in minutes-v1@2.
pub fn name(row: &ReleaseRow) -> String {
    format!("{}@{}", row.prompt_version, row.revision)
}

pub fn name_of(releases: &[ReleaseRow], digest: &str) -> String {
    releases.iter().find(|row| row.digest == digest).map_or_else(|| short(digest), name)
}

pub fn short(digest: &str) -> String {
    format!("sha256:{}…", digest.get(..12).unwrap_or(digest))
}

/// Describes what new jobs of a channel run on.
pub fn runs(channel: &Channel, releases: &[ReleaseRow]) -> String {
    let Some(active) = &channel.active else { return "what GUEST_DIR serves".to_owned() };
    let mut words = name_of(releases, active);
    if let Some(canary) = &channel.canary {
        words += &format!(", and {} % of them on {}", canary.percent, name_of(releases, &canary.digest));
    }
    if let Some(shadow) = &channel.shadow {
        words += &format!(", with {} in the shadow", name_of(releases, shadow));
    }
    words
}

#[cfg(test)]
pub mod tests {
    use assay_core::channel::Canary;
    use time::OffsetDateTime;

    use super::*;

    pub fn release(version: &str, revision: i32, digest: &str, retired: bool) -> ReleaseRow {
        ReleaseRow {
            digest: digest.repeat(64),
            prompt_version: version.to_owned(),
            revision,
            schema_version: "minutes.v1".to_owned(),
            size_bytes: 4_800_000,
            toolchain: Some("rustc 1.95.0".to_owned()),
            sources: None,
            published_by: "anna".to_owned(),
            published_at: OffsetDateTime::UNIX_EPOCH.into(),
            retired_at: retired.then_some(OffsetDateTime::UNIX_EPOCH.into()),
        }
    }

    #[test]
    fn a_release_is_found_by_version_revision_or_digest() {
        let releases = [
            release("minutes-v1", 1, "a", false),
            release("minutes-v1", 2, "b", false),
            release("minutes-v1", 3, "c", true),
            release("minutes-v2", 1, "d", false),
        ];
        let found = |meant: &str| find(&releases, meant).map(name).map_err(|error| error.to_string());
        assert_eq!(found("minutes-v1").unwrap(), "minutes-v1@2", "the newest that is in service");
        assert_eq!(found("minutes-v1@3").unwrap(), "minutes-v1@3");
        assert_eq!(found("dddddddd").unwrap(), "minutes-v2@1");
        assert_eq!(found(&format!("sha256:{}", "a".repeat(64))).unwrap(), "minutes-v1@1");
        assert!(found("minutes-v9").unwrap_err().contains("is not published"));
        assert!(found("minutes-v1@9").unwrap_err().contains("is not published"));
        assert!(found("minutes-v1@x").unwrap_err().contains("a revision is a number"));
        assert!(found("ddd").unwrap_err().contains("is not published"), "the start of the digest is too short");
    }

    #[test]
    fn what_a_channel_runs_is_described() {
        let releases = [release("minutes-v1", 1, "a", false), release("minutes-v2", 1, "b", false)];
        let active = Some("a".repeat(64));
        let canary = Canary { digest: "b".repeat(64), percent: 5 };
        assert_eq!(runs(&Channel::default(), &releases), "what GUEST_DIR serves");
        assert_eq!(runs(&Channel { active: active.clone(), ..Channel::default() }, &releases), "minutes-v1@1");
        let shadow = Some("c".repeat(64));
        let with_shadow = Channel { active: active.clone(), shadow, ..Channel::default() };
        assert_eq!(runs(&with_shadow, &releases), "minutes-v1@1, with sha256:cccccccccccc… in the shadow");
        let beside = Channel { active, canary: Some(canary), ..Channel::default() };
        assert_eq!(runs(&beside, &releases), "minutes-v1@1, and 5 % of them on minutes-v2@1");
        assert_eq!(runs(&beside, &[]), "sha256:aaaaaaaaaaaa…, and 5 % of them on sha256:bbbbbbbbbbbb…");
    }
}
