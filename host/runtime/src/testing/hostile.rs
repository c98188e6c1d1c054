//! Misdeeds, each in an otherwise correct guest. They load unless the name or the comment says no.

use crate::testing::wat_guest::WatGuest;

/// Never ends.
const SPIN: &str = "(loop $again (br $again)) (unreachable)";

/// Asks, then accepts `document`, under `schema`.
pub fn accepts(schema: &str, document: &str) -> WatGuest {
    WatGuest::new("accepts").schema(schema).document(document)
}

/// Accepts a report that its own schema refuses.
pub fn breaks_its_own_schema() -> WatGuest {
    accepts(r#"{"type":"object","required":["overview"]}"#, r#"{"summary":"no overview"}"#)
        .prompt_version("breaks-its-own-schema")
}

/// Accepts a report that is not JSON.
pub fn accepts_what_is_no_json() -> WatGuest {
    accepts("{}", "this is no JSON").prompt_version("accepts-what-is-no-json")
}

/// Accepts a report that is an array in an array, `depth` times.
pub fn accepts_nested(depth: usize) -> WatGuest {
    accepts("{}", &("[".repeat(depth) + &"]".repeat(depth))).prompt_version("accepts-nested")
}

/// Rejects every answer with one finding.
pub fn rejects() -> WatGuest {
    let mut guest = WatGuest::new("rejects");
    let question = guest.data.text("What is it about?");
    let prompt = guest.data.prompt(question, None);
    let ask = guest.data.ask(&[prompt]);
    let reject = guest.data.reject("required", "/overview", "the overview is missing");
    guest.advance(format!("(select (i32.const {reject}) (i32.const {ask}) (local.get $answers_len))"))
}

/// Spins in `advance`.
pub fn spins_in_advance() -> WatGuest {
    WatGuest::new("spins-in-advance").advance(SPIN)
}

/// Spins in `check`.
pub fn spins_in_check() -> WatGuest {
    WatGuest::new("spins-in-check").check(SPIN)
}

/// Spins in `describe`; must not load.
pub fn spins_in_describe() -> WatGuest {
    WatGuest::new("spins-in-describe").describe(SPIN)
}

/// Spins in its start function; must not load.
pub fn spins_in_start() -> WatGuest {
    WatGuest::new("spins-in-start").fields("(func $spin (loop $again (br $again))) (start $spin)")
}

/// Fills all its memory with one instruction, again and again: the epoch is checked between instructions only.
pub fn fills_memory_for_ever() -> WatGuest {
    WatGuest::new("fills-memory-for-ever").pages(1000).advance(
        "(loop $again (memory.fill (i32.const 65536) (i32.const 1) (i32.const 65000000)) (br $again)) (unreachable)",
    )
}

/// Grows its memory by a page at a time, without end.
pub fn grows_memory_for_ever() -> WatGuest {
    WatGuest::new("grows-memory-for-ever")
        .advance("(loop $again (drop (memory.grow (i32.const 1))) (br $again)) (unreachable)")
}

/// Asks for 4 GB of memory at once.
pub fn grows_memory_by_four_gigabytes() -> WatGuest {
    WatGuest::new("grows-memory-by-four-gigabytes").advance("(drop (memory.grow (i32.const 65000))) (unreachable)")
}

/// Begins with 128 MiB; must not load under a limit of 64 MiB.
pub fn begins_with_much_memory() -> WatGuest {
    WatGuest::new("begins-with-much-memory").pages(2048)
}

/// Grows a table without end.
pub fn grows_a_table_for_ever() -> WatGuest {
    WatGuest::new("grows-a-table-for-ever")
        .fields("(table $t 1 funcref)")
        .advance("(loop $again (drop (table.grow $t (ref.null func) (i32.const 100))) (br $again)) (unreachable)")
}

/// Begins with a table of a million elements; must not load.
pub fn begins_with_a_large_table() -> WatGuest {
    WatGuest::new("begins-with-a-large-table").fields("(table 1000000 funcref)")
}

/// Calls itself without end.
pub fn recurses_for_ever() -> WatGuest {
    WatGuest::new("recurses-for-ever")
        .fields("(func $deeper (param i32) (result i32) (i32.add (i32.const 1) (call $deeper (i32.add (local.get 0) (i32.const 1)))))")
        .advance("(call $deeper (i32.const 0))")
}

/// Accepts a document of `bytes` spaces.
pub fn returns_a_text_of(bytes: u32) -> WatGuest {
    let mut guest = WatGuest::new("returns-a-large-text");
    let at = (guest.data.end() + 256).next_multiple_of(64 << 10);
    let accept = guest.data.accept((at, bytes));
    guest
        .pages((at + bytes).div_ceil(64 << 10) + 1)
        .advance(format!("(memory.fill (i32.const {at}) (i32.const 32) (i32.const {bytes})) (i32.const {accept})"))
}

/// Asks `count` prompts in one step, all of the same message.
pub fn asks_many(count: u32) -> WatGuest {
    const PROMPT_BYTES: u32 = 48;
    let mut guest = WatGuest::new("asks-many");
    let question = guest.data.text("What is it about?");
    let prompt = guest.data.prompt(question, None);
    let at = (guest.data.end() + 256).next_multiple_of(64 << 10);
    let ask = guest.data.step(&[0, at, count]);
    let [messages, length, ..] = prompt;
    guest.pages((at + count * PROMPT_BYTES).div_ceil(64 << 10) + 1).fields("(global $n (mut i32) (i32.const 0))").advance(format!(
        "(loop $next
           (i32.store (i32.add (i32.const {at}) (i32.mul (global.get $n) (i32.const {PROMPT_BYTES}))) (i32.const {messages}))
           (i32.store offset=4 (i32.add (i32.const {at}) (i32.mul (global.get $n) (i32.const {PROMPT_BYTES}))) (i32.const {length}))
           (global.set $n (i32.add (global.get $n) (i32.const 1)))
           (br_if $next (i32.lt_u (global.get $n) (i32.const {count}))))
         (i32.const {ask})"
    ))
}

