//! `answers.jsonl`: new answers of the model. Each is on the disk before it is used, so that no answer is paid for twice.

use std::{collections::HashMap, path::Path};

use anyhow::Context;
use assay_core::{ids::FileId, job_error::JobError};
use assay_runtime::Answer;
use serde::{Deserialize, Serialize};

use crate::{
    pipeline::stored_answer::StoredAnswer,
    releases::dry_run::RecordedAnswer,
    replay::lines::{Lines, Span},
};

/// A new answer of the model.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewAnswer {
    pub file_id: FileId,
    /// sha256 of the question, lower hex.
    pub question: String,
    /// Tokens of question and answer, as the provider counted or as expected.
    pub tokens: u64,
    /// Content.
    pub answer: StoredAnswer,
}

/// Tokens of a question whose answer was lost or unreadable.
#[derive(Debug, Serialize, Deserialize)]
struct LostTokens {
    lost_tokens: u64,
}

impl NewAnswer {
    /// Returns the answer as a guest may see it.
    ///
    /// # Errors
    /// When the answer was truncated, refused or filtered.
    pub fn usable(self) -> Result<RecordedAnswer, JobError> {
        self.answer.usable()?;
        let StoredAnswer { text, model, .. } = self.answer;
        let mut question = [0; 32];
        // An invalid hash stays zero, which matches no question.
        _ = hex::decode_to_slice(&self.question, &mut question);
        Ok(RecordedAnswer { question, answer: Answer { text, model } })
    }
}

/// The new answers of all runs. Their texts stay on the disk.
#[derive(Debug)]
pub struct AnswerLog {
    lines: Lines,
    by_file: HashMap<FileId, Vec<Span>>,
    tokens: u64,
}

impl AnswerLog {
    /// Opens the log in a folder.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let (mut by_file, mut tokens) = (HashMap::<_, Vec<_>>::new(), 0_u64);
        let lines = Lines::open(&folder.join("answers.jsonl"), |line, span| {
            // Without the parser's error, which quotes the line.
            if let Ok(LostTokens { lost_tokens }) = serde_json::from_slice(line) {
                tokens = tokens.saturating_add(lost_tokens);
                return Ok(());
            }
            let answer: NewAnswer = serde_json::from_slice(line).ok().context("not an answer")?;
            by_file.entry(answer.file_id).or_default().push(span);
            tokens = tokens.saturating_add(answer.tokens);
            Ok(())
        })?;
        Ok(Self { lines, by_file, tokens })
    }

    /// Returns the tokens of all answers.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Reads the answers about a file, in the order of their arrival.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of(&self, file: FileId) -> anyhow::Result<Vec<NewAnswer>> {
        self.by_file.get(&file).into_iter().flatten().map(|span| self.lines.read(*span)).collect()
    }

    /// Writes the tokens that a question without an answer may have cost.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add_lost(&mut self, tokens: u64) -> anyhow::Result<()> {
        self.lines.append(&LostTokens { lost_tokens: tokens })?;
        self.lines.sync()?;
        self.tokens = self.tokens.saturating_add(tokens);
        Ok(())
    }

    /// Writes an answer.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&mut self, answer: &NewAnswer) -> anyhow::Result<()> {
        let span = self.lines.append(answer)?;
        self.lines.sync()?;
        self.by_file.entry(answer.file_id).or_default().push(span);
        self.tokens = self.tokens.saturating_add(answer.tokens);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn new_answer(file: u128, text: &str, finish_reason: &str) -> NewAnswer {
        let answer = StoredAnswer {
            text: text.to_owned(),
            refusal: None,
            model: "m".to_owned(),
            finish_reason: finish_reason.to_owned(),
            usage: None,
        };
        NewAnswer { file_id: FileId(Uuid::from_u128(file)), question: "ab".repeat(32), tokens: 7, answer }
    }

    #[test]
    fn the_next_run_reads_the_answers_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut answers = AnswerLog::open(folder.path()).unwrap();
        for (file, text) in [(1, "first"), (2, "other"), (1, "second")] {
            answers.add(&new_answer(file, text, "stop")).unwrap();
        }
        drop(answers);
        let answers = AnswerLog::open(folder.path()).unwrap();
        assert_eq!(answers.tokens(), 21);
        let of = answers.of(FileId(Uuid::from_u128(1))).unwrap();
        let recorded: Vec<_> = of.into_iter().map(|answer| answer.usable().unwrap()).collect();
        assert_eq!(recorded.iter().map(|one| one.answer.text.as_str()).collect::<Vec<_>>(), ["first", "second"]);
        assert_eq!(recorded[0].question, [0xab; 32]);
        assert!(answers.of(FileId(Uuid::from_u128(3))).unwrap().is_empty());
    }

    #[test]
    fn a_truncated_answer_is_not_usable() {
        let error = new_answer(1, "half", "length").usable().unwrap_err();
        assert_eq!(error.code.as_str(), "llm_output_truncated");
    }
}
