//! `answers.jsonl`: what the model answered when it was asked afresh. On the disk before it is used, so that no answer is bought
//! twice.

use std::{collections::HashMap, path::Path};

use anyhow::Context;
use assay_core::{ids::FileId, job_error::JobError};
use assay_llm as llm;
use assay_runtime::Answer;
use serde::{Deserialize, Serialize};

use super::lines::{Lines, Span};
use crate::{pipeline::StoredAnswer, releases::dry_run::Recorded};

/// An answer, and what it is counted with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Bought {
    /// The file that it is about.
    pub file_id: FileId,
    /// sha256 of the question, lower hex.
    pub question: String,
    /// Tokens of question and answer: the provider's count, else what was expected.
    pub tokens: u64,
    /// Content.
    pub answer: StoredAnswer,
}

/// Tokens of a question whose answer never came, or came as something else.
#[derive(Debug, Serialize, Deserialize)]
struct Lost {
    lost_tokens: u64,
}

impl Bought {
    /// The answer as a guest may see it.
    ///
    /// # Errors
    /// Why it may not.
    pub fn usable(self) -> Result<Recorded, JobError> {
        let StoredAnswer { text, model, finish_reason, refusal, .. } = self.answer;
        llm::usable(&finish_reason, refusal.is_some())?;
        let mut question = [0; 32];
        // What is none answers no question.
        _ = hex::decode_to_slice(&self.question, &mut question);
        Ok(Recorded { question, answer: Answer { text, model } })
    }
}

/// The answers of all runs. Their texts stay on the disk.
#[derive(Debug)]
pub struct Answers {
    lines: Lines,
    of: HashMap<FileId, Vec<Span>>,
    tokens: u64,
}

impl Answers {
    /// Opens those of a folder.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let (mut of, mut tokens) = (HashMap::<_, Vec<_>>::new(), 0_u64);
        let lines = Lines::open(&folder.join("answers.jsonl"), |line, span| {
            // Without the parser's words, which quote the line.
            if let Ok(Lost { lost_tokens }) = serde_json::from_slice(line) {
                tokens = tokens.saturating_add(lost_tokens);
                return Ok(());
            }
            let bought: Bought = serde_json::from_slice(line).ok().context("it is no answer")?;
            of.entry(bought.file_id).or_default().push(span);
            tokens = tokens.saturating_add(bought.tokens);
            Ok(())
        })?;
        Ok(Self { lines, of, tokens })
    }

    /// Tokens of all of them.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The answers about a file, in the order in which they were received.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn of(&self, file: FileId) -> anyhow::Result<Vec<Bought>> {
        self.of.get(&file).into_iter().flatten().map(|span| self.lines.read(*span)).collect()
    }

    /// Keeps what a question may have cost that has no answer.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn lose(&mut self, tokens: u64) -> anyhow::Result<()> {
        self.lines.append(&Lost { lost_tokens: tokens })?;
        self.lines.sync()?;
        self.tokens = self.tokens.saturating_add(tokens);
        Ok(())
    }

    /// Keeps one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, bought: &Bought) -> anyhow::Result<()> {
        let span = self.lines.append(bought)?;
        self.lines.sync()?;
        self.of.entry(bought.file_id).or_default().push(span);
        self.tokens = self.tokens.saturating_add(bought.tokens);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn bought(file: u128, text: &str, finish_reason: &str) -> Bought {
        let answer = StoredAnswer {
            text: text.to_owned(),
            refusal: None,
            model: "m".to_owned(),
            finish_reason: finish_reason.to_owned(),
            usage: None,
        };
        Bought { file_id: FileId(Uuid::from_u128(file)), question: "ab".repeat(32), tokens: 7, answer }
    }

    #[test]
    fn answers_are_there_in_the_next_run_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut answers = Answers::open(folder.path()).unwrap();
        for (file, text) in [(1, "first"), (2, "other"), (1, "second")] {
            answers.add(&bought(file, text, "stop")).unwrap();
        }
        drop(answers);
        let answers = Answers::open(folder.path()).unwrap();
        assert_eq!(answers.tokens(), 21);
        let of = answers.of(FileId(Uuid::from_u128(1))).unwrap();
        let recorded: Vec<_> = of.into_iter().map(|bought| bought.usable().unwrap()).collect();
        assert_eq!(recorded.iter().map(|one| one.answer.text.as_str()).collect::<Vec<_>>(), ["first", "second"]);
        assert_eq!(recorded[0].question, [0xab; 32]);
        assert!(answers.of(FileId(Uuid::from_u128(3))).unwrap().is_empty());
    }

    #[test]
    fn a_truncated_answer_is_kept_and_no_guest_sees_it() {
        let error = bought(1, "half", "length").usable().unwrap_err();
        assert_eq!(error.code.as_str(), "llm_output_truncated");
    }
}
