//! The folder of a guest without code: `guest.toml`, `prompt.md` and `schema.json`.
//!
//! The prompt is one text. A line with only `<!-- system -->`, `<!-- user -->` or `<!-- assistant -->` begins a message; rendered
//! Markdown does not show it. A prompt without such a line is one message of the user.

use std::{
    io,
    path::{Path, PathBuf},
};

use assay_core::{
    finding_code::declared_codes,
    manifest::{MAX_DESCRIPTION_BYTES, MAX_SCHEMA_BYTES, is_version},
};
use serde::Deserialize;

use crate::{
    builder::{Builder, Built},
    error::BuildError,
    parts::{Message, Parts},
    source_files::{FileTooLarge, SourceFolder},
    stamp::{SourceHash, Stamp},
};

/// A folder with this file is a guest without code.
pub const GUEST_TOML: &str = "guest.toml";
/// More than the generic guest accepts.
const MAX_FILE_BYTES: u64 = 4 << 20;
const ROLES: [&str; 3] = ["system", "user", "assistant"];

/// `guest.toml`. Unknown names are refused, so that a typing error does not become a default.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct GuestToml {
    prompt_version: String,
    schema_version: String,
    #[serde(default)]
    description: String,
    #[serde(default = "prompt_md")]
    prompt: PathBuf,
    #[serde(default = "schema_json")]
    schema: PathBuf,
    model: Option<String>,
    max_output_tokens: Option<u32>,
    temperature: Option<f32>,
}

/// Of a guest or a fixture.
const MAX_NAME_BYTES: usize = 60;

/// Returns whether a text may name a guest or a fixture: lower-case letters, digits, `-`, `_` and `.`, a letter or digit at both
/// ends, at most 60 bytes. The name becomes a prompt version, and a file or folder.
pub fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= MAX_NAME_BYTES
        && name.starts_with(letter)
        && name.ends_with(letter)
        && name.chars().all(|c| letter(c) || "-_.".contains(c))
}

impl GuestToml {
    fn check(&self) -> Result<(), String> {
        // The rule of the worker; the prompt version also names a file.
        for (field, version) in [("prompt-version", &self.prompt_version), ("schema-version", &self.schema_version)] {
            if !is_version(version) {
                return Err(format!("{field} {version:?} is no name that a worker takes"));
            }
        }
        // The rules of the worker: a guest that is built can be deployed.
        let bytes = self.description.len();
        if bytes > MAX_DESCRIPTION_BYTES {
            return Err(format!("{bytes} bytes of description, over {MAX_DESCRIPTION_BYTES}"));
        }
        if self.description.contains(char::is_control) {
            return Err("description must be one line, without control characters".to_owned());
        }
        if self.temperature.is_some_and(|temperature| !(0.0..=2.0).contains(&temperature)) {
            return Err("temperature must be 0 to 2".to_owned());
        }
        if self.max_output_tokens == Some(0) {
            return Err("max-output-tokens must be at least 1".to_owned());
        }
        Ok(())
    }
}

fn prompt_md() -> PathBuf {
    "prompt.md".into()
}

fn schema_json() -> PathBuf {
    "schema.json".into()
}

/// A guest's folder in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct GuestFolder {
    /// Injected into the generic guest.
    pub parts: Parts,
    /// Its files, `guest.toml` first.
    pub files: Vec<PathBuf>,
    /// [`SourceHash`] of them.
    pub revision: String,
}

/// Why a folder is not a guest.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("read {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("read {path}: more than {MAX_FILE_BYTES} bytes")]
    TooLarge { path: PathBuf },
    /// The parser's message has line and column.
    #[error("read {path}: {message}")]
    NotToml { path: PathBuf, message: String },
    /// A value in `guest.toml`, or a schema, that no worker admits.
    #[error("read {path}: {reason}")]
    Value { path: PathBuf, reason: String },
    #[error("read {path}: {reason}")]
    Prompt { path: PathBuf, reason: &'static str },
}

