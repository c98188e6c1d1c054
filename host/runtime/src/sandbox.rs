//! One guest call: a store and an instance that live for it alone, with every limit set before the instance exists.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use wasmtime::{
    Engine, ResourceLimiter, Store,
    component::{Component, HasSelf, InstancePre, Linker},
};

use crate::{
    bindings::{ReportGuest, ReportGuestPre, log, types},
    call::{Call, LogLine},
    engine::{self, CORE_INSTANCES_PER_GUEST, MEMORIES_PER_GUEST, TABLES_PER_GUEST},
    fault::{Fault, Stage, classify},
    limits::Limits,
    log_capture::LogCapture,
    options::{Metering, Wasi},
};

/// What every call of a runtime shares.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) engine: Engine,
    pub(crate) limits: Limits,
    pub(crate) metering: Metering,
    pub(crate) wasi: Wasi,
}

/// The host's side of one call.
pub(crate) struct State {
    meter: Meter,
    log: LogCapture,
    limits: Limits,
    #[cfg(feature = "wasi")]
    pub(crate) wasi: crate::wasi::Given,
}

impl Sandbox {
    /// Resolves the guest's imports once, so that a call has nothing left to look up.
    ///
    /// # Errors
    /// The engine's, where an import is missing or has another type.
    pub(crate) fn link(&self, component: &Component) -> wasmtime::Result<InstancePre<State>> {
        let mut linker = Linker::<State>::new(&self.engine);
        ReportGuest::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
        match self.wasi {
            Wasi::Off => {}
            #[cfg(feature = "wasi")]
            Wasi::DenyAll => crate::wasi::link(&mut linker, component)?,
        }
        linker.instantiate_pre(component)
    }

    /// Runs `body` on a fresh instance of `guest` and drops both.
    ///
    /// Blocks for at most about `Limits::call`: only for threads of the guest pool.
    pub(crate) fn run<T>(
        &self,
        guest: &ReportGuestPre<State>,
        queued: Duration,
        body: impl FnOnce(&ReportGuest, &mut Store<State>) -> wasmtime::Result<T>,
    ) -> Call<T> {
        let started = Instant::now();
        // A panic of the host's side must cost this call, not the thread and its place in the pool. Nothing that it could leave half done outlives the closure.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.run_unguarded(guest, body)));
        let Ok((result, fuel, state)) = outcome else {
            return Call { elapsed: started.elapsed(), ..Call::never_ran(Fault::HostPanic, queued) };
        };
        Call {
            result,
            elapsed: started.elapsed(),
            queued,
            peak_memory: state.meter.peak_memory,
            fuel,
            log: state.log.lines,
            dropped_log_lines: state.log.dropped,
        }
    }

    fn run_unguarded<T>(
        &self,
        guest: &ReportGuestPre<State>,
        body: impl FnOnce(&ReportGuest, &mut Store<State>) -> wasmtime::Result<T>,
    ) -> (Result<T, Fault>, Option<u64>, State) {
        let mut store = self.store();
        let result = match guest.instantiate(&mut store) {
            Err(error) => Err(classify(&error, Stage::Instantiate)),
            Ok(instance) => body(&instance, &mut store).map_err(|error| classify(&error, Stage::Call)),
        };
        let fuel = match self.metering {
            Metering::Off => None,
            Metering::Fuel(budget) => store.get_fuel().ok().map(|left| budget.saturating_sub(left)),
        };
        (result, fuel, store.into_data())
    }

    fn store(&self) -> Store<State> {
        let limits = self.limits.clone();
        let state = State {
            meter: Meter::new(&limits),
            log: LogCapture::default(),
            limits,
            #[cfg(feature = "wasi")]
            wasi: crate::wasi::Given::default(),
        };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.meter);
        store.set_hostcall_fuel(self.limits.output_bytes);
        store.set_epoch_deadline(engine::ticks(self.limits.call));
        store.epoch_deadline_trap();
        if let Metering::Fuel(budget) = self.metering {
            store.set_fuel(budget).expect("a metered runtime's engine is built with fuel");
        }
        store
    }
}

impl types::Host for &mut State {}

impl log::Host for &mut State {
    fn room(&mut self) -> Option<usize> {
        self.log.room(self.limits.log_lines).then_some(self.limits.log_line_bytes)
    }

    fn keep(&mut self, line: LogLine) {
        self.log.lines.push(line);
    }
}

/// A limit of the store's that the guest hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Exceeded {
    #[error("the memory limit was hit")]
    Memory,
    #[error("the table limit was hit")]
    Table,
}

/// Counts memory and table elements over all of a guest's memories and tables; a refusal ends the call, so that no guest limps on without its allocator.
#[derive(Debug)]
struct Meter {
    memory: usize,
    peak_memory: usize,
    max_memory: usize,
    elements: usize,
    max_elements: usize,
}

impl Meter {
    fn new(limits: &Limits) -> Self {
        Self {
            memory: 0,
            peak_memory: 0,
            max_memory: limits.memory_bytes,
            elements: 0,
            max_elements: limits.table_elements,
        }
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.max_memory {
            return Err(Exceeded::Memory.into());
        }
        // Past its own declared maximum the guest gets its -1, as the specification has it.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.memory = total;
        self.peak_memory = self.peak_memory.max(total);
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.elements.saturating_add(desired.saturating_sub(current));
        if total > self.max_elements {
            return Err(Exceeded::Table.into());
        }
        // As above. The pool's size comes as a maximum too, which is why our own limit is looked at first.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_PER_GUEST as usize
    }

    fn tables(&self) -> usize {
        TABLES_PER_GUEST as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_PER_GUEST as usize
    }
}
