//! For measurements only: an instance with several calls, and one without a call. Production never does either.

use std::{sync::Arc, time::Duration};

use wasmtime::Store;

use crate::{
    bindings::ReportGuest,
    call::Call,
    call_state::CallState,
    contract::{Answer, Finding, Step, Transcript},
    engine,
    fault::{CallStage, Fault, classify},
    guest::Guest,
};

/// Instantiates a guest on this thread and drops the instance.
pub fn instantiate(guest: &Guest) -> Call<()> {
    guest.0.code.host.sandbox.run(&guest.0.code.linked, Duration::ZERO, |_, _| Ok(()))
}

/// Runs `body` with one instance of a guest, on this thread. Each call has the whole time limit; all share one memory.
pub fn keep<T>(guest: &Guest, body: impl FnOnce(&mut KeptInstance<'_>) -> T) -> Call<T> {
    let sandbox = &guest.0.code.host.sandbox;
    let ticks = engine::ticks(sandbox.limits.call);
    sandbox
        .run(&guest.0.code.linked, Duration::ZERO, |guest, store| Ok(body(&mut KeptInstance { guest, store, ticks })))
}

/// An instance that stays alive between calls.
pub struct KeptInstance<'a> {
    guest: &'a ReportGuest,
    store: &'a mut Store<CallState>,
    ticks: u64,
}

impl KeptInstance<'_> {
    /// Runs one step.
    ///
    /// # Errors
    /// The guest's [`Fault`]. After a fault every call fails.
    pub fn advance(&mut self, transcript: &Arc<Transcript>, answers: &[Answer]) -> Result<Step, Fault> {
        self.store.set_epoch_deadline(self.ticks);
        let called = self.guest.assay_report_guest().call_advance(&mut *self.store, transcript, answers);
        called.map_err(|error| classify(&error, CallStage::Call))
    }

    /// Validates a document, JSON as text.
    ///
    /// # Errors
    /// As [`Self::advance`].
    pub fn check(&mut self, document: &str) -> Result<Vec<Finding>, Fault> {
        self.store.set_epoch_deadline(self.ticks);
        let called = self.guest.assay_report_guest().call_check(&mut *self.store, document);
        called.map_err(|error| classify(&error, CallStage::Call))
    }
}
