//! Loads guests, once per digest however many callers ask.

use std::{io, path::Path, sync::Arc, time::Instant};

use assay_core::digest::Digest;
use assay_guest_build::{
    cache::{CacheError, ImageKey},
    compatibility::compatibility,
};
use bytes::Bytes;
use rustix::io::Errno;
use tempfile::TempPath;
use wasmtime::component::Component;

use crate::{
    admission,
    bindings::ReportGuestPre,
    compiler::{
        run::{self, Compiled},
        work::{Request, Source},
    },
    cpu::Cpu,
    engine,
    fault::Fault,
    guest::{CallHost, DescribedGuest, Guest, GuestCode, Verifier},
    images::{Destination, Images},
    limits::Limits,
    load_error::LoadError,
    loads::Loads,
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
    images: Images,
    compiler: Compiler,
    /// Those of a compile.
    settings: engine::EngineSettings,
    /// The engines whose images run here: that of a compile first.
    compatible: Vec<Digest>,
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
    /// This machine's processor lacks what the code would use.
    #[error("compile guests for {0}: this machine's processor is not one")]
    Cpu(&'static str),
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
    /// [`RuntimeError`], among others if `cpu` is not this machine's: a guest that is loaded is run.
    pub fn new(options: Options) -> Result<Self, RuntimeError> {
        let Options { limits, cache, cache_bytes, cpu, compiler, threads, generic, metering, allocation, wasi } =
            options;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.unwrap_or_else(|| cores().max(MIN_DEFAULT_THREADS)).max(2);
        if !cpu.is_here() {
            return Err(RuntimeError::Cpu(cpu.name()));
        }
        let images = Images::open(cache.as_deref(), cache_bytes)?;
        let engine_error = |error| RuntimeError::Engine(format!("{error:#}"));
        let built = engine::for_running(&limits, metering, allocation, threads).map_err(engine_error)?;
        let compatible = compatible(&built, cpu).map_err(engine_error)?;
        ticker::start(&built.engine).map_err(RuntimeError::Threads)?;
        let pool = Pool::start(threads, limits.stack_bytes).map_err(RuntimeError::Threads)?;
        tracing::info!(threads, pooling = built.pooling, "guest runtime is ready");
        Ok(Self(Arc::new(Inner {
            compatible,
            host: Arc::new(CallHost { sandbox: Sandbox { engine: built.engine, limits, metering, wasi }, pool }),
            images,
            compiler,
            settings: built.settings.for_cpu(cpu),
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
        let load = async || {
            let inner = Arc::clone(&self.0);
            let Some(code) = blocking(move || inner.open(digest)).await?? else { return Ok(None) };
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
        let inner = Arc::clone(&self.0);
        match blocking(move || inner.open(digest)).await? {
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
        self.compile(digest, source, bytes).await
    }

    async fn compile(&self, digest: Digest, source: Source, bytes: &[u8]) -> Result<Arc<GuestCode>, LoadError> {
        let Inner { images, compiler, settings, compatible, host, .. } = &*self.0;
        let limits = &host.sandbox.limits;
        let started = Instant::now();
        let unfinished = match images.destination().map_err(cache_error)? {
            Destination::File(folder, file) => Some((folder.folder(), file)),
            Destination::Memory => None,
        };
        let request = Request {
            settings: *settings,
            room: engine::GuestRoom::of(limits),
            source,
            image: unfinished.as_ref().map(|(_, file)| file_name(file)),
            max_bytes: bytes.len() as u64,
            memory_bytes: limits.compile_memory_bytes,
            // Compiling uses every core. The parent watches wall-clock time; this limits a child that outlives its parent.
            cpu_seconds: limits.compile.as_secs().saturating_mul(4).max(1),
        };
        let folder = unfinished.as_ref().map(|(folder, _)| *folder);
        let Compiled { compatibility, image } = run::run(compiler, request, bytes, folder, limits).await?;
        if Some(&compatibility) != compatible.first() {
            return Err(LoadError::CompilerMismatch);
        }
        let inner = Arc::clone(&self.0);
        let image = unfinished.map_or(NewImage::Bytes(image), |(_, file)| NewImage::File(file));
        let code = blocking(move || inner.adopt(digest, image)).await??;
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(%digest, bytes = bytes.len(), millis, "guest compiled");
        Ok(code)
    }
}

/// Returns the digests of the engines whose images run here: first that of a compile for `cpu`, then those of this machine and of
/// the levels that it has.
fn compatible(running: &engine::RunningEngine, cpu: Cpu) -> wasmtime::Result<Vec<Digest>> {
    let of = |cpu: Cpu| match cpu {
        Cpu::Native => Ok(compatibility(&running.engine)),
        level => engine::for_compiling(&running.settings.for_cpu(level)).map(|engine| compatibility(&engine)),
    };
    let others = Cpu::ALL.into_iter().filter(|other| *other != cpu && other.is_here());
    std::iter::once(cpu).chain(others).map(of).collect()
}

/// What a compile left.
enum NewImage {
    /// In the folder.
    File(TempPath),
    Bytes(Vec<u8>),
}

impl Inner {
    fn keys(&self, digest: Digest) -> impl Iterator<Item = ImageKey> {
        self.compatible.iter().map(move |compatibility| ImageKey::new(digest, *compatibility))
    }

    /// Returns code from an image. `None`: there is no image, or the engine refused it and it was deleted.
    ///
    /// # Errors
    /// [`LoadError::Cache`] if an image cannot be read now; it stays. Those of [`Self::link`].
    fn open(self: &Arc<Self>, digest: Digest) -> Result<Option<Arc<GuestCode>>, LoadError> {
        for key in self.keys(digest) {
            if let Some(component) = self.images.in_memory(key) {
                return self.link(digest, &component).map(Some);
            }
            let Some(path) = self.images.find(key).map_err(cache_error)? else { continue };
            match self.deserialize(Image::File(&path)) {
                Ok(component) => return self.link(digest, &component).map(Some),
                // Another process deleted it to make room.
                Err(ImageError::Unread(io::ErrorKind::NotFound)) => {}
                Err(ImageError::Unread(kind)) => return Err(LoadError::Cache(kind)),
                Err(ImageError::Refused) => self.images.forget(key, &path),
            }
        }
        Ok(None)
    }

    /// Maps the image that the compiler made, then keeps it. In this order another process cannot delete a file first.
    ///
    /// # Errors
    /// [`LoadError::Cache`]; [`LoadError::CompilerMismatch`] if the compiler's output is not an image; those of [`Self::link`].
    fn adopt(self: &Arc<Self>, digest: Digest, image: NewImage) -> Result<Arc<GuestCode>, LoadError> {
        let new = match &image {
            NewImage::File(file) => Image::File(file),
            NewImage::Bytes(bytes) => Image::Bytes(bytes),
        };
        let component = self.deserialize(new).map_err(|error| match error {
            ImageError::Unread(kind) => LoadError::Cache(kind),
            ImageError::Refused => LoadError::CompilerMismatch,
        })?;
        let key = self.keys(digest).next().expect("the engine of a compile is the first");
        match (image, self.images.folder()) {
            (NewImage::File(file), Some(folder)) => folder.keep(key, file).map_err(cache_error)?,
            (NewImage::File(_), None) => {}
            (NewImage::Bytes(bytes), _) => self.images.keep_in_memory(key, component.clone(), bytes.len()),
        }
        self.link(digest, &component)
    }

    fn deserialize(&self, image: Image<'_>) -> Result<Component, ImageError> {
        let engine = &self.host.sandbox.engine;
        // SAFETY: the bytes must be an image that wasmtime itself made, unchanged, and a file must not change while it is mapped.
        // - Made by wasmtime: a file is in a folder that only our own user or root can fill or exchange, and it is one of two. `ImageCache::find` gives only files of that
        //   user, whose content has the sha256 in its name, under a key that a compile of ours put there in one rename. An unfinished file is the present output of our
        //   compiler, which reported it complete. No file from outside gets such a name. Root could exchange the program itself. Bytes are the output of our compiler too,
        //   over a pipe that it alone writes to.
        // - For this engine: the key holds the engine's compatibility hash, which the compiler of new code reported too, and wasmtime compares version, settings and the
        //   processor's features in the image's header again.
        // - Unchanged while mapped: images are written under other names and renamed when complete; we never open one for writing, and the process that wrote it has ended.
        //   Renaming or deleting leaves the mapping whole. Bytes are copied.
        #[expect(unsafe_code, reason = "compiled code is loaded here alone; the proof is above")]
        let component = unsafe {
            match image {
                Image::File(path) => Component::deserialize_file(engine, path),
                Image::Bytes(bytes) => Component::deserialize(engine, bytes),
            }
        };
        component.map_err(|error| ImageError::of(&error))
    }

    fn link(&self, digest: Digest, component: &Component) -> Result<Arc<GuestCode>, LoadError> {
        admission::compiled(component, &self.host.sandbox.limits, self.host.sandbox.wasi)?;
        let linked =
            self.host.sandbox.link(component).and_then(ReportGuestPre::new).map_err(|_| LoadError::WrongTypes)?;
        Ok(Arc::new(GuestCode { digest, linked, host: Arc::clone(&self.host) }))
    }
}

/// Where the bytes of an image are.
#[derive(Clone, Copy)]
enum Image<'a> {
    File(&'a Path),
    Bytes(&'a [u8]),
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
