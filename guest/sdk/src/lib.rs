//! The SDK for Assay guests.
//!
//! A guest turns a transcript into questions for a language model, and the model's answers into one JSON document that
//! satisfies its schema. It is a pure function: no clock, no randomness, no files, no network. Most guests implement
//! [`ReportGuest`]: versions, a schema, a prompt and, where the answer needs work, `postprocess`. The SDK supplies
//! `describe`, `advance` and `check`, and [`export_guest!`] exports them together with the hook that parses and compiles
//! the schema while the guest is *built*, so that no call pays for it.
//!
//! Everything here also runs natively, so a guest's tests are plain `cargo test`.

mod bindings;
mod compact;
mod finding;
mod flow;
pub mod json;
mod large;
pub mod log;
mod memory;
mod panic;
mod prompt;
#[cfg(target_arch = "wasm32")]
mod random;
mod repair;
mod schema;
pub mod strict;
mod template;

pub use bindings::assay::report::types::{
    Answer, Finding, Manifest, Message, Prompt, Rejection, Report, Step, Transcript,
};
pub use finding::{MAX_FINDINGS, Notes};
pub use flow::{Component, InitError, Ready, ReportGuest};
pub use prompt::{MAX_PROMPT_BYTES, fence};
pub use schema::{Schema, SchemaError};
pub use template::{Template, TemplateError};

/// What [`export_component!`] expands to; no part of the interface.
#[doc(hidden)]
pub mod __export {
    #[cfg(target_arch = "wasm32")]
    pub use crate::bindings::export;
    pub use crate::bindings::exports;
    pub use crate::flow::initialize;
    pub use crate::memory::CallMemory;
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

/// Exports a [`Component`], for guests that decide at initialization what they are, and puts the guest's allocator in
/// place, so that there can be no other `#[global_allocator]`. Natively it expands to nothing: the exports' names are none
/// that a native linker takes.
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

            // Run once by the builder, which then keeps the memory as it is.
            #[unsafe(export_name = "wizer-initialize")]
            extern "C" fn initialize() {
                ready();
            }
        };
    };
}
