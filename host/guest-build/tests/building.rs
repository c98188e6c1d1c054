//! The failure paths, each with a module of a few lines, and the real generic guest.

use std::time::Duration;

use assay_guest_build::{
    BuildError, BuildLimits, BuildReason, BuildStep, Builder, Message, Parts, SourceHash, Stamp, componentize, imports,
    preinitialize, toolchain, verifier_parts,
};

fn core(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).expect("tests hold valid WAT")
}

fn limits() -> BuildLimits {
    BuildLimits { time: Duration::from_millis(200), memory_bytes: 1 << 20, ..BuildLimits::default() }
}

fn refused(wat: &str, inject: Option<&[u8]>) -> BuildError {
    preinitialize(&core(wat), inject, &limits()).expect_err("must be refused")
}

#[test]
fn memory_and_globals_are_kept_as_the_initializer_left_them() {
    let wat = r#"(module (memory (export "memory") 1) (global $g (mut i32) (i32.const 1))
        (func (export "wizer-initialize") (global.set $g (i32.const 7)) (i32.store (i32.const 8) (i32.const 0x4b4a4948)))
        (func (export "get") (result i32) global.get $g))"#;
    let snapshot = preinitialize(&core(wat), None, &limits()).expect("initializes").bytes;
    assert!(snapshot.windows(4).any(|window| window == b"HIJK"));
    assert!(!snapshot.windows(4).any(|window| window == b"init"), "the initializer is no longer exported");
    assert_eq!(
        snapshot,
        preinitialize(&core(wat), None, &limits()).expect("initializes").bytes,
        "the same bytes again"
    );
}

#[test]
fn an_initializer_that_spins_is_stopped() {
    let error = refused(r#"(module (func (export "wizer-initialize") (loop br 0)))"#, None);
    assert_eq!((error.step(), error.reason()), (BuildStep::Initialize, &BuildReason::TimedOut(limits().time)));
}

#[test]
fn a_start_function_that_spins_is_stopped() {
    let error = refused(r#"(module (func $s (loop br 0)) (start $s) (func (export "wizer-initialize")))"#, None);
    assert_eq!((error.step(), error.reason()), (BuildStep::Instantiate, &BuildReason::TimedOut(limits().time)));
}

#[test]
fn an_initializer_that_traps_is_an_error_with_its_last_words() {
    let error = refused(
        r#"(module (import "assay:report/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))
            (memory (export "memory") 1) (data (i32.const 16) "no such\nplaceholder")
            (func (export "wizer-initialize") (call $emit (i32.const 3) (i32.const 16) (i32.const 19)) unreachable))"#,
        None,
    );
    assert!(matches!(error.reason(), BuildReason::Trapped(_)), "{error}");
    assert_eq!(error.said(), Some("no such placeholder"));
    assert!(!error.to_string().contains("placeholder"), "no message has the guest's words");
}

#[test]
fn last_words_out_of_bounds_are_dropped() {
    let error = refused(
        r#"(module (import "assay:report/log@0.1.0" "emit" (func $emit (param i32 i32 i32))) (memory (export "memory") 1)
            (func (export "wizer-initialize") (call $emit (i32.const 3) (i32.const -1) (i32.const -1)) unreachable))"#,
        None,
    );
    assert_eq!(error.said(), None);
}

#[test]
fn recursion_without_end_is_an_error() {
    let error = refused(r#"(module (func $f (export "wizer-initialize") call $f))"#, None);
    assert!(matches!(error.reason(), BuildReason::Trapped(_)), "{error}");
}

#[test]
fn memory_over_the_limit_is_refused() {
    let grows = r#"(module (memory (export "memory") 1)
        (func (export "wizer-initialize") (if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable))))"#;
    assert_eq!(refused(grows, None).reason(), &BuildReason::OutOfMemory(1 << 20));
    let large = r#"(module (memory (export "memory") 100) (func (export "wizer-initialize")))"#;
    assert_eq!(refused(large, None).step(), BuildStep::Instantiate);
}

#[test]
fn a_foreign_import_is_refused_by_name_before_anything_runs() {
    let error = refused(
        r#"(module (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
            (func $s (loop br 0)) (start $s) (func (export "wizer-initialize")))"#,
        None,
    );
    assert_eq!(error.reason(), &BuildReason::ForeignImport("wasi_snapshot_preview1#random_get".into()));
    assert_eq!(error.step(), BuildStep::Imports);
}

#[test]
fn missing_exports_are_named() {
    assert_eq!(refused("(module)", None).reason(), &BuildReason::MissingExport("wizer-initialize"));
    let typed = r#"(module (func (export "wizer-initialize") (param i32)))"#;
    assert_eq!(refused(typed, None).reason(), &BuildReason::MissingExport("wizer-initialize"));
    let no_reserve = r#"(module (memory (export "memory") 1) (func (export "wizer-initialize")))"#;
    assert_eq!(refused(no_reserve, Some(b"{}")).reason(), &BuildReason::MissingExport("reserve"));
}

#[test]
fn injection_writes_where_the_guest_says_and_nowhere_else() {
    let reserving = |at: &str| {
        format!(
            r#"(module (memory (export "memory") 1) (func (export "wizer-initialize"))
                (func (export "reserve") (param i32) (result i32) i32.const {at}))"#
        )
    };
    let written =
        preinitialize(&core(&reserving("64")), Some(b"injected parts"), &limits()).expect("initializes").bytes;
    assert!(written.windows(14).any(|window| window == b"injected parts"));
    for at in ["0", "65530", "-1"] {
        assert_eq!(refused(&reserving(at), Some(b"injected parts")).reason(), &BuildReason::Refused(14), "{at}");
    }
}

