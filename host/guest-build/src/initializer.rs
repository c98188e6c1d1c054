//! Runs a guest's initializer under limits and takes the snapshot.

use std::{
    collections::HashMap,
    pin::pin,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    task::{Context, Poll, Waker},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use assay_core::digest::Digest;
use parking_lot::Mutex;
use wasmtime::{
    Caller, Config, Engine, Extern, ExternType, Instance, Linker, Memory, Module, OptLevel, ResourceLimiter, Store,
    Trap, UpdateDeadline, Val,
};
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

use crate::{
    build_limits::BuildLimits,
    cache::{ImageCache, ImageKey},
    compatibility::compatibility,
    error::{BuildError, BuildReason, BuildStep},
};

const INITIALIZE_EXPORT: &str = "wizer-initialize";
const RESERVE_EXPORT: &str = "reserve";
const LOG_INTERFACE_PREFIX: &str = "assay:report/log@";
/// Between two looks at the deadline of a running initializer.
const DEADLINE_TICK: Duration = Duration::from_millis(5);
/// Bytes that are kept of one log line.
const MAX_LINE_BYTES: usize = 4 << 10;
/// Log lines that are kept.
const MAX_LINES: usize = 64;
/// The contract's log levels that are kept: `warn` and `error`.
const KEPT_LEVELS: [i32; 2] = [2, 3];
const ERROR_LEVEL: i32 = 3;
const STACK_BYTES: usize = 512 << 10;

pub(crate) struct Initializer {
    engine: Engine,
    limits: BuildLimits,
    /// Compiled instrumented modules by the digest of their bytes.
    compiled: Mutex<HashMap<Digest, Module>>,
    /// Keeps them on disk, for later processes.
    cache: Option<ImageCache>,
}

impl Initializer {
    pub(crate) fn new(limits: BuildLimits) -> Result<Self, BuildError> {
        let mut config = Config::new();
        config
            // The code runs once, for milliseconds; compiling takes most of the time.
            .cranelift_opt_level(OptLevel::None)
            .cranelift_nan_canonicalization(true)
            .concurrency_support(false)
            .epoch_interruption(true)
            .max_wasm_stack(STACK_BYTES)
            .wasm_relaxed_simd(false)
            .wasm_memory64(false)
            .wasm_multi_memory(false);
        let engine = Engine::new(&config).map_err(|error| BuildError::invalid(BuildStep::Engine, error))?;
        Ok(Self { engine, limits, compiled: Mutex::default(), cache: None })
    }

    pub(crate) fn with_cache(self, cache: ImageCache) -> Self {
        Self { cache: Some(cache), ..self }
    }

    pub(crate) fn check_size(&self, bytes: &[u8]) -> Result<(), BuildError> {
        let (actual, limit) = (bytes.len(), self.limits.module_bytes);
        if actual > limit {
            return Err(BuildError::new(BuildStep::Read, BuildReason::TooLarge { actual, limit }));
        }
        Ok(())
    }

    /// Returns the snapshot and the guest's warnings.
    pub(crate) fn run(&self, core: &[u8], inject: Option<&[u8]>) -> Result<(Vec<u8>, Vec<String>), BuildError> {
        self.check_size(core)?;
        let wizer = Wizer::new();
        let (cx, instrumented) =
            wizer.instrument(core).map_err(|error| BuildError::invalid(BuildStep::Read, error.root_cause()))?;
        let module = self.compile(&instrumented)?;
        check_imports(&module)?;
        check_init(&module)?;

        let mut store = Store::new(&self.engine, RunState::new(&self.limits));
        store.limiter(|state| state);
        let deadline = Instant::now() + self.limits.time;
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| match Instant::now() < deadline {
            true => Ok(UpdateDeadline::Continue(1)),
            false => Err(Trap::Interrupt.into()),
        });
        let ticker = Ticker::start(&self.engine);
        let instance = self.initialize(&mut store, &module, inject)?;
        drop(ticker);

        let mut state = LiveInstance { store: &mut store, instance };
        let snapshot = ready(wizer.snapshot(&cx, &mut state))
            .map_err(|error| BuildError::invalid(BuildStep::Snapshot, error.root_cause()))?;
        let lines = std::mem::take(&mut store.data_mut().lines);
        Ok((snapshot, lines.into_iter().map(|line| line.text).collect()))
    }

    fn compile(&self, instrumented: &[u8]) -> Result<Module, BuildError> {
        let digest = Digest::of(instrumented);
        if let Some(module) = self.compiled.lock().get(&digest) {
            return Ok(module.clone());
        }
        let key = ImageKey::new(digest, compatibility(&self.engine));
        let module = match self.load_image(key) {
            Some(module) => module,
            None => {
                let module = Module::new(&self.engine, instrumented)
                    .map_err(|error| BuildError::invalid(BuildStep::Compile, error.root_cause()))?;
                self.store_image(key, &module);
                module
            }
        };
        self.compiled.lock().insert(digest, module.clone());
        Ok(module)
    }

    fn load_image(&self, key: ImageKey) -> Option<Module> {
        let cache = self.cache.as_ref()?;
        // An image that cannot be read now is compiled; the file stays.
        let path = cache.find(key).ok().flatten()?;
        // SAFETY: the bytes must be an image that wasmtime itself made, unchanged, and the file must not change while it is
        // mapped. `store_image` alone puts images under keys of this engine, by way of `ImageCache`, whose `find` gives only files of our
        // own user or of root in a folder that no other user can fill, with the sha256 of their content in their name; they are renamed into
        // place when they are complete, and never written again. Wasmtime compares version and settings in the header once more.
        #[expect(unsafe_code, reason = "it makes the first build of a guest without code fast; the proof is above")]
        let module = unsafe { Module::deserialize_file(&self.engine, &path) };
        module.ok()
    }

    /// Writes the image; a failure costs the next build a second.
    fn store_image(&self, key: ImageKey, module: &Module) {
        let Some(cache) = self.cache.as_ref().filter(|cache| !cache.is_read_only()) else { return };
        let kept = cache.unfinished().and_then(|image| {
            std::fs::write(&image, module.serialize().map_err(std::io::Error::other)?)?;
            cache.keep(key, image)
        });
        if let Err(error) = kept {
            tracing::debug!(%error, "the compiled initializer is not cached");
        }
    }

    fn initialize(
        &self,
        store: &mut Store<RunState>,
        module: &Module,
        inject: Option<&[u8]>,
    ) -> Result<Instance, BuildError> {
        let linker = linker(&self.engine, module)?;
        let instance = linker
            .instantiate(&mut *store, module)
            .map_err(|error| self.fault(BuildStep::Instantiate, &error, store))?;
        if let Some(parts) = inject {
            self.inject(store, &instance, parts)?;
        }
        let init = instance
            .get_typed_func::<(), ()>(&mut *store, INITIALIZE_EXPORT)
            .map_err(|_| BuildError::new(BuildStep::Initialize, BuildReason::MissingExport(INITIALIZE_EXPORT)))?;
        init.call(&mut *store, ()).map_err(|error| self.fault(BuildStep::Initialize, &error, store))?;
        Ok(instance)
    }

    fn inject(&self, store: &mut Store<RunState>, instance: &Instance, parts: &[u8]) -> Result<(), BuildError> {
        let step = BuildStep::Inject;
        let missing = |name| BuildError::new(step, BuildReason::MissingExport(name));
        let reserve =
            instance.get_typed_func::<u32, u32>(&mut *store, RESERVE_EXPORT).map_err(|_| missing(RESERVE_EXPORT))?;
        let refused = || BuildError::new(step, BuildReason::Refused(parts.len()));
        let len = u32::try_from(parts.len()).map_err(|_| refused())?;
        let at = reserve.call(&mut *store, len).map_err(|error| self.fault(step, &error, store))?;
        if at == 0 {
            return Err(refused());
        }
        let memory = instance.get_memory(&mut *store, "memory").ok_or_else(|| missing("memory"))?;
        memory.write(&mut *store, at as usize, parts).map_err(|_| refused())
    }

    /// Classifies why guest code stopped.
    fn fault(&self, step: BuildStep, error: &wasmtime::Error, store: &mut Store<RunState>) -> BuildError {
        let state = store.data_mut();
        let reason = match error.downcast_ref::<Trap>() {
            _ if state.over_limit => BuildReason::OutOfMemory(self.limits.memory_bytes),
            Some(Trap::Interrupt) => BuildReason::TimedOut(self.limits.time),
            Some(trap) => BuildReason::Trapped(trap.to_string()),
            None => BuildReason::Invalid(error.root_cause().to_string()),
        };
        BuildError::new(step, reason).with_said(state.take_reason())
    }
}

