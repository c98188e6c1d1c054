//! The compile itself, and the request and reply that parent and child exchange.

use std::{fs, path::Path};

use assay_core::digest::Digest;
use assay_guest_build::{self as build, BuildLimits, BuildStep, compatibility::compatibility};
use serde::{Deserialize, Serialize};
use wasmtime::component::Component;

use crate::engine::{self, EngineSettings, GuestRoom};

/// What to compile, and how. The guest's bytes follow.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) settings: EngineSettings,
    /// The guest must fit into it.
    pub(crate) room: GuestRoom,
    pub(crate) source: Source,
    /// Name of an empty file in the working folder, for the image. `None`: it follows the answer.
    pub(crate) image: Option<String>,
    /// Size of the guest.
    pub(crate) max_bytes: u64,
    /// Memory of the child, in bytes.
    pub(crate) memory_bytes: u64,
    /// Processor time of the child, in seconds.
    pub(crate) cpu_seconds: u64,
}

/// What the bytes of a request are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Source {
    Component,
    /// The generic guest's core module, specialized with a schema before the compile.
    Generic {
        schema: String,
        /// Linear memory of its initializer, in bytes.
        memory_bytes: usize,
        /// Table elements of its initializer.
        table_elements: usize,
    },
}

/// The answer, without a word of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The image is written.
    Done {
        /// Digest of the engine that compiled it.
        compatibility: Digest,
    },
    /// Too little memory for an engine.
    NoEngine,
    /// The compiler refused the component.
    Refused,
    /// It compiles, but needs more or larger memories, tables or instances than a call may have.
    DoesNotFit,
    /// The generic guest refused the schema.
    SchemaRefused,
    /// The image could not be written.
    NotWritten,
}

/// Compiles `bytes` as `request` says. Writes the image into `folder`, or returns it where the request names no file.
pub(crate) fn compile(request: &Request, bytes: &[u8], folder: &Path) -> (Reply, Vec<u8>) {
    match (image(request, bytes), &request.image) {
        (Err(reply), _) => (reply, Vec::new()),
        (Ok((compatibility, image)), None) => (Reply::Done { compatibility }, image),
        (Ok((compatibility, image)), Some(name)) => match fs::write(folder.join(name), image) {
            Ok(()) => (Reply::Done { compatibility }, Vec::new()),
            Err(_) => (Reply::NotWritten, Vec::new()),
        },
    }
}

/// Returns the digest of the engine that compiled the image, and the image.
fn image(request: &Request, bytes: &[u8]) -> Result<(Digest, Vec<u8>), Reply> {
    let engine = engine::for_fitting(&request.settings, request.room).map_err(|_| Reply::NoEngine)?;
    let specialized;
    let component = match &request.source {
        Source::Component => bytes,
        Source::Generic { schema, memory_bytes, table_elements } => {
            let limits =
                BuildLimits { memory_bytes: *memory_bytes, table_elements: *table_elements, ..BuildLimits::default() };
            match build::specialize(bytes, &build::verifier_parts(schema), &limits) {
                Ok(built) => {
                    specialized = built.bytes;
                    &specialized
                }
                // The generic guest is our own, so a failure in its initializer is the schema's.
                Err(error) if matches!(error.step(), BuildStep::Inject | BuildStep::Initialize) => {
                    return Err(Reply::SchemaRefused);
                }
                Err(_) => return Err(Reply::Refused),
            }
        }
    };
    let compiled = Component::from_binary(&engine, component).and_then(|compiled| compiled.serialize());
    let image = compiled.map_err(|_| why_refused(&request.settings, component))?;
    Ok((compatibility(&engine), image))
}

/// Tells a refusal of the compiler from too little room. The engine's error has only a text, so this compiles again without limits.
fn why_refused(settings: &EngineSettings, component: &[u8]) -> Reply {
    let Ok(engine) = engine::for_compiling(settings) else { return Reply::NoEngine };
    match engine.precompile_component(component) {
        Ok(_) => Reply::DoesNotFit,
        Err(_) => Reply::Refused,
    }
}
