//! Files that are no guests.

use std::path::Path;

use assay_runtime::testing::{WatGuest, core_from_wat, hostile};

use crate::cases::End;

cases! {
    a_file_that_is_empty: Vec::new() => End::StaysOut("component_is_not_wasm");
    a_file_that_is_an_image: b"GIF89a\x01\0\x01\0".to_vec() => End::StaysOut("component_is_not_wasm");
    a_file_that_is_a_page: b"<!doctype html><p>Please sign in.</p>".to_vec() => End::StaysOut("component_is_not_wasm");
    a_file_that_is_webassembly_text: b"(component)".to_vec() => End::StaysOut("component_is_text");
    a_file_that_is_native_code: [&b"\x7fELF\x02\x01\x01"[..], &[0; 200]].concat() => End::StaysOut("component_is_precompiled");
    a_file_that_is_a_core_module: core_from_wat(&WatGuest::new("core").core()) => End::StaysOut("component_is_core_module");
    a_guest_that_is_cut_in_half: good()[..good().len() / 2].to_vec() => End::StaysOut("component_invalid");
    a_guest_that_lacks_its_last_byte: good()[..good().len() - 1].to_vec() => End::StaysOut("component_invalid");
    a_guest_that_ends_after_its_first_eight_bytes: good()[..8].to_vec() => End::StaysOut("export_missing");
    a_guest_with_noise_in_its_middle: noise() => End::StaysOut("component_invalid");
    a_guest_of_a_hundred_megabytes: padded(100 << 20) => End::StaysOut("component_too_large");
    a_file_that_is_a_folder: place(|path| std::fs::create_dir(path).expect("a folder")) => End::StaysOut("file_unreadable");
    a_file_that_is_a_link_to_nowhere: place(
        |path| std::os::unix::fs::symlink("nowhere", path).expect("a link")
    ) => End::StaysOut("file_unreadable");
    a_file_that_is_a_pipe_without_a_writer: place(pipe) => End::StaysOut("file_unreadable");
    a_file_that_never_ends: place(
        |path| std::os::unix::fs::symlink("/dev/zero", path).expect("a link")
    ) => End::StaysOut("file_unreadable");

    a_component_that_is_no_guest: component("") => End::StaysOut("export_missing");
    a_component_of_another_world: component(
        r#"(instance $empty) (export "acme:report/guest@0.1.0" (instance $empty))"#
    ) => End::StaysOut("export_missing");
    a_guest_of_a_later_contract: component(
        r#"(instance $empty) (export "assay:report/guest@0.2.0" (instance $empty))"#
    ) => End::StaysOut("export_missing");
    a_guest_without_functions: component(GUEST) => End::StaysOut("wrong_types");
    a_guest_whose_check_takes_a_number: takes_a_number() => End::StaysOut("wrong_types");
    a_guest_that_imports_files_of_its_own: hostile::imports("acme:files/read@1.0.0") => End::StaysOut("import_foreign");
    a_guest_that_imports_a_bare_function: component(&format!(r#"(import "spy" (func)) {GUEST}"#)) => End::StaysOut("import_foreign");
    a_guest_that_imports_a_later_log: hostile::imports("assay:report/log@0.2.0") => End::StaysOut("import_foreign");
    a_guest_that_imports_another_log_under_the_same_name: component(&format!(
        r#"(import "assay:report/log@0.1.0" (instance (export "emit" (func (param "message" string))))) {GUEST}"#
    )) => End::StaysOut("wrong_types");
    a_guest_that_imports_functions_by_the_name_of_the_types: component(&format!(
        r#"(import "assay:report/types@0.1.0" (instance (export "f" (func)))) {GUEST}"#
    )) => End::StaysOut("import_foreign");
    a_guest_that_imports_the_clock_of_wasi: hostile::imports("wasi:clocks/monotonic-clock@0.2.6") => End::StaysOut("import_of_wasi");
    a_guest_that_imports_the_sockets_of_wasi: hostile::imports("wasi:sockets/tcp@0.2.6") => End::StaysOut("import_of_wasi");
    a_guest_that_imports_the_environment_of_wasi: hostile::imports("wasi:cli/environment@0.2.6") => End::StaysOut("import_of_wasi");
    a_guest_with_atomics: component(&format!(
        "(core module (memory 1) (func (param i32) (result i32) (i32.atomic.load (local.get 0)))) {GUEST}"
    )) => End::StaysOut("component_invalid");
    a_guest_with_exceptions: component(&format!("(core module (tag)) {GUEST}")) => End::StaysOut("component_invalid");
    a_guest_with_garbage_collection: component(&format!("(core module (type (struct))) {GUEST}")) => End::StaysOut("component_invalid");
    a_guest_with_relaxed_simd: component(&format!(
        "(core module (func (result v128) (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0)))) {GUEST}"
    )) => End::StaysOut("component_invalid");
    a_component_of_twenty_thousand_components_in_each_other: nested(20_000) => End::StaysOut("export_missing");
    a_guest_of_twenty_thousand_components_in_each_other: guest_of(&nested(20_000)) => End::StaysOut("compiler_died");
    a_guest_with_a_type_that_doubles_forty_times: component(&format!("{} {GUEST}", doubling(40))) => End::StaysOut("component_invalid");
    a_guest_with_a_function_of_fifty_thousand_locals_and_a_hundred_thousand_blocks: WatGuest::new("large")
        .fields(&format!("(func {} {} {})", "(local i64)".repeat(50_000), "block ".repeat(100_000), "end ".repeat(100_000)))
        => End::Succeeds;
}

/// An export by the right name, with nothing in it.
const GUEST: &str = r#"(instance $empty) (export "assay:report/guest@0.1.0" (instance $empty))"#;

fn component(fields: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {fields})")).expect("the component parses")
}

fn good() -> Vec<u8> {
    WatGuest::new("hostile").build()
}

fn place(place: fn(&Path)) -> fn(&Path) {
    place
}

fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
    assert!(made.success());
}

