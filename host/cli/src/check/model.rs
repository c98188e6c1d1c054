//! Checks that the model answers.

use assay_core::{code::Code, loopback::is_loopback};
use assay_llm::{LlmConfig, Model, Probe};
use assay_network::ConnectionFault;

use crate::check::check_result::CheckResult;

pub async fn check(config: Option<LlmConfig>) -> CheckResult {
    let name = "model";
    let Some(config) = config else {
        return CheckResult::skipped(name);
    };
    let is_plain_and_remote = config.base_url.scheme() == "http" && !is_loopback(&config.base_url);
    let (base, wanted) = (config.base_url.to_string(), config.model.clone());
    let model = match Model::new(config) {
        Ok(model) => model,
        Err(error) => {
            return CheckResult::failed(name, format!("{error:#}"), "install the package ca-certificates");
        }
    };
    let error = match model.probe().await {
        Ok(Probe::Listed | Probe::NoList) if is_plain_and_remote => {
            return CheckResult::warning(
                name,
                format!("{base} answers, unencrypted: transcripts and the key can be read on the way"),
                "use https in LLM_BASE_URL",
            );
        }
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
    let fault = ConnectionFault::of(&error);
    let fix = match error.code {
        _ if matches!(fault, Some(ConnectionFault::Certificate(_))) => {
            "put the issuer's certificate (PEM) into a file, and its path into SSL_CERT_FILE in the environment"
        }
        Code::LlmAuthFailed => "correct LLM_API_KEY",
        Code::LlmModelNotFound => "correct LLM_MODEL",
        Code::LlmQuotaExhausted => "raise the quota of the account",
        Code::LlmRateLimited | Code::LlmProvider5xx => "try again in a moment: the provider is busy",
        _ => "start the server, or correct LLM_BASE_URL; Assay appends /chat/completions to it",
    };
    let address = if fault.is_some() { format!(" ({base})") } else { String::new() };
    CheckResult::failed(name, format!("{}: {error}{address}", error.code), fix)
}
