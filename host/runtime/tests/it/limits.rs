//! Every limit of the runtime, each hit by a guest.

use std::time::{Duration, Instant};

use assay_runtime::{
    Allocation, Fault, Limits, LoadError, Step,
    testing::{WatGuest, hostile},
};

use crate::support::{Bench, transcript};

const SHORT: Duration = Duration::from_millis(100);

fn short() -> Bench {
    Bench::with_limits(|limits| limits.call = SHORT)
}

#[test]
fn the_default_limits_are_as_documented() {
    let limits = Limits::default();
    assert_eq!(limits.call, Duration::from_secs(2));
    assert_eq!(limits.memory_bytes, 64 << 20);
    assert_eq!(limits.output_bytes, 8 << 20);
    assert_eq!((limits.table_elements, limits.stack_bytes), (20_000, 512 << 10));
    assert_eq!((limits.log_lines, limits.log_line_bytes), (64, 1 << 10));
    assert_eq!(limits.component_bytes, 32 << 20);
}

#[tokio::test]
async fn a_guest_that_never_returns_is_stopped() {
    let bench = short();
    for guest in [hostile::spins_in_advance(), hostile::fills_memory_for_ever()] {
        let call = bench.first_step(guest).await;
        assert_eq!(call.result, Err(Fault::Timeout));
        assert!(call.elapsed >= SHORT, "not before its time: {:?}", call.elapsed);
        assert!(call.elapsed < SHORT * 20, "but soon after: {:?}", call.elapsed);
    }
    let guest = bench.load(hostile::spins_in_check()).await;
    assert_eq!(guest.check("{}").await.result, Err(Fault::Timeout));
}

#[tokio::test]
async fn a_guest_that_never_starts_does_not_load() {
    let bench = short();
    for guest in [hostile::spins_in_describe(), hostile::spins_in_start()] {
        assert_eq!(bench.refusal(&guest.build()).await, LoadError::Describe(Fault::Timeout));
    }
}

#[tokio::test]
async fn neighbours_go_on_while_a_guest_spins() {
    const LONG: Duration = Duration::from_secs(10);
    let bench = Bench::with_limits(|limits| limits.call = LONG);
    let spinning = bench.load(hostile::spins_in_advance()).await;
    let good = bench.load(WatGuest::new("good")).await;
    // More than there are threads.
    let spins: Vec<_> = (0..6)
        .map(|_| {
            let guest = spinning.clone();
            tokio::spawn(async move { guest.advance(&transcript(), &[]).await.result })
        })
        .collect();
    tokio::task::yield_now().await;
    let begun = Instant::now();
    for _ in 0..100 {
        assert!(good.advance(&transcript(), &[]).await.result.is_ok());
    }
    assert!(begun.elapsed() < LONG, "a hundred calls in {:?}, while others spun", begun.elapsed());
    assert!(spins.iter().all(|spin| !spin.is_finished()), "they spun all the while");
    drop(spins);
}

#[tokio::test]
async fn waiting_for_a_thread_is_not_the_guests_time() {
    let bench = Bench::with(|options| {
        options.threads = Some(2);
        options.limits.call = SHORT;
    });
    let spinning = bench.load(hostile::spins_in_advance()).await;
    let transcript = transcript();
    // One lane, and one thread for it: they run one after another.
    let (first, second) = tokio::join!(spinning.advance(&transcript, &[]), spinning.advance(&transcript, &[]));
    let (early, late) = if first.queued < second.queued { (first, second) } else { (second, first) };
    assert_eq!((early.result, late.result), (Err(Fault::Timeout), Err(Fault::Timeout)));
    assert!(late.queued >= SHORT, "it waited: {:?}", late.queued);
    assert!(late.elapsed >= SHORT, "and still had its time: {:?}", late.elapsed);
}

#[tokio::test]
async fn a_call_without_a_caller_gives_its_thread_back() {
    let bench = Bench::with(|options| {
        options.threads = Some(2);
        options.limits.call = SHORT * 3;
    });
    let spinning = bench.load(hostile::spins_in_advance()).await;
    let transcript = transcript();
    for _ in 0..8 {
        let call = tokio::time::timeout(Duration::from_millis(10), spinning.advance(&transcript, &[])).await;
        assert!(call.is_err(), "the caller is gone");
    }
    // One of the eight runs; the other seven left their places.
    let call = spinning.advance(&transcript, &[]).await;
    assert_eq!(call.result, Err(Fault::Timeout));
    assert!(call.queued < SHORT * 12, "it waited for one of them, not for eight: {:?}", call.queued);
}

