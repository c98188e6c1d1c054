//! Guests that want more memory, table space or parts than a guest may have.

use assay_runtime::testing::{WatGuest, hostile};

use crate::cases::{End, fails};

cases! {
    a_guest_that_grows_memory_page_by_page: hostile::grows_memory_for_ever() => fails("guest_out_of_memory");
    a_guest_that_grows_memory_by_four_gigabytes: hostile::grows_memory_by_four_gigabytes() => fails("guest_out_of_memory");
    a_guest_that_grows_memory_in_describe: guest()
        .describe("(drop (memory.grow (i32.const 65000))) (unreachable)") => End::StaysOut("describe_failed");
    a_guest_that_begins_with_much_memory: hostile::begins_with_much_memory() => End::StaysOut("too_many_resources");
    a_guest_that_grows_a_table: hostile::grows_a_table_for_ever() => fails("guest_out_of_memory");
    a_guest_that_grows_a_table_by_four_thousand_million: guest()
        .fields("(table $t 1 funcref)")
        .advance("(drop (table.grow $t (ref.null func) (i32.const -1))) (unreachable)") => fails("guest_out_of_memory");
    a_guest_that_begins_with_a_large_table: hostile::begins_with_a_large_table() => End::StaysOut("too_many_resources");
    a_guest_with_a_hundred_tables: guest().fields(&"(table 1 funcref)".repeat(90)) => End::StaysOut("too_many_resources");
    a_guest_of_a_hundred_instances: instances(100) => End::StaysOut("too_many_resources");
    a_guest_with_two_memories: part("(memory 1) (memory 1)") => End::StaysOut("component_invalid");
    a_guest_with_a_memory_of_64_bits: part("(memory i64 1)") => End::StaysOut("component_invalid");
    a_guest_with_shared_memory: part("(memory 1 1 shared)") => End::StaysOut("component_invalid");
    a_guest_that_begins_with_data_outside_its_memory: guest()
        .fields(r#"(data (i32.const 0x7fff0000) "x")"#) => End::StaysOut("describe_failed");
    a_guest_that_begins_with_elements_outside_its_table: guest()
        .fields("(table $t 1 funcref) (func $f) (elem (table $t) (i32.const 99) func $f)") => End::StaysOut("describe_failed");
}

fn guest() -> WatGuest {
    WatGuest::new("takes")
}

/// Has this core module in it; put together by hand, as the componentizer would refuse some of these itself.
fn part(fields: &str) -> Vec<u8> {
    component(&format!("(core module {fields})"))
}

fn instances(count: usize) -> Vec<u8> {
    component(&format!("(core module $m (memory 1)) {}", "(core instance (instantiate $m))".repeat(count)))
}

fn component(fields: &str) -> Vec<u8> {
    let empty = r#"(instance $empty) (export "assay:report/guest@0.1.0" (instance $empty))"#;
    wat::parse_str(format!("(component {fields} {empty})")).expect("the component parses")
}