impl GuestFolder {
    /// Reads the folder. Only the build checks placeholders and the schema: the generic guest does that.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn read(folder: &Path) -> Result<Self, FolderError> {
        let path = folder.join(GUEST_TOML);
        let files = SourceFolder::open(folder).map_err(|error| unreadable(&path, error))?;
        let text = read(&files, &path)?;
        let toml: GuestToml = toml::from_str(&text)
            .map_err(|error| FolderError::NotToml { path: path.clone(), message: error.to_string() })?;
        toml.check().map_err(|reason| FolderError::Value { path: path.clone(), reason })?;
        let (prompt, schema) = (folder.join(&toml.prompt), folder.join(&toml.schema));
        let (prompt_text, schema_text) = (read(&files, &prompt)?, read(&files, &schema)?);
        check_schema(&schema_text).map_err(|reason| FolderError::Value { path: schema.clone(), reason })?;
        let messages = messages(&prompt_text).map_err(|reason| FolderError::Prompt { path: prompt.clone(), reason })?;
        let mut hash = SourceHash::default();
        let sources = [(Path::new(GUEST_TOML), &text), (&toml.prompt, &prompt_text), (&toml.schema, &schema_text)];
        for (name, text) in sources {
            hash.add(name, text.as_bytes());
        }
        let parts = Parts {
            prompt_version: toml.prompt_version,
            schema_version: toml.schema_version,
            description: toml.description,
            schema: schema_text,
            messages,
            model: toml.model,
            max_output_tokens: toml.max_output_tokens,
            temperature: toml.temperature,
        };
        Ok(Self { parts, files: vec![path, prompt, schema], revision: hash.finish() })
    }

    /// Builds the stamped component: the generic guest with this prompt and schema.
    ///
    /// # Errors
    /// As [`Builder::specialize`].
    pub fn build(&self, builder: &Builder, generic_core: &[u8]) -> Result<Built, BuildError> {
        let built = builder.specialize(generic_core, &self.parts.to_json())?;
        let stamp = Stamp {
            name: self.parts.prompt_version.clone(),
            version: self.parts.schema_version.clone(),
            description: self.parts.description.clone(),
            revision: self.revision.clone(),
        };
        Ok(Built { bytes: stamp.put_on(&built.bytes)?, ..built })
    }
}

fn read(files: &SourceFolder, path: &Path) -> Result<String, FolderError> {
    let text = files.read(path, MAX_FILE_BYTES).map_err(|error| unreadable(path, error))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn unreadable(path: &Path, error: io::Error) -> FolderError {
    let path = path.to_owned();
    match FileTooLarge::of(&error) {
        Some(_) => FolderError::TooLarge { path },
        None => FolderError::Unreadable { path, source: error },
    }
}

/// Checks the size and the declared codes. The generic guest checks the rest.
fn check_schema(text: &str) -> Result<(), String> {
    let (bytes, limit) = (text.len(), MAX_SCHEMA_BYTES);
    if bytes > limit {
        return Err(format!("{bytes} bytes of schema, over {limit}"));
    }
    match serde_json::from_str(text) {
        Ok(schema) => declared_codes(&schema).map(drop).map_err(|error| error.to_string()),
        Err(_) => Ok(()),
    }
}

/// Divides a prompt into its messages.
fn messages(text: &str) -> Result<Vec<Message>, &'static str> {
    let mut messages: Vec<Message> = Vec::new();
    let mut before = String::new();
    for line in text.lines() {
        match (role(line), messages.last_mut()) {
            (Some(role), _) => messages.push(Message { role: role.to_owned(), content: String::new() }),
            (None, Some(message)) => add_line(&mut message.content, line),
            (None, None) => add_line(&mut before, line),
        }
    }
    if messages.is_empty() {
        messages.push(Message { role: "user".to_owned(), content: before });
    } else if !before.trim().is_empty() {
        return Err("there is text before the first line that says whose message begins");
    }
    for message in &mut messages {
        message.content = message.content.trim_matches('\n').to_owned();
        if message.content.trim().is_empty() {
            return Err("a message without a word");
        }
    }
    Ok(messages)
}

fn role(line: &str) -> Option<&'static str> {
    let role = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?.trim();
    ROLES.into_iter().find(|known| *known == role)
}