fn noise() -> Vec<u8> {
    let mut bytes = good();
    let middle = bytes.len() / 2;
    for (number, byte) in bytes[middle..middle + 64].iter_mut().enumerate() {
        *byte ^= 0x55 ^ u8::try_from(number).expect("64 numbers");
    }
    bytes
}

/// Returns a guest that behaves, with an unused section of this size.
fn padded(size: usize) -> Vec<u8> {
    let mut bytes = good();
    section(&mut bytes, 0, &[&[3][..], b"pad", &vec![0; size]].concat());
    bytes
}

/// Components, each the only part of the one around it.
fn nested(depth: usize) -> Vec<u8> {
    const PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";
    let mut inner = PREAMBLE.to_vec();
    for _ in 0..depth {
        let mut outer = PREAMBLE.to_vec();
        section(&mut outer, 4, &inner);
        inner = outer;
    }
    inner
}

/// Returns a component by the right export, with this one in it.
fn guest_of(part: &[u8]) -> Vec<u8> {
    let mut bytes = component(GUEST);
    section(&mut bytes, 4, part);
    bytes
}

/// Appends a section: its id, its length in LEB128, its bytes.
fn section(bytes: &mut Vec<u8>, id: u8, content: &[u8]) {
    bytes.push(id);
    let mut length = content.len();
    loop {
        let (low, rest) = (u8::try_from(length & 0x7f).expect("seven bits"), length >> 7);
        bytes.push(if rest > 0 { low | 0x80 } else { low });
        length = rest;
        if rest == 0 {
            break;
        }
    }
    bytes.extend_from_slice(content);
}

/// Returns a type of two of the type before it, and so on.
fn doubling(times: usize) -> String {
    let pair = |number: usize| format!("(type $t{number} (tuple $t{0} $t{0}))", number - 1);
    "(type $t0 (tuple u64 u64))".to_owned() + &(1..=times).map(pair).collect::<String>()
}

/// Returns the names of the contract, with a `check` of another type.
fn takes_a_number() -> Vec<u8> {
    component(
        r#"(core module $m (func (export "check") (param i32)))
           (core instance $i (instantiate $m))
           (func $check (param "document" u32) (canon lift (core func $i "check")))
           (instance $guest (export "check" (func $check)))
           (export "assay:report/guest@0.1.0" (instance $guest))"#,
    )
}