#[tokio::test]
async fn a_guest_cannot_allocate_past_its_limit() {
    for allocation in [Allocation::Pooling, Allocation::OnDemand] {
        let bench = Bench::with(|options| options.allocation = allocation);
        let call = bench.first_step(hostile::grows_memory_for_ever()).await;
        assert_eq!(call.result, Err(Fault::OutOfMemory));
        assert_eq!(call.peak_memory, 64 << 20);
        let call = bench.first_step(hostile::grows_memory_by_four_gigabytes()).await;
        assert_eq!(call.result, Err(Fault::OutOfMemory));
        assert_eq!(bench.refusal(&hostile::begins_with_much_memory().build()).await, LoadError::TooManyResources);
    }
}

#[tokio::test]
async fn a_document_larger_than_the_guests_memory_is_a_fault() {
    let bench = Bench::with_limits(|limits| limits.memory_bytes = 1 << 20);
    let guest = bench.load(WatGuest::new("small")).await;
    let mut large = (*transcript()).clone();
    large.text = "x".repeat(2 << 20);
    assert_eq!(guest.advance(&large.into(), &[]).await.result, Err(Fault::OutOfMemory));
}

#[tokio::test]
async fn a_guest_cannot_grow_tables_past_their_limit() {
    for allocation in [Allocation::Pooling, Allocation::OnDemand] {
        let bench = Bench::with(|options| options.allocation = allocation);
        assert_eq!(bench.first_step(hostile::grows_a_table_for_ever()).await.result, Err(Fault::OutOfTable));
        assert_eq!(bench.refusal(&hostile::begins_with_a_large_table().build()).await, LoadError::TooManyResources);
    }
}

#[tokio::test]
async fn a_guest_cannot_recurse_past_its_stack() {
    let bench = Bench::new();
    assert_eq!(bench.first_step(hostile::recurses_for_ever()).await.result, Err(Fault::StackOverflow));
}

#[tokio::test]
async fn a_guest_cannot_return_more_than_its_limit() {
    let bench = Bench::new();
    let document = |step: Step| match step {
        Step::Accept(report) => report.document.len(),
        step => panic!("{step:?}"),
    };
    let most = (8 << 20) - 4096;
    assert_eq!(document(bench.first_step(hostile::returns_a_text_of(most)).await.result.unwrap()), most as usize);
    assert_eq!(bench.first_step(hostile::returns_a_text_of((8 << 20) + 1)).await.result, Err(Fault::OutputTooLarge));
    assert_eq!(bench.first_step(hostile::returns_a_text_of(48 << 20)).await.result, Err(Fault::OutputTooLarge));
}

#[tokio::test]
async fn a_guest_cannot_return_a_flood_of_records() {
    let bench = Bench::new();
    let asked = bench.first_step(hostile::asks_many(5_000)).await.result;
    assert!(matches!(asked, Ok(Step::Ask(prompts)) if prompts.len() == 5_000));
    assert_eq!(
        bench.first_step(hostile::asks_many(5_001)).await.result,
        Err(Fault::OutputTooLarge),
        "prompts and messages together"
    );
    assert_eq!(bench.first_step(hostile::asks_many(1_000_000)).await.result, Err(Fault::OutputTooLarge));
}

#[tokio::test]
async fn values_outside_the_contract_are_refused_by_kind() {
    let bench = Bench::new();
    let cases = [
        (hostile::returns_invalid_utf8(), "utf-8"),
        (hostile::logs_invalid_utf8(), "utf-8"),
        (hostile::returns_a_text_out_of_bounds(), "abi"),
        (hostile::returns_a_text_past_the_address_space(), "abi"),
        (hostile::returns_an_unknown_case(), "abi"),
        (hostile::returns_a_misaligned_pointer(), "abi"),
        (hostile::returns_a_pointer_out_of_bounds(), "abi"),
        (hostile::allocates_out_of_bounds(), "abi"),
        (hostile::asks_nothing(), "no_prompts"),
    ];
    for (guest, detail) in cases {
        let name = format!("{guest:?}");
        assert_eq!(bench.first_step(guest).await.result, Err(Fault::BadOutput(detail)), "{name}");
    }
}

#[tokio::test]
async fn a_log_line_is_bounded_before_it_is_read() {
    let bench = Bench::new();
    assert_eq!(bench.first_step(hostile::logs_a_line_of(9 << 20)).await.result, Err(Fault::OutputTooLarge));
}

#[tokio::test]
async fn every_kind_of_trap_has_its_name() {
    let bench = Bench::new();
    for (word, body) in hostile::TRAPS {
        let call = bench.first_step(hostile::traps(body)).await;
        assert_eq!(call.result, Err(Fault::Trap(word)), "{body}");
    }
}

#[tokio::test]
async fn a_trap_after_the_result_takes_the_result_with_it() {
    let bench = Bench::new();
    let call = bench.first_step(hostile::traps_after_returning()).await;
    assert_eq!(call.result, Err(Fault::Trap("unreachable")));
}
