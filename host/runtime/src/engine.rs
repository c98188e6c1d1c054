//! Configures every engine, for running and for compiling.
//!
//! An image runs only on an engine with the settings of its compile. So both sides start from the same [`EngineSettings`], and the
//! cache's keys have the engine's compatibility hash. A test compiles through the child and compares.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy};

use crate::{
    cpu::Cpu,
    limits::Limits,
    options::{Allocation, Metering},
};

/// Between two steps of the epoch. A call stops at most two of these after its limit.
pub(crate) const EPOCH_TICK: Duration = Duration::from_millis(5);

/// Its module and the shims of componentizing, twice over.
pub(crate) const CORE_INSTANCES_PER_GUEST: u32 = 8;
pub(crate) const MEMORIES_PER_GUEST: u32 = 1;
/// Its own and the shims'.
pub(crate) const TABLES_PER_GUEST: u32 = 4;

/// Address space of one linear memory: with all of 32 bits reserved, compiled code needs no bounds checks.
const FULL_RESERVATION_BYTES: u64 = 4 << 30;
/// Wasmtime's default.
const GUARD_BYTES: u64 = 32 << 20;
/// Memory of a used slot that is cleared by `memset` instead of being returned and faulted in again: about what a call on a
/// document of 6 KB writes to.
const KEEP_RESIDENT_BYTES: usize = 256 << 10;

/// Settings that the compiled code depends on. Sent to the compile child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EngineSettings {
    pub(crate) fuel: bool,
    /// Address space per linear memory in bytes.
    pub(crate) reservation_bytes: u64,
    /// Stack of WASM code in bytes.
    pub(crate) stack_bytes: usize,
    /// The processors that the code is for.
    pub(crate) cpu: Cpu,
}

impl EngineSettings {
    fn new(limits: &Limits, metering: Metering, reservation_bytes: u64) -> Self {
        let fuel = matches!(metering, Metering::Fuel(_));
        Self { fuel, reservation_bytes, stack_bytes: limits.stack_bytes, cpu: Cpu::Native }
    }

    /// Returns the same settings for other processors.
    pub(crate) fn for_cpu(self, cpu: Cpu) -> Self {
        Self { cpu, ..self }
    }
}

/// Sizes that a guest must fit into, beside the constants above. Sent to the compile child, which refuses larger guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GuestRoom {
    memory_bytes: usize,
    /// Of each table.
    table_elements: usize,
}

impl GuestRoom {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self { memory_bytes: limits.memory_bytes, table_elements: limits.table_elements }
    }
}

/// An engine that runs guests, and whether it has a pool.
pub(crate) struct RunningEngine {
    pub(crate) engine: Engine,
    pub(crate) settings: EngineSettings,
    pub(crate) pooling: bool,
}

/// Makes the engine that runs guests. It has a pool of memories if the address space has room, else it makes a small memory for
/// each call, and code needs bounds checks.
///
/// # Errors
/// The engine's: the machine is not supported, or has no room even without a pool.
pub(crate) fn for_running(
    limits: &Limits,
    metering: Metering,
    allocation: Allocation,
    threads: usize,
) -> wasmtime::Result<RunningEngine> {
    let full = EngineSettings::new(limits, metering, FULL_RESERVATION_BYTES);
    let small = EngineSettings::new(limits, metering, limits.memory_bytes as u64);
    let pooled = || {
        let mut config = config(&full)?;
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(GuestRoom::of(limits), threads)));
        Engine::new(&config).map(|engine| RunningEngine { engine, settings: full, pooling: true })
    };
    let on_demand =
        || Engine::new(&config(&small)?).map(|engine| RunningEngine { engine, settings: small, pooling: false });
    match allocation {
        Allocation::Pooling => pooled(),
        Allocation::OnDemand => on_demand(),
        // Making the pool reserves all its address space, so this is the probe.
        Allocation::Auto => pooled().or_else(|error| {
            tracing::warn!(
                threads,
                "guest memory pool does not fit into the address space, guests run slower without it"
            );
            on_demand().map_err(|_| error)
        }),
    }
}

