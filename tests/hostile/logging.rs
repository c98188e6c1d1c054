//! Guests that misuse the one thing they may call.

use assay_runtime::testing::{WatGuest, hostile};
use serde_json::Value;

use crate::{
    cases::{End, fails, retries},
    stage::Stage,
};

cases! {
    a_guest_that_logs_a_million_lines: floods("1000000") => End::Succeeds;
    a_guest_that_logs_for_ever: logs("(loop $again (call $log (i32.const 1) (i32.const 1024) (i32.const 8)) (br $again)) (unreachable)")
        => retries("guest_timeout");
    a_guest_that_logs_a_line_of_nine_megabytes: hostile::logs_a_line_of(9 << 20) => fails("guest_bad_output");
    a_guest_that_logs_what_is_no_utf8: hostile::logs_invalid_utf8() => fails("guest_bad_output");
    a_guest_that_logs_from_outside_its_memory: logs(
        "(call $log (i32.const 1) (i32.const -16) (i32.const 8)) (unreachable)"
    ) => fails("guest_bad_output");
    a_guest_that_logs_at_a_level_that_there_is_not: logs(
        "(call $log (i32.const 9) (i32.const 1024) (i32.const 8)) (unreachable)"
    ) => fails("guest_bad_output");
    a_guest_that_logs_while_it_takes_its_arguments: WatGuest::new("logs").imports_log().allocate(
        "(call $log (i32.const 1) (i32.const 1024) (i32.const 8)) (i32.const 66000)"
    ) => fails("guest_trap");
    a_guest_that_logs_in_describe_without_end: WatGuest::new("logs").imports_log().describe(
        "(loop $again (call $log (i32.const 1) (i32.const 1024) (i32.const 8)) (br $again)) (unreachable)"
    ) => End::StaysOut("describe_failed");
    [written out] {
        a_guest_whose_log_steers_the_terminal_and_forges_lines => End::Succeeds;
    }
}

fn logs(body: &str) -> WatGuest {
    let mut guest = WatGuest::new("logs").imports_log();
    guest.data.text("ship on Friday");
    guest.advance(body)
}

/// Logs so many lines at its first call, each longer than is kept, and then behaves.
fn floods(lines: &str) -> WatGuest {
    let mut guest = WatGuest::new("logs").imports_log().fields("(global $n (mut i32) (i32.const 0))");
    let (at, length) = guest.data.text(&format!("\u{1b}[31mship on Friday\nERROR forged\u{202e} {}", "x".repeat(4000)));
    let question = guest.data.text("What is it about?");
    let prompt = guest.data.prompt(question, None);
    let ask = guest.data.ask(&[prompt]);
    let document = guest.data.text("{}");
    let accept = guest.data.accept(document);
    guest.advance(format!(
        "(if (local.get $answers_len) (then (return (i32.const {accept}))))
         (loop $next
           (call $log (i32.const 2) (i32.const {at}) (i32.const {length}))
           (global.set $n (i32.add (global.get $n) (i32.const 1)))
           (br_if $next (i32.lt_u (global.get $n) (i32.const {lines}))))
         (i32.const {ask})"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_whose_log_steers_the_terminal_and_forges_lines() {
    let mut stage = Stage::start(floods("1000"), &[]).await;
    let file = stage.enqueue_hostile().await;
    stage.enqueue_neighbour().await;
    stage.neighbours_succeed().await;
    let row = stage.world.wait_for_status(file, "succeeded").await;
    let report = row.storage_key_report.expect("a report");
    let words = stage.world.objects.get(&report.replace("report.json", "notes.json")).await.expect("the guest's words");
    let words: Value = serde_json::from_slice(&words).expect("they are JSON");
    let lines = words["log"].as_array().expect("its lines");
    assert_eq!(lines.len(), 64, "as many as are kept of a call");
    for line in lines {
        let message = line["message"].as_str().expect("a text");
        assert!(message.starts_with("[31mship on Friday ERROR forged x"), "{message}");
        assert_eq!(message.len(), 1024);
    }
    stage.close().await;
}
