//! Verifiers: the generic guest with a schema. Most tests use a stand-in, which keeps its parts and passes documents of that length.

use std::time::Duration;

use assay_guest_build::verifier_parts;
use assay_runtime::{
    Compiler, Fault, LoadError, Options,
    testing::{WatGuest, core_from_wat, hostile},
};
use bytes::Bytes;

use crate::support::{Bench, transcript};

/// The stand-in's initializer refuses larger parts, as the real one refuses what is not a schema.
const MAX_PARTS_BYTES: u32 = 400;

fn stand_in() -> Bytes {
    let mut guest = WatGuest::new("generic").fields(&format!(
        r#"(global $parts_len (mut i32) (i32.const 0))
           (func (export "reserve") (param i32) (result i32) (global.set $parts_len (local.get 0)) (i32.const 65536))
           (func (export "wizer-initialize") (if (i32.gt_u (global.get $parts_len) (i32.const {MAX_PARTS_BYTES})) (then unreachable)))"#
    ));
    let none = guest.data.words(&[0, 0]);
    let code = guest.data.text("length");
    let finding = guest.data.words(&[code.0, code.1, 0, 0, 0, 0]);
    let one = guest.data.words(&[finding, 1]);
    let check = format!(
        "(select (i32.const {none}) (i32.const {one}) (i32.eq (local.get $document_len) (global.get $parts_len)))"
    );
    core_from_wat(&guest.check(check).core()).into()
}

fn with_stand_in(options: &mut Options) {
    options.generic = stand_in();
}

#[tokio::test]
async fn a_verifier_checks_by_the_schema_that_it_was_made_of() {
    for compiler in
        [Compiler::InProcess, Compiler::Child { program: env!("CARGO_BIN_EXE_assay-compile").into(), args: vec![] }]
    {
        let bench = Bench::with(|options| {
            with_stand_in(options);
            options.compiler = compiler;
        });
        let schema = r#"{"type":"object"}"#;
        let verifier = bench.runtime.verifier(schema).await.unwrap();
        let fitting = "x".repeat(verifier_parts(schema).len());
        assert_eq!(verifier.check(&fitting).await.result, Ok(vec![]));
        let findings = verifier.check("x").await.result.unwrap();
        assert_eq!(findings[0].code, "length");
    }
}

#[tokio::test]
async fn each_schema_has_a_verifier_and_each_verifier_one_image() {
    let bench = Bench::with(with_stand_in);
    for schema in ["{}", r#"{"type":"object"}"#, "{}"] {
        bench.runtime.verifier(schema).await.unwrap();
    }
    assert_eq!(bench.images().len(), 2);
}

#[tokio::test]
async fn a_release_and_its_second_check_leave_a_thread_to_others() {
    let spinning = hostile::spins_in_check().fields(
        r#"(func (export "reserve") (param i32) (result i32) (i32.const 65536)) (func (export "wizer-initialize"))"#,
    );
    let bench = Bench::with(|options| {
        options.threads = Some(2);
        options.generic = core_from_wat(&spinning.core()).into();
        options.limits.call = Duration::from_secs(2);
    });
    let guest = bench.load(hostile::spins_in_advance()).await;
    let verifier = bench.runtime.verifier("{}").await.unwrap().beside(&guest);
    let good = bench.load(WatGuest::new("good")).await;
    let document = transcript();
    // The guest's call has its turn first and spins; the check of its report spins after it, not beside it.
    let (call, check, neighbour) = tokio::join!(
        biased;
        guest.advance(&document, &[]),
        verifier.check("{}"),
        good.advance(&document, &[])
    );
    assert_eq!((call.result, check.result), (Err(Fault::Timeout), Err(Fault::Timeout)));
    assert!(check.queued >= call.elapsed / 2, "one lane, one thread: {:?} after {:?}", check.queued, call.elapsed);
    assert!(neighbour.result.is_ok() && neighbour.queued < call.elapsed, "it found the last thread");
}

#[tokio::test]
async fn a_schema_that_the_generic_guest_refuses_is_refused() {
    let bench = Bench::with(with_stand_in);
    let long = format!(r#"{{"$comment":"{}"}}"#, "x".repeat(MAX_PARTS_BYTES as usize));
    assert_eq!(bench.runtime.verifier(&long).await.unwrap_err(), LoadError::SchemaRefused);
}

#[tokio::test]
async fn a_schema_over_its_limit_is_not_even_tried() {
    let bench = Bench::with(|options| {
        with_stand_in(options);
        options.limits.schema_bytes = 10;
    });
    assert_eq!(bench.runtime.verifier(r#"{"type":"object"}"#).await.unwrap_err(), LoadError::Manifest("schema"));
}

/// The generic guest itself.
fn generic() -> Bytes {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest/dist/core/generic.wasm");
    std::fs::read(path).expect("run `cargo xtask guests` first; `cargo xtask test` does").into()
}

#[tokio::test]
async fn a_verifier_reads_as_deep_as_a_report_may_be() {
    let bench = Bench::with(|options| {
        options.generic = generic();
        // This tests depth, and the machine may be slow.
        options.limits.call = Duration::from_secs(60);
    });
    let verifier = bench.runtime.verifier(r#"{"type":"array"}"#).await.unwrap();
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    // REPORT_MAX_DEPTH; the host's side of it: host/conversation/src/report.rs.
    assert_eq!(verifier.check(&nested(128)).await.result, Ok(vec![]));
    assert_eq!(verifier.check(&nested(129)).await.result.unwrap()[0].code, "not-json");
}

#[tokio::test]
async fn findings_of_a_large_document_fit_the_memory_of_a_call() {
    let bench = Bench::with(|options| {
        options.generic = generic();
        // This tests memory, and the machine may be slow.
        options.limits.call = Duration::from_secs(60);
    });
    let document = format!(r#"{{"list":[{}0]}}"#, "0,".repeat(600_000));
    let strings = r#"{"type":"array","items":{"type":"string"}}"#;
    for (list, code) in [(strings.to_owned(), "type"), (format!(r#"{{"anyOf":[{strings}]}}"#), "schema")] {
        let schema = format!(r#"{{"type":"object","properties":{{"list":{list}}}}}"#);
        let verifier = bench.runtime.verifier(&schema).await.unwrap();
        let findings = verifier.check(&document).await.result.unwrap();
        assert_eq!(findings[0].code, code);
    }
}