/// Makes an engine that only compiles: the same code, without a pool.
///
/// # Errors
/// The engine's: the machine is not supported.
pub(crate) fn for_compiling(settings: &EngineSettings) -> wasmtime::Result<Engine> {
    Engine::new(&config(settings)?)
}

/// Makes an engine that compiles the same code and refuses a guest that does not fit the pool, even if the running engine has no
/// pool: without one, a guest's instances are counted one by one as they start, which is late.
///
/// # Errors
/// The engine's: the machine is not supported, or has no address space for a pool of one.
pub(crate) fn for_fitting(settings: &EngineSettings, room: GuestRoom) -> wasmtime::Result<Engine> {
    let mut config = config(settings)?;
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(room, 1)));
    Engine::new(&config)
}

/// Returns a call limit in ticks, rounded up, plus one because the current tick has partly passed.
pub(crate) fn ticks(limit: Duration) -> u64 {
    let ticks = limit.as_nanos().div_ceil(EPOCH_TICK.as_nanos());
    u64::try_from(ticks).unwrap_or(u64::MAX / 2).saturating_add(1)
}

fn config(settings: &EngineSettings) -> wasmtime::Result<Config> {
    let mut config = Config::new();
    settings.cpu.configure(&mut config)?;
    config
        .strategy(Strategy::Cranelift)
        // Determinism: one bit pattern for NaN, and none of the instructions that may differ between machines.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        // No guest needs these, and each has had security advisories.
        .concurrency_support(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false)
        .shared_memory(false)
        // Limits.
        .epoch_interruption(true)
        .consume_fuel(settings.fuel)
        .max_wasm_stack(settings.stack_bytes)
        .memory_reservation(settings.reservation_bytes)
        .memory_guard_size(GUARD_BYTES)
        .memory_may_move(false)
        // A backtrace has names that the guest chose.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false);
    Ok(config)
}

fn pool(room: GuestRoom, threads: usize) -> PoolingAllocationConfig {
    // One call per thread, one component instance per call.
    let calls = u32::try_from(threads).unwrap_or(u32::MAX / CORE_INSTANCES_PER_GUEST);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls * CORE_INSTANCES_PER_GUEST)
        .total_memories(calls * MEMORIES_PER_GUEST)
        .total_tables(calls * TABLES_PER_GUEST)
        .max_core_instances_per_component(CORE_INSTANCES_PER_GUEST)
        .max_memories_per_component(MEMORIES_PER_GUEST)
        .max_tables_per_component(TABLES_PER_GUEST)
        .max_memory_size(room.memory_bytes)
        .table_elements(room.table_elements)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES.min(room.memory_bytes))
        .table_keep_resident(64 << 10)
        .max_unused_warm_slots(calls)
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use assay_guest_build::compatibility::compatibility;

    use super::*;

    #[test]
    fn a_limit_is_never_cut_short_by_rounding() {
        assert_eq!(ticks(Duration::from_millis(10)), 3);
        assert_eq!(ticks(Duration::from_millis(11)), 4);
        assert!(ticks(Duration::MAX) < u64::MAX);
    }

    #[test]
    fn an_image_of_the_compile_engine_fits_the_pool_and_no_other_settings() {
        let limits = Limits::default();
        let running = for_running(&limits, Metering::Off, Allocation::Pooling, 4).unwrap();
        let compiling = for_compiling(&running.settings).unwrap();
        assert_eq!(compatibility(&running.engine), compatibility(&compiling));
        let fitting = for_fitting(&running.settings, GuestRoom::of(&limits)).unwrap();
        assert_eq!(compatibility(&running.engine), compatibility(&fitting));

        let metered = EngineSettings { fuel: true, ..running.settings };
        assert_ne!(compatibility(&compiling), compatibility(&for_compiling(&metered).unwrap()));
        let small = EngineSettings { reservation_bytes: 64 << 20, ..running.settings };
        assert_ne!(compatibility(&compiling), compatibility(&for_compiling(&small).unwrap()));
        let levels = [Cpu::X86_64V2, Cpu::X86_64V3].map(|cpu| for_compiling(&running.settings.for_cpu(cpu)).unwrap());
        assert_ne!(compatibility(&levels[0]), compatibility(&levels[1]));
    }
}
