//! Loaded guests, which the host calls.

use std::{sync::Arc, time::Instant};

use assay_core::digest::Digest;
use wasmtime::Store;

use crate::{
    bindings::{ReportGuest, ReportGuestPre},
    call::Call,
    call_state::CallState,
    contract::{Answer, Finding, Manifest, Step, Transcript},
    fault::Fault,
    output,
    pool::Pool,
    sandbox::Sandbox,
};

/// An admitted guest. Cheap to clone; dropping the last clone frees the compiled code.
#[derive(Clone)]
pub struct Guest(pub(crate) Arc<DescribedGuest>);

/// The second check of a document against a schema, made from the generic guest. Cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    code: Arc<GuestCode>,
    /// The guest whose lane its calls wait in.
    lane: Digest,
}

/// A guest's code with its manifest.
pub(crate) struct DescribedGuest {
    pub(crate) code: Arc<GuestCode>,
    pub(crate) manifest: Manifest,
}

/// Compiled and linked code, ready for calls.
pub(crate) struct GuestCode {
    pub(crate) digest: Digest,
    pub(crate) linked: ReportGuestPre<CallState>,
    pub(crate) host: Arc<CallHost>,
}

/// Sandbox and threads of calls.
pub(crate) struct CallHost {
    pub(crate) sandbox: Sandbox,
    pub(crate) pool: Pool,
}

impl Guest {
    /// Returns the sha256 of its bytes.
    pub fn digest(&self) -> Digest {
        self.0.code.digest
    }

    /// Returns its manifest, checked at load.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// Runs one step with the document and the answers so far.
    ///
    /// Dropping the future removes a waiting call. A running call ends at its time limit at the latest, and its result is dropped.
    pub async fn advance(&self, transcript: &Arc<Transcript>, answers: &[Answer]) -> Call<Step> {
        let transcript = Arc::clone(transcript);
        let answers = answers.to_vec();
        let body = move |guest: &ReportGuest, store: &mut Store<CallState>| {
            guest.assay_report_guest().call_advance(store, &transcript, &answers)
        };
        self.0.code.call(self.digest(), body, output::step).await
    }

    /// Validates a document, JSON as text; no findings means valid.
    pub async fn check(&self, document: &str) -> Call<Vec<Finding>> {
        self.0.code.check(self.digest(), document).await
    }
}

impl Verifier {
    pub(crate) fn new(code: Arc<GuestCode>) -> Self {
        Self { lane: code.digest, code }
    }

    /// Moves the check into the lane of `guest`: both count as one guest, and together they leave a thread to other guests. Two
    /// guests with one schema share the code, never the lane.
    #[must_use]
    pub fn beside(self, guest: &Guest) -> Self {
        Self { lane: guest.digest(), ..self }
    }

    /// Validates a document, JSON as text, against the schema; no findings means valid.
    pub async fn check(&self, document: &str) -> Call<Vec<Finding>> {
        self.code.check(self.lane, document).await
    }
}

impl GuestCode {
    /// Returns the guest's manifest, unchecked.
    pub(crate) async fn describe(self: &Arc<Self>) -> Call<Manifest> {
        let body = |guest: &ReportGuest, store: &mut Store<CallState>| guest.assay_report_guest().call_describe(store);
        self.call(self.digest, body, |manifest, _| Ok(manifest)).await
    }

    async fn check(self: &Arc<Self>, lane: Digest, document: &str) -> Call<Vec<Finding>> {
        let document = document.to_owned();
        let body = move |guest: &ReportGuest, store: &mut Store<CallState>| {
            guest.assay_report_guest().call_check(store, &document)
        };
        self.call(lane, body, output::findings).await
    }

    /// Runs `body` in its own sandbox on a guest thread, in its turn in `lane`; `validate` checks the value on that thread.
    async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        lane: Digest,
        body: impl FnOnce(&ReportGuest, &mut Store<CallState>) -> wasmtime::Result<T> + Send + 'static,
        validate: fn(T, usize) -> Result<T, Fault>,
    ) -> Call<T> {
        let asked = Instant::now();
        let code = Arc::clone(self);
        let work = move |queued| {
            let sandbox = &code.host.sandbox;
            let max_records = sandbox.limits.output_records;
            sandbox.run(&code.linked, queued, body).and_then(|value| validate(value, max_records))
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
    use crate::{
        options::{Compiler, Options},
        runtime::Runtime,
        testing::WatGuest,
    };

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
