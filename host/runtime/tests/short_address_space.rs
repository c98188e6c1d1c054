//! A machine that grants little address space (`ulimit -v`, a small container, 39-bit addresses): the pool does not fit, guests run all the same.
//!
//! A binary of its own, with one test: the limit holds for the whole process.

use std::sync::Arc;

use assay_runtime::{
    Allocation, Compiler, Fault, Options, Runtime, RuntimeError, Transcript,
    testing::{WatGuest, hostile},
};
use bytes::Bytes;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Less than the pool of 4 memories reserves, more than all else needs.
const ADDRESS_SPACE_BYTES: u64 = 6 << 30;

#[tokio::test]
async fn without_room_for_the_pool_calls_allocate_on_demand() {
    setrlimit(Resource::As, Rlimit { current: Some(ADDRESS_SPACE_BYTES), maximum: Some(ADDRESS_SPACE_BYTES) }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(folder.path().join("cache"), Compiler::InProcess, Bytes::new());
    options.threads = Some(4);

    options.allocation = Allocation::Pooling;
    let refused = Runtime::new(options.clone()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, RuntimeError::Engine(_)), "the limit is as small as the test means it: {refused}");

    options.allocation = Allocation::Auto;
    let runtime = Runtime::new(options).unwrap();
    assert!(!runtime.is_pooling());
    let good = runtime.load(&WatGuest::new("good").build()).await.unwrap();
    let greedy = runtime.load(&hostile::grows_memory_for_ever().build()).await.unwrap();
    let transcript = Arc::new(Transcript {
        id: String::new(),
        text: "text".into(),
        media_type: "text/plain".into(),
        filename: String::new(),
        received_at: "2026-03-02T10:00:00Z".into(),
        attributes: vec![],
    });
    for _ in 0..20 {
        // As many at a time as there are threads.
        let (first, second, third, fourth) = tokio::join!(
            good.advance(&transcript, &[]),
            greedy.advance(&transcript, &[]),
            good.advance(&transcript, &[]),
            good.advance(&transcript, &[]),
        );
        assert!(first.result.is_ok() && third.result.is_ok() && fourth.result.is_ok());
        assert_eq!(second.result, Err(Fault::OutOfMemory));
    }
}
