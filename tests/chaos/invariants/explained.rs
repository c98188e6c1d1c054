//! What befell a question at the model leads to the code that docs/errors.md has for it, and no other code comes of nothing.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::Verdict;
use crate::evidence::Evidence;
use crate::talk::Kind;

/// What a slow machine and a stop make of a question, whatever befell it.
const BESIDES: [&str; 3] = ["llm_timeout", "llm_network_error", "cancelled"];

/// Every trouble leads to its code, and every code of the model's has its trouble.
pub fn every_trouble_leads_to_its_code(evidence: &Evidence) -> Verdict {
    let file_of: BTreeMap<_, _> = evidence.jobs.iter().map(|job| (job.id, job.file)).collect();
    let mut codes = BTreeMap::<Uuid, BTreeSet<&str>>::new();
    // Of whom it cannot be known what became of every question: claims that nobody settled, and several questions at once, of which the
    // first that fails ends all.
    let mut unknown: BTreeSet<_> =
        evidence.files.iter().filter(|file| file.name == Kind::Parts.filename()).map(|file| file.id).collect();
    let mut dealt = BTreeSet::new();
    for trouble in &evidence.dealt {
        dealt.extend(trouble.trouble.leads_to().map(|code| (trouble.file, code)));
    }
    let mut broken = Vec::new();
    for attempt in &evidence.attempts {
        let Some(file) = file_of.get(&attempt.job) else { continue };
        if matches!(attempt.outcome.as_str(), "lost" | "released") {
            unknown.insert(*file);
        }
        let Some(code) = attempt.code.as_deref() else { continue };
        codes.entry(*file).or_default().insert(code);
        // A job that is held because a breaker is open has the code of what opened it.
        let held = attempt.outcome == "held";
        if code.starts_with("llm_") && !held && !BESIDES.contains(&code) && !dealt.contains(&(*file, code)) {
            broken.push(format!(
                "token {} of job {} ended with {code}, and nothing led to it",
                attempt.token, attempt.job
            ));
        }
    }
    for (file, code) in &dealt {
        let codes = codes.get(file);
        let has = |code: &str| codes.is_some_and(|codes| codes.contains(code));
        if !unknown.contains(file) && !has(code) && !BESIDES.iter().any(|code| has(code)) {
            broken.push(format!("{code} was to come of what befell file {file}, but it has {codes:?}"));
        }
    }
    Verdict::new("every trouble at the model leads to its code", dealt.len(), broken)
}

#[cfg(test)]
mod tests {
    use super::super::rows::{FILE, attempt, failed};
    use super::*;
    use crate::evidence::Attempt;
    use crate::faults::{Dealt, ModelTrouble};

    fn ended(code: &str, trouble: ModelTrouble) -> Evidence {
        let attempts = vec![Attempt { code: Some(code.to_owned()), ..attempt(1, "failed") }];
        Evidence { attempts, dealt: vec![Dealt { file: FILE, trouble }], ..failed(code) }
    }

    #[test]
    fn a_code_and_the_trouble_that_leads_to_it_explain_each_other() {
        let verdict = every_trouble_leads_to_its_code(&ended("llm_refused", ModelTrouble::Refused));
        assert_eq!((verdict.checked, verdict.broken.len()), (1, 0));
    }

    #[test]
    fn a_code_that_nothing_led_to_is_told_and_so_is_a_trouble_that_led_to_another() {
        let verdict = every_trouble_leads_to_its_code(&ended("llm_refused", ModelTrouble::Truncated));
        assert_eq!(verdict.broken.len(), 2);
    }

    #[test]
    fn a_claim_that_nobody_settled_explains_that_nothing_came_of_a_trouble() {
        let mut evidence = ended("schema_validation_failed", ModelTrouble::Refused);
        assert_eq!(every_trouble_leads_to_its_code(&evidence).broken.len(), 1);
        evidence.attempts.push(attempt(2, "lost"));
        assert!(every_trouble_leads_to_its_code(&evidence).broken.is_empty());
    }
}
