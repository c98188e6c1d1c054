//! What a worker answers over HTTP: `/livez`, `/readyz`, and the families of `/metrics` with the names of their labels.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::mask;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Samples of a histogram or a counter have longer names than their family.
const ENDINGS: [&str; 4] = ["_bucket", "_count", "_sum", "_total"];

/// Asks a worker for its metrics.
pub fn of(address: &str) -> Result<Value> {
    let answer = get(address, "/metrics")?;
    ensure!(answer.status == "200", "/metrics answered {}", answer.status);
    Ok(families(&answer.body))
}

/// Asks a worker whether it lives and is ready.
pub fn health(address: &str) -> Result<Value> {
    let mut health = Map::new();
    for path in ["/livez", "/readyz"] {
        let answer = get(address, path)?;
        let mut body = serde_json::from_str(&answer.body).unwrap_or_else(|_| "text".into());
        mask::json(&mut body);
        health.insert(path.to_owned(), json!({"status": answer.status, "body": body}));
    }
    Ok(Value::Object(health))
}

struct HttpAnswer {
    status: String,
    body: String,
}

fn get(address: &str, path: &str) -> Result<HttpAnswer> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    // HTTP/1.0: the answer ends with the connection, and has no chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").with_context(|| format!("ask for {path}"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("read {path}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("{path} has no body"))?;
    let status = head.split_whitespace().nth(1).with_context(|| format!("{path} has no status"))?;
    Ok(HttpAnswer { status: status.to_owned(), body: body.to_owned() })
}

/// Reads the text format of Prometheus.
fn families(text: &str) -> Value {
    let mut families = Map::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            families.insert(name.to_owned(), json!({"type": kind, "labels": {}}));
        } else if !line.starts_with('#') {
            let (name, labels) = sample(line);
            let family = ENDINGS.iter().find_map(|ending| {
                let family = name.strip_suffix(ending)?;
                families.contains_key(family).then(|| family.to_owned())
            });
            let family = families.entry(family.unwrap_or_else(|| name.to_owned()));
            let family = family.or_insert_with(|| json!({"labels": {}}));
            labels.into_iter().for_each(|label| family["labels"][label] = true.into());
        }
    }
    Value::Object(families)
}

/// Returns the name and the labels of a line `name{label="value",…} 1`.
fn sample(line: &str) -> (&str, Vec<&str>) {
    let Some((name, mut rest)) = line.split_once('{') else {
        return (line.split(' ').next().unwrap_or(line), Vec::new());
    };
    let mut labels = Vec::new();
    while let Some((label, value)) = rest.split_once("=\"") {
        labels.push(label.trim_start_matches(','));
        rest = after_value(value);
    }
    (name, labels)
}

/// Returns what stands behind the quote that ends a value.
fn after_value(text: &str) -> &str {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return &text[index + 1..],
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::families;

    #[test]
    fn a_family_has_a_type_and_the_names_of_its_labels() {
        let text = "# HELP jobs_ended Jobs.\n# TYPE jobs_ended counter\njobs_ended_total{code=\"a=\\\"b,c\",channel=\"x\"} 3\n\
            # TYPE claim_seconds histogram\nclaim_seconds_bucket{le=\"0.5\"} 1\nclaim_seconds_sum 0.25\nclaim_seconds_count 1\n\
            # TYPE slots gauge\nslots 16\nuntyped 1\n# EOF\n";
        let expected = json!({
            "jobs_ended": {"type": "counter", "labels": {"code": true, "channel": true}},
            "claim_seconds": {"type": "histogram", "labels": {"le": true}},
            "slots": {"type": "gauge", "labels": {}},
            "untyped": {"labels": {}},
        });
        assert_eq!(families(text), expected);
    }
}
