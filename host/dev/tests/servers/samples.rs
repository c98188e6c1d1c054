//! The samples in `docs/samples`: each makes the stand-in answer as its name says.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use assay_dev::{StandIn, StandInOptions};
use reqwest::Client;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/samples")
}

fn samples() -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "txt" || extension == "vtt"));
    files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap())).collect()
}

/// Reads `succeeds` or an error code from a name.
fn end(name: &str) -> &str {
    let parts: Vec<&str> = name.split('.').collect();
    assert_eq!(parts.len(), 3, "{name} is not called NAME.END.EXTENSION");
    parts[1]
}

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/report.v1.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_page_lists_every_sample_and_how_it_ends() {
    let page = fs::read_to_string(folder().join("README.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    for name in samples().keys() {
        let row =
            rows.iter().find(|row| row.contains(&format!("`{name}`"))).unwrap_or_else(|| panic!("{name} is missing"));
        let ends = row.split('|').nth(3).unwrap().trim();
        assert_eq!(ends.trim_matches('`'), if end(name) == "succeeds" { "report" } else { end(name) });
    }
    assert_eq!(rows.len(), samples().len());
}

#[test]
fn the_samples_cover_both_languages_and_formats_and_an_hour() {
    let samples = samples();
    let has = |start: &str, finish: &str| samples.keys().any(|name| name.starts_with(start) && name.ends_with(finish));
    assert!(samples.len() >= 8);
    for (language, extension) in [("en-", "txt"), ("en-", "vtt"), ("ru-", "txt"), ("ru-", "vtt")] {
        assert!(has(language, extension), "no {language}*.{extension}");
    }
    let hour = String::from_utf8(samples["en-quarterly-review.succeeds.vtt"].clone()).unwrap();
    let last = hour.lines().rev().find(|line| line.contains("-->")).unwrap();
    assert!(last.starts_with("00:59:"), "{last}");
    // No line of the hour is spoken twice.
    let mut spoken: Vec<&str> = hour.lines().filter(|line| line.starts_with("<v ")).collect();
    let all = spoken.len();
    spoken.sort_unstable();
    spoken.dedup();
    assert!(all > 250 && spoken.len() == all);
}

#[test]
fn samples_that_cannot_be_read_are_as_their_names_say() {
    for (name, bytes) in samples() {
        let readable = std::str::from_utf8(&bytes);
        match end(&name) {
            "transcript_empty" => assert!(readable.unwrap().trim().is_empty(), "{name}"),
            "transcript_invalid_encoding" => assert!(readable.is_err(), "{name}"),
            _ => assert!(!readable.unwrap().trim().is_empty(), "{name}"),
        }
    }
}

#[tokio::test]
async fn the_stand_in_answers_each_sample_as_its_name_says() {
    let model = StandIn::start(StandInOptions::default()).await.unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema()).unwrap();
    for (name, bytes) in samples().into_iter().filter(|(name, _)| !end(name).starts_with("transcript_")) {
        let transcript = String::from_utf8(bytes).unwrap();
        let question = json!({
            "messages": [{ "role": "user", "content": format!("Received: 2026-03-04\n<transcript>\n{transcript}\n</transcript>") }],
            "response_format": { "type": "json_schema", "json_schema": { "name": "report", "schema": schema() } },
        });
        let ask = || Client::new().post(format!("{}/chat/completions", model.base_url())).json(&question).send();
        let mut response = ask().await.unwrap();
        if transcript.contains("rate-limit once") {
            assert_eq!(response.status(), 429, "{name}");
            response = ask().await.unwrap();
        }
        let completion: Value = response.json().await.unwrap();
        let choice = &completion["choices"][0];
        let document =
            choice["message"]["content"].as_str().and_then(|content| serde_json::from_str::<Value>(content).ok());
        match end(&name) {
            "succeeds" => {
                assert!(document.is_some_and(|document| validator.is_valid(&document)), "{name}: {completion:#}")
            }
            "schema_validation_failed" => {
                assert!(document.is_some_and(|document| !validator.is_valid(&document)), "{name}")
            }
            "llm_output_truncated" => assert_eq!(choice["finish_reason"], "length", "{name}"),
            "llm_refused" => assert!(choice["message"]["refusal"].is_string(), "{name}"),
            other => panic!("{name}: no check for {other}"),
        }
    }
}