/// Asks one prompt of `bytes` bytes.
pub fn asks_a_prompt_of(bytes: u32) -> WatGuest {
    let mut guest = WatGuest::new("asks-a-large-prompt");
    let at = 64 << 10;
    let prompt = guest.data.prompt((at, bytes), None);
    let ask = guest.data.ask(&[prompt]);
    guest
        .pages((at + bytes).div_ceil(64 << 10) + 1)
        .advance(format!("(memory.fill (i32.const {at}) (i32.const 97) (i32.const {bytes})) (i32.const {ask})"))
}

/// Asks the same again, whatever the answers.
pub fn asks_for_ever() -> WatGuest {
    let mut guest = WatGuest::new("asks-for-ever");
    let question = guest.data.text("And then?");
    let prompt = guest.data.prompt(question, None);
    let ask = guest.data.ask(&[prompt]);
    guest.advance(format!("(i32.const {ask})"))
}

/// Asks nothing, which would repeat for ever.
pub fn asks_nothing() -> WatGuest {
    let mut guest = WatGuest::new("asks-nothing");
    let ask = guest.data.ask(&[]);
    guest.advance(format!("(i32.const {ask})"))
}

/// Asks for an answer under a schema that is not one.
pub fn asks_with_a_schema_that_is_none() -> WatGuest {
    let mut guest = WatGuest::new("asks-with-a-bad-schema");
    let question = guest.data.text("What is it about?");
    let prompt = guest.data.prompt(question, Some("{\"type\": 7"));
    let ask = guest.data.ask(&[prompt]);
    guest.advance(format!("(i32.const {ask})"))
}

/// Asks with the document as the prompt, then accepts: a changed document under the same job gives another prompt.
pub fn asks_with_the_document() -> WatGuest {
    asks_with("asks-with-the-document", "(local.get $text)", "(local.get $text_len)")
}

