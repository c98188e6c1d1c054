//! The one place where an engine is configured, for running and for compiling alike.
//!
//! An image runs only on an engine with the settings that it was compiled for, so both sides start from the same [`Settings`], and the cache's keys hold the engine's own
//! compatibility hash. A test compiles through the child and compares.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy};

use crate::{
    limits::Limits,
    options::{Allocation, Metering},
};

/// How often the epoch moves. A call is stopped within two of these after its limit.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// Core instances of one guest: its module, and the shims that componentizing adds, twice over.
pub(crate) const CORE_INSTANCES_PER_GUEST: u32 = 8;
/// Memories of one guest.
pub(crate) const MEMORIES_PER_GUEST: u32 = 1;
/// Tables of one guest: its own, and the shims'.
pub(crate) const TABLES_PER_GUEST: u32 = 4;

/// Address space of one linear memory: with all of 32 bits reserved, compiled code needs no bounds checks.
const FULL_RESERVATION_BYTES: u64 = 4 << 30;
/// The guard behind it, wasmtime's default.
const GUARD_BYTES: u64 = 32 << 20;
/// What a used slot keeps of its memory, cleared by `memset` instead of given back and faulted in again: about what a call on a 6 KB document dirties.
const KEEP_RESIDENT_BYTES: usize = 256 << 10;

/// What the compiled code depends on. Travels to the compile child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Whether code counts fuel.
    pub(crate) fuel: bool,
    /// Address space per linear memory in bytes.
    pub(crate) reservation_bytes: u64,
    /// Stack of WASM code in bytes.
    pub(crate) stack_bytes: usize,
}

impl Settings {
    fn new(limits: &Limits, metering: Metering, reservation_bytes: u64) -> Self {
        Self { fuel: matches!(metering, Metering::Fuel(_)), reservation_bytes, stack_bytes: limits.stack_bytes }
    }
}

/// What a guest must fit into beside the constants above. Travels to the compile child, so that it refuses there what no pool of these sizes would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Room {
    /// Linear memory in bytes.
    memory_bytes: usize,
    /// Elements of each table.
    table_elements: usize,
}

impl Room {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self { memory_bytes: limits.memory_bytes, table_elements: limits.table_elements }
    }
}

/// An engine, and how it came to allocate.
pub(crate) struct Built {
    pub(crate) engine: Engine,
    pub(crate) settings: Settings,
    pub(crate) pooling: bool,
}

/// The engine that runs guests: with a pool of memories where the address space has room for one, else with memories made for each call in little space, at the price of bounds
/// checks.
///
/// # Errors
/// The engine's: the machine is not supported, or there is no room even for the small one.
pub(crate) fn for_running(
    limits: &Limits,
    metering: Metering,
    allocation: Allocation,
    threads: usize,
) -> wasmtime::Result<Built> {
    let full = Settings::new(limits, metering, FULL_RESERVATION_BYTES);
    let small = Settings::new(limits, metering, limits.memory_bytes as u64);
    let pooled = || {
        let mut config = config(&full);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(Room::of(limits), threads)));
        Engine::new(&config).map(|engine| Built { engine, settings: full, pooling: true })
    };
    let on_demand = || Engine::new(&config(&small)).map(|engine| Built { engine, settings: small, pooling: false });
    match allocation {
        Allocation::Pooling => pooled(),
        Allocation::OnDemand => on_demand(),
        // Making the pool reserves all its address space, so making it is the probe.
        Allocation::Auto => pooled().or_else(|error| {
            tracing::warn!(
                threads,
                "guest memory pool does not fit into the address space, guests run slower without it"
            );
            on_demand().map_err(|_| error)
        }),
    }
}

/// An engine that only compiles: the same code, without a pool.
///
/// # Errors
/// The engine's: the machine is not supported.
pub(crate) fn for_compiling(settings: &Settings) -> wasmtime::Result<Engine> {
    Engine::new(&config(settings))
}

/// An engine that compiles the same code, and takes only what fits the pool, whether the engine that will run it has one or not: an engine without a pool counts a guest's instances
/// one by one as they start, and so finds out late.
///
/// # Errors
/// The engine's: the machine is not supported, or there is no address space for a pool of one.
pub(crate) fn for_fitting(settings: &Settings, room: Room) -> wasmtime::Result<Engine> {
    let mut config = config(settings);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(room, 1)));
    Engine::new(&config)
}

/// A call limit in ticks, rounded up, and one more because the current tick has partly gone.
pub(crate) fn ticks(limit: Duration) -> u64 {
    let ticks = limit.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(ticks).unwrap_or(u64::MAX / 2).saturating_add(1)
}

fn config(settings: &Settings) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        // Determinism: one bit pattern for NaN, and none of the instructions that may differ between machines.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        // What no guest needs is off: each of these was the place of advisories.
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
        // A backtrace holds names that the guest chose, and nobody reads it.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false);
    config
}

fn pool(room: Room, threads: usize) -> PoolingAllocationConfig {
    // A thread has one call at a time, and a call one component instance.
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
        let fitting = for_fitting(&running.settings, Room::of(&limits)).unwrap();
        assert_eq!(compatibility(&running.engine), compatibility(&fitting));

        let metered = Settings { fuel: true, ..running.settings };
        assert_ne!(compatibility(&compiling), compatibility(&for_compiling(&metered).unwrap()));
        let small = Settings { reservation_bytes: 64 << 20, ..running.settings };
        assert_ne!(compatibility(&compiling), compatibility(&for_compiling(&small).unwrap()));
    }
}
