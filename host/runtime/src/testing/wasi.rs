//! Guests that import WASI and try its functions. They load only under `GUEST_WASI=deny-all`.
//!
//! Their document has what they find: numbers of 16 letters each, `a` for 0 to `p` for 15, the lowest four bits first.

use crate::testing::wat_guest::WatGuest;

const WASI_IMPORTS: &str = r#"
  (import "wasi:cli/environment@0.2.6" "get-environment" (func $environment (param i32)))
  (import "wasi:cli/environment@0.2.6" "get-arguments" (func $arguments (param i32)))
  (import "wasi:cli/environment@0.2.6" "initial-cwd" (func $folder (param i32)))
  (import "wasi:cli/exit@0.2.6" "exit" (func $exit (param i32)))
  (import "wasi:cli/stdin@0.2.6" "get-stdin" (func $stdin (result i32)))
  (import "wasi:cli/stdout@0.2.6" "get-stdout" (func $stdout (result i32)))
  (import "wasi:cli/terminal-stdout@0.2.6" "get-terminal-stdout" (func $terminal (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.6" "now" (func $instant (result i64)))
  (import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $alarm (param i64) (result i32)))
  (import "wasi:clocks/wall-clock@0.2.6" "now" (func $time (param i32)))
  (import "wasi:filesystem/preopens@0.2.6" "get-directories" (func $directories (param i32)))
  (import "wasi:filesystem/types@0.2.6" "[method]descriptor.open-at" (func $open (param i32 i32 i32 i32 i32 i32 i32)))
  (import "wasi:io/poll@0.2.6" "poll" (func $poll (param i32 i32 i32)))
  (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/streams@0.2.6" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.6" "[method]output-stream.check-write" (func $room (param i32 i32)))
  (import "wasi:io/streams@0.2.6" "[method]output-stream.write" (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.6" "[method]output-stream.blocking-write-and-flush" (func $print (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.6" "[resource-drop]output-stream" (func $drop (param i32)))
  (import "wasi:random/random@0.2.6" "get-random-bytes" (func $random_bytes (param i64 i32)))
  (import "wasi:random/random@0.2.6" "get-random-u64" (func $random (result i64)))
  (import "wasi:random/insecure-seed@0.2.6" "insecure-seed" (func $seed (param i32)))
  (import "wasi:sockets/instance-network@0.2.6" "instance-network" (func $network (result i32)))"#;

/// Writes a number as letters.
const WRITE_NUMBER: &str = "
  (func $write_number (param $at i32) (param $value i64) (local $letter i32)
    (loop $next
      (i32.store8
        (i32.add (local.get $at) (local.get $letter))
        (i32.add (i32.const 97) (i32.wrap_i64 (i64.and (local.get $value) (i64.const 15)))))
      (local.set $value (i64.shr_u (local.get $value) (i64.const 4)))
      (local.set $letter (i32.add (local.get $letter) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $letter) (i32.const 16)))))";

/// Reads the length of a list that a call returned.
const LIST_LENGTH: &str = "(i64.load32_u offset=4 (global.get $ret))";

/// Runs `first`, then writes each of `values`, WAT that leaves an `i64`. Both have room for a result at `$ret`.
fn reports(name: &str, first: &str, values: &[&str]) -> WatGuest {
    let mut guest = WatGuest::new(name).schema("{}").wasi_imports(WASI_IMPORTS).fields(WRITE_NUMBER);
    let room = guest.data.words(&[0; 8]);
    let document = guest.data.text(&format!("\"{}\"", "-".repeat(16 * values.len())));
    let accept = guest.data.accept(document);
    let mut at = document.0 + 1;
    let mut body = first.to_owned();
    for value in values {
        body.push_str(&format!("(call $write_number (i32.const {at}) {value})"));
        at += 16;
    }
    guest.fields(&format!("(global $ret i32 (i32.const {room}))")).advance(format!("{body} (i32.const {accept})"))
}

/// Reports the number of variables and arguments, and whether there is a working folder.
pub fn reads_the_environment() -> WatGuest {
    let after = |call: &str, value: &str| format!("(block (result i64) (call {call} (global.get $ret)) {value})");
    let values = [
        after("$environment", LIST_LENGTH),
        after("$arguments", LIST_LENGTH),
        after("$folder", "(i64.load8_u (global.get $ret))"),
    ];
    reports("reads-the-environment", "", &values.each_ref().map(String::as_str))
}

/// Reports the number of its folders.
pub fn looks_for_folders() -> WatGuest {
    reports("looks-for-folders", "(call $directories (global.get $ret))", &[LIST_LENGTH])
}

/// Opens a file in a folder that it does not have.
pub fn opens_a_file() -> WatGuest {
    let mut guest = reports("opens-a-file", "", &[]);
    let (at, len) = guest.data.text("etc/passwd");
    let open = format!(
        "(call $open (i32.const 1) (i32.const 1) (i32.const {at}) (i32.const {len}) (i32.const 0) (i32.const 1) (global.get $ret))"
    );
    guest.advance(format!("{open} (unreachable)"))
}

/// Asks for the network.
pub fn opens_a_connection() -> WatGuest {
    reports("opens-a-connection", "(drop (call $network))", &[])
}

/// Reports both clocks, works for a while, and reports them again.
pub fn reports_the_time() -> WatGuest {
    let time = format!("(block (result i64) (call $time (global.get $ret)) {})", "(i64.load (global.get $ret))");
    let work = "(block (result i64) (call $work) (call $instant))";
    let worker = "(func $work (local $left i32) (local.set $left (i32.const 10000000))
      (loop $more (local.set $left (i32.sub (local.get $left) (i32.const 1))) (br_if $more (local.get $left))))";
    reports("reports-the-time", "", &["(call $instant)", &time, work, &time]).fields(worker)
}

/// Reports random numbers: two at once, eight bytes, and the seed for hash maps.
pub fn reports_random_numbers() -> WatGuest {
    let bytes = "(block (result i64) (call $random_bytes (i64.const 8) (global.get $ret)) (i64.load (i32.load (global.get $ret))))";
    let seed = "(block (result i64) (call $seed (global.get $ret)) (i64.load (global.get $ret)))";
    reports("reports-random-numbers", "", &["(call $random)", "(call $random)", bytes, seed])
}

/// Asks for a gigabyte of random bytes.
pub fn asks_for_a_gigabyte_of_random_bytes() -> WatGuest {
    reports("asks-for-random-bytes", "(call $random_bytes (i64.const 1073741824) (global.get $ret))", &[])
}

/// Sleeps for 500 years.
pub fn sleeps() -> WatGuest {
    reports("sleeps", "(call $block (call $alarm (i64.const 0x7000000000000000)))", &[])
}

/// Waits for the first of no events.
pub fn polls_nothing() -> WatGuest {
    reports("polls-nothing", "(call $poll (i32.const 0) (i32.const 0) (global.get $ret))", &[])
}

/// Looks at the clock until a second has gone.
pub fn waits_for_the_clock() -> WatGuest {
    reports(
        "waits-for-the-clock",
        "(loop $again (br_if $again (i64.lt_u (call $instant) (i64.const 1000000000))))",
        &[],
    )
}

/// Prints a line, in both ways, and reads one. Reports the result of each, 0 for success, and how much it may print at once.
pub fn prints_and_reads() -> WatGuest {
    let went = |call: &str| format!("(block (result i64) {call} (i64.load8_u (global.get $ret)))");
    let out = "(call $stdout) (i32.const 1024) (i32.const 16) (global.get $ret)";
    let values = [
        went(&format!("(call $print {out})")),
        went(&format!("(call $write {out})")),
        went("(call $room (call $stdout) (global.get $ret))"),
        "(i64.load offset=8 (global.get $ret))".to_owned(),
        went("(call $read (call $stdin) (i64.const 80) (global.get $ret))"),
        went("(call $terminal (global.get $ret))"),
    ];
    reports("prints-and-reads", "(call $drop (call $stdout))", &values.each_ref().map(String::as_str))
}

/// Ends its program.
pub fn exits() -> WatGuest {
    reports("exits", "(call $exit (i32.const 0))", &[])
}

/// Opens its standard output again and again, and never drops it.
pub fn hoards_handles() -> WatGuest {
    reports("hoards-handles", "(loop $again (drop (call $stdout)) (br $again))", &[])
}

/// Returns the numbers in a document of one of these guests.
///
/// # Panics
/// When another guest wrote the document.
pub fn numbers_in(document: &str) -> Vec<u64> {
    let letters = document.trim_matches('"').as_bytes();
    let number = |letters: &[u8]| {
        letters.iter().rev().fold(0_u64, |number, letter| {
            assert!((b'a'..=b'p').contains(letter), "a letter of a number");
            (number << 4) | u64::from(letter - b'a')
        })
    };
    letters.chunks(16).map(number).collect()
}
