//! Loads guests, once per digest however many callers ask.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Arc, Weak},
    time::Instant,
};

use assay_core::digest::Digest;
use assay_guest_build::{
    cache::{CacheError, ImageCache, ImageKey},
    compatibility::compatibility,
};
use bytes::Bytes;
use parking_lot::Mutex;
use rustix::io::Errno;
use tempfile::TempPath;
use wasmtime::component::Component;

use crate::{
    admission,
    bindings::ReportGuestPre,
    compiler::{
        run,
        work::{Request, Source},
    },
    engine,
    fault::Fault,
    guest::{CallHost, DescribedGuest, Guest, GuestCode, Verifier},
    limits::Limits,
    load_error::LoadError,
    options::{Compiler, Options},
    pool::Pool,
    sandbox::Sandbox,
    ticker,
};

/// With fewer threads, guests that spin could take them all.
const MIN_DEFAULT_THREADS: usize = 4;

/// An engine with its threads, cache and loaded guests. Cheap to clone. Make one per process: each has its own engine.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

struct Inner {
    host: Arc<CallHost>,
    cache: ImageCache,
    compiler: Compiler,
    settings: engine::EngineSettings,
    compatibility: Digest,
    pooling: bool,
    generic: Bytes,
    generic_digest: Digest,
    guests: Loads<DescribedGuest>,
    verifiers: Loads<GuestCode>,
}

/// Why a runtime does not start.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The engine does not run on this machine, or has too little memory.
    #[error("start the guest engine: {0:#}")]
    Engine(String),
    /// The cache folder is not usable.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A thread does not start.
    #[error("start the guest threads: {0}")]
    Threads(#[source] io::Error),
}

impl Runtime {
    /// Starts engine, ticker and threads, and opens the cache. Takes milliseconds and compiles nothing.
    ///
    /// # Errors
    /// [`RuntimeError`].
    pub fn new(options: Options) -> Result<Self, RuntimeError> {
        let Options { limits, cache, cache_bytes, compiler, threads, generic, metering, allocation, wasi } = options;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.unwrap_or_else(|| cores().max(MIN_DEFAULT_THREADS)).max(2);
        let cache = ImageCache::open(&cache, cache_bytes)?;
        let built = engine::for_running(&limits, metering, allocation, threads)
            .map_err(|error| RuntimeError::Engine(format!("{error:#}")))?;
        ticker::start(&built.engine).map_err(RuntimeError::Threads)?;
        let pool = Pool::start(threads, limits.stack_bytes).map_err(RuntimeError::Threads)?;
        tracing::info!(threads, pooling = built.pooling, "guest runtime is ready");
        Ok(Self(Arc::new(Inner {
            compatibility: compatibility(&built.engine),
            host: Arc::new(CallHost { sandbox: Sandbox { engine: built.engine, limits, metering, wasi }, pool }),
            cache,
            compiler,
            settings: built.settings,
            pooling: built.pooling,
            generic_digest: Digest::of(&generic),
            generic,
            guests: Loads::default(),
            verifiers: Loads::default(),
        })))
    }

    /// Returns whether calls take their memory from the pool; without it they are slower.
    pub fn is_pooling(&self) -> bool {
        self.0.pooling
    }

    /// Returns the limits of guests and calls.
    pub fn limits(&self) -> &Limits {
        &self.0.host.sandbox.limits
    }

    /// Returns the guest of this digest if it is loaded.
    pub fn loaded(&self, digest: Digest) -> Option<Guest> {
        self.0.guests.alive(digest).map(Guest)
    }

    /// Loads a guest, or returns the loaded one.
    ///
    /// Needs a tokio runtime with its drivers on. Callers with the same bytes share one compile and its result.
    ///
    /// # Errors
    /// [`LoadError`], one variant per rule.
    pub async fn load(&self, bytes: &[u8]) -> Result<Guest, LoadError> {
        admission::size(bytes, &self.0.host.sandbox.limits)?;
        let bytes = Bytes::copy_from_slice(bytes);
        let hashed = bytes.clone();
        let digest = blocking(move || Digest::of(&hashed)).await?;
        let load = async || {
            let code = self.code(digest, Source::Component, &bytes).await?;
            self.describe(code).await.map(Some)
        };
        let guest = self.0.guests.get(digest, load).await?;
        Ok(Guest(guest.expect("a load ends with a guest or an error")))
    }

    /// Returns the guest of this digest if it is loaded or its image is in the cache, without its bytes.
    ///
    /// # Errors
    /// [`LoadError::Describe`], [`LoadError::Manifest`] and [`LoadError::TooManyResources`] if limits are lower than at its
    /// compile. [`LoadError::Cache`] if the image cannot be read now.
    pub async fn load_cached(&self, digest: Digest) -> Result<Option<Guest>, LoadError> {
        let key = ImageKey::new(digest, self.0.compatibility);
        let load = async || {
            let inner = Arc::clone(&self.0);
            let Some(code) = blocking(move || inner.open(digest, key)).await?? else { return Ok(None) };
            self.describe(code).await.map(Some)
        };
        Ok(self.0.guests.get(digest, load).await?.map(Guest))
    }

