//! Asking a dependency itself, without a document: only that tells a document's fault from the dependency's.

use std::{collections::HashMap, sync::Arc, time::Instant};

use assay_core::{
    breaker::{Alias, CallResult, Dependency},
    code::Code,
    job_error::JobError,
};
use assay_llm::Model;
use assay_objects::Objects;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;

use crate::breakers::Breakers;

/// Asks dependencies, one inquiry each at a time. Cheap to clone.
#[derive(Clone)]
pub struct Inquiries {
    breakers: Breakers,
    model: Model,
    objects: Objects,
    under_way: Arc<Mutex<HashMap<Dependency, Shared<BoxFuture<'static, CallResult>>>>>,
}

impl Inquiries {
    /// Makes an inquirer.
    pub fn new(breakers: Breakers, model: Model, objects: Objects) -> Self {
        Self { breakers, model, objects, under_way: Arc::default() }
    }

    /// Records a document's call that began at `begun`. Where the failure is suspicious, asks the dependency itself first.
    ///
    /// # Errors
    /// The call's own error. It holds the job if the dependency turns out not to work.
    pub async fn judge<T>(
        &self,
        dependency: &Dependency,
        begun: Instant,
        result: Result<T, JobError>,
    ) -> Result<T, JobError> {
        let ended = result.as_ref().map_or_else(|error| CallResult::of(error.code), |_| CallResult::Healthy);
        if self.breakers.record(dependency, ended, begun) {
            self.ask(dependency).await;
        }
        result.map_err(|error| self.breakers.held_where_open(dependency, error.at_call(dependency.clone(), begun)))
    }

    /// Returns whether the dependency works for other documents than the one whose call began at `begun`.
    pub async fn works(&self, dependency: &Dependency, begun: Instant) -> bool {
        self.breakers.worked_since(dependency, begun)
            || (!self.breakers.is_open(dependency) && self.ask(dependency).await == CallResult::Healthy)
    }

    /// Asks the open dependencies whose next inquiry is due, beside everything else.
    pub fn ask_due(&self) {
        for dependency in self.breakers.due_inquiries() {
            let _spawned = self.start(&dependency);
        }
    }

    /// Asks a dependency, or waits for the inquiry that is under way. Opens or closes its breaker.
    pub async fn ask(&self, dependency: &Dependency) -> CallResult {
        self.start(dependency).await
    }

    fn start(&self, dependency: &Dependency) -> Shared<BoxFuture<'static, CallResult>> {
        let mut under_way = self.under_way.lock();
        if let Some(inquiry) = under_way.get(dependency) {
            return inquiry.clone();
        }
        self.breakers.begin_inquiry(dependency);
        let (inquiries, asked) = (self.clone(), dependency.clone());
        // A task of its own: it goes on when the job that waits for it is interrupted.
        let task = tokio::spawn(async move { inquiries.carry_out(asked).await });
        let inquiry = task.map(|ended| ended.unwrap_or(CallResult::Ignored)).boxed().shared();
        under_way.insert(dependency.clone(), inquiry.clone());
        inquiry
    }

    async fn carry_out(self, dependency: Dependency) -> CallResult {
        let begun = Instant::now();
        // Both clients bound their calls.
        let result = self.call(&dependency).await;
        let ended = result.as_ref().map_or_else(|error| CallResult::of(error.code), |()| CallResult::Healthy);
        if let Err(error) = &result {
            let (code, error) = (error.code.as_str(), error.chain());
            tracing::warn!(%dependency, code, error, "asked a dependency itself, and it failed");
        }
        self.breakers.conclude(&dependency, ended, begun);
        self.under_way.lock().remove(&dependency);
        ended
    }

    async fn call(&self, dependency: &Dependency) -> Result<(), JobError> {
        match dependency {
            Dependency::Model(Alias::Default) => self.model.ping(None).await,
            Dependency::Model(Alias::Named(alias)) => self.model.ping(Some(alias)).await,
            Dependency::Model(Alias::Unlisted) => {
                Err(JobError::new(Code::LlmModelNotFound, "choose the model: LLM_MODELS does not have the alias"))
            }
            Dependency::Bucket => self.objects.check_read_write().await.map_err(|error| error.for_write()),
            // Every claim asks it.
            Dependency::Database => Ok(()),
        }
    }
}
