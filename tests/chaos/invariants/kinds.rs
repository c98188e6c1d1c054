//! The kind of a transcript decides how its job may end. Faults around it change nothing about that.

use assay_core::code::{Class, Code};

use crate::{
    evidence::{Evidence, File, Job},
    invariants::verdict::Verdict,
    old,
    talk::Kind,
};

/// Checks that every transcript ends as one of its kind does; besides, its attempts may be spent on faults that pass, the model may have been what it
/// says, and an operator may have stopped it.
pub fn every_transcript_ends_as_its_kind_does(evidence: &Evidence) -> Verdict {
    let jobs = evidence.job_rows();
    let ended = evidence.files.iter().filter_map(|file| Some((file, *jobs.get(&file.id)?)));
    let (mut checked, mut succeeded, mut broken) = (0, 0, Vec::new());
    for (file, job) in ended {
        checked += 1;
        succeeded += usize::from(job.status == "succeeded");
        if !may_end_so(evidence, file, job) {
            let (name, status, code) = (&file.name, &job.status, &job.error_code);
            broken.push(format!("{name} (job {}) is {status} with {code:?}", job.id));
        }
    }
    broken.extend((succeeded == 0).then(|| "not one succeeded".to_owned()));
    Verdict::new("every transcript ends as its kind does", checked, broken)
}

fn may_end_so(evidence: &Evidence, file: &File, job: &Job) -> bool {
    let kind = Kind::of_file(&file.name);
    let Some(code) = job.error_code.as_deref().filter(|_| job.status == "failed") else {
        // The other program makes reports without a model.
        let by_other = file.report.as_ref().is_some_and(|key| key.starts_with(old::REPORTS));
        return job.status != "succeeded" || by_other || kind.is_some_and(|kind| kind.code().is_none());
    };
    let class = Code::ALL.iter().find(|known| known.as_str() == code).map(|known| known.class());
    let passes = class == Some(Class::Retry) || code == Code::WorkerLost.as_str();
    let odd = || evidence.dealt.iter().any(|dealt| dealt.file == file.id && dealt.trouble.leads_to().is_none());
    // What the model led to has an invariant of its own.
    kind.is_some_and(|kind| kind.code() == Some(code))
        || matches!(code, "cancelled" | old::FAILURE)
        || code.starts_with("llm_")
        || (passes && job.spent)
        // A rerun takes the release that runs now, which repairs nothing.
        || (code == "schema_validation_failed" && (odd() || (kind == Some(Kind::Repaired) && job.life > 1)))
}

#[cfg(test)]
mod tests {
    use assay_tests::Oddity;

    use super::*;
    use crate::{
        faults::{met::Dealt, model_trouble::ModelTrouble},
        invariants::rows::{FILE, at, failed, succeeded},
    };

    fn broken(evidence: &Evidence) -> usize {
        // A line of its own says that nothing has succeeded.
        let broken = every_transcript_ends_as_its_kind_does(evidence).broken;
        broken.iter().filter(|line| !line.starts_with("not one")).count()
    }

    #[test]
    fn a_good_transcript_may_fail_only_with_spent_attempts() {
        assert_eq!(broken(&succeeded()), 0);
        assert_eq!(broken(&failed("transcript_not_found")), 1);
        for code in ["s3_read_failed", "worker_lost"] {
            let mut spent = failed(code);
            assert_eq!(broken(&spent), 1, "it has attempts left");
            spent.jobs[0].spent = true;
            assert_eq!(broken(&spent), 0);
        }
    }

    #[test]
    fn a_transcript_that_cannot_succeed_and_does_is_seen() {
        let mut evidence = succeeded();
        evidence.files[0].name = Kind::Missing.filename();
        assert_eq!(broken(&evidence), 1);
        let mut evidence = failed("transcript_not_found");
        evidence.files[0].name = Kind::Missing.filename();
        assert_eq!(broken(&evidence), 0);
    }

    #[test]
    fn an_odd_answer_explains_a_rejection() {
        let mut evidence = failed("schema_validation_failed");
        assert_eq!(broken(&evidence), 1);
        let trouble = ModelTrouble::OddText(Oddity::NotANumber);
        evidence.dealt.push(Dealt { at: at(2), slot: 1, file: FILE, question: vec![1], trouble });
        assert_eq!(broken(&evidence), 0);
    }

    #[test]
    fn a_run_in_which_nothing_succeeds_is_seen() {
        let broken = every_transcript_ends_as_its_kind_does(&failed("cancelled")).broken;
        assert_eq!(broken, ["not one succeeded"]);
    }
}
