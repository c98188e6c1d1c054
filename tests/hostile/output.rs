//! Guests whose results are too much, or no values of the contract.

use assay_runtime::testing::{Data, WatGuest, hostile};

use crate::cases::fails;

cases! {
    a_guest_that_returns_a_text_of_nine_megabytes: hostile::returns_a_text_of(9 << 20) => fails("guest_bad_output");
    a_guest_that_returns_a_text_of_all_its_memory: hostile::returns_a_text_of(48 << 20) => fails("guest_bad_output");
    a_guest_that_returns_a_text_out_of_bounds: hostile::returns_a_text_out_of_bounds() => fails("guest_bad_output");
    a_guest_that_returns_a_text_past_the_address_space: hostile::returns_a_text_past_the_address_space() => fails("guest_bad_output");
    a_guest_that_asks_a_million_prompts: hostile::asks_many(1_000_000) => fails("guest_bad_output");
    a_guest_whose_prompts_have_a_million_messages: returns(|data| {
        let mut prompt = [0; 12];
        prompt[..2].copy_from_slice(&[64 << 10, 1_000_000]);
        data.ask(&[prompt])
    }).pages(300) => fails("guest_bad_output");
    a_guest_whose_list_is_longer_than_its_memory: returns(|data| data.step(&[0, 1024, 100_000])) => fails("guest_bad_output");
    a_guest_whose_lists_size_overflows: returns(|data| data.step(&[0, 1024, 0x0800_0000])) => fails("guest_bad_output");
    a_guest_that_rejects_with_a_million_findings: returns(|data| data.step(&[2, 1, 64 << 10, 1_000_000]))
        .pages(400) => fails("guest_bad_output");
    a_guest_that_accepts_with_a_million_notes: returns(|data| {
        let (at, length) = data.text("{}");
        data.step(&[1, at, length, 64 << 10, 1_000_000])
    }).pages(400) => fails("guest_bad_output");
    a_guest_whose_report_is_no_utf8: hostile::returns_invalid_utf8() => fails("guest_bad_output");
    a_guest_whose_question_is_no_utf8: returns(|data| {
        let question = data.bytes(b"\xc3\x28 \xed\xa0\x80");
        let prompt = data.prompt(question, None);
        data.ask(&[prompt])
    }) => fails("guest_bad_output");
    a_guest_that_returns_an_unknown_case: hostile::returns_an_unknown_case() => fails("guest_bad_output");
    a_guest_that_returns_an_unknown_rejection: returns(|data| data.step(&[2, 9, 1024, 0])) => fails("guest_bad_output");
    a_guest_whose_option_is_neither_some_nor_none: asks(|prompt, _| prompt[2] = 7) => fails("guest_bad_output");
    a_guest_that_returns_a_misaligned_pointer: hostile::returns_a_misaligned_pointer() => fails("guest_bad_output");
    a_guest_that_returns_a_misaligned_list: returns(|data| data.step(&[0, 1025, 1])) => fails("guest_bad_output");
    a_guest_that_returns_a_pointer_out_of_bounds: hostile::returns_a_pointer_out_of_bounds() => fails("guest_bad_output");
    a_guest_that_gives_its_arguments_no_room: hostile::allocates_out_of_bounds() => fails("guest_bad_output");
    a_guest_that_gives_its_arguments_misaligned_room: WatGuest::new("output").allocate("(i32.const 66001)") => fails("guest_bad_output");
    a_guest_that_asks_in_a_role_that_there_is_not: asks(|prompt, data| {
        let (role, text) = (data.text("tool"), data.text("What is it about?"));
        prompt[0] = data.words(&[role.0, role.1, text.0, text.1]);
    }) => fails("guest_bad_output");
    a_guest_that_asks_without_a_message: asks(|prompt, _| prompt[1] = 0) => fails("guest_bad_output");
    a_guest_whose_temperature_is_no_number: asks(|prompt, _| prompt[10..].copy_from_slice(&[1, 0x7fc0_0000])) => fails("guest_bad_output");
    a_guest_whose_temperature_is_a_thousand: asks(|prompt, _| prompt[10..].copy_from_slice(&[1, 1000f32.to_bits()])) => fails("guest_bad_output");
    a_guest_whose_finding_has_a_sentence_for_a_code: returns(|data| data.reject("We ship on Friday", "", "")) => fails("guest_bad_output");
    a_guest_whose_finding_points_nowhere: returns(|data| data.reject("required", "We ship on Friday", "")) => fails("guest_bad_output");
    a_guest_whose_finding_points_a_million_levels_deep: returns(
        |data| data.reject("required", &"/We ship on Friday".repeat(100_000), "We ship on Friday")
    ) => fails("schema_validation_failed");
}

/// Returns one step at every call.
fn returns(step: impl FnOnce(&mut Data) -> u32) -> WatGuest {
    let mut guest = WatGuest::new("output");
    let step = step(&mut guest.data);
    guest.advance(format!("(i32.const {step})"))
}

/// Asks one prompt that is spoilt.
fn asks(spoil: impl FnOnce(&mut [u32; 12], &mut Data)) -> WatGuest {
    returns(|data| {
        let question = data.text("What is it about?");
        let mut prompt = data.prompt(question, None);
        spoil(&mut prompt, data);
        data.ask(&[prompt])
    })
}
