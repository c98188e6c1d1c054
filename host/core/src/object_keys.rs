//! Object keys, made and parsed in one place: originals, answers, artifacts of a run, guests, and the bucket's marker.
//!
//! The lease token is part of each key that a run writes. So a worker that lost its claim writes only where no row points.

use uuid::Uuid;

use crate::{
    file_info::FileInfo,
    ids::{FileId, JobId, UserId},
    lease::Lease,
};

/// Prefix of every object that belongs to a file.
pub const FILES_PREFIX: &str = "users/";
/// Key of the marker that names the bucket's database. Outside [`FILES_PREFIX`], so that no sweep lists it.
pub const MARKER_KEY: &str = "assay/database.json";
/// Extensions of originals, as in `files.extension`.
const EXTENSIONS: [&str; 2] = ["txt", "vtt"];
/// Length of a lower-case UUID with hyphens.
const UUID_CHARS: usize = 36;

/// An object in the folder of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunArtifact {
    Report,
    RawOutput,
    Notes,
}

impl RunArtifact {
    const ALL: [Self; 3] = [Self::Report, Self::RawOutput, Self::Notes];

    const fn file_name(self) -> &'static str {
        match self {
            Self::Report => "report.json",
            Self::RawOutput => "raw_llm_output.json",
            Self::Notes => "notes.json",
        }
    }
}

fn file_folder(user: UserId, file: FileId) -> String {
    format!("{FILES_PREFIX}{user}/files/{file}")
}

/// Returns the key of an original that Assay uploads itself.
pub fn original_key(user: UserId, file: FileId, extension: &str) -> String {
    format!("{}/original.{extension}", file_folder(user, file))
}

/// Returns the key of a received answer.
pub fn answer_key(file: &FileInfo, lease: Lease, ordinal: i32) -> String {
    format!("{}/answers/{}/{ordinal}-{}.json", file_folder(file.user, file.id), lease.job, lease.token)
}

/// Returns the common prefix of one run's artifacts, with its final slash.
pub fn run_folder(user: UserId, file: FileId, lease: Lease) -> String {
    format!("{}/runs/{}-{}/", file_folder(user, file), lease.job, lease.token)
}

/// Returns the key of one artifact of a run.
pub fn run_key(file: &FileInfo, lease: Lease, artifact: RunArtifact) -> String {
    format!("{}{}", run_folder(file.user, file.id, lease), artifact.file_name())
}

/// Returns the key of a guest's component.
pub fn guest_key(digest: &str) -> String {
    format!("guests/{digest}.wasm")
}

/// The parts of a key under [`FILES_PREFIX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParsedKey {
    /// `users/USER/files/FILE/original.EXT`.
    Upload(FileId),
    /// `users/USER/files/FILE/answers/JOB/ORDINAL-TOKEN.json`.
    Answer(FileId, JobId),
    /// `users/USER/files/FILE/runs/JOB-TOKEN/NAME`.
    Run(FileId, JobId),
}

impl ParsedKey {
    /// Parses a key. Returns `None` for a key that differs from Assay's own by a single character.
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix(FILES_PREFIX)?.split('/');
        let mut next = || parts.next();
        uuid(next()?)?;
        if next()? != "files" {
            return None;
        }
        let file = FileId(uuid(next()?)?);
        let parsed = match next()? {
            "runs" => {
                let (job, token) = next()?.split_at_checked(UUID_CHARS)?;
                number(token.strip_prefix('-')?, 1, i64::MAX)?;
                let name = next()?;
                RunArtifact::ALL.iter().find(|artifact| artifact.file_name() == name)?;
                Self::Run(file, JobId(uuid(job)?))
            }
            "answers" => {
                let job = JobId(uuid(next()?)?);
                let (ordinal, token) = next()?.strip_suffix(".json")?.split_once('-')?;
                number(ordinal, 0, i64::from(i32::MAX))?;
                number(token, 1, i64::MAX)?;
                Self::Answer(file, job)
            }
            original => {
                let extension = original.strip_prefix("original.")?;
                EXTENSIONS.contains(&extension).then_some(Self::Upload(file))?
            }
        };
        next().is_none().then_some(parsed)
    }

    pub const fn file(&self) -> FileId {
        match self {
            Self::Upload(file) | Self::Answer(file, _) | Self::Run(file, _) => *file,
        }
    }

    pub const fn job(&self) -> Option<JobId> {
        match self {
            Self::Upload(_) => None,
            Self::Answer(_, job) | Self::Run(_, job) => Some(*job),
        }
    }

    /// Returns the kind of object in one word, as logs show it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Upload(_) => "upload",
            Self::Answer(..) => "answer",
            Self::Run(..) => "run",
        }
    }
}

