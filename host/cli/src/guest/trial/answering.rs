//! The sources of answers of a trial.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, anyhow};
use assay_conversation::JobLimits;
use assay_core::job_error::JobError;
use assay_guest_build::{read_stream, utf8};
#[cfg(feature = "dev")]
use assay_llm::ChatRequest;
use assay_llm::Usage;
use assay_runtime::Prompt;
use assay_worker::pipeline::chat_request;
use futures::StreamExt;
use parking_lot::Mutex;

use crate::guest::trial::{answer_source::AnswerSource, trial_report::Answered};

/// The default of `ANSWER_MAX_BYTES`. A shell's `<(command)` may give an answer, so its size is known only at its end.
const MAX_ANSWER_BYTES: u64 = 4 << 20;

pub struct Answering {
    source: AnswerSource,
    /// Answers of earlier runs, so that `--watch` buys no answer twice.
    known: Mutex<HashMap<Question, Answered>>,
}

/// A question that the model did not answer.
#[derive(Debug)]
pub struct UnansweredQuestion {
    number: usize,
    error: JobError,
    /// What was paid for all the same.
    pub usage: Option<Usage>,
}

impl fmt::Display for UnansweredQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "question {}: {}", self.number, self.error)
    }
}

impl Error for UnansweredQuestion {}

/// A question, and how often the same run asked it before. A repeated question gets another answer, as in a worker.
type Question = (String, usize);

/// Counts the questions of one run.
#[derive(Default)]
pub struct Asked {
    times: HashMap<String, usize>,
}

impl Asked {
    /// Returns the next question, in the order in which the guest asks.
    fn next(&mut self, prompt: &Prompt) -> anyhow::Result<Question> {
        let text = serde_json::to_string(prompt)?;
        let times = self.times.entry(text.clone()).or_default();
        *times += 1;
        Ok((text, *times - 1))
    }
}

impl Answering {
    pub fn new(source: AnswerSource) -> Self {
        Self { source, known: Mutex::default() }
    }

    /// Answers a round of questions; `before` questions were asked in earlier rounds. Returns the answers before the first
    /// question without a usable answer, and the error of that question.
    pub async fn ask(
        &self,
        prompts: &[Prompt],
        before: usize,
        asked: &mut Asked,
        limits: &JobLimits,
    ) -> (Vec<Answered>, Option<anyhow::Error>) {
        // Counted before the first is asked, because two equal questions are answered in any order.
        let questions: anyhow::Result<Vec<Question>> = prompts.iter().map(|prompt| asked.next(prompt)).collect();
        let questions = match questions {
            Ok(questions) => questions,
            Err(error) => return (Vec::new(), Some(error)),
        };
        // As in a worker: after a failure, ask nothing more, but wait for running questions, because they are paid for.
        let stopped = AtomicBool::new(false);
        let asking = prompts.iter().zip(questions).zip(before..).map(async |((prompt, question), ordinal)| {
            if stopped.load(Ordering::Relaxed) {
                return None;
            }
            let answer = self.answer(prompt, question, ordinal).await;
            stopped.fetch_or(answer.is_err(), Ordering::Relaxed);
            Some(answer)
        });
        let mut answers = futures::stream::iter(asking).buffered(limits.concurrent_prompts);
        let (mut answered, mut failed) = (Vec::new(), None);
        while let Some(answer) = answers.next().await {
            match answer {
                // Answers after the first unanswered question are dropped.
                Some(Ok(answer)) if failed.is_none() => answered.push(answer),
                Some(Err(error)) => failed = failed.or(Some(error)),
                Some(Ok(_)) | None => {}
            }
        }
        (answered, failed)
    }

