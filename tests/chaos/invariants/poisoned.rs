//! A document on which the model fails keeps no other waiting, and ends by itself.

use crate::{evidence::Evidence, invariants::verdict::Verdict, scenarios::poisoned::Percentiles, talk::Kind};

/// How many times as long good documents may take beside bad ones.
const MOST: f64 = 2.0;
/// Holds of a document that the model refuses while it works for others.
const HOLDS: usize = 3;

/// Checks what bad documents do to the good ones beside them, and what becomes of both.
pub fn all(evidence: &Evidence, percentiles: &Percentiles) -> Vec<Verdict> {
    vec![
        good_documents_hardly_wait(evidence, percentiles),
        each_document_ends_as_it_must(evidence),
        no_breaker_opens(evidence),
    ]
}

/// Checks the 99th percentile of the good ones, where times are a verdict.
fn good_documents_hardly_wait(evidence: &Evidence, percentiles: &Percentiles) -> Verdict {
    let name = "bad documents at most double the p99 of good ones";
    if evidence.rescue_bound.is_none() {
        return Verdict::new(name, 0, []);
    }
    let Percentiles { alone, beside, of } = percentiles;
    let slower = *alone <= 0.0 || *beside > alone * MOST;
    Verdict::new(name, *of, slower.then(|| format!("{beside:.2} s beside bad documents, {alone:.2} s without")))
}

/// Checks that every bad document fails with its own code after no more holds than it may have, and that every good one succeeds.
fn each_document_ends_as_it_must(evidence: &Evidence) -> Verdict {
    let jobs = evidence.job_rows();
    let mut broken = Vec::new();
    for file in &evidence.files {
        let code = Kind::of_file(&file.name).and_then(Kind::code);
        let expected = (if code.is_some() { "failed" } else { "succeeded" }, code);
        let ended = (file.status.as_str(), file.error_code.as_deref());
        let held = |job| evidence.attempts.iter().filter(|end| end.job == job && end.outcome == "held").count();
        let holds = jobs.get(&file.id).map_or(0, |job| held(job.id));
        if ended != expected || holds > HOLDS {
            broken.push(format!("{} ended {ended:?} after {holds} holds, expected {expected:?}", file.name));
        }
    }
    Verdict::new("each document ends with its own code or a report", evidence.files.len(), broken)
}

/// Checks that no worker called the model away.
fn no_breaker_opens(evidence: &Evidence) -> Verdict {
    let broken = evidence.logs.opened.iter().map(|(place, dependency)| format!("{place}: that of {dependency}"));
    Verdict::new("no breaker opens for single documents", evidence.dealt.len(), broken)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        faults::poison::Poison,
        invariants::rows::{attempt, failed, succeeded},
        log_search::Found,
    };

    #[test]
    fn a_percentile_that_more_than_doubles_is_seen() {
        let broken = |alone, beside, bound: Option<u64>| {
            let evidence = Evidence { rescue_bound: bound.map(Duration::from_secs), ..Evidence::default() };
            good_documents_hardly_wait(&evidence, &Percentiles { alone, beside, of: 9 }).broken.len()
        };
        assert_eq!((broken(1.0, 2.0, Some(1)), broken(1.0, 2.1, Some(1)), broken(1.0, 9.0, None)), (0, 1, 0));
        assert_eq!(broken(0.0, 0.0, Some(1)), 1, "nothing was measured");
    }

    #[test]
    fn a_good_document_that_fails_is_seen() {
        assert!(each_document_ends_as_it_must(&succeeded()).broken.is_empty());
        assert_eq!(each_document_ends_as_it_must(&failed("llm_timeout")).broken.len(), 1);
    }

    #[test]
    fn a_bad_document_with_another_code_or_too_many_holds_is_seen() {
        let mut evidence = failed("llm_auth_failed");
        evidence.files[0].name = Kind::Poisoned(Poison::Forbidden).filename();
        evidence.attempts.splice(0..0, (1..=3).map(|token| attempt(token, "held")));
        assert!(each_document_ends_as_it_must(&evidence).broken.is_empty());
        evidence.attempts.push(attempt(5, "held"));
        assert_eq!(each_document_ends_as_it_must(&evidence).broken.len(), 1);
        evidence.attempts.pop();
        evidence.files[0].name = Kind::Poisoned(Poison::NotFound).filename();
        assert_eq!(each_document_ends_as_it_must(&evidence).broken.len(), 1);
    }

    #[test]
    fn a_breaker_that_opens_is_seen() {
        let logs = Found { opened: vec![("w1-1.log:7".to_owned(), "model".to_owned())], ..Found::default() };
        assert_eq!(no_breaker_opens(&Evidence { logs, ..Evidence::default() }).broken, ["w1-1.log:7: that of model"]);
    }
}
