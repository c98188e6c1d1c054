//! What the operator says about the model.

use std::{collections::BTreeMap, time::Duration};

use assay_core::env::Variables;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// Which model answers, where it is, and how long it may take.
#[derive(Clone, Debug)]
pub struct LlmConfig {
    /// Where the API starts; `chat/completions` is appended to its path.
    pub base_url: Url,
    /// The model of prompts that name none.
    pub model: String,
    /// The key; local servers need none.
    pub key: Option<SecretString>,
    /// The operator's names for models; what a prompt may name.
    pub models: BTreeMap<String, String>,
    /// From nothing to a connection that is ready to be written to, TLS included.
    pub connect: Duration,
    /// The longest gap within a response, counted from its first byte.
    pub idle: Duration,
    /// The whole call, fall-backs included.
    pub total: Duration,
    /// The longest answer, in bytes of its text.
    pub answer_max_bytes: usize,
    /// The token limit of prompts that name none.
    pub max_output_tokens: Option<u32>,
}

impl LlmConfig {
    /// Reads the variables of the model; faults stay in `vars`.
    pub fn load(vars: &mut Variables) -> Self {
        let provider = vars.text(
            "LLM_PROVIDER",
            "openai",
            "the model's API; `openai` is Chat Completions, compatible servers included",
        );
        if provider.trim() != "openai" {
            vars.fault("LLM_PROVIDER", format!("is {provider:?}, but only `openai` is known"));
        }
        Self {
            base_url: base_url(vars),
            model: vars.required("LLM_MODEL", "the model that answers prompts which name none"),
            key: key(vars),
            models: aliases(vars),
            connect: vars.millis(
                "LLM_CONNECT_TIMEOUT_MS",
                Duration::from_secs(10),
                "deadline for a connection to the model, TLS included",
            ),
            idle: vars.millis(
                "LLM_IDLE_TIMEOUT_MS",
                Duration::from_secs(60),
                "longest gap within a response of the model, counted from its first byte",
            ),
            total: vars.millis("LLM_TIMEOUT_MS", Duration::from_secs(180), "deadline for a whole call of the model"),
            answer_max_bytes: vars.number(
                "ANSWER_MAX_BYTES",
                4 << 20,
                1..=1 << 30,
                "longest answer of the model, in bytes",
            ),
            max_output_tokens: max_output_tokens(vars),
        }
    }

    /// The provider's name of the model that a prompt asks for, or none where no operator named it.
    pub fn resolve(&self, alias: Option<&str>) -> Option<&str> {
        match alias {
            None => Some(&self.model),
            Some(alias) => self.models.get(alias).map(String::as_str),
        }
    }
}

/// Required, although OpenAI's own would be an obvious default: no document leaves for a place that nobody named.
fn base_url(vars: &mut Variables) -> Url {
    let text = vars.required("LLM_BASE_URL", "where the model's API starts, such as https://api.openai.com/v1");
    let fault = match Url::parse(text.trim()) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "carries a user name or a password; use LLM_API_KEY".to_owned()
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => return url,
        // Not quoted: what is almost a URL may hold a password.
        _ => "is not a URL such as https://api.openai.com/v1".to_owned(),
    };
    if !text.is_empty() {
        vars.fault("LLM_BASE_URL", fault);
    }
    Url::parse("http://localhost/").expect("a constant URL parses")
}

fn key(vars: &mut Variables) -> Option<SecretString> {
    let key = vars.secret("LLM_API_KEY", "the key of the model's API; empty for servers that ask for none")?;
    if HeaderValue::from_str(&format!("Bearer {}", key.expose_secret())).is_err() {
        vars.fault("LLM_API_KEY", "contains a character that no HTTP header can carry, such as a line break");
        return None;
    }
    Some(key)
}

fn aliases(vars: &mut Variables) -> BTreeMap<String, String> {
    let mut models = BTreeMap::new();
    let text = vars.text("LLM_MODELS", "", "names that prompts may use for models: small=gpt-x,large=gpt-y");
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (alias, model) = pair.split_once('=').map_or((pair, ""), |(alias, model)| (alias.trim(), model.trim()));
        if alias.is_empty() || model.is_empty() {
            vars.fault("LLM_MODELS", format!("contains {pair:?}, but must be a list such as small=gpt-x,large=gpt-y"));
        } else if models.insert(alias.to_owned(), model.to_owned()).is_some() {
            vars.fault("LLM_MODELS", format!("names {alias:?} twice"));
        }
    }
    models
}

fn max_output_tokens(vars: &mut Variables) -> Option<u32> {
    let name = "LLM_MAX_OUTPUT_TOKENS";
    let text =
        vars.optional(name, "token limit of answers to prompts that set none; empty leaves it to the provider")?;
    match text.trim().parse() {
        Ok(tokens) if tokens > 0 => Some(tokens),
        _ => {
            vars.fault(name, format!("is {text:?}, but must be a number from 1 to {}", u32::MAX));
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
            ("LLM_BASE_URL", "https://me:hush@model.example/v1"),
            ("LLM_API_KEY", "hush\nhush"),
            ("LLM_MODELS", "small=a,large,small=b"),
            ("LLM_MAX_OUTPUT_TOKENS", "0"),
        ]);
        let named: Vec<_> = faults.iter().filter_map(|fault| fault.split(':').next()).collect();
        assert_eq!(
            named,
            [
                "LLM_PROVIDER",
                "LLM_BASE_URL",
                "LLM_MODEL",
                "LLM_API_KEY",
                "LLM_MODELS",
                "LLM_MODELS",
                "LLM_MAX_OUTPUT_TOKENS"
            ]
        );
        assert!(!faults.concat().contains("hush"), "{faults:?}");
    }

    #[test]
    fn an_absent_address_is_one_fault() {
        let (_, faults) = load(&[("LLM_MODEL", "tiny")]);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("LLM_BASE_URL: is not set"));
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
