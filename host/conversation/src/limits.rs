//! Limits of a guest over a whole job, and the one check of them.

use assay_runtime::Prompt;

const MIB: usize = 1 << 20;

/// Limits of questions and report over a whole job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLimits {
    /// Rounds of questions.
    pub rounds: usize,
    /// Questions over all rounds.
    pub prompts: usize,
    /// Questions at the model at the same time. The source of the answers keeps this limit.
    pub concurrent_prompts: usize,
    /// Bytes of one question: messages and schema.
    pub prompt_bytes: usize,
    /// Bytes of an accepted report.
    pub report_bytes: usize,
    /// Levels of nesting of an accepted report.
    pub report_depth: usize,
}

impl Default for JobLimits {
    fn default() -> Self {
        Self {
            rounds: 4,
            prompts: 32,
            concurrent_prompts: 4,
            prompt_bytes: 2 * MIB,
            report_bytes: 4 * MIB,
            report_depth: 128,
        }
    }
}

/// A limit that a round of questions breaks. A worker, `guest try` and `guest test` show the same text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitBreach {
    /// The round has no question.
    #[error("ask the model: a round without a question")]
    NoQuestion,
    /// Over [`JobLimits::rounds`].
    #[error("ask the model: more than {limit} rounds of questions (GUEST_MAX_ROUNDS)")]
    Rounds { limit: usize },
    /// Over [`JobLimits::prompts`].
    #[error("ask the model: more than {limit} questions (GUEST_MAX_PROMPTS)")]
    Questions { limit: usize },
    /// Over [`JobLimits::prompt_bytes`]; `bytes` is the size of the largest question.
    #[error("ask the model: a question of {bytes} bytes, over {limit} (PROMPT_MAX_BYTES)")]
    QuestionBytes { bytes: usize, limit: usize },
}

impl JobLimits {
    /// Checks a round of questions after `rounds` rounds and `answers` answers.
    ///
    /// # Errors
    /// The first [`LimitBreach`].
    pub fn check_round(&self, prompts: &[Prompt], rounds: usize, answers: usize) -> Result<(), LimitBreach> {
        let bytes = prompts.iter().map(Prompt::bytes).max().unwrap_or(0);
        if rounds >= self.rounds {
            Err(LimitBreach::Rounds { limit: self.rounds })
        } else if prompts.is_empty() {
            Err(LimitBreach::NoQuestion)
        } else if answers + prompts.len() > self.prompts {
            Err(LimitBreach::Questions { limit: self.prompts })
        } else if bytes > self.prompt_bytes {
            Err(LimitBreach::QuestionBytes { bytes, limit: self.prompt_bytes })
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use assay_runtime::Message;

    use super::*;

    fn prompt(text: &str) -> Prompt {
        Prompt {
            messages: vec![Message { role: "user".to_owned(), content: text.into() }],
            answer_schema: None,
            model: None,
            max_output_tokens: None,
            temperature: None,
        }
    }

    #[test]
    fn a_round_of_questions_is_checked_against_each_limit() {
        let limits = JobLimits { rounds: 2, prompts: 2, prompt_bytes: 6, ..JobLimits::default() };
        assert_eq!(limits.check_round(&[prompt("hi")], 1, 1), Ok(()));
        assert_eq!(limits.check_round(&[prompt("hi")], 2, 1), Err(LimitBreach::Rounds { limit: 2 }));
        assert_eq!(limits.check_round(&[], 0, 0), Err(LimitBreach::NoQuestion));
        assert_eq!(limits.check_round(&[prompt("hi")], 1, 2), Err(LimitBreach::Questions { limit: 2 }));
        let long = limits.check_round(&[prompt("hi"), prompt("too long")], 0, 0);
        assert_eq!(long, Err(LimitBreach::QuestionBytes { bytes: 12, limit: 6 }));
    }
}