/// Asks twice, the second time with the first answer as the prompt, then accepts: a changed answer gives another prompt.
pub fn asks_with_the_answer() -> WatGuest {
    let mut guest = WatGuest::new("asks-with-the-answer");
    let first = guest.data.text("What is it about?");
    let first = guest.data.prompt(first, None);
    let first = guest.data.ask(&[first]);
    let (second, content) = ask_with_room_for_content(&mut guest);
    let document = guest.data.text("{}");
    let accept = guest.data.accept(document);
    guest.advance(format!(
        "(if (i32.eqz (local.get $answers_len)) (then (return (i32.const {first}))))
         (if (i32.gt_u (local.get $answers_len) (i32.const 1)) (then (return (i32.const {accept}))))
         (i32.store (i32.const {content}) (i32.load (local.get $answers)))
         (i32.store offset=4 (i32.const {content}) (i32.load offset=4 (local.get $answers)))
         (i32.const {second})"
    ))
}

fn asks_with(name: &str, pointer: &str, length: &str) -> WatGuest {
    let mut guest = WatGuest::new(name);
    let (ask, content) = ask_with_room_for_content(&mut guest);
    let document = guest.data.text("{}");
    let accept = guest.data.accept(document);
    guest.advance(format!(
        "(i32.store (i32.const {content}) {pointer})
         (i32.store offset=4 (i32.const {content}) {length})
         (select (i32.const {accept}) (i32.const {ask}) (local.get $answers_len))"
    ))
}

/// A step that asks one prompt, and the address of its message's content.
fn ask_with_room_for_content(guest: &mut WatGuest) -> (u32, u32) {
    let prompt = guest.data.prompt((0, 0), None);
    let message = prompt[0];
    (guest.data.ask(&[prompt]), message + 8)
}

/// Accepts a document that is not UTF-8.
pub fn returns_invalid_utf8() -> WatGuest {
    let mut guest = WatGuest::new("returns-invalid-utf8");
    let document = guest.data.bytes(b"\"\xff\xfe\"");
    let accept = guest.data.accept(document);
    guest.advance(format!("(i32.const {accept})"))
}

/// Accepts a document that lies outside its memory.
pub fn returns_a_text_out_of_bounds() -> WatGuest {
    returns_span("returns-a-text-out-of-bounds", (0xffff_0000, 0xffff))
}

/// Accepts a document whose end lies beyond the address space.
pub fn returns_a_text_past_the_address_space() -> WatGuest {
    returns_span("returns-a-text-past-the-address-space", (1024, u32::MAX))
}

fn returns_span(name: &str, span: (u32, u32)) -> WatGuest {
    let mut guest = WatGuest::new(name);
    let accept = guest.data.accept(span);
    guest.advance(format!("(i32.const {accept})"))
}

/// Returns a case that `step` does not have.
pub fn returns_an_unknown_case() -> WatGuest {
    let mut guest = WatGuest::new("returns-an-unknown-case");
    let step = guest.data.step(&[9]);
    guest.advance(format!("(i32.const {step})"))
}

/// Returns a result at an odd address.
pub fn returns_a_misaligned_pointer() -> WatGuest {
    WatGuest::new("returns-a-misaligned-pointer").advance("(i32.const 1027)")
}

/// Returns a result outside its memory.
pub fn returns_a_pointer_out_of_bounds() -> WatGuest {
    WatGuest::new("returns-a-pointer-out-of-bounds").advance("(i32.const 0x7ffffff8)")
}

/// Makes the host write its arguments outside the memory.
pub fn allocates_out_of_bounds() -> WatGuest {
    WatGuest::new("allocates-out-of-bounds").allocate("(i32.const 0x7ffffff0)")
}

