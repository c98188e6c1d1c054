//! What the exports of a guest call.

use std::process;

use crate::{
    Answer, Finding, InitError, Manifest, Schema, Step, Transcript, judge,
    log::{Level, emit},
    panic_hook,
    strict::Effect,
};

/// Implements the exports of a guest.
///
/// [`Ready`](crate::Ready) implements it for every [`ReportGuest`](crate::ReportGuest). A guest that learns at
/// initialization what it is, such as the generic one, implements it itself.
pub trait Component: Sized + Send + Sync + 'static {
    /// Makes the component; runs once, when the guest is built.
    ///
    /// # Errors
    ///
    /// An [`InitError`] ends the build, and the author sees it.
    fn initialize() -> Result<Self, InitError>;
    /// Answers `describe`.
    fn manifest(&self) -> Manifest;
    /// Answers `advance`.
    fn advance(&self, transcript: &Transcript, answers: &[Answer]) -> Step;
    /// Answers `check`: validates a stored document. Text that is not JSON has the one finding `not-json`.
    fn check(&self, document: &str) -> Vec<Finding> {
        judge::check(self.schema(), document)
    }
    /// Returns the schema that accepted documents satisfy.
    fn schema(&self) -> &Schema;
}

/// Makes a component, or logs the reason for the builder and aborts.
#[doc(hidden)]
pub fn initialize<C: Component>() -> C {
    panic_hook::install();
    let component = C::initialize().unwrap_or_else(|error| {
        emit(Level::Error, &error.to_string());
        process::abort()
    });
    // The author leaves a property to the guest's code on purpose.
    for loss in component.schema().losses().iter().filter(|loss| loss.effect != Effect::LeftToCode) {
        emit(Level::Warn, &format!("schema for the model: {loss}"));
    }
    component
}
