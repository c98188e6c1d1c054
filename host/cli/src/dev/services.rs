//! The servers of `assay dev`.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::Context;
use assay_dev::{Keys, ObjectStore, Postgres, PostgresOptions, StandIn, StandInOptions};
use url::Url;

pub const DATABASE: &str = "assay";
/// Short, because the store adds to it in the names of its side files.
pub const BUCKET: &str = "assay-dev";

pub struct Services {
    pub postgres: Postgres,
    pub objects: ObjectStore,
    /// `None` if a model is configured.
    pub model: Option<StandIn>,
    pub postgres_folder: PathBuf,
    pub objects_folder: PathBuf,
}

impl Services {
    /// Starts them in `data`, with the addresses and keys of an earlier run if there was one.
    pub async fn start(data: &Path, earlier: &BTreeMap<String, String>, has_model: bool) -> anyhow::Result<Self> {
        let postgres_folder = data.join("postgres");
        let postgres = Postgres::start(PostgresOptions {
            port: port(earlier, "DATABASE_URL"),
            ..PostgresOptions::kept(&postgres_folder)
        })
        .await
        .context("start Postgres")?;
        postgres.ensure_database(DATABASE).await?;

        let objects_folder = data.join("objects");
        private_folder(&objects_folder)?;
        let keys = match earlier.get("S3_SECRET_ACCESS_KEY") {
            Some(secret) => Keys { secret: secret.clone(), ..Keys::random() },
            None => Keys::random(),
        };
        let endpoint = port(earlier, "S3_ENDPOINT");
        let objects =
            ObjectStore::start(&objects_folder, BUCKET, keys, endpoint).await.context("start the object store")?;

        let model = if has_model {
            None
        } else {
            let options = StandInOptions { port: port(earlier, "LLM_BASE_URL"), ..StandInOptions::default() };
            let stand_in = StandIn::start(options).await;
            Some(stand_in.context("start the stand-in model")?)
        };
        Ok(Self { postgres, objects, model, postgres_folder, objects_folder: objects_folder.join(BUCKET) })
    }

    /// Stops them so that none needs a stopped one.
    pub async fn stop(self) {
        if let Some(model) = self.model {
            model.stop().await;
        }
        self.objects.stop().await;
        if let Err(error) = self.postgres.stop().await {
            tracing::error!(error = format!("{error:#}"), "Postgres did not stop cleanly");
        }
    }
}

/// Returns the port of an earlier run. Returns 0, which means any port, if there was none or it is taken.
fn port(earlier: &BTreeMap<String, String>, variable: &str) -> u16 {
    let url = earlier.get(variable).and_then(|url| Url::parse(url).ok());
    let local = url.filter(|url| url.host_str() == Some("127.0.0.1"));
    local.and_then(|url| url.port()).filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).unwrap_or(0)
}

/// Only the owner may enter it, because it holds documents.
fn private_folder(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("create {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_port_is_used_again_unless_it_is_taken_or_elsewhere() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = listener.local_addr().unwrap().port();
        let earlier = |url: String| BTreeMap::from([("S3_ENDPOINT".to_owned(), url)]);
        let local = earlier(format!("http://127.0.0.1:{taken}"));
        assert_eq!(port(&local, "S3_ENDPOINT"), 0);
        drop(listener);
        assert_eq!(port(&local, "S3_ENDPOINT"), taken);
        assert_eq!(port(&local, "DATABASE_URL"), 0);
        let remote = earlier(format!("http://192.0.2.1:{taken}"));
        assert_eq!(port(&remote, "S3_ENDPOINT"), 0);
    }
}
