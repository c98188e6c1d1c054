//! One guest call: its own store and instance, with every limit set before the instance exists.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use wasmtime::{
    Engine, Store,
    component::{Component, HasSelf, InstancePre, Linker},
};

use crate::{
    bindings::{ReportGuest, ReportGuestPre},
    call::Call,
    call_state::CallState,
    engine,
    fault::{CallStage, Fault, classify},
    limits::Limits,
    options::{Metering, Wasi},
};

/// What all calls of a runtime share.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) engine: Engine,
    pub(crate) limits: Limits,
    pub(crate) metering: Metering,
    pub(crate) wasi: Wasi,
}

impl Sandbox {
    /// Resolves the guest's imports once for all calls.
    ///
    /// # Errors
    /// The engine's, if an import is missing or has another type.
    pub(crate) fn link(&self, component: &Component) -> wasmtime::Result<InstancePre<CallState>> {
        let mut linker = Linker::<CallState>::new(&self.engine);
        ReportGuest::add_to_linker::<_, HasSelf<CallState>>(&mut linker, |state| state)?;
        match self.wasi {
            Wasi::Off => {}
            #[cfg(feature = "wasi")]
            Wasi::DenyAll => crate::wasi::link::link(&mut linker, component)?,
        }
        linker.instantiate_pre(component)
    }

    /// Runs `body` on a fresh instance of `guest` and drops the instance.
    ///
    /// Blocks for at most about `Limits::call`: only for threads of the guest pool.
    pub(crate) fn run<T>(
        &self,
        guest: &ReportGuestPre<CallState>,
        queued: Duration,
        body: impl FnOnce(&ReportGuest, &mut Store<CallState>) -> wasmtime::Result<T>,
    ) -> Call<T> {
        let started = Instant::now();
        // A panic of the host must end this call alone, not the pool's thread. Nothing outlives the closure, so nothing stays half done.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.run_unguarded(guest, body)));
        let Ok((result, fuel, state)) = outcome else {
            return Call { elapsed: started.elapsed(), ..Call::never_ran(Fault::HostPanic, queued) };
        };
        Call {
            result,
            elapsed: started.elapsed(),
            queued,
            peak_memory: state.meter.peak_memory_bytes,
            fuel,
            log: state.log.lines,
            dropped_log_lines: state.log.dropped,
        }
    }

    fn run_unguarded<T>(
        &self,
        guest: &ReportGuestPre<CallState>,
        body: impl FnOnce(&ReportGuest, &mut Store<CallState>) -> wasmtime::Result<T>,
    ) -> (Result<T, Fault>, Option<u64>, CallState) {
        let mut store = self.store();
        let result = match guest.instantiate(&mut store) {
            Err(error) => Err(classify(&error, CallStage::Instantiate)),
            Ok(instance) => body(&instance, &mut store).map_err(|error| classify(&error, CallStage::Call)),
        };
        let fuel = match self.metering {
            Metering::Off => None,
            Metering::Fuel(budget) => store.get_fuel().ok().map(|left| budget.saturating_sub(left)),
        };
        (result, fuel, store.into_data())
    }

    fn store(&self) -> Store<CallState> {
        let mut store = Store::new(&self.engine, CallState::new(&self.limits));
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
