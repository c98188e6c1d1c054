//! Guests that do not load, and why.

use assay_runtime::{
    Allocation, Fault, LoadError,
    testing::{WatGuest, hostile},
};

use crate::support::Bench;

#[tokio::test]
async fn foreign_imports_are_refused_by_kind() {
    let bench = Bench::new();
    assert_eq!(bench.refusal(&hostile::imports("acme:files/read@1.0.0")).await, LoadError::ForeignImport);
    assert_eq!(bench.refusal(&hostile::imports("wasi:clocks/monotonic-clock@0.2.6")).await, LoadError::WasiImport);
    assert_eq!(bench.refusal(&hostile::imports("assay:report/log@0.2.0")).await, LoadError::ForeignImport);
    assert_eq!(bench.images(), Vec::<std::path::PathBuf>::new(), "nothing of them was compiled");
}

#[tokio::test]
async fn functions_do_not_come_in_by_the_name_of_the_types() {
    let bench = Bench::new();
    let component = r#"(component
      (import "assay:report/types@0.1.0" (instance (export "f" (func))))
      (instance $empty)
      (export "assay:report/guest@0.1.0" (instance $empty)))"#;
    assert_eq!(bench.refusal(&wat::parse_str(component).unwrap()).await, LoadError::ForeignImport);
}

#[tokio::test]
async fn a_component_without_the_guest_is_refused() {
    let bench = Bench::new();
    assert_eq!(bench.refusal(&wat::parse_str("(component)").unwrap()).await, LoadError::MissingExport);
}

#[tokio::test]
async fn the_right_names_with_other_types_are_refused() {
    let bench = Bench::new();
    let no_functions = r#"(component (instance $empty) (export "assay:report/guest@0.1.0" (instance $empty)))"#;
    assert_eq!(bench.refusal(&wat::parse_str(no_functions).unwrap()).await, LoadError::WrongTypes);
    let other_log = r#"(component
      (import "assay:report/log@0.1.0" (instance (export "emit" (func (param "message" string)))))
      (instance $empty)
      (export "assay:report/guest@0.1.0" (instance $empty)))"#;
    assert_eq!(bench.refusal(&wat::parse_str(other_log).unwrap()).await, LoadError::WrongTypes);
}

#[tokio::test]
async fn bytes_that_are_not_a_component_are_refused_by_kind() {
    let bench = Bench::with_limits(|limits| limits.component_bytes = 100_000);
    let guest = WatGuest::new("whole").build();
    let core = wat::parse_str(WatGuest::new("core").core()).unwrap();
    assert_eq!(bench.refusal(&core).await, LoadError::CoreModule);
    assert_eq!(bench.refusal(b"(component)").await, LoadError::Text);
    assert_eq!(bench.refusal(b"").await, LoadError::NotWasm);
    assert_eq!(bench.refusal(&vec![0; 100_001]).await, LoadError::TooLarge { bytes: 100_001, limit: 100_000 });
    for end in [8, 9, guest.len() / 2, guest.len() - 1] {
        assert!(
            matches!(bench.refusal(&guest[..end]).await, LoadError::Invalid { .. } | LoadError::MissingExport),
            "cut at {end}"
        );
    }
}

#[tokio::test]
async fn no_cut_or_changed_guest_crashes_the_host() {
    let bench = Bench::with_limits(|limits| limits.call = std::time::Duration::from_millis(20));
    let guest = WatGuest::new("whole").build();
    for at in (8..guest.len()).step_by(23) {
        let mut changed = guest.clone();
        changed[at] ^= 0x55;
        let _ = bench.runtime.load(&changed).await;
        assert!(bench.runtime.load(&guest[..at]).await.is_err(), "cut at {at}");
    }
    assert!(bench.runtime.load(&guest).await.is_ok());
}

