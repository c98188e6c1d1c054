//! Guests that import WASI, under `GUEST_WASI=deny-all`: they find nothing, and what they may not do ends their call.

use std::time::Duration;

use assay_runtime::{
    Allocation, Call, Fault, LoadError, Runtime, Step, Wasi,
    testing::{WatGuest, wasi},
};

use crate::support::{Bench, options, transcript};

fn bench() -> Bench {
    Bench::with(|options| options.wasi = Wasi::DenyAll)
}

/// Returns the numbers that a guest reports.
fn reported(call: Call<Step>) -> Vec<u64> {
    match call.result {
        Ok(Step::Accept(report)) => wasi::numbers_in(&report.document),
        other => panic!("{other:?}"),
    }
}

async fn report_of(guest: WatGuest) -> Vec<u64> {
    reported(bench().first_step(guest).await)
}

#[tokio::test]
async fn a_guest_that_imports_wasi_loads_only_when_configured() {
    let bench = bench();
    let bytes = wasi::reads_the_environment().build();
    let digest = bench.runtime.load(&bytes).await.unwrap().digest();

    // Its image is in the cache, and the same engine would take it.
    let closed = Runtime::new(options(bench.folder.path())).unwrap();
    assert_eq!(closed.load(&bytes).await.unwrap_err(), LoadError::WasiImport);
    assert_eq!(closed.load_cached(digest).await.unwrap_err(), LoadError::WasiImport);
    assert_eq!(Bench::new().refusal(&bytes).await, LoadError::WasiImport, "nor is it compiled");
}

#[tokio::test]
async fn foreign_imports_are_refused_with_wasi_too() {
    let bench = bench();
    let foreign = assay_runtime::testing::hostile::imports("acme:files/read@1.0.0");
    assert_eq!(bench.refusal(&foreign).await, LoadError::ForeignImport);
    let other_log = r#"(component
      (import "assay:report/log@0.1.0" (instance (export "emit" (func (param "message" string)))))
      (instance $empty)
      (export "assay:report/guest@0.1.0" (instance $empty)))"#;
    assert_eq!(bench.refusal(&wat::parse_str(other_log).unwrap()).await, LoadError::WrongTypes);
}

#[tokio::test]
async fn a_guest_finds_an_empty_environment() {
    assert_eq!(report_of(wasi::reads_the_environment()).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_guest_finds_no_folders_and_opens_no_file() {
    assert_eq!(report_of(wasi::looks_for_folders()).await, [0]);
    assert_eq!(bench().first_step(wasi::opens_a_file()).await.result, Err(Fault::Trap("unknown_handle")));
}

#[tokio::test]
async fn a_guest_reaches_no_network() {
    assert_eq!(bench().first_step(wasi::opens_a_connection()).await.result, Err(Fault::Trap("wasi_denied")));
}

#[tokio::test]
async fn a_guests_clocks_stand_still() {
    assert_eq!(report_of(wasi::reports_the_time()).await, [0, 0, 0, 0]);
}

#[tokio::test]
async fn random_numbers_are_the_same_in_every_call_and_process() {
    let bench = bench();
    let guest = bench.load(wasi::reports_random_numbers()).await;
    let first = reported(guest.advance(&transcript(), &[]).await);
    assert_eq!(reported(guest.advance(&transcript(), &[]).await), first);
    assert_eq!(report_of(wasi::reports_random_numbers()).await, first, "in another runtime");
    let mut distinct = first.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), first.len(), "a guest that draws until a number is new ends");

    let call = bench.first_step(wasi::asks_for_a_gigabyte_of_random_bytes()).await;
    assert_eq!(call.result, Err(Fault::Trap("wasi_denied")));
}

#[tokio::test]
async fn a_guest_that_sleeps_ends_at_once_and_holds_no_thread() {
    let bench = Bench::with(|options| {
        options.wasi = Wasi::DenyAll;
        options.threads = Some(2);
        // Longer than any test is waited for: a sleep that held its thread would show.
        options.limits.call = Duration::from_secs(24 * 3600);
    });
    let good = bench.load(WatGuest::new("good")).await;
    for guest in [wasi::sleeps(), wasi::polls_nothing()] {
        let guest = bench.load(guest).await;
        // More than there are threads.
        for _ in 0..4 {
            assert_eq!(guest.advance(&transcript(), &[]).await.result, Err(Fault::Trap("wasi_denied")));
        }
        assert!(good.advance(&transcript(), &[]).await.result.is_ok());
    }
}

#[tokio::test]
async fn a_guest_that_waits_for_the_clock_is_stopped_at_its_limit() {
    let bench = Bench::with(|options| {
        options.wasi = Wasi::DenyAll;
        options.limits.call = Duration::from_millis(100);
    });
    assert_eq!(bench.first_step(wasi::waits_for_the_clock()).await.result, Err(Fault::Timeout));
}

#[tokio::test]
async fn output_is_dropped_and_input_has_ended() {
    let found = report_of(wasi::prints_and_reads()).await;
    let [printed, wrote, asked, room, read, terminal] = found[..] else { panic!("{found:?}") };
    assert_eq!((printed, wrote, asked, terminal), (0, 0, 0, 0));
    assert!(room > 0, "a guest that waits for room ends");
    assert_eq!(read, 1, "an error: the end");
}

#[tokio::test]
async fn a_guest_that_exits_ends_its_call_alone() {
    let bench = bench();
    let guest = bench.load(wasi::exits()).await;
    for _ in 0..2 {
        assert_eq!(guest.advance(&transcript(), &[]).await.result, Err(Fault::Trap("wasi_denied")));
    }
}

#[tokio::test]
async fn a_guest_cannot_fill_the_hosts_memory_with_handles() {
    for allocation in [Allocation::Pooling, Allocation::OnDemand] {
        let bench = Bench::with(|options| {
            options.wasi = Wasi::DenyAll;
            options.allocation = allocation;
        });
        assert_eq!(bench.first_step(wasi::hoards_handles()).await.result, Err(Fault::Trap("wasi_denied")));
    }
}
