//! What befell a question at the model leads to the code that docs/errors.md has for it, and no other code comes of nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    evidence::Evidence,
    faults::met::Dealt,
    invariants::{claims::Claims, verdict::Verdict},
    talk::Kind,
};

/// What a slow machine and a stop make of a question, whatever befell it.
const BESIDES: [&str; 3] = ["llm_timeout", "llm_network_error", "cancelled"];

/// Checks that every trouble leads to its code in the claim that it befell, and every code of the model's has its trouble.
pub fn every_trouble_leads_to_its_code(evidence: &Evidence) -> Verdict {
    let claims = Claims::of(evidence);
    let attempts: BTreeMap<_, _> =
        evidence.attempts.iter().map(|attempt| ((attempt.job, attempt.token), attempt)).collect();
    // Several questions at once, of which the first that fails ends all.
    let several: BTreeSet<_> =
        evidence.files.iter().filter(|file| file.name == Kind::Parts.filename()).map(|file| file.id).collect();
    let several_jobs: BTreeSet<_> = several.iter().filter_map(|file| claims.jobs.get(file)).collect();
    let (mut befell, mut checked, mut broken) = (BTreeSet::new(), 0, Vec::new());
    for Dealt { at, slot, file, trouble, .. } in &evidence.dealt {
        let (Some(code), Some(job)) = (trouble.leads_to(), claims.jobs.get(file)) else { continue };
        // Of a call whose claim was over when it arrived nothing comes.
        let Some(token) = claims.token(*job, *slot, *at) else { continue };
        befell.insert((*job, token, code));
        let Some(attempt) = attempts.get(&(*job, token)) else { continue };
        // The result of a question is unknown if its claim was never settled.
        if several.contains(file) || matches!(attempt.outcome.as_str(), "lost" | "released") {
            continue;
        }
        checked += 1;
        if !attempt.code.as_deref().is_some_and(|ended| ended == code || BESIDES.contains(&ended)) {
            let ended = (&attempt.outcome, &attempt.code);
            broken
                .push(format!("{code} was to come of what befell token {token} of job {job}, but it ended {ended:?}"));
        }
    }
    for attempt in &evidence.attempts {
        let Some(code) = attempt.code.as_deref() else { continue };
        // A job that is held because a breaker is open has the code of what opened it.
        let held = attempt.outcome == "held";
        let explained = BESIDES.contains(&code) || befell.contains(&(attempt.job, attempt.token, code));
        // Several questions at once may have been answered by a trouble in an earlier claim, and be replayed.
        let replayed = several_jobs.contains(&attempt.job);
        if code.starts_with("llm_") && !held && !explained && !replayed {
            let (token, job) = (attempt.token, attempt.job);
            broken.push(format!("token {token} of job {job} ended with {code}, and nothing led to it"));
        }
    }
    Verdict::new("every trouble at the model leads to its code", checked, broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evidence::Attempt,
        faults::{met::Dealt, model_trouble::ModelTrouble},
        invariants::rows::{FILE, at, attempt, failed},
    };

    fn ended(code: &str, trouble: ModelTrouble) -> Evidence {
        let attempts = vec![Attempt { code: Some(code.to_owned()), ..attempt(1, "failed") }];
        Evidence {
            attempts,
            dealt: vec![Dealt { at: at(2), slot: 1, file: FILE, question: vec![1], trouble }],
            ..failed(code)
        }
    }

    #[test]
    fn a_code_and_the_trouble_that_leads_to_it_explain_each_other() {
        let verdict = every_trouble_leads_to_its_code(&ended("llm_refused", ModelTrouble::Refused));
        assert_eq!((verdict.checked, verdict.broken.len()), (1, 0));
    }

    #[test]
    fn a_code_without_its_trouble_or_with_another_one_is_seen() {
        let verdict = every_trouble_leads_to_its_code(&ended("llm_refused", ModelTrouble::Truncated));
        assert_eq!(verdict.broken.len(), 2);
    }

    #[test]
    fn only_an_unsettled_claim_excuses_a_trouble_without_a_code() {
        let mut evidence = ended("schema_validation_failed", ModelTrouble::Refused);
        assert_eq!(every_trouble_leads_to_its_code(&evidence).broken.len(), 1);
        evidence.attempts.push(attempt(2, "lost"));
        assert_eq!(every_trouble_leads_to_its_code(&evidence).broken.len(), 1);
        evidence.attempts[0].outcome = "lost".to_owned();
        assert!(every_trouble_leads_to_its_code(&evidence).broken.is_empty());
    }

    #[test]
    fn nothing_comes_of_a_call_whose_claim_was_over_when_it_arrived() {
        let mut evidence = ended("schema_validation_failed", ModelTrouble::Refused);
        evidence.dealt[0].at = at(9);
        let verdict = every_trouble_leads_to_its_code(&evidence);
        assert_eq!((verdict.checked, verdict.broken.len()), (0, 0));
    }
}
