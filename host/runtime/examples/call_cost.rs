//! What one call costs beyond the guest's own work: `cargo run -p assay-runtime --features testing --example call_cost [--release]`.
//!
//! Times are of the sandbox alone (instantiate to drop) and of the whole call as an async caller sees it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use assay_runtime::{Allocation, Compiler, Options, Runtime, Transcript, testing::WatGuest};
use bytes::Bytes;

const CALLS: usize = 20_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let transcript = Arc::new(Transcript {
        id: "file".into(),
        text: "x".repeat(6 << 10),
        media_type: "text/plain".into(),
        filename: "call.txt".into(),
        received_at: "2026-03-02T10:00:00Z".into(),
        attributes: vec![],
    });
    for allocation in [Allocation::Pooling, Allocation::OnDemand] {
        let folder = tempfile::tempdir()?;
        let mut options = Options::new(folder.path().join("cache"), Compiler::InProcess, Bytes::new());
        options.allocation = allocation;
        let guest = Runtime::new(options)?.load(&WatGuest::new("tiny").build()).await?;
        let (mut inside, mut outside) = (Vec::with_capacity(CALLS), Vec::with_capacity(CALLS));
        for _ in 0..CALLS {
            let begun = Instant::now();
            let call = guest.advance(&transcript, &[]).await;
            outside.push(begun.elapsed());
            call.result?;
            inside.push(call.elapsed);
        }
        println!("{allocation:?}: sandbox {}; whole call {}", spread(inside), spread(outside));
    }
    Ok(())
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    format!("p50 {:?}, p99 {:?}", times[times.len() / 2], times[times.len() * 99 / 100])
}
