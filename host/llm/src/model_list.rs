//! The provider's list of models.

use serde_json::Value;

/// Returns whether a list of models has this model; `None` if the body is not such a list.
pub(crate) fn lists_model(body: &[u8], model: &str) -> Option<bool> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let models = body.get("data")?.as_array()?;
    Some(models.iter().any(|entry| entry.get("id").and_then(Value::as_str) == Some(model)))
}
