//! Fixtures as folders that people can read and edit.
//!
//! ```text
//! fixtures/good/
//!   transcript.txt      the document; or transcript.vtt
//!   fixture.toml        its other fields, if they matter: filename, received-at, media-type, id, models, [attributes]
//!   answers/1.json      the model's answers, in the order of the questions; .json, .txt or .md, used unchanged
//!   expected.json       the step that follows; `assay guest test --accept` writes it
//! ```

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use assay_guest_build::{SourceFolder, is_name};
use assay_runtime::Transcript;
use serde_json::Value;

use crate::{
    answers,
    example::RECEIVED_AT,
    fixture::Fixture,
    fixture_error::{FixtureError, io_at, malformed},
    fixture_files::{is_stray, list, read_at_most, read_if_present, write},
    fixture_toml::{FixtureToml, MEDIA_TYPES, model_names, named_answers},
    fuel::{FUEL_TOML, Fuel},
    step_json::pretty,
};

/// The folder of fixtures beside a guest's sources.
pub const FIXTURES: &str = "fixtures";
const EXPECTED_JSON: &str = "expected.json";
const FIXTURE_TOML: &str = "fixture.toml";
const ANSWERS_FOLDER: &str = "answers";
/// The default of `TRANSCRIPT_MAX_BYTES`.
const MAX_TRANSCRIPT_BYTES: u64 = 10 << 20;
/// A step holds at most a transcript and a schema, or a report.
const MAX_EXPECTED_BYTES: u64 = 16 << 20;
const MAX_FIXTURE_TOML_BYTES: u64 = 1 << 20;

impl Fixture {
    /// Reads every fixture of a guest's folder, sorted by name, with fuel budgets. Returns none without the folder `fixtures`.
    ///
    /// # Errors
    /// [`FixtureError`] of the first faulty fixture.
    pub fn of(guest: &Path) -> Result<Vec<Self>, FixtureError> {
        let root = guest.join(FIXTURES);
        if !root.exists() {
            return Ok(Vec::new());
        }
        let files = SourceFolder::open(guest).map_err(io_at(guest))?;
        let mut folders: Vec<PathBuf> =
            list(&files, &root)?.into_iter().filter(|path| path.is_dir() && !is_stray(path)).collect();
        folders.sort();
        let fuel = Fuel::read_from(&files, &root).map_err(|error| malformed(&root, error))?;
        let read = folders.iter().map(|folder| {
            let fixture = Self::read_from(&files, folder)?;
            Ok(Self { fuel: fuel.budgets(&fixture.name), ..fixture })
        });
        read.collect()
    }

    /// Reads one fixture's folder, without fuel budgets.
    ///
    /// # Errors
    /// [`FixtureError`].
    pub fn read(folder: &Path) -> Result<Self, FixtureError> {
        Self::read_from(&SourceFolder::open(folder).map_err(io_at(folder))?, folder)
    }

    fn read_from(files: &SourceFolder, folder: &Path) -> Result<Self, FixtureError> {
        let name = text_of(folder.file_name());
        let (path, media_type) = find_document(folder)?;
        let toml_path = folder.join(FIXTURE_TOML);
        let toml: FixtureToml = match read_if_present(files, &toml_path, MAX_FIXTURE_TOML_BYTES)? {
            Some(text) => toml::from_str(&text).map_err(|error| malformed(&toml_path, error))?,
            None => FixtureToml::default(),
        };
        toml.check().map_err(|reason| malformed(&toml_path, reason))?;
        let transcript = Transcript {
            id: toml.id.unwrap_or_else(|| "fixture".to_owned()),
            text: read_document(files, &path)?,
            media_type: toml.media_type.unwrap_or_else(|| media_type.to_owned()),
            filename: toml.filename.unwrap_or_else(|| text_of(path.file_name())),
            received_at: toml.received_at.unwrap_or_else(|| RECEIVED_AT.to_owned()),
            attributes: toml.attributes.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        };
        let expected = folder.join(EXPECTED_JSON);
        let expected = match read_if_present(files, &expected, MAX_EXPECTED_BYTES)? {
            Some(text) => Some(serde_json::from_str(&text).map_err(|error| malformed(&expected, error))?),
            None => None,
        };
        let answers = named_answers(answers::read(files, &folder.join(ANSWERS_FOLDER))?, &toml.models);
        Ok(Self { name, transcript, answers, expected, fuel: BTreeMap::new() })
    }

