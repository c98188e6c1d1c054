//! The report in README.md is the report that the product makes of the transcript in README.md.

use std::{collections::BTreeMap, fs, path::PathBuf};

use assay_tests::{AssayProcess, guests};
use serde_json::Value;

const SAMPLE: &str = "docs/samples/en-release.succeeds.vtt";

#[tokio::test(flavor = "multi_thread")]
async fn the_report_in_the_readme_is_the_report_of_its_transcript() {
    let guest = guests().join("meeting-v2.wasm");
    let sample = in_repository(SAMPLE);
    let paths = [&guest, &sample].map(|path| path.to_str().expect("paths of the repository are Unicode"));
    let options = ["--stand-in", "--received-at", "2026-01-05T09:00:00Z", "--json"];
    let mut process = AssayProcess::spawn(&[&["guest", "try"][..], &paths, &options].concat(), &BTreeMap::new());
    assert!(process.wait().await.success(), "{:?}", process.stderr());
    let story: Value = serde_json::from_str(&process.stdout().join("\n")).unwrap();
    let shown: Value = serde_json::from_str(&block("report")).unwrap();
    assert_eq!(shown, story["step"]["accept"]["document"]);
}

#[test]
fn the_transcript_in_the_readme_is_the_sample() {
    assert_eq!(block("transcript"), fs::read_to_string(in_repository(SAMPLE)).unwrap());
}

/// Returns the text of the code block between `<!-- KIND SAMPLE -->` and `<!-- /KIND -->`.
fn block(kind: &str) -> String {
    let page = fs::read_to_string(in_repository("README.md")).unwrap();
    let (_, rest) = page.split_once(&format!("<!-- {kind} {SAMPLE} -->\n")).expect("the opening marker");
    let (block, _) = rest.split_once(&format!("<!-- /{kind} -->")).expect("the closing marker");
    let (_, text) = block.split_once('\n').expect("the fence has a line of its own");
    text.strip_suffix("```\n").expect("a fence closes the block").to_owned()
}

fn in_repository(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}