#[tokio::test]
async fn features_that_guests_do_not_need_are_refused() {
    let bench = Bench::new();
    let fields = [
        "(memory $second 1)",
        "(memory $large i64 1)",
        "(tag $t)",
        "(type $s (struct))",
        "(func (result v128) (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0)))",
        "(func (param i32) (result i32) (i32.atomic.load (local.get 0)))",
    ];
    for field in fields {
        // Assembled as a component by hand: the componentizer would refuse some of these itself.
        let component = format!(
            r#"(component (core module (memory 1) {field}) (instance $empty) (export "assay:report/guest@0.1.0" (instance $empty)))"#
        );
        let bytes = wat::parse_str(&component).unwrap();
        assert!(matches!(bench.refusal(&bytes).await, LoadError::Invalid { .. }), "{field}");
    }
}

#[tokio::test]
async fn a_component_of_many_instances_is_refused() {
    let bench = Bench::new();
    let instances = "(core instance (instantiate $m))".repeat(100);
    let guest = format!(
        r#"(component (core module $m (memory 1)) {instances} (instance $empty) (export "assay:report/guest@0.1.0" (instance $empty)))"#
    );
    assert_eq!(bench.refusal(&wat::parse_str(&guest).unwrap()).await, LoadError::TooManyResources);
}

#[tokio::test]
async fn instances_are_counted_alike_with_and_without_a_pool() {
    let guest = |instances: usize| {
        let instances = "(core instance (instantiate $m))".repeat(instances);
        let text = format!(
            r#"(component (core module $m) {instances} (instance $empty) (export "assay:report/guest@0.1.0" (instance $empty)))"#
        );
        wat::parse_str(text).unwrap()
    };
    for allocation in [Allocation::Pooling, Allocation::OnDemand] {
        // Not a whole number of pages, as an operator may set it.
        let bench = Bench::with(|options| {
            options.allocation = allocation;
            options.limits.memory_bytes = (2 << 20) + 1;
        });
        assert_eq!(bench.refusal(&guest(9)).await, LoadError::TooManyResources, "{allocation:?}");
        assert!(bench.images().is_empty(), "{allocation:?}");
        assert_eq!(
            bench.refusal(&guest(8)).await,
            LoadError::WrongTypes,
            "{allocation:?}: they fit, and have no functions"
        );
    }
}

#[tokio::test]
async fn a_manifest_that_cannot_serve_is_refused() {
    let bench = Bench::new();
    let cases = [
        (WatGuest::new("../etc/passwd"), LoadError::Manifest("prompt_version")),
        (WatGuest::new("x").schema("not json"), LoadError::Manifest("schema")),
        (WatGuest::new("x").describe("(unreachable)"), LoadError::Describe(Fault::Trap("unreachable"))),
        (WatGuest::new("x").describe("(i32.const 3)"), LoadError::Describe(Fault::BadOutput("abi"))),
    ];
    for (guest, error) in cases {
        assert_eq!(bench.refusal(&guest.build()).await, error);
    }
}

#[tokio::test]
async fn many_loads_of_one_guest_compile_it_once() {
    let bench = Bench::new();
    let bytes = WatGuest::new("popular").build();
    let loads = (0..8).map(|_| {
        let (runtime, bytes) = (bench.runtime.clone(), bytes.clone());
        tokio::spawn(async move { runtime.load(&bytes).await.unwrap() })
    });
    let mut guests = Vec::new();
    for load in loads.collect::<Vec<_>>() {
        guests.push(load.await.unwrap());
    }
    let digest = guests[0].digest();
    assert!(guests.iter().all(|guest| guest.digest() == digest));
    assert_eq!(bench.images().len(), 1);
    assert!(bench.runtime.loaded(digest).is_some());
    drop(guests);
    assert!(bench.runtime.loaded(digest).is_none(), "the code goes with the last handle");
}

#[tokio::test]
async fn there_is_no_verifier_without_a_generic_guest() {
    let bench = Bench::new();
    assert_eq!(bench.runtime.verifier("{}").await.unwrap_err(), LoadError::NoGeneric);
}
