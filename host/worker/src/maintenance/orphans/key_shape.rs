//! The keys that Assay makes, read back. Whatever differs from them by a character is somebody else's.

use assay_core::ids::{FileId, JobId};
use uuid::Uuid;

/// What lies in the folder of a run.
const RUN_FILES: [&str; 3] = ["report.json", "raw_llm_output.json", "notes.json"];
/// `files.extension`.
const EXTENSIONS: [&str; 2] = ["txt", "vtt"];
/// A UUID in lower case with its hyphens.
const UUID_CHARS: usize = 36;

/// An object of Assay's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `users/USER/files/FILE/original.EXT`.
    Upload(FileId),
    /// `users/USER/files/FILE/answers/JOB/ORDINAL-TOKEN.json`.
    Answer(FileId, JobId),
    /// `users/USER/files/FILE/runs/JOB-TOKEN/NAME`.
    Run(FileId, JobId),
}

impl Shape {
    /// The shape of a key; none where Assay makes no such key.
    pub fn of(key: &str) -> Option<Self> {
        let mut parts = key.split('/');
        let mut next = || parts.next();
        if next()? != "users" {
            return None;
        }
        uuid(next()?)?;
        if next()? != "files" {
            return None;
        }
        let file = FileId(uuid(next()?)?);
        let shape = match next()? {
            "runs" => {
                let (job, token) = next()?.split_at_checked(UUID_CHARS)?;
                number(token.strip_prefix('-')?, 1, i64::MAX)?;
                let shape = Self::Run(file, JobId(uuid(job)?));
                RUN_FILES.contains(&next()?).then_some(shape)?
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
        next().is_none().then_some(shape)
    }

    /// The file in the key.
    pub const fn file(&self) -> FileId {
        match self {
            Self::Upload(file) | Self::Answer(file, _) | Self::Run(file, _) => *file,
        }
    }

    /// The job in the key.
    pub const fn job(&self) -> Option<JobId> {
        match self {
            Self::Upload(_) => None,
            Self::Answer(_, job) | Self::Run(_, job) => Some(*job),
        }
    }

    /// What it is, in a word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Upload(_) => "upload",
            Self::Answer(..) => "answer",
            Self::Run(..) => "run",
        }
    }
}

/// A UUID as Assay writes it, in one way only.
fn uuid(text: &str) -> Option<Uuid> {
    let plain = text.len() == UUID_CHARS && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    plain.then(|| Uuid::try_parse(text).ok())?
}

/// A number as Assay writes it, in one way only.
fn number(text: &str, least: i64, most: i64) -> Option<i64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|number| plain && (least..=most).contains(number))
}

#[cfg(test)]
mod tests {
    use assay_core::{
        file_info::FileInfo,
        ids::UserId,
        job::original_key,
        lease::{Lease, LeaseToken},
    };
    use proptest::prelude::*;

    use super::*;

    fn facts(user: u128, file: u128) -> FileInfo {
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

    /// Every key that Assay makes of these.
    fn keys(user: u128, file: u128, job: u128, token: i64, ordinal: i32) -> Vec<(String, Shape)> {
        let (facts, job) = (facts(user, file), JobId(Uuid::from_u128(job)));
        let lease = Lease { job, token: LeaseToken(token) };
        let runs = RUN_FILES.map(|name| (facts.run_key(lease, name), Shape::Run(facts.id, job)));
        let originals = EXTENSIONS.map(|ext| (original_key(facts.user, facts.id, ext), Shape::Upload(facts.id)));
        let answer = (facts.answer_key(lease, ordinal), Shape::Answer(facts.id, job));
        runs.into_iter().chain(originals).chain([answer]).collect()
    }

    proptest! {
        #[test]
        fn every_key_that_assay_makes_is_known(
            user: u128, file: u128, job: u128, token in 1..=i64::MAX, ordinal in 0..=i32::MAX
        ) {
            for (key, shape) in keys(user, file, job, token, ordinal) {
                prop_assert_eq!(Shape::of(&key), Some(shape), "{}", key);
            }
        }

        #[test]
        fn a_key_with_another_character_in_its_fixed_parts_or_one_more_is_nobodys(
            user: u128, file: u128, job: u128, token in 1..=i64::MAX, at: prop::sample::Index, other in "[A-Z_ é%.-]"
        ) {
            for (key, _) in keys(user, file, job, token, 0) {
                let at = at.index(key.len() + 1);
                let more = format!("{}{other}{}", &key[..at], &key[at..]);
                prop_assert_eq!(Shape::of(&more), None, "{}", more);
            }
        }

        #[test]
        fn no_text_makes_it_stumble(key in "\\PC{0,200}", tail in "[-/0-9a-f.]{0,120}") {
            let _known = Shape::of(&key);
            let _known = Shape::of(&format!("users/{tail}"));
        }
    }

    #[test]
    fn what_only_resembles_a_key_is_nobodys() {
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
            assert_eq!(Shape::of(&key), None, "{key}");
        }
    }
}
