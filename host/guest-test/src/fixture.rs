//! Fixtures in memory and in components.

use std::{collections::BTreeMap, path::Path};

use assay_guest_build::{BuildError, section, with_section};
use assay_runtime::{Answer, Transcript};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fixture_error::{FixtureError, malformed};

/// The custom section of a component that holds its fixtures.
const FIXTURES_SECTION: &str = "assay:fixtures";

/// One fixture: a transcript, the model's answers, and the step that must follow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fixture {
    /// Name of its folder.
    pub name: String,
    /// The document. Content.
    pub transcript: Transcript,
    /// The model's answers, in the order of the questions.
    pub answers: Vec<Answer>,
    /// The step that must follow, as [`crate::step_json`] writes it. `None`: no step is accepted yet.
    pub expected: Option<Value>,
    /// Fuel budgets by compiler. A run may take a tenth more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fuel: BTreeMap<String, u64>,
}

impl Fixture {
    /// Returns the component with these fixtures in a custom section.
    ///
    /// # Errors
    /// [`BuildError`] if the bytes are not a component.
    ///
    /// # Panics
    /// Never: fixtures are strings and JSON.
    pub fn put_into(component: &[u8], fixtures: &[Self]) -> Result<Vec<u8>, BuildError> {
        if fixtures.is_empty() {
            return Ok(component.to_vec());
        }
        with_section(component, FIXTURES_SECTION, &serde_json::to_vec(fixtures).expect("fixtures are strings and JSON"))
    }

    /// Reads the fixtures in a component.
    ///
    /// # Errors
    /// [`FixtureError::Malformed`] if the custom section has other content.
    pub fn carried_by(component: &[u8]) -> Result<Vec<Self>, FixtureError> {
        let Some(carried) = section(component, FIXTURES_SECTION) else { return Ok(Vec::new()) };
        serde_json::from_slice(&carried).map_err(|error| malformed(Path::new(FIXTURES_SECTION), error))
    }
}
