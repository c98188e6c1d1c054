//! Checks that the model answers.

use assay_core::code::Code;
use assay_llm::{LlmConfig, Model, Probe};

use crate::check::check_result::CheckResult;

pub async fn check(config: Option<LlmConfig>) -> CheckResult {
    let name = "model";
    let Some(config) = config else {
        return CheckResult::skipped(name);
    };
    let (base, wanted) = (config.base_url.to_string(), config.model.clone());
    let model = match Model::new(config) {
        Ok(model) => model,
        Err(error) => {
            return CheckResult::failed(name, format!("{error:#}"), "install the package ca-certificates");
        }
    };
    let error = match model.probe().await {
        Ok(Probe::Listed) => return CheckResult::ok(name, format!("{base} lists {wanted}")),
        Ok(Probe::NoList) => return CheckResult::ok(name, format!("{base} answers, but has no list of models")),
        Ok(Probe::NotListed) => {
            return CheckResult::warning(
                name,
                format!("{base} answers, but does not list {wanted}"),
                "correct LLM_MODEL, unless this server accepts any name",
            );
        }
        Err(error) => error,
    };
    let fix = match error.code {
        Code::LlmAuthFailed => "correct LLM_API_KEY",
        Code::LlmModelNotFound => "correct LLM_MODEL",
        Code::LlmQuotaExhausted => "raise the quota of the account",
        Code::LlmRateLimited | Code::LlmProvider5xx => "try again in a moment: the provider is busy",
        _ => "start the server, or correct LLM_BASE_URL; Assay appends /chat/completions to it",
    };
    CheckResult::failed(name, format!("{}: {error}", error.code), fix)
}
