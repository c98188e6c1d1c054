//! `assay release publish`.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use anyhow::{Context, anyhow};
use assay_core::{env::Variables, object_keys::guest_key};
use assay_db::{
    Database, DatabaseConfig,
    releases::{By, NewRelease},
};
use assay_guest_build::{Stamp, toolchain};
use assay_objects::{Objects, ObjectsConfig};
use assay_runtime::Manifest;
use bytes::Bytes;
use serde::Serialize;

use crate::{audit::Audit, database, exit::Failure, guest::check, output, release::names::short};

/// Publish a component: check it, store it in the bucket under its digest, and add it to the releases.
///
/// No job runs on it before it is activated. Publishing the same bytes again changes nothing. Other bytes with a published
/// prompt version become its next revision.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay guest build minutes-v2 && assay release publish minutes-v2/minutes-v2.wasm
  assay release publish minutes-v2.wasm --json | jq -r .digest")]
pub struct Arguments {
    /// Component, or the folder of a guest, which is built first
    #[arg(value_name = "FILE.wasm|DIR")]
    file: PathBuf,
    #[command(flatten)]
    audit: Audit,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Published {
    digest: String,
    prompt_version: String,
    schema_version: String,
    revision: i32,
    is_new: bool,
}

pub async fn run(arguments: &Arguments, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let mut vars = Variables::from_map(values.clone());
    let objects = ObjectsConfig::load(&mut vars);
    DatabaseConfig::load(&mut vars);
    vars.finish()?;
    let actor = arguments.audit.actor(&values);
    let database = database::open_from(values.clone()).await?;
    let admitted = check::admit(&arguments.file, Variables::from_map(values)).await?;
    let check::Admitted { bytes, digest, manifest } = match admitted {
        Ok(admitted) => admitted,
        Err(table) => {
            output::print(&table)?;
            return Err(anyhow!("{} is not published: it breaks a rule of admission", arguments.file.display()).into());
        }
    };
    let objects = Objects::new(&objects);
    let by = By { actor: &actor, reason: &arguments.audit.reason };
    let published = publish(&objects, &database, bytes, digest.to_string(), manifest, by).await?;
    if arguments.json {
        output::print_json(&published)?;
    } else {
        output::print(&render(&published))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Stores the component, then adds the release: every release in the table can be fetched.
async fn publish(
    objects: &Objects,
    database: &Database,
    bytes: Vec<u8>,
    digest: String,
    manifest: Manifest,
    by: By<'_>,
) -> anyhow::Result<Published> {
    let (sources, toolchain) = (Stamp::of(&bytes).revision, toolchain(&bytes));
    let size_bytes = i64::try_from(bytes.len()).context("size of the component")?;
    objects
        .write(objects.bucket(), &guest_key(&digest), "application/wasm", Bytes::from(bytes))
        .await
        .context("write the component to the bucket")?;
    let release = NewRelease {
        digest: &digest,
        prompt_version: &manifest.prompt_version,
        schema_version: &manifest.schema_version,
        size_bytes,
        toolchain: toolchain.as_deref(),
        sources: Some(sources.as_str()).filter(|sources| !sources.is_empty()),
    };
    let published = database.publish(&release, by).await.context("add the release")?;
    Ok(Published {
        digest,
        prompt_version: manifest.prompt_version,
        schema_version: manifest.schema_version,
        revision: published.revision,
        is_new: published.is_new,
    })
}

fn render(published: &Published) -> String {
    let Published { prompt_version, revision, schema_version, digest, is_new } = published;
    let what = format!("{prompt_version}@{revision} ({schema_version}), {}", short(digest));
    if *is_new {
        format!("published {what}\nNothing runs on it yet. Next: assay release activate {prompt_version}@{revision}\n")
    } else {
        format!("{what}, was published before; nothing changed\n")
    }
}
