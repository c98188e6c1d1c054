//! What compiling is, wherever it runs; and the words that parent and child exchange about it.

use std::{fs, path::Path};

use assay_core::digest::Digest;
use assay_guest_build::{self as build, BuildLimits, Step, compatibility::compatibility};
use serde::{Deserialize, Serialize};
use wasmtime::component::Component;

use crate::engine::{self, Room, Settings};

/// What to compile, and how. The bytes follow it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The engine's.
    pub(crate) settings: Settings,
    /// What the guest must fit into.
    pub(crate) room: Room,
    /// What the bytes are.
    pub(crate) source: Source,
    /// The file's name in the cache folder; it exists and is empty.
    pub(crate) image: String,
    /// The most bytes that may follow.
    pub(crate) max_bytes: u64,
    /// Memory of the child, in bytes.
    pub(crate) memory_bytes: u64,
    /// Processor time of the child, in seconds.
    pub(crate) cpu_seconds: u64,
}

/// What the bytes of a request are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Source {
    /// A component.
    Component,
    /// The generic guest's core module, to be specialized with a schema first.
    Generic {
        /// The JSON Schema.
        schema: String,
        /// Linear memory of its initializer, in bytes.
        memory_bytes: usize,
        /// Table elements of its initializer.
        table_elements: usize,
    },
}

/// The answer. Not a word of the guest's is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The image is written.
    Done {
        /// Of the engine that compiled it.
        compatibility: Digest,
    },
    /// There is no engine to compile with, for want of memory.
    NoEngine,
    /// The compiler does not take the component.
    Refused,
    /// The compiler takes it, and it needs more memories, tables or instances, or larger ones, than a call may have.
    DoesNotFit,
    /// The generic guest does not take the schema.
    SchemaRefused,
    /// The image could not be written.
    NotWritten,
}

/// Compiles `bytes` as `request` says, into `folder`.
pub(crate) fn compile(request: &Request, bytes: &[u8], folder: &Path) -> Reply {
    let Ok(engine) = engine::for_fitting(&request.settings, request.room) else { return Reply::NoEngine };
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
                // The generic guest is our own; what makes it stop in its initializer is the schema.
                Err(error) if matches!(error.step(), Step::Inject | Step::Initialize) => return Reply::SchemaRefused,
                Err(_) => return Reply::Refused,
            }
        }
    };
    let image = match Component::from_binary(&engine, component).and_then(|compiled| compiled.serialize()) {
        Ok(image) => image,
        Err(_) => return why_refused(&request.settings, component),
    };
    match fs::write(folder.join(&request.image), image) {
        Ok(()) => Reply::Done { compatibility: compatibility(&engine) },
        Err(_) => Reply::NotWritten,
    }
}

/// The engine tells in prose alone whether it could not compile or has no place for the result, so the first is tried once more without the second.
fn why_refused(settings: &Settings, component: &[u8]) -> Reply {
    let Ok(engine) = engine::for_compiling(settings) else { return Reply::NoEngine };
    match engine.precompile_component(component) {
        Ok(_) => Reply::DoesNotFit,
        Err(_) => Reply::Refused,
    }
}