/// Refuses every import but the log's by name, before anything runs.
fn check_imports(module: &Module) -> Result<(), BuildError> {
    let foreign =
        module.imports().find(|import| !(import.module().starts_with(LOG_INTERFACE_PREFIX) && import.name() == "emit"));
    match foreign {
        None => Ok(()),
        Some(import) => {
            let name = format!("{}#{}", import.module(), import.name());
            Err(BuildError::new(BuildStep::Imports, BuildReason::ForeignImport(name)))
        }
    }
}

fn check_init(module: &Module) -> Result<(), BuildError> {
    match module.get_export(INITIALIZE_EXPORT) {
        Some(ExternType::Func(ty)) if ty.params().len() == 0 && ty.results().len() == 0 => Ok(()),
        _ => Err(BuildError::new(BuildStep::Initialize, BuildReason::MissingExport(INITIALIZE_EXPORT))),
    }
}

fn linker(engine: &Engine, module: &Module) -> Result<Linker<RunState>, BuildError> {
    let mut linker = Linker::new(engine);
    for import in module.imports() {
        linker
            .func_wrap(import.module(), import.name(), keep_loud_line)
            .map_err(|error| BuildError::invalid(BuildStep::Imports, error))?;
    }
    Ok(linker)
}

/// Keeps a loud log line: `log.emit` in its canonical form of level, pointer and length.
fn keep_loud_line(mut caller: Caller<'_, RunState>, level: i32, at: i32, len: i32) {
    if !KEPT_LEVELS.contains(&level) || caller.data().lines.len() == MAX_LINES {
        return;
    }
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else { return };
    if let Some(text) = read(&memory, &caller, at, len) {
        caller.data_mut().lines.push(LoudLine { level, text });
    }
}

