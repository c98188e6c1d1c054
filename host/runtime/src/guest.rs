//! Loaded guests: what the host calls.

use std::{sync::Arc, time::Instant};

use assay_core::digest::Digest;
use wasmtime::Store;

use crate::{
    bindings::{ReportGuest, ReportGuestPre},
    call::Call,
    contract::{Answer, Finding, Manifest, Step, Transcript},
    fault::Fault,
    output,
    pool::Pool,
    sandbox::{Sandbox, State},
};

/// An admitted guest. Cheap to clone; the compiled code goes with the last clone.
#[derive(Clone)]
pub struct Guest(pub(crate) Arc<Described>);

/// The second check of a document against a schema, made from the generic guest. Cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    code: Arc<Code>,
    /// Whose calls it shares the threads with.
    lane: Digest,
}

/// A guest's code with what it says about itself.
pub(crate) struct Described {
    pub(crate) code: Arc<Code>,
    pub(crate) manifest: Manifest,
}

/// Compiled and linked code, ready for calls.
pub(crate) struct Code {
    pub(crate) digest: Digest,
    pub(crate) linked: ReportGuestPre<State>,
    pub(crate) host: Arc<Host>,
}

/// Where calls run.
pub(crate) struct Host {
    pub(crate) sandbox: Sandbox,
    pub(crate) pool: Pool,
}

impl Guest {
    /// The sha256 of its bytes.
    pub fn digest(&self) -> Digest {
        self.0.code.digest
    }

    /// What it says about itself; checked at load.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// One step: what the guest wants, given the document and the answers so far.
    ///
    /// Dropping the future gives up a waiting call; a running one ends at its limit at the latest, and its result is dropped.
    pub async fn advance(&self, transcript: &Arc<Transcript>, answers: &[Answer]) -> Call<Step> {
        let transcript = Arc::clone(transcript);
        let answers = answers.to_vec();
        let body = move |guest: &ReportGuest, store: &mut Store<State>| {
            guest.assay_report_guest().call_advance(store, &transcript, &answers)
        };
        self.0.code.call(self.digest(), body, output::step).await
    }

    /// Validates a stored document.
    pub async fn check(&self, document: &str) -> Call<Vec<Finding>> {
        self.0.code.check(self.digest(), document).await
    }
}

impl Verifier {
    pub(crate) fn new(code: Arc<Code>) -> Self {
        Self { lane: code.digest, code }
    }

    /// The same check in the lane of `guest`: what the two compute counts as one guest's, and together they leave a thread to
    /// the others. Two guests with one schema share the code, never the lane.
    #[must_use]
    pub fn beside(self, guest: &Guest) -> Self {
        Self { lane: guest.digest(), ..self }
    }

    /// Validates a document against the schema; no findings means that it holds.
    pub async fn check(&self, document: &str) -> Call<Vec<Finding>> {
        self.code.check(self.lane, document).await
    }
}

impl Code {
    /// What the guest says about itself, unchecked.
    pub(crate) async fn describe(self: &Arc<Self>) -> Call<Manifest> {
        let body = |guest: &ReportGuest, store: &mut Store<State>| guest.assay_report_guest().call_describe(store);
        self.call(self.digest, body, |manifest, _| Ok(manifest)).await
    }

    async fn check(self: &Arc<Self>, lane: Digest, document: &str) -> Call<Vec<Finding>> {
        let document = document.to_owned();
        let body = move |guest: &ReportGuest, store: &mut Store<State>| {
            guest.assay_report_guest().call_check(store, &document)
        };
        self.call(lane, body, output::findings).await
    }

    /// Runs `body` on a guest thread, in its turn in `lane`, in a sandbox of its own, and has `judge` look at the value there.
    async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        lane: Digest,
        body: impl FnOnce(&ReportGuest, &mut Store<State>) -> wasmtime::Result<T> + Send + 'static,
        judge: fn(T, usize) -> Result<T, Fault>,
    ) -> Call<T> {
        let asked = Instant::now();
        let code = Arc::clone(self);
        let work = move |queued| {
            let sandbox = &code.host.sandbox;
            let max_records = sandbox.limits.output_records;
            sandbox.run(&code.linked, queued, body).and_then(|value| judge(value, max_records))
        };
        let done = self.host.pool.run(lane, work).await;
        done.unwrap_or_else(|| Call::never_ran(Fault::Unavailable, asked.elapsed()))
    }
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("digest", &self.digest()).field("manifest", &self.0.manifest).finish()
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("digest", &self.code.digest).finish()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Compiler, Options, Runtime, testing::WatGuest};

    #[tokio::test]
    async fn a_panic_of_the_host_costs_one_call() {
        let folder = tempfile::tempdir().unwrap();
        let runtime =
            Runtime::new(Options::new(folder.path().join("cache"), Compiler::InProcess, Bytes::new())).unwrap();
        let guest = runtime.load(&WatGuest::new("good").build()).await.unwrap();
        // More often than there are threads.
        for _ in 0..2 * std::thread::available_parallelism().unwrap().get().max(4) {
            let call = guest.0.code.call(
                guest.digest(),
                |_, _| -> wasmtime::Result<()> { panic!("on purpose") },
                |value, _| Ok(value),
            );
            assert_eq!(call.await.result, Err(Fault::HostPanic));
        }
        assert_eq!(guest.check("{}").await.result, Ok(vec![]));
    }
}
