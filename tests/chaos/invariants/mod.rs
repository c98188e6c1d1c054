//! What must hold when it is quiet again, whatever was broken. Each is a pure function on the evidence that tells what breaks it.

mod claims;
mod documents;
mod ends;
mod explained;
mod fence;
mod kinds;
mod met;
mod owners;
mod purchases;
mod rescue;
#[cfg(test)]
mod rows;
mod silence;

use serde::Serialize;

use crate::evidence::Evidence;
pub use ends::everything_handed_in_is_there;
pub use met::every_fault_was_met;
pub use purchases::by_stalled;
pub use rescue::{held_by_the_dead, slowest};
pub use silence::{Found, search};

/// What became of an invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The invariant, as a sentence.
    pub name: &'static str,
    /// How many things were looked at; none at all proves nothing.
    pub checked: usize,
    /// What breaks it, a line each.
    pub broken: Vec<String>,
}

impl Verdict {
    fn new(name: &'static str, checked: usize, broken: impl IntoIterator<Item = String>) -> Self {
        Self { name, checked, broken: broken.into_iter().collect() }
    }
}

/// All of them.
pub fn all(evidence: &Evidence) -> Vec<Verdict> {
    vec![
        ends::every_job_has_ended(evidence),
        ends::every_life_is_finalized_once(evidence),
        ends::file_agrees_with_job(evidence),
        kinds::every_transcript_ends_as_its_kind_does(evidence),
        documents::every_report_satisfies_its_schema(evidence),
        documents::every_failure_after_an_answer_kept_it(evidence),
        owners::every_object_has_an_owner(evidence),
        owners::every_object_that_a_row_names_exists(evidence),
        purchases::no_received_answer_was_bought_again(evidence),
        purchases::every_received_answer_is_in_the_journal(evidence),
        purchases::no_call_without_a_claim(evidence),
        fence::no_stale_write(evidence),
        fence::every_report_is_the_winners(evidence),
        explained::every_trouble_leads_to_its_code(evidence),
        rescue::a_dead_workers_job_runs_again_in_time(evidence),
        silence::no_log_has_a_word_of_a_document(evidence),
    ]
}
