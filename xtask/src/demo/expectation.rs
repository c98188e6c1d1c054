//! The samples and how each has to end: `NAME.succeeds.vtt`, or `NAME.CODE.txt` with the code it has to fail with.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// A transcript and its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Sample {
    pub name: String,
    pub path: PathBuf,
    pub expected: Ending,
}

/// How a file ended, or has to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Succeeded,
    Failed(String),
    Open(String),
}

impl Ending {
    /// Returns whether a file ends like this before any model is asked.
    pub fn needs_no_model(&self) -> bool {
        matches!(self, Self::Failed(code) if code.starts_with("transcript_"))
    }

    /// Returns whether an answer of a model, or its provider, explains this end.
    pub fn may_be_the_models(&self) -> bool {
        match self {
            Self::Succeeded => true,
            Self::Failed(code) => code.starts_with("llm_") || code == "schema_validation_failed",
            Self::Open(_) => false,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded => f.write_str("succeeded"),
            Self::Failed(code) => write!(f, "failed with {code}"),
            Self::Open(status) => write!(f, "not ended: it is {status}"),
        }
    }
}

impl Sample {
    /// Reads the end out of the name.
    ///
    /// # Errors
    /// If the name says none.
    pub fn parse(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let parts: Vec<_> = name.split('.').collect();
        let expected = match parts[..] {
            [_, .., "succeeds", _] => Ending::Succeeded,
            [_, .., code, _] if is_code(code) => Ending::Failed(code.to_owned()),
            _ => bail!("{name} does not say how it has to end: NAME.succeeds.txt or NAME.CODE.txt does"),
        };
        Ok(Self { name, path: path.to_owned(), expected })
    }
}

/// Returns whether a part of a name can be an error code.
fn is_code(part: &str) -> bool {
    part.contains('_') && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Returns every transcript of a folder, by name.
///
/// # Errors
/// If the folder cannot be read, has no transcript, or one whose name says no end.
pub fn samples(folder: &Path) -> Result<Vec<Sample>> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut samples = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt" || extension == "vtt") {
            samples.push(Sample::parse(&path)?);
        }
    }
    if samples.is_empty() {
        bail!("{} has no transcripts", folder.display());
    }
    samples.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Ending, Sample};

    #[test]
    fn a_name_says_how_its_sample_ends() {
        let ending = |name: &str| Sample::parse(Path::new(name)).map(|sample| sample.expected);
        assert_eq!(ending("docs/en-review.succeeds.vtt").unwrap(), Ending::Succeeded);
        assert_eq!(ending("nothing.transcript_empty.txt").unwrap(), Ending::Failed("transcript_empty".to_owned()));
        for name in ["notes.txt", "notes.Final.txt", ".succeeds"] {
            assert!(ending(name).is_err(), "{name}");
        }
    }

    #[test]
    fn only_what_is_wrong_with_a_transcript_needs_no_model() {
        let failed = |code: &str| Ending::Failed(code.to_owned());
        assert!(failed("transcript_invalid_encoding").needs_no_model());
        assert!(!failed("schema_validation_failed").needs_no_model() && !Ending::Succeeded.needs_no_model());
    }
}