fn add_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    const TOML: &str = "prompt-version = 'p-v1'\nschema-version = 's.v1'\n";

    fn divided(prompt: &str) -> Result<Vec<(String, String)>, String> {
        let folder = folder(&[("guest.toml", TOML), ("prompt.md", prompt), ("schema.json", "{}")]);
        let read = GuestFolder::read(folder.path()).map_err(|error| error.to_string())?;
        Ok(read.parts.messages.into_iter().map(|message| (message.role, message.content)).collect())
    }

    #[test]
    fn the_files_of_a_folder_become_the_parts_of_a_guest() {
        let toml = format!(
            "{TOML}description = 'Minutes.'\nprompt = 'ask.md'\nschema = 's.json'\nmodel = 'small'\nmax-output-tokens = 9\ntemperature = 0.5"
        );
        let folder = folder(&[("guest.toml", &toml), ("ask.md", "{{transcript}}"), ("s.json", "{ }\n")]);
        let read = GuestFolder::read(folder.path()).unwrap();
        let message = Message { role: "user".into(), content: "{{transcript}}".into() };
        let parts = Parts {
            prompt_version: "p-v1".into(),
            schema_version: "s.v1".into(),
            description: "Minutes.".into(),
            schema: "{ }\n".into(),
            messages: vec![message],
            model: Some("small".into()),
            max_output_tokens: Some(9),
            temperature: Some(0.5),
        };
        assert_eq!(read.parts, parts);
        assert_eq!(read.files, ["guest.toml", "ask.md", "s.json"].map(|name| folder.path().join(name)));
    }

    #[test]
    fn a_comment_that_names_a_role_begins_a_message() {
        let message = |role: &str, content: &str| (role.to_owned(), content.to_owned());
        let prompt = "\n<!-- system -->\n\nBe brief.\n<!-- note -->\n\n  <!--user-->\n# Talk\n\n{{transcript}}\n";
        let expected = [message("system", "Be brief.\n<!-- note -->"), message("user", "# Talk\n\n{{transcript}}")];
        assert_eq!(divided(prompt).unwrap(), expected);
        assert_eq!(divided("all of it\n").unwrap(), [message("user", "all of it")]);
    }

    #[test]
    fn a_prompt_that_is_none_is_refused() {
        assert!(divided("hello\n<!-- user -->\n{{transcript}}").unwrap_err().ends_with("whose message begins"));
        assert!(divided("<!-- system -->\n<!-- user -->\nx").unwrap_err().ends_with("a message without a word"));
        assert!(divided("").unwrap_err().ends_with("a message without a word"));
    }

    #[test]
    fn a_description_and_a_schema_have_the_bounds_of_a_manifest() {
        let judged = |description: &str, schema: &str| {
            let toml = format!("{TOML}description = {description:?}");
            let folder = folder(&[("guest.toml", &toml), ("prompt.md", "{{transcript}}"), ("schema.json", schema)]);
            GuestFolder::read(folder.path()).map(|_| ()).map_err(|error| error.to_string())
        };
        let of_size = |bytes: usize| format!("{{{}}}", " ".repeat(bytes - 2));
        judged(&"d".repeat(4096), &of_size(MAX_SCHEMA_BYTES)).unwrap();
        let long = judged(&"d".repeat(4097), "{}").unwrap_err();
        assert!(long.contains("guest.toml") && long.contains("4097 bytes of description, over 4096"), "{long}");
        let lines = judged("two\nlines", "{}").unwrap_err();
        assert!(lines.contains("description must be one line, without control characters"), "{lines}");
        let large = judged("", &of_size(MAX_SCHEMA_BYTES + 1)).unwrap_err();
        assert!(large.contains("schema.json") && large.contains("1048577 bytes of schema, over 1048576"), "{large}");
    }

    #[test]
    fn a_faulty_folder_is_refused_with_file_and_place() {
        let error = |files: &[(&str, &str)]| GuestFolder::read(folder(files).path()).unwrap_err().to_string();
        assert!(error(&[]).contains("guest.toml: No such file"));
        assert!(error(&[("guest.toml", TOML)]).contains("prompt.md: No such file"));
        let unknown = format!("{TOML}max-tokens = 1");
        let unknown = error(&[("guest.toml", &unknown)]);
        assert!(unknown.contains("line 3") && unknown.contains("max-tokens"), "{unknown}");
        assert!(error(&[("guest.toml", "prompt-version = 'x'")]).contains("schema-version"));
        for (value, rule) in [
            ("temperature = nan", "temperature must be 0 to 2"),
            ("temperature = 2.5", "temperature must be 0 to 2"),
            ("max-output-tokens = 0", "at least 1"),
        ] {
            let toml = format!("{TOML}{value}");
            assert!(error(&[("guest.toml", &toml)]).contains(rule), "{value}");
        }
        for name in ["../x", "/x", "a b", "", "é", "a/"] {
            let toml = format!("prompt-version = '{name}'\nschema-version = 's'");
            assert!(error(&[("guest.toml", &toml)]).contains("is no name"), "{name}");
        }
        let large = " ".repeat(5 << 20);
        assert!(error(&[("guest.toml", TOML), ("prompt.md", &large)]).contains("more than 4194304 bytes"));
    }
}
