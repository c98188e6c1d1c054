//! The configuration of the model.

use std::{collections::BTreeMap, time::Duration};

use assay_core::{
    env::{SecretVariable, Variables},
    secret::Secret,
};
use url::Url;

use crate::auth::Auth;

const KEY: SecretVariable = SecretVariable {
    name: "LLM_API_KEY",
    file: "LLM_API_KEY_FILE",
    help: "key of the model's API; empty for servers without keys",
};

/// The model, its address and its limits.
#[derive(Clone, Debug)]
pub struct LlmConfig {
    /// The base URL of the API; `chat/completions` is appended to its path.
    pub base_url: Url,
    /// The model for prompts that name none.
    pub model: String,
    /// The key of the API; local servers need none.
    pub key: Option<Secret>,
    /// Where the key goes.
    pub auth: Auth,
    /// The names that prompts may use, with the provider's names.
    pub models: BTreeMap<String, String>,
    /// Deadline for a connection, TLS included.
    pub connect: Duration,
    /// The longest gap within a response, counted from its first byte.
    pub idle: Duration,
    /// Deadline for the whole call, fall-backs included.
    pub total: Duration,
    /// The longest answer, in bytes of its text.
    pub answer_max_bytes: usize,
    /// The token limit for prompts that set none.
    pub max_output_tokens: Option<u32>,
}

impl LlmConfig {
    /// Reads the variables of the model; faults stay in `vars`.
    pub fn load(vars: &mut Variables) -> Self {
        let provider = vars.text(
            "LLM_PROVIDER",
            "openai",
            "API of the model: `openai` is Chat Completions, also of compatible servers",
        );
        if provider.trim() != "openai" {
            vars.invalid("LLM_PROVIDER", &provider, "expected openai");
        }
        let auth = Auth::load(vars);
        Self {
            base_url: base_url(vars),
            model: vars.required("LLM_MODEL", "the model for prompts that name none"),
            key: key(vars, auth),
            auth,
            models: aliases(vars),
            connect: vars.millis(
                "LLM_CONNECT_TIMEOUT_MS",
                Duration::from_secs(10),
                "deadline for a connection to the model, with TLS, ms",
            ),
            idle: vars.millis(
                "LLM_IDLE_TIMEOUT_MS",
                Duration::from_secs(60),
                "longest gap in a response of the model after its first byte, ms",
            ),
            total: vars.millis(
                "LLM_TIMEOUT_MS",
                Duration::from_secs(180),
                "deadline for a whole call of the model, ms",
            ),
            answer_max_bytes: vars.number(
                "ANSWER_MAX_BYTES",
                4 << 20,
                1..=1 << 30,
                "longest answer of the model, bytes",
            ),
            max_output_tokens: max_output_tokens(vars),
        }
    }

    /// Returns the provider's name of the model that a prompt asks for; `None` if `LLM_MODELS` lacks the alias.
    pub fn resolve(&self, alias: Option<&str>) -> Option<&str> {
        match alias {
            None => Some(&self.model),
            Some(alias) => self.models.get(alias).map(String::as_str),
        }
    }
}

/// Required, without OpenAI as the default: no document is sent to an address that the operator did not set.
fn base_url(vars: &mut Variables) -> Url {
    let text = vars.required("LLM_BASE_URL", "base URL of the model's API, such as https://api.openai.com/v1");
    let fault = match Url::parse(text.trim()) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "the URL must not contain a user name or a password; use LLM_API_KEY"
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => return url,
        // The value is not quoted: a malformed URL may hold a password.
        _ => "expected a URL such as https://api.openai.com/v1",
    };
    if !text.is_empty() {
        vars.fault("LLM_BASE_URL", fault);
    }
    Url::parse("http://localhost/").expect("a constant URL parses")
}

fn key(vars: &mut Variables, auth: Auth) -> Option<Secret> {
    let key = vars.secret(KEY)?;
    if auth != Auth::None && auth.header(&key.current()).is_none() {
        let rule = "the key must not contain line breaks or other characters that HTTP headers forbid";
        vars.fault(key.variable(), rule);
        return None;
    }
    Some(key)
}