    /// Writes a new fixture into a guest's folder and returns the fixture's folder.
    ///
    /// # Errors
    /// [`FixtureError`]. A fixture of the same name stays unchanged.
    pub fn save(&self, guest: &Path) -> Result<PathBuf, FixtureError> {
        let folder = guest.join(FIXTURES).join(&self.name);
        Self::check_name(guest, &self.name)?;
        let Transcript { id, text, media_type, filename, received_at, attributes } = &self.transcript;
        let extension = MEDIA_TYPES.iter().find(|(_, known)| known == media_type).map_or("txt", |(ext, _)| ext);
        let document = format!("transcript.{extension}");
        let unusual = |value: &String, usual: &str| (value != usual).then(|| value.clone());
        let toml = FixtureToml {
            id: unusual(id, "fixture"),
            filename: unusual(filename, &document),
            media_type: MEDIA_TYPES.iter().all(|(_, known)| known != media_type).then(|| media_type.clone()),
            received_at: unusual(received_at, RECEIVED_AT),
            models: model_names(&self.answers),
            attributes: attributes.iter().cloned().collect(),
        };
        fs::create_dir_all(folder.join(ANSWERS_FOLDER)).map_err(io_at(&folder))?;
        write(&folder.join(document), text)?;
        if toml != FixtureToml::default() {
            let path = folder.join(FIXTURE_TOML);
            write(&path, &toml::to_string(&toml).map_err(|error| malformed(&path, error))?)?;
        }
        for (index, answer) in self.answers.iter().enumerate() {
            let extension = if serde_json::from_str::<Value>(&answer.text).is_ok() { "json" } else { "txt" };
            write(&folder.join(ANSWERS_FOLDER).join(format!("{}.{extension}", index + 1)), &answer.text)?;
        }
        if let Some(expected) = &self.expected {
            Self::expect(&folder, expected)?;
        }
        Ok(folder)
    }

    /// Checks that a new fixture of this name can be saved.
    ///
    /// # Errors
    /// [`FixtureError::Malformed`] if the name is not valid, or is taken.
    pub fn check_name(guest: &Path, name: &str) -> Result<(), FixtureError> {
        let folder = guest.join(FIXTURES).join(name);
        if !is_name(name) || name == FUEL_TOML {
            return Err(malformed(
                Path::new(name),
                "no name for a fixture: lower-case letters, digits, `-`, `_` and `.`",
            ));
        }
        if folder.exists() {
            return Err(malformed(&folder, "there is a fixture of this name; delete it, or take another name"));
        }
        Ok(())
    }

    /// Writes the step that must follow into a fixture's folder.
    ///
    /// # Errors
    /// [`FixtureError`].
    pub fn expect(folder: &Path, step: &Value) -> Result<(), FixtureError> {
        write(&folder.join(EXPECTED_JSON), &(pretty(step) + "\n"))
    }
}

/// Finds a fixture's only transcript and its media type.
fn find_document(folder: &Path) -> Result<(PathBuf, &'static str), FixtureError> {
    let candidates = MEDIA_TYPES.map(|(ext, media_type)| (folder.join(format!("transcript.{ext}")), media_type));
    let mut found = candidates.into_iter().filter(|(path, _)| path.exists());
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(malformed(folder, "it has neither transcript.txt nor transcript.vtt")),
        (Some(_), Some(_)) => Err(malformed(folder, "it has transcript.txt and transcript.vtt; which of them?")),
    }
}