fn read(memory: &Memory, caller: &Caller<'_, RunState>, at: i32, len: i32) -> Option<String> {
    // The canonical ABI's pointers are unsigned.
    let start = at.cast_unsigned() as usize;
    let end = start.checked_add((len.cast_unsigned() as usize).min(MAX_LINE_BYTES))?;
    let text = String::from_utf8_lossy(memory.data(caller).get(start..end)?);
    Some(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
}

/// State of one run.
struct RunState {
    memory_bytes: usize,
    table_elements: usize,
    over_limit: bool,
    lines: Vec<LoudLine>,
}

/// A log line of the guest, of level `warn` or `error`.
struct LoudLine {
    level: i32,
    text: String,
}

impl RunState {
    fn new(limits: &BuildLimits) -> Self {
        Self {
            memory_bytes: limits.memory_bytes,
            table_elements: limits.table_elements,
            over_limit: false,
            lines: Vec::new(),
        }
    }

    /// Takes the guest's reason to stop: its first error, else its first warning.
    fn take_reason(&mut self) -> Option<String> {
        let error = self.lines.iter().position(|line| line.level == ERROR_LEVEL).unwrap_or(0);
        (error < self.lines.len()).then(|| self.lines.swap_remove(error).text)
    }
}

impl ResourceLimiter for RunState {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        // To the guest, refused growth is a failed allocation. The flag marks the trap that follows.
        let fits = desired <= self.memory_bytes;
        self.over_limit |= !fits;
        Ok(fits)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= self.table_elements;
        self.over_limit |= !fits;
        Ok(fits)
    }

    fn memories(&self) -> usize {
        1
    }

    fn instances(&self) -> usize {
        1
    }
}

/// Advances the epoch until dropped. Ticks of a second build do no harm: each store compares clocks at a tick and does not count.
struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: &Engine) -> Self {
        let (stop, stopped) = channel();
        let engine = engine.weak();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(DEADLINE_TICK) == Err(RecvTimeoutError::Timeout) {
                let Some(engine) = engine.upgrade() else { return };
                engine.increment_epoch();
            }
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread cannot panic, and the run is over.
            let _ = thread.join();
        }
    }
}

/// The instance that the snapshot reads. The crate's own implementation needs Wasmtime's async, threads and GC.
struct LiveInstance<'a> {
    store: &'a mut Store<RunState>,
    instance: Instance,
}

impl InstanceState for LiveInstance<'_> {
    async fn global_get(&mut self, name: &str, _: ValType) -> SnapshotVal {
        let global = self.instance.get_global(&mut *self.store, name).expect("instrumentation exports every global");
        match global.get(&mut *self.store) {
            Val::I32(value) => SnapshotVal::I32(value),
            Val::I64(value) => SnapshotVal::I64(value),
            Val::F32(bits) => SnapshotVal::F32(bits),
            Val::F64(bits) => SnapshotVal::F64(bits),
            Val::V128(value) => SnapshotVal::V128(value.as_u128()),
            _ => unreachable!("instrumentation refuses mutable globals of reference types"),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        let memory = self.instance.get_memory(&mut *self.store, name).expect("instrumentation exports every memory");
        contents(memory.data(&*self.store));
    }
}

/// Returns the result of a future that never waits, as the snapshot's never does: [`LiveInstance`] answers at once.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing in a snapshot waits"),
    }
}
