//! Every way to trap that a guest's features leave it, and every place to do so.

use assay_runtime::testing::{WatGuest, hostile};

use crate::{
    cases::{End, fails},
    stage::Stage,
};

cases! {
    a_guest_that_reaches_the_unreachable: traps("(unreachable)") => fails("guest_trap");
    a_guest_that_reads_outside_its_memory: traps("(i32.load (i32.const 0x7fffffff))") => fails("guest_trap");
    a_guest_that_reads_past_the_end_of_the_address_space: traps("(i32.load offset=0xffffffff (i32.const -1))") => fails("guest_trap");
    a_guest_that_writes_outside_its_memory: traps("(i32.store (i32.const 0x7fffffff) (i32.const 1)) (i32.const 0)") => fails("guest_trap");
    a_guest_that_fills_outside_its_memory: traps("(memory.fill (i32.const -1) (i32.const 0) (i32.const 2)) (i32.const 0)") => fails("guest_trap");
    a_guest_that_copies_outside_its_memory: traps("(memory.copy (i32.const 0) (i32.const -1) (i32.const 2)) (i32.const 0)") => fails("guest_trap");
    a_guest_that_divides_by_zero: traps("(i32.div_u (i32.const 1) (local.get $answers_len))") => fails("guest_trap");
    a_guest_that_takes_the_rest_of_a_division_by_zero: traps("(i32.rem_s (i32.const 1) (local.get $answers_len))") => fails("guest_trap");
    a_guest_that_divides_past_the_largest_integer: traps(
        "(i32.div_s (i32.const 0x80000000) (i32.sub (local.get $answers_len) (i32.const 1)))"
    ) => fails("guest_trap");
    a_guest_that_makes_an_integer_of_nan: traps("(i32.trunc_f32_s (f32.const nan))") => fails("guest_trap");
    a_guest_that_makes_an_integer_of_what_is_too_large: traps("(i32.trunc_f64_u (f64.const 1e300))") => fails("guest_trap");
    a_guest_that_calls_outside_its_table: traps("(call_indirect $t (type $f) (i32.const 99))") => fails("guest_trap");
    a_guest_that_calls_nothing: traps("(call_indirect $t (type $f) (i32.const 1))") => fails("guest_trap");
    a_guest_that_calls_a_function_of_another_type: traps("(call_indirect $t (type $f) (i32.const 0))") => fails("guest_trap");
    a_guest_that_reads_outside_its_table: traps("(drop (table.get $t (i32.const 99))) (i32.const 0)") => fails("guest_trap");
    a_guest_that_writes_outside_its_table: traps("(table.set $t (i32.const 99) (ref.null func)) (i32.const 0)") => fails("guest_trap");
    a_guest_that_traps_in_its_start_function: WatGuest::new("traps")
        .fields("(func $s (unreachable)) (start $s)") => End::StaysOut("describe_failed");
    a_guest_that_traps_in_describe: WatGuest::new("traps").describe("(unreachable)") => End::StaysOut("describe_failed");
    a_guest_that_traps_while_it_takes_its_arguments: WatGuest::new("traps").allocate("(unreachable)") => fails("guest_trap");
    a_guest_that_traps_after_its_result: hostile::traps_after_returning() => fails("guest_trap");
    [written out] {
        a_guest_that_traps_over_an_answer_leaves_the_answer => fails("guest_trap");
    }
}

/// Traps as `body` does; the table has a function of another type and an empty place.
fn traps(body: &str) -> WatGuest {
    hostile::traps(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_traps_over_an_answer_leaves_the_answer() {
    let mut guest = WatGuest::new("traps");
    let question = guest.data.text("What is it about?");
    let prompt = guest.data.prompt(question, None);
    let ask = guest.data.ask(&[prompt]);
    let guest = guest.advance(format!("(if (local.get $answers_len) (then (unreachable))) (i32.const {ask})"));
    let mut stage = Stage::start(guest, &[]).await;
    let file = stage.enqueue_hostile().await;
    stage.enqueue_neighbour().await;
    stage.neighbours_succeed().await;
    let row = stage.fails(file, "guest_trap", 1).await;
    assert!(row.storage_key_raw_llm_output.is_some(), "the answer that was paid for is kept");
    stage.close().await;
}
