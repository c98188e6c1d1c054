//! What the pages of a revision promise: its variables and its error codes.

use serde_json::{Map, Value, json};

const CLASSES: [&str; 4] = ["fail", "hold", "retry", "snooze"];

/// Returns the variables of `.env.example`: each with its default, or none where it is required.
pub fn variables(text: &str) -> Value {
    let mut variables = Map::new();
    for line in text.lines() {
        let (optional, line) = match line.strip_prefix("# ") {
            Some(line) => (true, line),
            None => (false, line),
        };
        let Some((name, default)) = line.split_once('=') else { continue };
        // What explains a variable may have the sign, too.
        if name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_') {
            variables.insert(name.to_owned(), json!({"required": !optional, "default": default}));
        }
    }
    Value::Object(variables)
}

/// Returns the class of each code in the tables of `docs/errors.md`, or none: codes of guests and their builds have no class.
pub fn codes(text: &str) -> Value {
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let code = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        let class = cells.next().filter(|class| CLASSES.contains(class));
        Some((code.to_owned(), class.into()))
    });
    Value::Object(rows.collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::{codes, variables};
    use crate::paths;

    #[test]
    fn a_variable_has_a_default_or_is_required() {
        let text = "# where it is, A=b\n\n# text or json\n# LOG_FORMAT=text\n\nDATABASE_URL=\n# S3_ENDPOINT=\n";
        let expected = json!({"LOG_FORMAT": {"required": false, "default": "text"},
            "DATABASE_URL": {"required": true, "default": ""}, "S3_ENDPOINT": {"required": false, "default": ""}});
        assert_eq!(variables(text), expected);
    }

    #[test]
    fn a_row_of_a_table_is_a_code_and_its_class() {
        let text = "| code | class | what |\n|---|---|---|\n| `guest_trap` | fail | The guest panicked. |\n| `build_trap` | It trapped. |\n\ntext `x` | y\n";
        assert_eq!(codes(text), json!({"guest_trap": "fail", "build_trap": null}));
    }

    #[test]
    fn the_pages_of_this_tree_are_understood() {
        let page = |path: &str| fs::read_to_string(paths::root().join(path)).unwrap();
        assert!(variables(&page(".env.example"))["JOB_BACKOFF_MS"]["default"].is_string());
        let codes = codes(&page("docs/errors.md"));
        assert_eq!((&codes["llm_rate_limited"], &codes["s3_config_error"]), (&json!("snooze"), &json!("hold")));
    }
}
