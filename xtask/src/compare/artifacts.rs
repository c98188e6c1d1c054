//! The objects of a session's bucket, by sample and name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{capture::Capture, mask};

/// Reads every document below `users/`. Those of one sample with the same name are numbered, that of the earliest run first.
pub fn of(bucket: &Path, names: &[(String, String)]) -> Result<Capture> {
    let mut found = Vec::new();
    list(&bucket.join("users"), &mut found)?;
    found.sort_by_key(|path| (lease(path), path.clone()));
    let mut capture = Capture::new();
    for path in found {
        let key = path.strip_prefix(bucket).context("it was listed below the bucket")?.to_string_lossy().into_owned();
        let text = fs::read(&path).with_context(|| format!("read {key}"))?;
        let mut text = String::from_utf8_lossy(&text).into_owned();
        for (value, name) in names {
            text = text.replace(value, name);
        }
        let name = item(&key, names);
        let number =
            (1..).find(|number| !capture.contains_key(&format!("{name} {number}"))).context("count the documents")?;
        capture.insert(format!("{name} {number}"), mask::document(&text).into());
    }
    Ok(capture)
}

/// Returns the name of an object's item: its sample, and its key below the folder of the file.
fn item(key: &str, names: &[(String, String)]) -> String {
    let known = names.iter().find_map(|(id, name)| {
        let (_, below) = key.split_once(&format!("/files/{id}/"))?;
        Some((name.trim_start_matches("<file ").trim_end_matches('>'), below))
    });
    let (sample, below) = known.unwrap_or(("other", key));
    format!("artifact {sample} {}", mask::words(below))
}

/// Returns the number of the lease that a run's folder ends with: later runs have greater ones.
fn lease(path: &Path) -> Option<u64> {
    let runs = path.iter().skip_while(|part| *part != "runs").nth(1)?;
    runs.to_str()?.rsplit('-').next()?.parse().ok()
}

fn list(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), found)?;
        } else if entry.path().extension().is_some_and(|extension| extension == "json") {
            found.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::of;

    #[test]
    fn documents_are_named_after_their_sample() {
        let folder = tempfile::tempdir().unwrap();
        let (file, run) = ("0198c2a4-7f3e-7d21-9c55-0a1b2c3d4e5f", "0198c2a4-7f3e-7d21-9c55-0a1b2c3d4e60");
        for lease in [9, 10] {
            let path = folder.path().join(format!("users/1/files/{file}/runs/{run}-{lease}"));
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("report.json"), format!("{{\"run\":{lease},\"file\":\"{file}\"}}")).unwrap();
        }
        fs::write(folder.path().join(format!("users/1/files/{file}/original.txt")), "Anna: no").unwrap();
        let names = [(file.to_owned(), "<file memo>".to_owned())];
        let capture = of(folder.path(), &names).unwrap();
        assert_eq!(capture.len(), 2);
        assert_eq!(capture["artifact memo runs/<id>-9/report.json 1"], json!("{\"run\":9,\"file\":\"<file memo>\"}"));
        assert_eq!(capture["artifact memo runs/<id>-10/report.json 1"], json!("{\"run\":10,\"file\":\"<file memo>\"}"));
    }
}
