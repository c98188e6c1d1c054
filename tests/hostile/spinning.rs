//! Guests that never come to an end, at every place where their code runs.

use assay_runtime::testing::{WatGuest, hostile};

use crate::cases::{End, fails, retries};

/// Never ends; whatever the place, no value is left to give.
const SPIN: &str = "(loop $again (br $again)) (unreachable)";

cases! {
    a_guest_that_spins_in_advance: hostile::spins_in_advance() => retries("guest_timeout");
    a_guest_that_spins_over_an_answer: over_an_answer() => retries("guest_timeout");
    a_guest_that_spins_in_its_start_function: hostile::spins_in_start() => End::StaysOut("describe_failed");
    a_guest_that_spins_in_describe: hostile::spins_in_describe() => End::StaysOut("describe_failed");
    a_guest_that_spins_while_it_takes_its_arguments: guest().allocate(SPIN) => retries("guest_timeout");
    a_guest_that_spins_after_its_result: guest().fields(
        r#"(func (export "cabi_post_assay:report/guest@0.1.0#advance") (param i32) (loop $again (br $again)))"#
    ) => retries("guest_timeout");
    a_guest_that_spins_in_check_which_no_job_calls: hostile::spins_in_check() => End::Succeeds;
    a_guest_that_fills_memory_for_ever: hostile::fills_memory_for_ever() => retries("guest_timeout");
    a_guest_that_copies_memory_for_ever: guest().pages(1000).advance(
        "(loop $again (memory.copy (i32.const 0) (i32.const 65536) (i32.const 65000000)) (br $again)) (unreachable)"
    ) => retries("guest_timeout");
    a_guest_that_calls_itself_in_tail_position_for_ever: guest()
        .fields("(func $tail (result i32) (return_call $tail))")
        .advance("(call $tail)") => retries("guest_timeout");
    a_guest_that_spins_in_a_thousand_nested_loops: guest().advance(nested_loops(1000)) => retries("guest_timeout");
    a_guest_that_recurses_in_advance: hostile::recurses_for_ever() => fails("guest_trap");
    a_guest_whose_functions_call_each_other_for_ever: guest()
        .fields("(func $a (result i32) (i32.add (i32.const 1) (call $b))) (func $b (result i32) (i32.add (i32.const 1) (call $a)))")
        .advance("(call $a)") => fails("guest_trap");
    a_guest_that_recurses_through_its_table: guest()
        .fields("(type $f (func (result i32))) (table $t 1 funcref) (elem (table $t) (i32.const 0) func $r)")
        .fields("(func $r (result i32) (i32.add (i32.const 1) (call_indirect $t (type $f) (i32.const 0))))")
        .advance("(call $r)") => fails("guest_trap");
    a_guest_that_recurses_in_describe: guest()
        .fields("(func $r (result i32) (i32.add (i32.const 1) (call $r)))")
        .describe("(call $r)") => End::StaysOut("describe_failed");
}

fn guest() -> WatGuest {
    WatGuest::new("spins")
}

/// Asks, and spins once it is answered.
fn over_an_answer() -> WatGuest {
    let mut guest = guest();
    let question = guest.data.text("What is it about?");
    let prompt = guest.data.prompt(question, None);
    let ask = guest.data.ask(&[prompt]);
    guest.advance(format!("(if (local.get $answers_len) (then (loop $again (br $again)))) (i32.const {ask})"))
}

fn nested_loops(depth: usize) -> String {
    let outermost = "(loop $again ".to_owned();
    outermost + &"(loop ".repeat(depth - 1) + "(br $again)" + &")".repeat(depth) + " (unreachable)"
}
