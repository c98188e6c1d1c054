//! The list of the invariants.

use crate::{
    evidence::Evidence,
    invariants::{documents, ends, explained, fence, kinds, owners, purchases, rescue, silence, verdict::Verdict},
};

/// Checks every invariant of a finished run.
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
