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

use super::{
    BuildLimits,
    error::{BuildError, Reason, Step},
};
use crate::{
    cache::{Cache, Key},
    compatibility::compatibility,
};

const INIT: &str = "wizer-initialize";
const RESERVE: &str = "reserve";
const LOG: &str = "assay:report/log@";
/// How often a running initializer is held against its deadline.
const TICK: Duration = Duration::from_millis(5);
/// How much of one line of the guest's own words is kept, in bytes.
const SAID_BYTES: usize = 4 << 10;
/// How many lines are kept.
const SAID_LINES: usize = 64;
/// `warn` and `error` of the contract's log levels.
const LOUD: [i32; 2] = [2, 3];
const ERROR: i32 = 3;
const STACK_BYTES: usize = 512 << 10;

pub(super) struct Initializer {
    engine: Engine,
    limits: BuildLimits,
    /// Compiled instrumented modules by the digest of their bytes.
    compiled: Mutex<HashMap<Digest, Module>>,
    /// The same on disk, for later processes.
    cache: Option<Cache>,
}

impl Initializer {
    pub(super) fn new(limits: BuildLimits) -> Result<Self, BuildError> {
        let mut config = Config::new();
        config
            // The code runs once, for milliseconds; compiling it is what takes the time.
            .cranelift_opt_level(OptLevel::None)
            .cranelift_nan_canonicalization(true)
            .concurrency_support(false)
            .epoch_interruption(true)
            .max_wasm_stack(STACK_BYTES)
            .wasm_relaxed_simd(false)
            .wasm_memory64(false)
            .wasm_multi_memory(false);
        let engine = Engine::new(&config).map_err(|error| BuildError::invalid(Step::Engine, error))?;
        Ok(Self { engine, limits, compiled: Mutex::default(), cache: None })
    }

    pub(super) fn with_cache(self, cache: Cache) -> Self {
        Self { cache: Some(cache), ..self }
    }

    pub(super) fn check_size(&self, bytes: &[u8]) -> Result<(), BuildError> {
        let (actual, limit) = (bytes.len(), self.limits.module_bytes);
        if actual > limit {
            return Err(BuildError::new(Step::Read, Reason::TooLarge { actual, limit }));
        }
        Ok(())
    }

    /// The snapshot, and the warnings that the guest gave on the way.
    pub(super) fn run(&self, core: &[u8], inject: Option<&[u8]>) -> Result<(Vec<u8>, Vec<String>), BuildError> {
        self.check_size(core)?;
        let wizer = Wizer::new();
        let (cx, instrumented) =
            wizer.instrument(core).map_err(|error| BuildError::invalid(Step::Read, error.root_cause()))?;
        let module = self.compile(&instrumented)?;
        check_imports(&module)?;
        check_init(&module)?;

        let mut store = Store::new(&self.engine, Build::new(&self.limits));
        store.limiter(|build| build);
        let deadline = Instant::now() + self.limits.time;
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| match Instant::now() < deadline {
            true => Ok(UpdateDeadline::Continue(1)),
            false => Err(Trap::Interrupt.into()),
        });
        let ticker = Ticker::start(&self.engine);
        let instance = self.initialize(&mut store, &module, inject)?;
        drop(ticker);

        let mut state = Live { store: &mut store, instance };
        let snapshot = ready(wizer.snapshot(&cx, &mut state))
            .map_err(|error| BuildError::invalid(Step::Snapshot, error.root_cause()))?;
        let said = std::mem::take(&mut store.data_mut().said);
        Ok((snapshot, said.into_iter().map(|said| said.text).collect()))
    }

    fn compile(&self, instrumented: &[u8]) -> Result<Module, BuildError> {
        let digest = Digest::of(instrumented);
        if let Some(module) = self.compiled.lock().get(&digest) {
            return Ok(module.clone());
        }
        let key = Key::new(digest, compatibility(&self.engine));
        let module = match self.recall(key) {
            Some(module) => module,
            None => {
                let module = Module::new(&self.engine, instrumented)
                    .map_err(|error| BuildError::invalid(Step::Compile, error.root_cause()))?;
                self.remember(key, &module);
                module
            }
        };
        self.compiled.lock().insert(digest, module.clone());
        Ok(module)
    }

    fn recall(&self, key: Key) -> Option<Module> {
        let cache = self.cache.as_ref()?;
        // What cannot be read now is compiled; it stays for the next time.
        let path = cache.find(key).ok().flatten()?;
        // SAFETY: the bytes must be an image that wasmtime itself made, unchanged, and the file must not change while it is
        // mapped. `remember` alone puts images under keys of this engine, by way of `Cache`, whose `find` gives only files of our
        // own user in a folder that no one else can enter, with the sha256 of their content in their name; they are renamed into
        // place when they are complete, and never written again. Wasmtime compares version and settings in the header once more.
        #[expect(unsafe_code, reason = "a guest without code is built in a moment because of it; the proof is above")]
        let module = unsafe { Module::deserialize_file(&self.engine, &path) };
        module.ok()
    }

    /// Without a cache that takes it the next build takes a second longer, and that is all.
    fn remember(&self, key: Key, module: &Module) {
        let Some(cache) = &self.cache else { return };
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
        store: &mut Store<Build>,
        module: &Module,
        inject: Option<&[u8]>,
    ) -> Result<Instance, BuildError> {
        let linker = linker(&self.engine, module)?;
        let instance =
            linker.instantiate(&mut *store, module).map_err(|error| self.fault(Step::Instantiate, &error, store))?;
        if let Some(parts) = inject {
            self.inject(store, &instance, parts)?;
        }
        let init = instance
            .get_typed_func::<(), ()>(&mut *store, INIT)
            .map_err(|_| BuildError::new(Step::Initialize, Reason::MissingExport(INIT)))?;
        init.call(&mut *store, ()).map_err(|error| self.fault(Step::Initialize, &error, store))?;
        Ok(instance)
    }

    fn inject(&self, store: &mut Store<Build>, instance: &Instance, parts: &[u8]) -> Result<(), BuildError> {
        let step = Step::Inject;
        let missing = |name| BuildError::new(step, Reason::MissingExport(name));
        let reserve = instance.get_typed_func::<u32, u32>(&mut *store, RESERVE).map_err(|_| missing(RESERVE))?;
        let refused = || BuildError::new(step, Reason::Refused(parts.len()));
        let len = u32::try_from(parts.len()).map_err(|_| refused())?;
        let at = reserve.call(&mut *store, len).map_err(|error| self.fault(step, &error, store))?;
        if at == 0 {
            return Err(refused());
        }
        let memory = instance.get_memory(&mut *store, "memory").ok_or_else(|| missing("memory"))?;
        memory.write(&mut *store, at as usize, parts).map_err(|_| refused())
    }

    /// Sorts out why guest code stopped.
    fn fault(&self, step: Step, error: &wasmtime::Error, store: &mut Store<Build>) -> BuildError {
        let build = store.data_mut();
        let reason = match error.downcast_ref::<Trap>() {
            _ if build.over_limit => Reason::OutOfMemory(self.limits.memory_bytes),
            Some(Trap::Interrupt) => Reason::TimedOut(self.limits.time),
            Some(trap) => Reason::Trapped(trap.to_string()),
            None => Reason::Invalid(error.root_cause().to_string()),
        };
        BuildError::new(step, reason).with_said(build.reason())
    }
}

