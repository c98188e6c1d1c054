//! Guests that accept what is no report.

use assay_runtime::testing::{WatGuest, hostile};

use crate::{cases::fails, stage::Stage};

cases! {
    a_report_that_is_empty: accepts("") => fails("report_invalid");
    a_report_that_is_a_sentence: hostile::accepts_what_is_no_json() => fails("report_invalid");
    a_report_that_is_cut: accepts(r#"{"overview": "We ship on Friday"#) => fails("report_invalid");
    a_report_with_something_after_it: accepts("{} {}") => fails("report_invalid");
    a_report_with_a_comma_too_many: accepts(r#"{"a":1,}"#) => fails("report_invalid");
    a_report_with_a_comment: accepts("{} // We ship on Friday") => fails("report_invalid");
    a_report_behind_a_byte_order_mark: accepts("\u{feff}{}") => fails("report_invalid");
    a_report_with_a_bare_nul: accepts("{\"a\":\"\0\"}") => fails("report_invalid");
    a_report_with_half_a_character: accepts(r#"{"a":"\ud800"}"#) => fails("report_invalid");
    a_report_with_a_number_that_is_none: accepts(r#"{"a":NaN}"#) => fails("report_invalid");
    a_report_with_a_number_beyond_all_doubles: accepts(r#"{"a":1e400}"#) => fails("report_invalid");
    a_report_that_names_a_member_twice: accepts(r#"{"a":1,"a":2}"#) => fails("report_invalid");
    a_report_that_names_a_member_twice_in_two_spellings: accepts(r#"{"a":[{"b":1,"\u0062":2}]}"#) => fails("report_invalid");
    a_report_nested_deeper_than_its_limit: hostile::accepts_nested(129) => fails("report_invalid");
    a_report_nested_a_million_deep: hostile::accepts_nested(1_000_000) => fails("report_invalid");
    a_report_of_open_brackets: hostile::accepts("{}", &"[{\"a\":".repeat(500_000)) => fails("report_invalid");
    a_report_over_its_size: hostile::returns_a_text_of(5 << 20) => fails("report_invalid");
    a_report_of_another_type: accepts("[]") => fails("report_invalid");
    [written out] {
        a_report_that_breaks_its_own_schema_never_leaves => fails("report_invalid");
    }
}

fn accepts(document: &str) -> WatGuest {
    hostile::accepts(r#"{"type":"object"}"#, document)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_breaks_its_own_schema_never_leaves() {
    let mut stage = Stage::start(hostile::breaks_its_own_schema(), &[]).await;
    stage.enqueue_neighbour().await;
    let file = stage.enqueue_hostile().await;
    let row = stage.fails(file, "report_invalid", 1).await;
    assert!(row.storage_key_raw_llm_output.is_some(), "the answer that was paid for is kept");
    let prefix = format!("users/{}/files/{}/runs", row.user_id, row.id);
    assert!(stage.world.objects.list(&prefix).iter().all(|key| !key.ends_with("report.json")));
    stage.neighbours_succeed().await;
    stage.close().await;
}
