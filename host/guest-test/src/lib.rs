//! Runs guests in a plain `#[test]`, with the loader, engine, limits and host functions of a worker.
//!
//! ```no_run
//! use assay_guest_test::{Guest, Step, answer, transcript};
//!
//! #[test]
//! fn a_good_answer_becomes_a_report() {
//!     let guest = Guest::load("minutes-v1.wasm").unwrap();
//!     assert_eq!(guest.manifest().prompt_version, "minutes-v1");
//!     let answers = [answer(r#"{"title": "Agreed", "summary": "It is agreed.", "decisions": []}"#)];
//!     let call = guest.advance(&transcript("Anna: it is agreed."), &answers);
//!     let Step::Accept(report) = call.result.unwrap() else { panic!("it must accept") };
//!     assert!(report.document.contains("It is agreed."));
//!     assert!(call.fuel.unwrap() < 3_000_000 && call.peak_memory < 8 << 20);
//! }
//! ```
//!
//! A [`Fixture`] is a test without code: a folder with a transcript, the model's answers and the step that must follow. `assay guest
//! test` runs fixtures; [`Guest::trial`] runs one in a test.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod answers;
mod example;
mod fixture;
mod fixture_error;
mod fixture_files;
mod fixture_folder;
mod fixture_toml;
mod fuel;
mod guest;
mod mutate;
mod rules;
mod step_json;
mod trial;

pub use assay_runtime::{
    Answer, Call, Fault, Finding, Limits, LoadError, LogLine, Manifest, Message, Prompt, Rejection, Report, Step,
    Transcript,
};

pub use example::{answer, transcript};
pub use fixture::Fixture;
pub use fixture_error::FixtureError;
pub use fixture_folder::FIXTURES;
pub use fuel::{FUEL_TOML, Fuel, FuelComparison, FuelError};
pub use guest::{Guest, GuestError, harness};
pub use rules::{Rule, RuleStatus, examine};
pub use step_json::{same_step, step_diff, step_json};
pub use trial::{Trial, TrialError, run_fixture};