/// Reads a document as a worker does: without a byte-order mark, and not empty.
fn read_document(files: &SourceFolder, path: &Path) -> Result<String, FixtureError> {
    let text = read_at_most(files, path, MAX_TRANSCRIPT_BYTES)?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    if text.trim().is_empty() {
        return Err(malformed(path, "it is empty; a worker gives no guest an empty transcript"));
    }
    Ok(text)
}

fn text_of(name: Option<&OsStr>) -> String {
    name.unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        answers::MAX_ANSWER_BYTES,
        example::{answer, transcript},
    };

    fn write_all(folder: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn a_fixture_is_read_as_its_folder_says() {
        let folder = tempfile::tempdir().unwrap();
        let facts = "filename = 'call.vtt'\nreceived-at = '2026-03-04T09:30:00Z'\n[attributes]\nb = '2'\na = '1'\n";
        write_all(
            folder.path(),
            &[
                ("fixtures/one/transcript.vtt", "WEBVTT\n"),
                ("fixtures/one/fixture.toml", facts),
                ("fixtures/one/answers/2.txt", "two"),
                ("fixtures/one/answers/1.json", "{}"),
                ("fixtures/one/expected.json", "{\"accept\": 1}"),
                ("fixtures/fuel.toml", "['rustc 1.95.0']\none = 7\n"),
                ("fixtures/bare/transcript.txt", "\u{feff}words"),
                ("fixtures/bare/answers/.DS_Store", "x"),
                ("fixtures/.idea/x", "x"),
            ],
        );
        let [bare, one] = &Fixture::of(folder.path()).unwrap()[..] else { panic!("two fixtures") };
        assert_eq!((bare.name.as_str(), &bare.transcript), ("bare", &transcript("words")));
        assert_eq!((bare.answers.len(), &bare.expected), (0, &None));
        assert_eq!(one.transcript.media_type, "text/vtt");
        assert_eq!(one.transcript.filename, "call.vtt");
        assert_eq!(one.transcript.attributes, [("a".into(), "1".into()), ("b".into(), "2".into())]);
        assert_eq!(one.answers, [answer("{}"), answer("two")]);
        assert_eq!(one.fuel, [("rustc 1.95.0".to_owned(), 7)].into());
        assert_eq!(one.expected, Some(serde_json::json!({"accept": 1})));
        assert_eq!(Fixture::of(&folder.path().join("nowhere")).unwrap(), []);
    }

    #[test]
    fn a_link_out_of_the_guest_is_refused_by_its_name_and_one_within_is_read() {
        use std::os::unix::fs::symlink;

        let world = tempfile::tempdir().unwrap();
        let guest = world.path().join("guest");
        write_all(
            world.path(),
            &[("secret.txt", "secret"), ("elsewhere/1.txt", "x"), ("elsewhere/transcript.txt", "x")],
        );
        let refused = |link: &str, target: &str| {
            fs::create_dir_all(guest.join("fixtures")).unwrap();
            write_all(&guest, &[("fixtures/a/transcript.txt", "words"), ("fixtures/b/transcript.txt", "x")]);
            let _ = fs::remove_file(guest.join(link));
            symlink(target, guest.join(link)).unwrap();
            let error = Fixture::of(&guest).unwrap_err().to_string();
            assert!(error.contains(link) && error.contains("a link leads out of the guest's folder"), "{error}");
            fs::remove_dir_all(&guest).unwrap();
        };
        let secret = world.path().join("secret.txt").display().to_string();
        for file in ["a/transcript.txt", "a/fixture.toml", "a/expected.json"] {
            refused(&format!("fixtures/{file}"), &secret);
        }
        refused("fixtures/a/answers", "../../../elsewhere");
        refused("fixtures/c", "../../elsewhere");
        symlink(&secret, {
            fs::create_dir_all(guest.join("fixtures")).unwrap();
            guest.join("fixtures/fuel.toml")
        })
        .unwrap();
        let error = Fixture::of(&guest).unwrap_err().to_string();
        assert!(error.contains("fuel.toml: a link leads out"), "{error}");
        fs::remove_file(guest.join("fixtures/fuel.toml")).unwrap();
        write_all(&guest, &[("fixtures/a/transcript.txt", "words"), ("fixtures/b/note", "")]);
        symlink("../a/transcript.txt", guest.join("fixtures/b/transcript.txt")).unwrap();
        symlink("a", guest.join("fixtures/c")).unwrap();
        let read = Fixture::of(&guest).unwrap();
        assert_eq!(read.iter().map(|fixture| fixture.transcript.text.as_str()).collect::<Vec<_>>(), ["words"; 3]);
    }

    #[test]
    fn a_fixture_of_devices_pipes_or_folders_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let transcript = folder.path().join("transcript.txt");
        let refused = || Fixture::read(folder.path()).unwrap_err().to_string();
        fs::create_dir(&transcript).unwrap();
        assert!(refused().ends_with("transcript.txt: it is a folder, not a file"));
        fs::remove_dir(&transcript).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&transcript).status().unwrap().success());
        assert!(refused().ends_with("transcript.txt: it is a pipe, not a file"));
        fs::remove_file(&transcript).unwrap();
        fs::File::create(&transcript).unwrap().set_len(1 << 40).unwrap();
        assert!(refused().ends_with("1099511627776 bytes; a worker takes at most 10485760"));
    }

    #[test]
    fn a_saved_fixture_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut document = transcript("WEBVTT\n");
        document.media_type = "text/vtt".into();
        document.filename = "call.vtt".into();
        document.attributes = vec![("k".into(), "v".into())];
        let by = |model: &str, text: &str| assay_runtime::Answer { text: text.into(), model: model.into() };
        let answers = vec![by("large", "{\"a\": 1}"), by("small", "Sorry."), by("small", "No.")];
        let expected = Some(serde_json::json!({"reject": {"not_json": "x"}}));
        let fixture = Fixture { name: "saved".into(), transcript: document, answers, expected, fuel: BTreeMap::new() };
        let saved = fixture.save(folder.path()).unwrap();
        assert_eq!(Fixture::read(&saved).unwrap(), fixture);
        assert!(saved.join("answers/1.json").exists() && saved.join("answers/2.txt").exists());
        assert!(fixture.save(folder.path()).unwrap_err().to_string().contains("fixture of this name"));
    }

    #[test]
    fn a_faulty_fixture_is_refused_with_its_file() {
        let refused = |files: &[(&str, &str)]| {
            let folder = tempfile::tempdir().unwrap();
            write_all(folder.path(), files);
            Fixture::read(folder.path()).unwrap_err().to_string()
        };
        assert!(refused(&[]).contains("neither transcript.txt nor"));
        assert!(refused(&[("transcript.txt", " \n")]).contains("it is empty"));
        assert!(refused(&[("transcript.txt", "x"), ("transcript.vtt", "x")]).contains("which of them"));
        assert!(refused(&[("transcript.txt", "x"), ("fixture.toml", "file = 'x'")]).contains("file"));
        for facts in
            ["media-type = 'text/html'", "received-at = 'yesterday'", "received-at = '2026-01-05T09:00:00+02:00'"]
        {
            let error = refused(&[("transcript.txt", "x"), ("fixture.toml", facts)]);
            assert!(error.contains("fixture.toml: ") && error.contains(&facts[..8]), "{error}");
        }
        let large = "x".repeat(MAX_ANSWER_BYTES as usize + 1);
        let error = refused(&[("transcript.txt", "x"), ("answers/1.txt", &large)]);
        assert!(error.ends_with("answers/1.txt: 4194305 bytes; a worker takes at most 4194304"), "{error}");
        assert!(refused(&[("transcript.txt", "x"), ("expected.json", "{")]).contains("expected.json"));
        assert!(refused(&[("transcript.txt", "x"), ("answers/first.json", "")]).contains("first.json"));
        assert!(refused(&[("transcript.txt", "x"), ("answers/2.json", "")]).contains("answer 1 is missing"));
        let twice = [("transcript.txt", "x"), ("answers/1.json", ""), ("answers/1.txt", "")];
        assert!(refused(&twice).contains("answer 1 twice"));
    }
}
