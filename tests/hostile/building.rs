//! Core modules whose start or initializer misbehaves while a guest is built, on a machine where a worker serves.

use std::time::Duration;

use assay_guest_build::{BuildLimits, Builder};
use assay_runtime::testing::WatGuest;

use crate::{cases::End, stage::Stage};

/// Makes a test of each line: the module's fields, what is injected, and the code.
macro_rules! builds {
    ($($name:ident: $fields:expr => $code:literal;)+) => {
        cases! { [written out] { $($name => End::IsNotBuilt($code);)+ } }
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                is_not_built($fields, $code).await;
            }
        )+
    };
}

builds! {
    an_initializer_that_spins: r#"(func (export "wizer-initialize") (loop $again (br $again)))"# => "build_timeout";
    a_start_function_that_spins_while_it_is_built: &format!("(func $s (loop $again (br $again))) (start $s) {INIT}") => "build_timeout";
    an_initializer_that_fills_memory_for_ever: r#"(memory (export "memory") 900) (func (export "wizer-initialize")
        (loop $again (memory.fill (i32.const 0) (i32.const 1) (i32.const 58000000)) (br $again)))"# => "build_timeout";
    an_initializer_that_recurses: r#"(func $f (export "wizer-initialize") (call $f))"# => "build_trap";
    an_initializer_that_traps: r#"(func (export "wizer-initialize") (unreachable))"# => "build_trap";
    an_initializer_that_grows_memory: r#"(memory (export "memory") 1) (func (export "wizer-initialize")
        (loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable))"# => "build_out_of_memory";
    an_initializer_that_grows_a_table: r#"(table $t 1 funcref) (func (export "wizer-initialize")
        (drop (table.grow $t (ref.null func) (i32.const -1))))"# => "build_invalid";
    an_initializer_that_begins_with_a_large_table: &format!("(table 1000000 funcref) {INIT}") => "build_out_of_memory";
    an_initializer_that_begins_with_much_memory: &format!(r#"(memory (export "memory") 20000) {INIT}"#) => "build_out_of_memory";
    an_initializer_that_imports_wasi: &format!(
        r#"(import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32))) {INIT}"#
    ) => "build_foreign_import";
    a_module_without_an_initializer: "" => "build_missing_export";
    an_initializer_that_wants_arguments: r#"(func (export "wizer-initialize") (param i32))"# => "build_missing_export";
    an_initializer_that_leaves_no_guest: INIT => "build_missing_export";
    a_module_larger_than_its_limit: &format!(r#"(memory (export "memory") 600) (data (i32.const 0) "{}") {INIT}"#, "x".repeat(33 << 20)) => "build_too_large";
}

const INIT: &str = r#"(func (export "wizer-initialize"))"#;

/// Builds it while a worker runs the neighbour's jobs.
async fn is_not_built(fields: &str, code: &str) {
    let core = wat::parse_str(format!("(module {fields})")).expect("tests hold valid WAT");
    let mut stage = Stage::start(WatGuest::new("idle"), &[]).await;
    let limits = BuildLimits { time: Duration::from_secs(1), ..BuildLimits::default() };
    let building = tokio::task::spawn_blocking(move || {
        let builder = Builder::new(limits).expect("this machine runs compiled code");
        builder.build(&core, None).map(|component| component.bytes.len())
    });
    for _ in 0..4 {
        stage.enqueue_neighbour().await;
    }
    stage.neighbours_succeed().await;
    let error = building.await.expect("the build does not panic").expect_err("it is not built");
    assert_eq!(error.code(), code, "{error}");
    stage.close().await;
}
