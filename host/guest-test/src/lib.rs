//! Tests of guests: the same loader, engine, limits and host functions as in a worker, from a plain `#[test]`.
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
//! [`Fixture`]s are the same without code: a transcript, the model's answers and the step that must follow, in a folder. `assay guest
//! test` runs them; [`Guest::trial`] runs one from a test.

mod answers;
mod example;
mod facts;
mod fixture;
mod fuel;
mod guest;
mod mutate;
mod rules;
mod shown;
mod trial;

pub use assay_runtime::{
    Answer, Call, Fault, Finding, Limits, LoadError, LogLine, Manifest, Message, Prompt, Rejection, Report, Step,
    Transcript,
};

pub use example::{answer, transcript};
pub use facts::FixtureFacts;
pub use fixture::{FIXTURES, Fixture, FixtureError};
pub use fuel::{FUEL_TOML, Fuel, FuelError, Verdict as FuelVerdict};
pub use guest::{Guest, GuestError, harness};
pub use rules::{Rule, Verdict, examine};
pub use shown::{diff, shown};
pub use trial::{Trial, Trouble, run};