#[test]
fn bytes_that_are_not_a_core_module_are_refused() {
    for bytes in [&b""[..], b"\0asm", b"not wasm at all", &core("(component)")] {
        assert_eq!(preinitialize(bytes, None, &limits()).expect_err("is refused").step(), BuildStep::Read);
    }
    let small = BuildLimits { module_bytes: 4, ..limits() };
    let error = preinitialize(&core("(module)"), None, &small).expect_err("is refused");
    assert_eq!(error.reason(), &BuildReason::TooLarge { actual: 8, limit: 4 });
}

#[test]
fn a_module_without_the_world_is_not_a_guest() {
    let error = componentize(&core("(module)")).expect_err("is refused");
    assert_eq!(error.step(), BuildStep::Componentize);
    let wasi = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))))"#;
    assert_eq!(componentize(&core(wasi)).expect_err("is refused").step(), BuildStep::Componentize);
}

/// The generic guest as `cargo xtask guests` built it.
fn generic() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest/dist/core/generic.wasm");
    std::fs::read(path).expect("run `cargo xtask guests` first; `cargo xtask test` does")
}

fn parts(user: &str) -> Parts {
    Parts {
        prompt_version: "minutes-v1".into(),
        schema_version: "minutes.v1".into(),
        description: "Minutes.".into(),
        schema:
            r#"{"type":"object","required":["title"],"properties":{"title":{"type":"string","pattern":"^[a-z]+$"}}}"#
                .into(),
        messages: vec![Message { role: "user".into(), content: user.into() }],
        model: None,
        max_output_tokens: Some(100),
        temperature: None,
    }
}

#[test]
fn the_generic_guest_is_specialized_to_the_same_bytes_each_time() {
    let builder = Builder::new(BuildLimits::default()).expect("an engine");
    let generic = generic();
    let guest = builder.specialize(&generic, &parts("{{transcript}}").to_json()).expect("specializes").bytes;
    assert_eq!(imports(&guest).expect("is a component"), ["assay:report/log@0.1.0", "assay:report/types@0.1.0"]);
    let again = builder.specialize(&generic, &parts("{{transcript}}").to_json()).expect("specializes");
    assert_eq!(guest, again.bytes);
    assert_eq!(again.warnings, [] as [&str; 0]);
    let verifier = builder.specialize(&generic, &verifier_parts(&parts("").schema)).expect("specializes");
    assert_ne!(guest, verifier.bytes);
    assert!(toolchain(&guest).is_some_and(|toolchain| toolchain.starts_with("rustc 1.")));

    let error = builder.specialize(&generic, &parts("{{transkript}}").to_json()).expect_err("is refused");
    assert_eq!(error.step(), BuildStep::Initialize);
    assert_eq!(error.said(), Some("message 1 (user): template line 1: unknown placeholder {{transkript}}"));
    let error = builder.specialize(&generic, &verifier_parts(r#"{"type": 1}"#)).expect_err("is refused");
    assert!(error.said().is_some_and(|said| said.contains("schema")), "{error:?}");
    let error = builder.build(&generic, None).expect_err("is refused");
    assert!(error.said().is_some_and(|said| said.contains("parts")), "{error:?}");
}

#[test]
fn losses_of_the_schema_for_the_model_are_warnings() {
    let builder = Builder::new(BuildLimits::default()).expect("an engine");
    let mut parts = parts("{{transcript}}");
    parts.schema = r#"{"type":"object","properties":{"a":{"type":"string"}},"anyOf":[{"required":["a"]}]}"#.into();
    let built = builder.specialize(&generic(), &parts.to_json()).expect("specializes");
    let warning = "schema for the model: anyOf at the root cannot be said in it; answers are held to it all the same";
    assert_eq!(built.warnings, [warning]);
}

#[test]
fn the_next_builder_finds_what_one_compiled() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let build = || {
        let builder = Builder::new(BuildLimits::default()).expect("an engine").with_cache(&cache).expect("opens");
        builder.specialize(&generic(), &parts("{{transcript}}").to_json()).expect("specializes").bytes
    };
    let images = || std::fs::read_dir(&cache).expect("lists").map(|entry| entry.expect("has a name").path());
    let first = build();
    let image = images().next().expect("an image is kept");
    let inode = |path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).expect("is there"));
    let before = inode(&image);
    assert_eq!(first, build());
    assert_eq!((images().count(), inode(&image)), (1, before), "nothing was compiled");
    // A damaged image is compiled again. The new file may get the number of the old one, which is deleted before.
    let whole = std::fs::read(&image).expect("reads");
    std::fs::write(&image, b"damaged").expect("writes");
    assert_eq!(first, build());
    assert_eq!(std::fs::read(&image).expect("reads"), whole);
}

#[test]
fn a_stamp_names_a_guest_and_changes_nothing_else() {
    let builder = Builder::new(BuildLimits::default()).expect("an engine");
    let guest = builder.specialize(&generic(), &parts("{{transcript}}").to_json()).expect("specializes").bytes;
    let mut hash = SourceHash::default();
    hash.add("a".as_ref(), b"bc");
    let revision = hash.finish();
    let stamp =
        Stamp { name: "minutes-v1".into(), version: "minutes.v1".into(), description: "Minutes.".into(), revision };
    let stamped = stamp.put_on(&guest).expect("stamps");
    assert_eq!(Stamp::of(&stamped), stamp);
    assert_eq!(imports(&stamped).expect("is a component"), imports(&guest).expect("is a component"));
    assert_eq!(toolchain(&stamped), toolchain(&guest));
    assert_eq!(stamp.put_on(&guest).expect("stamps"), stamped, "the same bytes again");

    let mut other = SourceHash::default();
    other.add("ab".as_ref(), b"c");
    assert_ne!(other.finish(), stamp.revision, "where a name ends is part of the hash");
}
