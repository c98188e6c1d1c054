//! Where the answers of a trial come from.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, anyhow};
use assay_conversation::{Answers, JobLimits};
use assay_core::env::Variables;
use assay_llm::{ChatRequest, LlmConfig, Model};
use assay_runtime::{Answer, Call, Prompt, Step};
use assay_worker::pipeline::chat_request;
use futures::StreamExt;
use parking_lot::Mutex;

use super::{
    Arguments,
    story::{Answered, Round, Story},
};
use crate::exit::Failure;

/// A model, the stand-in, or files.
pub(super) struct Answering {
    from: From,
    /// Whatever was answered before: with `--watch` nothing is bought twice.
    known: Mutex<HashMap<Question, Answered>>,
}

/// A question, and how often the same run had asked it before: who asks for a second opinion wants another answer, as a worker would
/// buy it.
type Question = (String, usize);

/// How often one run has asked what.
#[derive(Default)]
pub(super) struct Asked {
    times: HashMap<String, usize>,
}

impl Asked {
    /// The next question of the run, in the order in which the guest asks.
    fn next(&mut self, prompt: &Prompt) -> anyhow::Result<Question> {
        let text = serde_json::to_string(prompt)?;
        let times = self.times.entry(text.clone()).or_default();
        *times += 1;
        Ok((text, *times - 1))
    }
}

enum From {
    Model(Model),
    #[cfg(feature = "dev")]
    StandIn {
        model: Model,
        _server: assay_dev::StandIn,
    },
    Files(Vec<PathBuf>),
}

impl Answering {
    /// Looks who answers.
    ///
    /// # Errors
    /// A fault of the configuration, where a model is to answer.
    pub(super) async fn new(arguments: &Arguments, vars: Variables) -> Result<Self, Failure> {
        let from = Self::choose(arguments, vars).await?;
        Ok(Self { from, known: Mutex::default() })
    }

    async fn choose(arguments: &Arguments, mut vars: Variables) -> Result<From, Failure> {
        if !arguments.answers.is_empty() {
            return Ok(From::Files(arguments.answers.clone()));
        }
        #[cfg(feature = "dev")]
        if arguments.stand_in {
            let server = assay_dev::StandIn::start(assay_dev::StandInOptions::default()).await?;
            let values = [("LLM_BASE_URL", server.base_url()), ("LLM_MODEL", assay_dev::MODEL.to_owned())];
            let mut vars = Variables::from_map(values.map(|(name, value)| (name.to_owned(), value)).into());
            let config = LlmConfig::load(&mut vars);
            vars.finish()?;
            return Ok(From::StandIn { model: Model::new(config)?, _server: server });
        }
        let config = LlmConfig::load(&mut vars);
        vars.finish()?;
        Ok(From::Model(Model::new(config)?))
    }

    /// Answers a round of questions; `before` were asked in earlier ones, which `asked` counts. Gives the answers up to the first
    /// question without one, and why that has none: nobody answers it, or with something that no guest would see.
    pub(super) async fn ask(
        &self,
        prompts: &[Prompt],
        before: usize,
        asked: &mut Asked,
        limits: &JobLimits,
    ) -> (Vec<Answered>, Option<anyhow::Error>) {
        // Counted before any is asked: which of two alike is answered first is a matter of chance.
        let questions: anyhow::Result<Vec<Question>> = prompts.iter().map(|prompt| asked.next(prompt)).collect();
        let questions = match questions {
            Ok(questions) => questions,
            Err(error) => return (Vec::new(), Some(error)),
        };
        // As in a worker: after a failure nothing more is asked, but what is with the model is waited for, because it is paid for.
        // With `--watch` it need not be bought again.
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
                // What comes after the first question without an answer has no place among the answers.
                Some(Ok(answer)) if failed.is_none() => answered.push(answer),
                Some(Err(error)) => failed = failed.or(Some(error)),
                Some(Ok(_)) | None => {}
            }
        }
        (answered, failed)
    }

    async fn answer(&self, prompt: &Prompt, question: Question, ordinal: usize) -> anyhow::Result<Answered> {
        if let From::Files(files) = &self.from {
            let file = files.get(ordinal);
            let file = file.with_context(|| format!("the guest asks question {}; add an --answer", ordinal + 1))?;
            let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            return Ok(Answered::from_file(text));
        }
        if let Some(answered) = self.known.lock().get(&question) {
            return Ok(answered.again());
        }
        let completion = match &self.from {
            From::Model(model) => model.complete(&chat_request(prompt)).await,
            // The stand-in goes by every name.
            #[cfg(feature = "dev")]
            From::StandIn { model, .. } => model.complete(&ChatRequest { model: None, ..chat_request(prompt) }).await,
            From::Files(_) => unreachable!("answered above"),
        };
        let told = |error| anyhow!("question {}: {error}", ordinal + 1);
        let completion = completion.map_err(told)?;
        completion.usable().map_err(|error| anyhow!("question {}: {error}", ordinal + 1))?;
        let answered = Answered::from(completion);
        self.known.lock().insert(question, answered.clone());
        Ok(answered)
    }
}

