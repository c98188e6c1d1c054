//! `fixture.toml`: fields of the document, and the models that answered.

use std::collections::BTreeMap;

use assay_runtime::Answer;
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::example::{MODEL, RECEIVED_AT};

/// Extensions of transcripts, and their media types.
pub(crate) const MEDIA_TYPES: [(&str, &str); 2] = [("txt", "text/plain"), ("vtt", "text/vtt")];

/// `fixture.toml`. Missing fields have default values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FixtureToml {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filename: Option<String>,
    /// "text/plain" or "text/vtt".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    /// RFC 3339, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) received_at: Option<String>,
    /// The models that answered, in the order of the answers. The last one also gave all further answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) models: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: BTreeMap<String, String>,
}

impl FixtureToml {
    /// Checks that a worker could have such a file.
    pub(crate) fn check(&self) -> Result<(), String> {
        let known = |media_type: &String| MEDIA_TYPES.iter().any(|(_, known)| known == media_type);
        if let Some(media_type) = self.media_type.as_ref().filter(|media_type| !known(media_type)) {
            return Err(format!("media-type {media_type:?}: a worker has text/plain and text/vtt"));
        }
        let utc = |time: &str| OffsetDateTime::parse(time, &Rfc3339).is_ok_and(|time| time.offset().is_utc());
        match &self.received_at {
            Some(time) if !utc(time) => {
                Err(format!("received-at {time:?}: write RFC 3339 in UTC, as in {RECEIVED_AT}"))
            }
            _ => Ok(()),
        }
    }
}

/// Adds the names of models to answers.
pub(crate) fn named_answers(texts: Vec<String>, models: &[String]) -> Vec<Answer> {
    let model = |index: usize| models.get(index).or(models.last()).map_or(MODEL, String::as_str).to_owned();
    texts.into_iter().enumerate().map(|(index, text)| Answer { text, model: model(index) }).collect()
}

/// Returns the models as `fixture.toml` has them: none for the default model, one if all answers are of one model.
pub(crate) fn model_names(answers: &[Answer]) -> Vec<String> {
    let mut models: Vec<String> = answers.iter().map(|answer| answer.model.clone()).collect();
    while let [.., before, last] = &models[..]
        && before == last
    {
        models.pop();
    }
    if models == [MODEL] { Vec::new() } else { models }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixture_names_models_other_than_the_default() {
        let of = |names: &[&str]| {
            let answers: Vec<_> = names.iter().map(|name| Answer { text: "x".into(), model: (*name).into() }).collect();
            let written = model_names(&answers);
            assert_eq!(named_answers(vec!["x".into(); names.len()], &written), answers);
            written
        };
        assert_eq!(of(&[]), [""; 0]);
        assert_eq!(of(&[MODEL, MODEL]), [""; 0]);
        assert_eq!(of(&["a", "a", "a"]), ["a"]);
        assert_eq!(of(&["a", "b", "b"]), ["a", "b"]);
        assert_eq!(of(&["a", MODEL]), ["a", MODEL]);
        assert_eq!(of(&[MODEL, "a", MODEL]), [MODEL, "a", MODEL]);
    }
}
