//! How fast text goes in and out: a guest that returns the answer it is given, untouched.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use assay_runtime::{
    Answer, Runtime, Step, Transcript,
    testing::{WatGuest, kept},
};

use crate::spread::Spread;

/// Where the guest puts what is longer than a slot, and the slots for the rest.
const LARGE: u32 = 128 << 10;
const SLOTS: u32 = 64 << 10;
const SLOT: u32 = 512;

/// What one length of text took, there and back.
pub struct Transfer {
    pub bytes: usize,
    /// In an instance that is kept: the copies alone.
    pub warm: Spread,
    /// From instantiation to drop: with the pages of memory that the text needs.
    pub fresh: Spread,
}

/// Sends texts of each length through.
///
/// # Errors
/// The guest fails, or changes the text.
pub async fn run(runtime: &Runtime, lengths: &[usize], calls: usize) -> Result<Vec<Transfer>> {
    let guest = runtime.load(&echo()).await.context("load the guest that returns its answer")?;
    let transcript = Arc::new(Transcript {
        id: "bench".into(),
        text: String::new(),
        media_type: "text/plain".into(),
        filename: String::new(),
        received_at: "2026-03-02T10:00:00Z".into(),
        attributes: vec![],
    });
    let mut transfers = Vec::new();
    for &bytes in lengths {
        let answers =
            [Answer { text: "Some text. ".chars().cycle().take(bytes).collect::<String>(), model: "m".into() }];
        let same = |step: &Step| matches!(step, Step::Accept(report) if report.document.len() == bytes);
        let mut transfer = Transfer { bytes, warm: Spread::default(), fresh: Spread::default() };
        for _ in 0..calls {
            let call = guest.advance(&transcript, &answers).await;
            transfer.fresh.add(call.elapsed);
            ensure!(same(&call.result?), "the text came back changed");
        }
        let kept = tokio::task::block_in_place(|| {
            kept::keep(&guest, |instance| -> Result<()> {
                for number in 0..=calls {
                    let begun = Instant::now();
                    let step = instance.advance(&transcript, &answers)?;
                    if number > 0 {
                        transfer.warm.add(begun.elapsed());
                    }
                    ensure!(same(&step), "the text came back changed");
                }
                Ok(())
            })
        });
        kept.result??;
        transfers.push(transfer);
    }
    Ok(transfers)
}

/// Arguments go into slots, long ones to a place of their own, the same at every call.
fn echo() -> Vec<u8> {
    let mut guest = WatGuest::new("echo").pages(128);
    let accept = guest.data.accept((0, 0));
    guest
        .fields(&format!("(global $slot (mut i32) (i32.const {SLOTS}))"))
        .allocate(format!(
            "(if (result i32) (i32.gt_u (local.get $len) (i32.const {SLOT}))
               (then (i32.const {LARGE}))
               (else
                 (global.set $slot (i32.add (global.get $slot) (i32.const {SLOT})))
                 (global.get $slot)))"
        ))
        .advance(format!(
            "(global.set $slot (i32.const {SLOTS}))
             (i32.store offset=4 (i32.const {accept}) (i32.load (local.get $answers)))
             (i32.store offset=8 (i32.const {accept}) (i32.load offset=4 (local.get $answers)))
             (i32.const {accept})"
        ))
        .build()
}
