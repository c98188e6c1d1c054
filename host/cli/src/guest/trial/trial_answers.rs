//! The answers of one trial.

use assay_conversation::{Answers, JobLimits};
use assay_runtime::{Answer, Call, Prompt, Step};

use crate::guest::trial::{
    answering::{Answering, Asked, UnansweredQuestion},
    trial_report::{Answered, Round, TrialReport},
};

/// Asks for the answers of one trial, and adds them to its report.
pub struct TrialAnswers<'a> {
    answering: &'a Answering,
    limits: &'a JobLimits,
    report: &'a mut TrialReport,
    asked: Asked,
    /// The answers as the guest sees them.
    pub answers: Vec<Answer>,
}

impl<'a> TrialAnswers<'a> {
    pub fn new(answering: &'a Answering, limits: &'a JobLimits, report: &'a mut TrialReport) -> Self {
        Self { answering, limits, report, asked: Asked::default(), answers: Vec::new() }
    }
}

impl Answers for TrialAnswers<'_> {
    type Error = anyhow::Error;

    fn answers(&self) -> &[Answer] {
        &self.answers
    }

    async fn ask(&mut self, prompts: Vec<Prompt>) -> anyhow::Result<()> {
        let before = self.answers.len();
        let (answered, failed) = self.answering.ask(&prompts, before, &mut self.asked, self.limits).await;
        self.answers.extend(answered.iter().map(Answered::answer));
        self.report.rounds.push(Round::new(&prompts, answered));
        let Some(error) = failed else { return Ok(()) };
        if let Some(usage) = error.downcast_ref::<UnansweredQuestion>().and_then(|unanswered| unanswered.usage) {
            self.report.add_unanswered(usage);
        }
        Err(error)
    }

    fn called(&mut self, call: &mut Call<Step>) {
        self.report.add_call(call);
    }
}