/// The answers of one trial, which tells its story as they come.
pub(super) struct TrialAnswers<'a> {
    answering: &'a Answering,
    limits: &'a JobLimits,
    story: &'a mut Story,
    asked: Asked,
    /// As the guest sees them.
    pub(super) answers: Vec<Answer>,
}

impl<'a> TrialAnswers<'a> {
    pub(super) fn new(answering: &'a Answering, limits: &'a JobLimits, story: &'a mut Story) -> Self {
        Self { answering, limits, story, asked: Asked::default(), answers: Vec::new() }
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
        self.story.rounds.push(Round::new(&prompts, answered));
        failed.map_or(Ok(()), Err)
    }

    fn called(&mut self, call: &mut Call<Step>) {
        self.story.add_call(call);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use assay_runtime::Message;
    use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
    use serde_json::{Value, json};
    use tokio::sync::Barrier;

    use super::*;

    /// As many questions as the barrier has places are with the model before any is answered.
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

    /// Who answers, and what was asked.
    async fn answering(at_once: usize) -> (Answering, Arc<Server>) {
        let server = Arc::new(Server { together: Barrier::new(at_once), asked: Mutex::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let routes = Router::new().route("/v1/chat/completions", post(complete)).with_state(server.clone());
        tokio::spawn(axum::serve(listener, routes).into_future());
        let values = [("LLM_BASE_URL", url.as_str()), ("LLM_MODEL", "m")];
        let mut vars = Variables::from_map(values.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let model = Model::new(LlmConfig::load(&mut vars)).unwrap();
        (Answering { from: From::Model(model), known: Mutex::default() }, server)
    }

    fn prompt(text: &str) -> Prompt {
        let messages = vec![Message { role: "user".to_owned(), content: text.into() }];
        Prompt { messages, answer_schema: None, model: None, max_output_tokens: None, temperature: None }
    }

    #[tokio::test]
    async fn what_is_with_the_model_when_another_question_fails_is_waited_for_and_not_bought_again() {
        let (answering, server) = answering(2).await;
        let limits = JobLimits::default();
        let prompts = [prompt("first"), prompt("second")];
        let (answered, failed) = answering.ask(&prompts, 0, &mut Asked::default(), &limits).await;
        assert!(answered.is_empty(), "an answer stands in its question's place");
        assert!(failed.unwrap().to_string().starts_with("question 1: "));
        let (answered, failed) = answering.ask(&[prompt("second")], 0, &mut Asked::default(), &limits).await;
        assert!(failed.is_none());
        assert!(answered[0].text.starts_with("answer "));
        let mut asked = server.asked.lock().clone();
        asked.sort();
        assert_eq!(asked, ["first", "second"]);
    }

    #[tokio::test]
    async fn a_question_that_is_repeated_within_a_run_gets_another_answer_which_the_next_run_finds_again() {
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