/// Refuses every import but the log's, by name, before anything runs.
fn check_imports(module: &Module) -> Result<(), BuildError> {
    let foreign = module.imports().find(|import| !(import.module().starts_with(LOG) && import.name() == "emit"));
    match foreign {
        None => Ok(()),
        Some(import) => {
            let name = format!("{}#{}", import.module(), import.name());
            Err(BuildError::new(Step::Imports, Reason::ForeignImport(name)))
        }
    }
}

fn check_init(module: &Module) -> Result<(), BuildError> {
    match module.get_export(INIT) {
        Some(ExternType::Func(ty)) if ty.params().len() == 0 && ty.results().len() == 0 => Ok(()),
        _ => Err(BuildError::new(Step::Initialize, Reason::MissingExport(INIT))),
    }
}

fn linker(engine: &Engine, module: &Module) -> Result<Linker<Build>, BuildError> {
    let mut linker = Linker::new(engine);
    for import in module.imports() {
        linker
            .func_wrap(import.module(), import.name(), listen)
            .map_err(|error| BuildError::invalid(Step::Imports, error))?;
    }
    Ok(linker)
}

/// `log.emit` in its canonical form: level, pointer, length. What is only worth knowing is nothing for a build.
fn listen(mut caller: Caller<'_, Build>, level: i32, at: i32, len: i32) {
    if !LOUD.contains(&level) || caller.data().said.len() == SAID_LINES {
        return;
    }
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else { return };
    if let Some(text) = read(&memory, &caller, at, len) {
        caller.data_mut().said.push(Said { level, text });
    }
}

fn read(memory: &Memory, caller: &Caller<'_, Build>, at: i32, len: i32) -> Option<String> {
    // The canonical ABI's pointers are unsigned.
    let start = at.cast_unsigned() as usize;
    let end = start.checked_add((len.cast_unsigned() as usize).min(SAID_BYTES))?;
    let text = String::from_utf8_lossy(memory.data(caller).get(start..end)?);
    Some(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
}

/// State of one run: the limits and what was said.
struct Build {
    memory_bytes: usize,
    table_elements: usize,
    over_limit: bool,
    said: Vec<Said>,
}

/// One loud line of the guest's.
struct Said {
    level: i32,
    text: String,
}

impl Build {
    fn new(limits: &BuildLimits) -> Self {
        Self {
            memory_bytes: limits.memory_bytes,
            table_elements: limits.table_elements,
            over_limit: false,
            said: Vec::new(),
        }
    }

    /// Why the guest stopped, in its own words: its first error, else the first thing it said.
    fn reason(&mut self) -> Option<String> {
        let error = self.said.iter().position(|said| said.level == ERROR).unwrap_or(0);
        (error < self.said.len()).then(|| self.said.swap_remove(error).text)
    }
}

impl ResourceLimiter for Build {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        // Refused growth is only a failed allocation to the guest; the flag tells the trap that follows from any other.
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

/// Advances the epoch while guest code runs; ends when dropped. Further ticks by a build beside this one do no harm: each store
/// compares clocks at a tick instead of counting.
struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: &Engine) -> Self {
        let (stop, stopped) = channel();
        let engine = engine.weak();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
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
            // It cannot panic; if it did, the run it watched is over anyway.
            let _ = thread.join();
        }
    }
}

/// What the snapshot reads. The crate's own implementation sits behind a feature that turns Wasmtime's async, threads and GC on.
struct Live<'a> {
    store: &'a mut Store<Build>,
    instance: Instance,
}

impl InstanceState for Live<'_> {
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

/// The result of a future that never waits; the snapshot's is one because [`Live`] answers at once.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing in a snapshot waits"),
    }
}
