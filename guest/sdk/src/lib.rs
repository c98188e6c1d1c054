//! The SDK for Assay guests.
//!
//! A guest turns a transcript into questions for a language model, and the model's answers into one JSON document that
//! satisfies its schema. It is a pure function: no clock, no randomness, no files, no network.
//!
//! Most guests implement [`ReportGuest`]: versions, a schema, a prompt and, where the answer needs work, `postprocess`.
//! The SDK supplies `describe`, `advance` and `check`. [`export_guest!`] exports them. It also exports the hook that
//! parses and compiles the schema while the guest is *built*, so no call pays for it.
//!
//! Everything here also runs natively, so a guest's tests are plain `cargo test`.
#![warn(missing_docs)]

mod bindings;
mod compact_json;
mod component;
mod fence;
mod finding;
mod init_error;
pub mod json;
mod judge;
mod large_document;
pub mod log;
mod memory;
mod notes;
mod panic_hook;
mod prompt;
mod property_names;
#[cfg(target_arch = "wasm32")]
mod random;
pub mod reading;
mod repair;
mod report_guest;
mod schema;
pub mod strict;
mod template;

pub use bindings::assay::report::types::{
    Answer, Finding, Manifest, Message, Prompt, Rejection, Report, Step, Transcript,
};
pub use component::Component;
pub use fence::fence;
pub use finding::MAX_FINDINGS;
pub use init_error::InitError;
pub use notes::Notes;
pub use prompt::MAX_PROMPT_BYTES;
pub use report_guest::{Ready, ReportGuest};
pub use schema::{Schema, SchemaError};
pub use template::{Template, TemplateError};

/// Supports [`export_component!`]; not part of the interface.
#[doc(hidden)]
pub mod __export {
    #[cfg(target_arch = "wasm32")]
    pub use crate::bindings::export;
    pub use crate::{bindings::exports, component::initialize, memory::CallMemory};
}

/// Exports a [`ReportGuest`] as a component for the world `assay:report/report-guest`.
///
/// ```text
/// assay_guest::export_guest!(Meeting);
/// ```
#[macro_export]
macro_rules! export_guest {
    ($guest:ty) => {
        $crate::export_component!($crate::Ready<$guest>);
    };
}

/// Exports a [`Component`], for guests that decide at initialization what they are.
///
/// It also installs the guest's allocator, so the guest cannot have another `#[global_allocator]`. Natively it expands
/// to nothing, because a native linker rejects the names of the exports.
#[macro_export]
macro_rules! export_component {
    ($component:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            static READY: ::std::sync::OnceLock<$component> = ::std::sync::OnceLock::new();

            #[global_allocator]
            static MEMORY: $crate::__export::CallMemory = $crate::__export::CallMemory::new();

            fn ready() -> &'static $component {
                READY.get_or_init(|| {
                    let component = $crate::__export::initialize::<$component>();
                    MEMORY.begin();
                    component
                })
            }

            struct Exported;

            impl $crate::__export::exports::assay::report::guest::Guest for Exported {
                fn describe() -> $crate::Manifest {
                    $crate::Component::manifest(ready())
                }

                fn advance(transcript: $crate::Transcript, answers: ::std::vec::Vec<$crate::Answer>) -> $crate::Step {
                    $crate::Component::advance(ready(), &transcript, &answers)
                }

                fn check(document: ::std::string::String) -> ::std::vec::Vec<$crate::Finding> {
                    $crate::Component::check(ready(), &document)
                }
            }

    $crate::__export::export!(Exported with_types_in $crate::__export);

            // The builder runs it once and keeps the memory as it is then.
            #[unsafe(export_name = "wizer-initialize")]
            extern "C" fn initialize() {
                ready();
            }
        };
    };
}