/// Every trap of code without special features: the text in the fault, and the body.
pub const TRAPS: [(&str, &str); 9] = [
    ("unreachable", "(unreachable)"),
    ("memory_out_of_bounds", "(i32.load (i32.const 0x7fffffff))"),
    ("integer_division_by_zero", "(i32.div_u (i32.const 1) (local.get $answers_len))"),
    ("integer_overflow", "(i32.div_s (i32.const 0x80000000) (i32.sub (local.get $answers_len) (i32.const 1)))"),
    ("bad_conversion_to_integer", "(i32.trunc_f32_s (f32.const nan))"),
    ("table_out_of_bounds", "(call_indirect $t (type $f) (i32.const 99))"),
    ("indirect_call_to_null", "(call_indirect $t (type $f) (i32.const 1))"),
    ("bad_signature", "(call_indirect $t (type $f) (i32.const 0))"),
    ("table_out_of_bounds", "(drop (table.get $t (i32.const 99))) (i32.const 0)"),
];

/// Traps as `body` does; the bodies of [`TRAPS`] fit.
pub fn traps(body: &str) -> WatGuest {
    WatGuest::new("traps")
        .fields("(type $f (func (result i32))) (table $t 2 funcref) (func $other) (elem (table $t) (i32.const 0) func $other)")
        .advance(body)
}

/// Returns a good result, and traps where it should free it.
pub fn traps_after_returning() -> WatGuest {
    WatGuest::new("traps-after-returning")
        .fields(r#"(func (export "cabi_post_assay:report/guest@0.1.0#advance") (param i32) (unreachable))"#)
}

/// Logs `lines` lines, each longer than is kept, with a terminal's escape sequence in it, then asks.
pub fn floods_the_log(lines: u32) -> WatGuest {
    let mut guest = WatGuest::new("floods-the-log").imports_log().fields("(global $n (mut i32) (i32.const 0))");
    let (at, length) = guest.data.text(&format!("\u{1b}[31mred{}", "x".repeat(4000)));
    let question = guest.data.text("What is it about?");
    let prompt = guest.data.prompt(question, None);
    let ask = guest.data.ask(&[prompt]);
    guest.advance(format!(
        "(loop $next
           (call $log (i32.const 2) (i32.const {at}) (i32.const {length}))
           (global.set $n (i32.add (global.get $n) (i32.const 1)))
           (br_if $next (i32.lt_u (global.get $n) (i32.const {lines}))))
         (i32.const {ask})"
    ))
}

/// Logs one line that is not UTF-8.
pub fn logs_invalid_utf8() -> WatGuest {
    let mut guest = WatGuest::new("logs-invalid-utf8").imports_log();
    let (at, length) = guest.data.bytes(b"\xff\xff");
    guest.advance(format!("(call $log (i32.const 0) (i32.const {at}) (i32.const {length})) (unreachable)"))
}

/// Logs one line of `bytes` bytes.
pub fn logs_a_line_of(bytes: u32) -> WatGuest {
    let at = 64 << 10;
    WatGuest::new("logs-a-large-line")
        .imports_log()
        .pages((at + bytes).div_ceil(64 << 10) + 1)
        .advance(format!("(call $log (i32.const 0) (i32.const {at}) (i32.const {bytes})) (unreachable)"))
}

/// Accepts the number of its calls so far, as it remembers them: "1", for ever, in a sandbox that keeps nothing.
pub fn counts_its_calls() -> WatGuest {
    let mut guest = WatGuest::new("counts-its-calls").fields("(global $calls (mut i32) (i32.const 0))");
    let digits = guest.data.text("00");
    let accept = guest.data.accept(digits);
    let (memory, global) = (digits.0, digits.0 + 1);
    guest.advance(format!(
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
         (i32.store8 (i32.const {memory}) (i32.add (i32.load8_u (i32.const {memory})) (i32.const 1)))
         (i32.store8 (i32.const {global}) (i32.add (i32.const 48) (global.get $calls)))
         (i32.const {accept})"
    ))
}

/// A component that imports what no guest may; must not load.
///
/// # Panics
/// Never: the text is fixed.
pub fn imports(interface: &str) -> Vec<u8> {
    wat::parse_str(format!("(component (import \"{interface}\" (instance (export \"f\" (func)))))"))
        .expect("the component parses")
}