    async fn describe(&self, code: Arc<GuestCode>) -> Result<Arc<DescribedGuest>, LoadError> {
        let manifest = code.describe().await.result.map_err(|fault| match fault {
            Fault::Unavailable => LoadError::Unavailable,
            fault => LoadError::Describe(fault),
        })?;
        admission::manifest(&manifest, &self.0.host.sandbox.limits)?;
        Ok(Arc::new(DescribedGuest { code, manifest }))
    }

    /// Makes the second check for a schema from the generic guest, or returns the loaded one.
    ///
    /// # Errors
    /// [`LoadError::NoGeneric`], [`LoadError::SchemaRefused`], [`LoadError::Manifest`] if the schema is too large, and those of compiling.
    pub async fn verifier(&self, schema: &str) -> Result<Verifier, LoadError> {
        if self.0.generic.is_empty() {
            return Err(LoadError::NoGeneric);
        }
        let limits = &self.0.host.sandbox.limits;
        if schema.len() > limits.schema_bytes {
            return Err(LoadError::Manifest("schema"));
        }
        let digest = Digest::of_parts("assay verifier", &[self.0.generic_digest.as_bytes(), schema.as_bytes()]);
        let source = Source::Generic {
            schema: schema.to_owned(),
            memory_bytes: limits.memory_bytes,
            table_elements: limits.table_elements,
        };
        let load = async || self.code(digest, source, &self.0.generic).await.map(Some);
        let verifier = self.0.verifiers.get(digest, load).await?;
        Ok(Verifier::new(verifier.expect("a load ends with a verifier or an error")))
    }

    /// Returns code from the cache, or compiles and caches it.
    async fn code(&self, digest: Digest, source: Source, bytes: &Bytes) -> Result<Arc<GuestCode>, LoadError> {
        let key = ImageKey::new(digest, self.0.compatibility);
        let inner = Arc::clone(&self.0);
        match blocking(move || inner.open(digest, key)).await? {
            Ok(Some(code)) => return Ok(code),
            Ok(None) => {}
            // The image may be good, but it cannot be read now.
            Err(LoadError::Cache(kind)) => {
                tracing::warn!(%digest, %kind, "cached guest image cannot be read, compiling it again");
            }
            Err(error) => return Err(error),
        }
        if let Source::Component = source {
            let (bytes, wasi) = (bytes.clone(), self.0.host.sandbox.wasi);
            blocking(move || admission::bytes(&bytes).and_then(|()| admission::world(&bytes, wasi))).await??;
        }
        self.compile(digest, key, source, bytes).await
    }

    async fn compile(
        &self,
        digest: Digest,
        key: ImageKey,
        source: Source,
        bytes: &[u8],
    ) -> Result<Arc<GuestCode>, LoadError> {
        let Inner { cache, compiler, settings, compatibility, host, .. } = &*self.0;
        let limits = &host.sandbox.limits;
        let started = Instant::now();
        let image = cache.unfinished().map_err(cache_error)?;
        let request = Request {
            settings: *settings,
            room: engine::GuestRoom::of(limits),
            source,
            image: file_name(&image),
            max_bytes: bytes.len() as u64,
            memory_bytes: limits.compile_memory_bytes,
            // Compiling uses every core. The parent watches wall-clock time; this limits a child that outlives its parent.
            cpu_seconds: limits.compile.as_secs().saturating_mul(4).max(1),
        };
        let compiled_for = run::run(compiler, request, bytes, cache.folder(), limits).await?;
        if compiled_for != *compatibility {
            return Err(LoadError::CompilerMismatch);
        }
        let inner = Arc::clone(&self.0);
        let code = blocking(move || inner.adopt(digest, key, image)).await??;
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(%digest, bytes = bytes.len(), millis, "guest compiled");
        Ok(code)
    }
}

impl Inner {
    /// Returns code from a cached image. `None`: there is no image, or the engine refused it and it was deleted.
    ///
    /// # Errors
    /// [`LoadError::Cache`] if an image cannot be read now; it stays. Those of [`Self::link`].
    fn open(self: &Arc<Self>, digest: Digest, key: ImageKey) -> Result<Option<Arc<GuestCode>>, LoadError> {
        let Some(path) = self.cache.find(key).map_err(cache_error)? else { return Ok(None) };
        match self.deserialize(&path) {
            Ok(component) => self.link(digest, &component).map(Some),
            // Another process deleted it to make room.
            Err(ImageError::Unread(io::ErrorKind::NotFound)) => Ok(None),
            Err(ImageError::Unread(kind)) => Err(LoadError::Cache(kind)),
            Err(ImageError::Refused) => {
                self.cache.forget(key, &path);
                Ok(None)
            }
        }
    }

