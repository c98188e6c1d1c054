//! How an endpoint wants the key.

use assay_core::env::Variables;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

/// The header that holds the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer KEY`, as OpenAI and most servers.
    #[default]
    Bearer,
    /// `api-key: KEY`, as Azure.
    ApiKey,
    /// `x-api-key: KEY`, as Anthropic.
    XApiKey,
    /// No key is sent.
    None,
}

impl Auth {
    const ALL: [(&'static str, Self); 4] =
        [("bearer", Self::Bearer), ("api-key", Self::ApiKey), ("x-api-key", Self::XApiKey), ("none", Self::None)];

    /// Reads `LLM_AUTH`; a fault stays in `vars`.
    pub(crate) fn load(vars: &mut Variables) -> Self {
        let text = vars.text("LLM_AUTH", "bearer", "where the key goes: bearer, api-key (Azure), x-api-key, none");
        match Self::ALL.iter().find(|(name, _)| *name == text.trim()) {
            Some((_, auth)) => *auth,
            None => {
                vars.invalid("LLM_AUTH", &text, "expected bearer, api-key, x-api-key or none");
                Self::default()
            }
        }
    }

    /// Returns the header of a key, if one is sent; `None` for a key that no header can hold.
    pub(crate) fn header(self, key: &SecretString) -> Option<(HeaderName, HeaderValue)> {
        let key = key.expose_secret();
        let (name, text) = match self {
            Self::Bearer => (AUTHORIZATION, format!("Bearer {key}")),
            Self::ApiKey => (HeaderName::from_static("api-key"), key.to_owned()),
            Self::XApiKey => (HeaderName::from_static("x-api-key"), key.to_owned()),
            Self::None => return None,
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_where_the_endpoint_wants_it_and_is_never_shown() {
        let key = SecretString::from("hush".to_owned());
        let header = |auth: Auth| auth.header(&key).map(|(name, value)| (name.to_string(), value));
        for (auth, name, text) in [
            (Auth::Bearer, "authorization", "Bearer hush"),
            (Auth::ApiKey, "api-key", "hush"),
            (Auth::XApiKey, "x-api-key", "hush"),
        ] {
            let (header, value) = header(auth).unwrap();
            assert_eq!((header.as_str(), value.as_bytes()), (name, text.as_bytes()));
            assert!(!format!("{value:?}").contains("hush"));
        }
        assert_eq!(header(Auth::None), None);
    }
}
