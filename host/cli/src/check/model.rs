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
    if let Some(appended) = appended_path(config.base_url.path()) {
        return CheckResult::failed(
            name,
            format!("{base} ends in {appended}, which Assay appends itself"),
            &format!("take {appended} off the end of LLM_BASE_URL"),
        );
    }
    let has_api_path = config.base_url.path().trim_matches('/').split('/').any(|part| !part.is_empty());
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
        Ok(Probe::NoList) if has_api_path => {
            return CheckResult::ok(name, format!("{base} answers, but has no list of models"));
        }
        Ok(Probe::NoList) => {
            return CheckResult::warning(
                name,
                format!("{base} answers, without a list of models; LLM_MODEL was not checked"),
                "add the path of the API to LLM_BASE_URL, usually /v1",
            );
        }
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

/// Returns the end of a base URL's path that is the address of a call and not of the API.
fn appended_path(path: &str) -> Option<&'static str> {
    let path = path.trim_end_matches('/').to_ascii_lowercase();
    ["/chat/completions", "/completions", "/responses", "/messages", "/models"]
        .into_iter()
        .find(|appended| path.ends_with(appended))
}

#[cfg(test)]
mod tests {
    use super::appended_path;

    #[test]
    fn an_address_of_a_call_is_no_base_url() {
        assert_eq!(appended_path("/v1/chat/completions"), Some("/chat/completions"));
        assert_eq!(appended_path("/v1/Chat/Completions/"), Some("/chat/completions"));
        assert_eq!(appended_path("/v1/models"), Some("/models"));
        for path in ["/", "/v1", "/v1/", "/openai/deployments/chat", "/my-models/v1"] {
            assert_eq!(appended_path(path), None, "{path}");
        }
    }
}
