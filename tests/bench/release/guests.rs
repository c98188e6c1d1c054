//! Distinguishable releases: guests without code, built and published by the commands that people use.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, ensure};
use assay_tests::AssayProcess;
use serde_json::{Value, json};

/// What stands before a release's name in each of its prompts.
pub const MARK: &str = "You are release ";

#[derive(Clone, Debug)]
pub struct Release {
    /// Its prompt version, which its prompts and its reports name too.
    pub version: String,
    /// sha256 of the component, lower hex.
    pub digest: String,
    pub bytes: u64,
}

/// Returns the schema that the plain guests share: any release's name will do.
pub fn shared_schema() -> Value {
    schema(&json!({ "type": "string", "maxLength": 40 }))
}

/// Returns a schema of the guest's own: its verifier takes no other release's report.
pub fn own_schema(version: &str) -> Value {
    schema(&json!({ "const": version }))
}

fn schema(release: &Value) -> Value {
    let text = |most: usize| json!({ "type": "string", "minLength": 1, "maxLength": most });
    let list = |items: &Value| json!({ "type": "array", "maxItems": 50, "items": items });
    let step = json!({
        "type": "object",
        "required": ["owner", "action", "due_date"],
        "additionalProperties": false,
        "properties": {
            "owner": text(120),
            "action": text(500),
            "due_date": { "anyOf": [{ "type": "null" }, { "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" }] }
        }
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["release", "overview", "highlights", "next_steps", "risk_level"],
        "additionalProperties": false,
        "properties": {
            "release": release,
            "overview": text(2000),
            "highlights": list(&text(500)),
            "next_steps": list(&step),
            "risk_level": { "enum": ["low", "medium", "high"] }
        }
    })
}

/// Builds a guest with this schema into `folder`, as a component that bears its name.
///
/// # Errors
/// The build's.
pub async fn build(folder: &Path, version: &str, schema: &Value, env: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let source = folder.join(version);
    fs::create_dir_all(&source)?;
    let manifest = format!(
        "prompt-version = \"{version}\"\nschema-version = \"{}\"\ndescription = \"A bench.\"\n",
        schema_version(schema)
    );
    let prompt = format!(
        "<!-- system -->\n{MARK}{version}.\nAnswer with one JSON object that satisfies this schema:\n\n{{{{schema}}}}\n\n<!-- user -->\n{{{{transcript}}}}\n"
    );
    fs::write(source.join("guest.toml"), manifest)?;
    fs::write(source.join("prompt.md"), prompt)?;
    fs::write(source.join("schema.json"), schema.to_string())?;
    let out = component(folder, version);
    assay(&["guest", "build", &source.display().to_string(), "--out", &out], env).await?;
    Ok(())
}

/// Publishes a guest that was built.
///
/// # Errors
/// The command's.
pub async fn publish(folder: &Path, version: &str, env: &BTreeMap<String, String>) -> anyhow::Result<Release> {
    let file = component(folder, version);
    let output = assay(&["release", "publish", &file, "--json"], env).await?;
    let output: Value = serde_json::from_str(&output).context("read what was published")?;
    let digest = output["digest"].as_str().context("a digest")?.to_owned();
    Ok(Release { version: version.to_owned(), digest, bytes: fs::metadata(&file)?.len() })
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// If it does not succeed, with what it said.
pub async fn assay(arguments: &[&str], env: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let mut process = AssayProcess::spawn(arguments, env);
    let ended = process.wait().await;
    ensure!(ended.success(), "assay {}: {}", arguments.join(" "), process.stderr().join("\n"));
    Ok(process.stdout().join("\n"))
}

fn component(folder: &Path, version: &str) -> String {
    folder.join(version).with_extension("wasm").display().to_string()
}

/// Another schema is another version.
fn schema_version(schema: &Value) -> String {
    let own = schema.pointer("/properties/release/const").and_then(Value::as_str);
    format!("{}.v1", own.unwrap_or("shared"))
}