    /// Maps the image that the compiler wrote, then moves it into the cache. In this order another process cannot delete it first.
    ///
    /// # Errors
    /// [`LoadError::Cache`]; [`LoadError::CompilerMismatch`] if the compiler's output is not an image; those of [`Self::link`].
    fn adopt(self: &Arc<Self>, digest: Digest, key: ImageKey, image: TempPath) -> Result<Arc<GuestCode>, LoadError> {
        let component = self.deserialize(&image).map_err(|error| match error {
            ImageError::Unread(kind) => LoadError::Cache(kind),
            ImageError::Refused => LoadError::CompilerMismatch,
        })?;
        self.cache.keep(key, image).map_err(cache_error)?;
        self.link(digest, &component)
    }

    fn deserialize(&self, path: &Path) -> Result<Component, ImageError> {
        // SAFETY: the bytes must be an image that wasmtime itself made, unchanged, and the file must not change while it is mapped.
        // - Made by wasmtime: the file is in a folder that only our own user can enter or exchange, and it is one of two. `ImageCache::find` gives only files of our own user, whose
        //   content has the sha256 in its name, under a key that our compile put there in one rename. An unfinished file is the present output of our compiler, which reported it
        //   complete. No file from outside gets such a name.
        // - For this engine: the key holds the engine's compatibility hash, which the compiler of an unfinished file reported too, and wasmtime compares version and settings in
        //   the image's header again.
        // - Unchanged while mapped: images are written under other names and renamed when complete; we never open one for writing, and the process that wrote it has ended.
        //   Renaming or deleting leaves the mapping whole.
        #[expect(unsafe_code, reason = "compiled code is loaded here alone; the proof is above")]
        let component = unsafe { Component::deserialize_file(&self.host.sandbox.engine, path) };
        component.map_err(|error| ImageError::of(&error))
    }

    fn link(&self, digest: Digest, component: &Component) -> Result<Arc<GuestCode>, LoadError> {
        admission::compiled(component, &self.host.sandbox.limits, self.host.sandbox.wasi)?;
        let linked =
            self.host.sandbox.link(component).and_then(ReportGuestPre::new).map_err(|_| LoadError::WrongTypes)?;
        Ok(Arc::new(GuestCode { digest, linked, host: Arc::clone(&self.host) }))
    }
}

/// Why an image gave no code.
enum ImageError {
    /// It could not be read or mapped. The image may be good.
    Unread(io::ErrorKind),
    /// It is not an image, or is for another engine.
    Refused,
}

impl ImageError {
    fn of(error: &wasmtime::Error) -> Self {
        let failed = error.chain().find_map(|cause| {
            let system = cause.downcast_ref::<io::Error>().map(io::Error::kind);
            system.or_else(|| cause.downcast_ref::<Errno>().map(|errno| errno.kind()))
        });
        failed.map_or(Self::Refused, Self::Unread)
    }
}

/// Loaded values and running loads, by digest. Keeps no value alive.
struct Loads<T>(Mutex<HashMap<Digest, Arc<Load<T>>>>);

type Load<T> = tokio::sync::Mutex<LoadOutcome<T>>;

/// The end of a digest's last load.
struct LoadOutcome<T> {
    alive: Weak<T>,
    failed: Option<(Instant, LoadError)>,
}

impl<T> Default for Loads<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Loads<T> {
    fn alive(&self, digest: Digest) -> Option<Arc<T>> {
        let load = self.0.lock().get(&digest).cloned()?;
        let outcome = load.try_lock().ok()?;
        outcome.alive.upgrade()
    }

    /// Returns the live value of `digest`, else runs `load`. A caller that waited during a failed load gets the same error. A later
    /// caller, or one that waited for a load without a value, loads again.
    async fn get(
        &self,
        digest: Digest,
        load: impl AsyncFnOnce() -> Result<Option<Arc<T>>, LoadError>,
    ) -> Result<Option<Arc<T>>, LoadError> {
        let asked = Instant::now();
        let entry = self.entry(digest);
        let mut outcome = entry.lock().await;
        if let Some(alive) = outcome.alive.upgrade() {
            return Ok(Some(alive));
        }
        if let Some((at, error)) = &outcome.failed
            && *at >= asked
        {
            return Err(error.clone());
        }
        let loaded = load().await;
        match &loaded {
            Ok(Some(loaded)) => *outcome = LoadOutcome { alive: Arc::downgrade(loaded), failed: None },
            Ok(None) => {}
            Err(error) => outcome.failed = Some((Instant::now(), error.clone())),
        }
        loaded
    }

    fn entry(&self, digest: Digest) -> Arc<Load<T>> {
        let mut loads = self.0.lock();
        // Without a waiting caller or a live value, an entry is dropped: the map stays as small as its use.
        loads.retain(|_, load| {
            Arc::strong_count(load) > 1 || load.try_lock().is_ok_and(|outcome| outcome.alive.strong_count() > 0)
        });
        let fresh = || Arc::new(Load::new(LoadOutcome { alive: Weak::new(), failed: None }));
        Arc::clone(loads.entry(digest).or_insert_with(fresh))
    }
}

/// Runs work of milliseconds on a thread for blocking work.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LoadError> {
    // An error means that the tokio runtime stops, or a panic, which the hook reported.
    tokio::task::spawn_blocking(work).await.map_err(|_| LoadError::Unavailable)
}

fn cache_error(error: io::Error) -> LoadError {
    LoadError::Cache(error.kind())
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