fn aliases(vars: &mut Variables) -> BTreeMap<String, String> {
    let mut models = BTreeMap::new();
    let text = vars.text("LLM_MODELS", "", "names of models for prompts, such as small=gpt-x,large=gpt-y");
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (alias, model) = pair.split_once('=').map_or((pair, ""), |(alias, model)| (alias.trim(), model.trim()));
        if alias.is_empty() || model.is_empty() {
            vars.invalid("LLM_MODELS", pair, "expected a list such as small=gpt-x,large=gpt-y");
        } else if models.insert(alias.to_owned(), model.to_owned()).is_some() {
            vars.invalid("LLM_MODELS", alias, "expected each name once");
        }
    }
    models
}

fn max_output_tokens(vars: &mut Variables) -> Option<u32> {
    let name = "LLM_MAX_OUTPUT_TOKENS";
    let text = vars.optional(name, "token limit for prompts that set none; empty uses the provider's limit")?;
    match text.trim().parse() {
        Ok(tokens) if tokens > 0 => Some(tokens),
        _ => {
            vars.invalid(name, &text, format_args!("expected a number from 1 to {}", u32::MAX));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pairs: &[(&str, &str)]) -> (LlmConfig, Vec<String>) {
        let values = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut vars = Variables::from_map(values);
        let config = LlmConfig::load(&mut vars);
        let faults = vars.finish().err().unwrap_or_default();
        (config, faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_model_and_its_address_are_all_that_is_required() {
        let (config, faults) = load(&[("LLM_BASE_URL", "http://127.0.0.1:8080/v1"), ("LLM_MODEL", "tiny")]);
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(
            (config.connect, config.idle, config.total),
            (Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(180))
        );
        assert_eq!(config.answer_max_bytes, 4 * 1024 * 1024);
        assert!(config.key.is_none() && config.max_output_tokens.is_none());
    }

    #[test]
    fn every_fault_is_named_and_no_secret_quoted() {
        let (_, faults) = load(&[
            ("LLM_PROVIDER", "other"),
            ("LLM_AUTH", "basic"),
            ("LLM_BASE_URL", "https://me:hush@model.example/v1"),
            ("LLM_API_KEY", "hush\nhush"),
            ("LLM_MODELS", "small=a,large,small=b"),
            ("LLM_MAX_OUTPUT_TOKENS", "0"),
        ]);
        let named: Vec<_> = faults.iter().filter_map(|fault| fault.split(':').next()).collect();
        assert_eq!(
            named,
            [
                "invalid LLM_PROVIDER `other`",
                "invalid LLM_AUTH `basic`",
                "invalid LLM_BASE_URL",
                "missing LLM_MODEL",
                "invalid LLM_API_KEY",
                "invalid LLM_MODELS `large`",
                "invalid LLM_MODELS `small`",
                "invalid LLM_MAX_OUTPUT_TOKENS `0`"
            ]
        );
        assert!(!faults.concat().contains("hush"), "{faults:?}");
    }

    #[test]
    fn an_absent_address_is_one_fault() {
        let (_, faults) = load(&[("LLM_MODEL", "tiny")]);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("missing LLM_BASE_URL: "));
    }

    #[test]
    fn only_the_operators_names_lead_to_a_model() {
        let (config, _) = load(&[
            ("LLM_BASE_URL", "http://127.0.0.1:8080/v1"),
            ("LLM_MODEL", "tiny"),
            ("LLM_MODELS", "small=tiny, large = big/one "),
        ]);
        assert_eq!(config.resolve(None), Some("tiny"));
        assert_eq!(config.resolve(Some("large")), Some("big/one"));
        assert_eq!(config.resolve(Some("tiny")), None);
    }

    #[test]
    fn a_key_is_never_shown() {
        let (config, _) = load(&[("LLM_BASE_URL", "http://a/v1"), ("LLM_MODEL", "m"), ("LLM_API_KEY", "hush")]);
        assert!(config.key.is_some());
        assert!(!format!("{config:?}").contains("hush"));
    }
}