    async fn answer(&self, prompt: &Prompt, question: Question, ordinal: usize) -> anyhow::Result<Answered> {
        if let AnswerSource::Files(files) = &self.source {
            let file = files.get(ordinal);
            let file = file.with_context(|| format!("the guest asks question {}; add an --answer", ordinal + 1))?;
            let text = read_stream(file, MAX_ANSWER_BYTES).and_then(utf8);
            let text = text.with_context(|| format!("read {}", file.display()))?;
            return Ok(Answered::from_file(text));
        }
        if let Some(answered) = self.known.lock().get(&question) {
            return Ok(answered.again());
        }
        let completion = match &self.source {
            AnswerSource::Model(model) => model.complete(&chat_request(prompt)).await,
            // The stand-in has one model.
            #[cfg(feature = "dev")]
            AnswerSource::StandIn { model, .. } => {
                model.complete(&ChatRequest { model: None, ..chat_request(prompt) }).await
            }
            AnswerSource::Files(_) => unreachable!("answered above"),
        };
        let completion = completion.map_err(|mut error| {
            let usage = error.unreadable.take().and_then(|answer| answer.usage);
            UnansweredQuestion { number: ordinal + 1, error: error.into(), usage }
        })?;
        completion.usable().map_err(|error| anyhow!("question {}: {error}", ordinal + 1))?;
        let answered = Answered::from(completion);
        self.known.lock().insert(question, answered.clone());
        Ok(answered)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use assay_core::env::Variables;
    use assay_llm::{LlmConfig, Model};
    use assay_runtime::Message;
    use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
    use serde_json::{Value, json};
    use tokio::sync::Barrier;

    use super::*;

    /// Answers only when as many questions are open as the barrier has places.
    struct Server {
        together: Barrier,
        asked: Mutex<Vec<String>>,
    }

    async fn complete(
        State(server): State<Arc<Server>>,
        Json(request): Json<Value>,
    ) -> Result<Json<Value>, StatusCode> {
        let question = request["messages"][0]["content"].as_str().unwrap_or_default().to_owned();
        let number = {
            let mut asked = server.asked.lock();
            asked.push(question.clone());
            asked.len()
        };
        server.together.wait().await;
        if question == "first" {
            return Err(StatusCode::INTERNAL_SERVER_ERROR);
        }
        let content = format!("answer {number}");
        Ok(Json(json!({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})))
    }

    async fn answering(at_once: usize) -> (Answering, Arc<Server>) {
        let server = Arc::new(Server { together: Barrier::new(at_once), asked: Mutex::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let routes = Router::new().route("/v1/chat/completions", post(complete)).with_state(server.clone());
        tokio::spawn(axum::serve(listener, routes).into_future());
        let values = [("LLM_BASE_URL", url.as_str()), ("LLM_MODEL", "m")];
        let mut vars = Variables::from_map(values.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let model = Model::new(LlmConfig::load(&mut vars)).unwrap();
        (Answering { source: AnswerSource::Model(model), known: Mutex::default() }, server)
    }

    fn prompt(text: &str) -> Prompt {
        let messages = vec![Message { role: "user".to_owned(), content: text.into() }];
        Prompt { messages, answer_schema: None, model: None, max_output_tokens: None, temperature: None }
    }

    #[tokio::test]
    async fn a_running_question_is_waited_for_and_not_bought_again() {
        let (answering, server) = answering(2).await;
        let limits = JobLimits::default();
        let prompts = [prompt("first"), prompt("second")];
        let (answered, failed) = answering.ask(&prompts, 0, &mut Asked::default(), &limits).await;
        assert!(answered.is_empty(), "an answer has the place of its question");
        assert!(failed.unwrap().to_string().starts_with("question 1: "));
        let (answered, failed) = answering.ask(&[prompt("second")], 0, &mut Asked::default(), &limits).await;
        assert!(failed.is_none());
        assert!(answered[0].text.starts_with("answer "));
        let mut asked = server.asked.lock().clone();
        asked.sort();
        assert_eq!(asked, ["first", "second"]);
    }

    #[tokio::test]
    async fn a_repeated_question_gets_another_answer_that_the_next_run_reuses() {
        let (answering, server) = answering(1).await;
        let limits = JobLimits { concurrent_prompts: 1, ..JobLimits::default() };
        let run = async || {
            let mut asked = Asked::default();
            let (first, _) = answering.ask(&[prompt("a"), prompt("a")], 0, &mut asked, &limits).await;
            let (second, failed) = answering.ask(&[prompt("b"), prompt("a")], 2, &mut asked, &limits).await;
            assert!(failed.is_none());
            first.into_iter().chain(second).map(|answered| answered.text).collect::<Vec<_>>()
        };
        let texts = ["answer 1", "answer 2", "answer 3", "answer 4"];
        assert_eq!(run().await, texts);
        assert_eq!(run().await, texts);
        assert_eq!(*server.asked.lock(), ["a", "a", "b", "a"], "nothing is bought twice");
    }
}
