//! Guests that ask something else for the same answers, as far as a sandbox that is new at each call lets them.

use assay_runtime::testing::WatGuest;
use assay_tests::{Call, Reply};
use uuid::Uuid;

use crate::{
    cases::{End, fails},
    stage::Stage,
};

cases! {
    [written out] {
        a_guest_whose_question_changes_between_attempts => fails("guest_nondeterministic");
        a_guest_that_asks_what_it_remembers_asks_the_same_again => End::Succeeds;
    }
}

/// Asks one question whose text `prepare` puts in place, then another, then accepts. `$content` has the address of the first one's pointer
/// and length.
fn asks(prepare: impl FnOnce(&mut WatGuest, u32) -> String) -> WatGuest {
    let mut guest = WatGuest::new("replayed");
    let prompt = guest.data.prompt((0, 0), None);
    let first = guest.data.ask(&[prompt]);
    let question = guest.data.text("And then?");
    let second = guest.data.prompt(question, None);
    let second = guest.data.ask(&[second]);
    let document = guest.data.text("{}");
    let accept = guest.data.accept(document);
    let prepared = prepare(&mut guest, prompt[0] + 8);
    guest.advance(format!(
        "{prepared}
         (if (i32.gt_u (local.get $answers_len) (i32.const 1)) (then (return (i32.const {accept}))))
         (select (i32.const {second}) (i32.const {first}) (local.get $answers_len))"
    ))
}

/// Returns a job of the guest whose first question is answered, and whose second one fails so that it is tried again later.
async fn with_a_journal(guest: WatGuest) -> (Stage, Uuid) {
    let mut stage = Stage::start(guest, &[("JOB_BACKOFF_MS", "3600000")]).await;
    stage.world.model.push(Reply::answer("{}"));
    stage.world.model.push(Reply::status(500, "{}"));
    let file = stage.enqueue_hostile().await;
    stage.world.wait_for_job(file, |job| job.last_error_code.as_deref() == Some("llm_provider_5xx")).await;
    (stage, file)
}

/// Tries it again, beside neighbours.
async fn again(stage: &mut Stage, file: Uuid) {
    stage.world.make_due(file).await;
    for _ in 0..4 {
        stage.enqueue_neighbour().await;
    }
    stage.neighbours_succeed().await;
}

fn asked(stage: &Stage, question: &str) -> usize {
    stage.world.model.requests().iter().map(Call::text).filter(|text| text == question).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_whose_question_changes_between_attempts() {
    let guest = asks(|_, content| {
        format!(
            "(i32.store (i32.const {content}) (local.get $filename))
             (i32.store offset=4 (i32.const {content}) (local.get $filename_len))"
        )
    });
    let (mut stage, file) = with_a_journal(guest).await;
    // All that a guest sees is its arguments, so its question can change only with them: here an application renames the file.
    sqlx::query("UPDATE files SET original_filename = 'renamed.txt' WHERE id = $1")
        .bind(file)
        .execute(stage.world.database.pool())
        .await
        .expect("an update of the file");
    again(&mut stage, file).await;
    let row = stage.fails(file, "guest_nondeterministic", 2).await;
    assert!(row.storage_key_raw_llm_output.is_some(), "the answer that was paid for is kept");
    assert_eq!((asked(&stage, "meeting.txt"), asked(&stage, "renamed.txt")), (1, 0), "the other one was never asked");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_asks_what_it_remembers_asks_the_same_again() {
    // How often it was called, as its memory and a global have it.
    let guest = asks(|guest, content| {
        let (at, length) = guest.data.text("0 0");
        format!(
            "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
             (i32.store8 (i32.const {at}) (i32.add (i32.load8_u (i32.const {at})) (i32.const 1)))
             (i32.store8 (i32.const {}) (global.get $calls))
             (i32.store (i32.const {content}) (i32.const {at}))
             (i32.store offset=4 (i32.const {content}) (i32.const {length}))",
            at + 2
        )
    });
    let (mut stage, file) = with_a_journal(guest.fields("(global $calls (mut i32) (i32.const 48))")).await;
    again(&mut stage, file).await;
    stage.world.wait_for_status(file, "succeeded").await;
    assert_eq!(asked(&stage, "1 1"), 1, "every call is its first, so the journaled answer serves");
    stage.close().await;
}
