//! What production never does: an instance that is called more than once, and one that is not called at all. For
//! measurements.

use std::{sync::Arc, time::Duration};

use wasmtime::Store;

use crate::{
    bindings::ReportGuest,
    call::Call,
    contract::{Answer, Finding, Step, Transcript},
    engine,
    fault::{Fault, Stage, classify},
    guest::Guest,
    sandbox::State,
};

/// Instantiates a guest on this thread and drops the instance.
pub fn instantiate(guest: &Guest) -> Call<()> {
    guest.0.code.host.sandbox.run(&guest.0.code.linked, Duration::ZERO, |_, _| Ok(()))
}

/// Runs `body` with one instance of a guest, on this thread. Each call has the whole time limit; the memory is the same
/// for all.
pub fn keep<T>(guest: &Guest, body: impl FnOnce(&mut Kept<'_>) -> T) -> Call<T> {
    let sandbox = &guest.0.code.host.sandbox;
    let ticks = engine::ticks(sandbox.limits.call);
    sandbox.run(&guest.0.code.linked, Duration::ZERO, |guest, store| Ok(body(&mut Kept { guest, store, ticks })))
}

/// An instance that is kept.
pub struct Kept<'a> {
    guest: &'a ReportGuest,
    store: &'a mut Store<State>,
    ticks: u64,
}

impl Kept<'_> {
    /// One step.
    ///
    /// # Errors
    /// The guest's fault. After one no call works any more.
    pub fn advance(&mut self, transcript: &Arc<Transcript>, answers: &[Answer]) -> Result<Step, Fault> {
        self.store.set_epoch_deadline(self.ticks);
        let called = self.guest.assay_report_guest().call_advance(&mut *self.store, transcript, answers);
        called.map_err(|error| classify(&error, Stage::Call))
    }

    /// Validates a stored document.
    ///
    /// # Errors
    /// As [`Self::advance`].
    pub fn check(&mut self, document: &str) -> Result<Vec<Finding>, Fault> {
        self.store.set_epoch_deadline(self.ticks);
        let called = self.guest.assay_report_guest().call_check(&mut *self.store, document);
        called.map_err(|error| classify(&error, Stage::Call))
    }
}