/// Parses a UUID in the one form that Assay writes.
fn uuid(text: &str) -> Option<Uuid> {
    let plain = text.len() == UUID_CHARS && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    plain.then(|| Uuid::try_parse(text).ok())?
}

/// Parses a number in the one form that Assay writes: digits, without leading zeros.
fn number(text: &str, min: i64, max: i64) -> Option<i64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|number| plain && (min..=max).contains(number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lease::LeaseToken;

    fn file_info(user: u128, file: u128) -> FileInfo {
        FileInfo {
            id: FileId(Uuid::from_u128(file)),
            user: UserId(Uuid::from_u128(user)),
            bucket: String::new(),
            original_key: String::new(),
            filename: String::new(),
            media_type: String::new(),
            received_at: String::new(),
            attributes: Vec::new(),
        }
    }

    /// Returns every key that Assay makes of these ids.
    fn keys(user: u128, file: u128, job: u128, token: i64, ordinal: i32) -> Vec<(String, ParsedKey)> {
        let (file, job) = (file_info(user, file), JobId(Uuid::from_u128(job)));
        let lease = Lease { job, token: LeaseToken(token) };
        let runs = RunArtifact::ALL.map(|artifact| (run_key(&file, lease, artifact), ParsedKey::Run(file.id, job)));
        let originals = EXTENSIONS.map(|ext| (original_key(file.user, file.id, ext), ParsedKey::Upload(file.id)));
        let answer = (answer_key(&file, lease, ordinal), ParsedKey::Answer(file.id, job));
        runs.into_iter().chain(originals).chain([answer]).collect()
    }

    proptest! {
        #[test]
        fn every_key_that_assay_makes_is_parsed(
            user: u128, file: u128, job: u128, token in 1..=i64::MAX, ordinal in 0..=i32::MAX
        ) {
            for (key, parsed) in keys(user, file, job, token, ordinal) {
                prop_assert_eq!(ParsedKey::parse(&key), Some(parsed), "{}", key);
            }
        }

        #[test]
        fn a_key_with_one_more_character_is_foreign(
            user: u128, file: u128, job: u128, token in 1..=i64::MAX, at: prop::sample::Index, other in "[A-Z_ é%.-]"
        ) {
            for (key, _) in keys(user, file, job, token, 0) {
                let at = at.index(key.len() + 1);
                let more = format!("{}{other}{}", &key[..at], &key[at..]);
                prop_assert_eq!(ParsedKey::parse(&more), None, "{}", more);
            }
        }

        #[test]
        fn parsing_never_panics(key in "\\PC{0,200}", tail in "[-/0-9a-f.]{0,120}") {
            let _known = ParsedKey::parse(&key);
            let _known = ParsedKey::parse(&format!("users/{tail}"));
        }
    }

    #[test]
    fn a_key_that_only_resembles_ours_is_foreign() {
        let (a, b) = (Uuid::from_u128(0xa), Uuid::from_u128(0xb));
        let folder = format!("users/{a}/files/{b}");
        for key in [
            format!("{folder}/original.pdf"),
            format!("{folder}/original."),
            format!("{folder}/original.txt/"),
            format!("{folder}/Original.txt"),
            format!("{folder}/probe"),
            format!("{folder}/runs/{a}-0/report.json"),
            format!("{folder}/runs/{a}-01/report.json"),
            format!("{folder}/runs/{a}-+1/report.json"),
            format!("{folder}/runs/{a}/report.json"),
            format!("{folder}/runs/{a}-1/other.json"),
            format!("{folder}/runs/{a}-1/"),
            format!("{folder}/runs/{a}-99999999999999999999/report.json"),
            format!("{folder}/answers/{a}/0-1.txt"),
            format!("{folder}/answers/{a}/-1-1.json"),
            format!("{folder}/answers/{a}/2147483648-1.json"),
            format!("/{folder}/original.txt"),
            format!("backup/{folder}/original.txt"),
            format!("users/{}/files/{b}/original.txt", a.simple()),
            format!("users/{}/files/{b}/original.txt", a.to_string().to_uppercase()),
            "users/".to_owned(),
            String::new(),
        ] {
            assert_eq!(ParsedKey::parse(&key), None, "{key}");
        }
    }
}
