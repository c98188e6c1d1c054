//! Guests that lie about themselves.

use assay_runtime::testing::{WatGuest, hostile};
use assay_tests::{AssayProcess, World, env_with_guests};

use crate::cases::{End, fails};

cases! {
    a_guest_whose_version_is_a_path: describes(["../../etc/passwd", "v1", "{}", ""]) => End::StaysOut("manifest_invalid");
    a_guest_whose_version_is_empty: describes(["", "v1", "{}", ""]) => End::StaysOut("manifest_invalid");
    a_guest_whose_version_is_a_line_of_a_log: describes(["v1\nERROR all is lost", "v1", "{}", ""]) => End::StaysOut("manifest_invalid");
    a_guest_whose_version_is_a_statement: describes(["v1'; DROP TABLE files; --", "v1", "{}", ""]) => End::StaysOut("manifest_invalid");
    a_guest_whose_version_only_looks_like_its_neighbours: describes(["go\u{43e}d", "v1", "{}", ""]) => End::StaysOut("manifest_invalid");
    a_guest_whose_version_is_longer_than_names_are: describes([&"v".repeat(65), "v1", "{}", ""]) => End::StaysOut("manifest_invalid");
    a_guest_whose_schema_version_is_none: describes(["hostile", "two words", "{}", ""]) => End::StaysOut("manifest_invalid");
    a_guest_whose_description_steers_the_terminal: describes(["hostile", "v1", "{}", "\u{1b}[2Jall is well"]) => End::StaysOut("manifest_invalid");
    a_guest_whose_description_is_a_novel: describes(["hostile", "v1", "{}", &"x".repeat(5000)]) => End::StaysOut("manifest_invalid");
    a_guest_whose_schema_is_no_json: describes(["hostile", "v1", "{\"type\":", ""]) => End::StaysOut("manifest_invalid");
    a_guest_whose_schema_is_a_list: describes(["hostile", "v1", "[]", ""]) => End::StaysOut("manifest_invalid");
    a_guest_whose_schema_is_a_hundred_thousand_deep: describes(
        ["hostile", "v1", &("{\"not\":".repeat(100_000) + "{}" + &"}".repeat(100_000)), ""]
    ) => End::StaysOut("manifest_invalid");
    a_guest_whose_schema_is_over_its_limit: describes(
        ["hostile", "v1", &format!("{{\"$comment\":\"{}\"}}", "x".repeat(1 << 20)), ""]
    ) => End::StaysOut("manifest_invalid");
    a_guest_whose_description_of_itself_is_too_much: spans([(1024, 3), (1024, 3), (64 << 10, 9 << 20), (1024, 3)])
        .pages(200) => End::StaysOut("describe_failed");
    a_guest_whose_version_is_no_utf8: no_utf8() => End::StaysOut("describe_failed");
    a_guest_whose_description_lies_outside_its_memory: WatGuest::new("lies").describe("(i32.const 0x7ffffff8)") => End::StaysOut("describe_failed");
    a_guest_whose_schema_does_not_fit_its_reports: hostile::breaks_its_own_schema() => fails("report_invalid");
    [written out] {
        a_guest_that_claims_its_neighbours_version => End::StaysOut("the worker does not start");
    }
}

/// Says this of itself: prompt version, schema version, schema, description.
fn describes(texts: [&str; 4]) -> WatGuest {
    let mut guest = WatGuest::new("lies");
    let spans = texts.map(|text| guest.data.text(text));
    let manifest = guest.data.words(&spans.map(|(at, length)| [at, length]).concat());
    guest.describe(format!("(i32.const {manifest})"))
}

fn spans(spans: [(u32, u32); 4]) -> WatGuest {
    let mut guest = WatGuest::new("lies");
    guest.data.text("{} ");
    let manifest = guest.data.words(&spans.map(|(at, length)| [at, length]).concat());
    guest.describe(format!("(i32.const {manifest})"))
}

fn no_utf8() -> WatGuest {
    let mut guest = WatGuest::new("lies");
    let version = guest.data.bytes(b"v\xff1");
    let schema = guest.data.text("{}");
    let manifest = guest.data.words(&[version, version, schema, version].map(|(at, length)| [at, length]).concat());
    guest.describe(format!("(i32.const {manifest})"))
}

/// Two guests claim one version, and guessing could run the wrong one: the worker says so and does not start.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_claims_its_neighbours_version() {
    let world = World::start().await;
    let guests = [WatGuest::new("good"), WatGuest::new("good").document("{\"mine\":true}")];
    let mut worker = AssayProcess::spawn(&["worker"], &env_with_guests(&world, &guests));
    assert!(!worker.wait().await.success());
    let said = worker.stderr().join("\n");
    assert!(said.contains("0.wasm and ") && said.contains("both claim prompt version \"good\""), "{said}");
}
