//! The message of `assay dev` when it is ready.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use assay_worker::{config::Config, guests::LoadedRelease};
use serde::Serialize;

use crate::dev::services::{BUCKET, Services};

/// In a clone of the repository.
const SAMPLE: &str = "docs/samples/en-standup.succeeds.vtt";

/// Holds no secret; the file `env` does.
#[derive(Clone, Debug, Serialize)]
pub struct Welcome {
    env_file: PathBuf,
    postgres_port: u16,
    postgres_folder: PathBuf,
    s3_endpoint: String,
    bucket: &'static str,
    /// Holds the objects of the bucket, each in a file named by its key.
    objects_folder: PathBuf,
    model: String,
    model_url: String,
    model_is_stand_in: bool,
    guests: Vec<LoadedRelease>,
    guest_folder: PathBuf,
    admin: SocketAddr,
    slots: usize,
}

impl Welcome {
    pub fn new(
        services: &Services,
        config: &Config,
        guests: &[LoadedRelease],
        env_file: &Path,
        admin: SocketAddr,
    ) -> Self {
        let mut guests = guests.to_vec();
        for guest in &mut guests {
            guest.is_default = Some(&guest.prompt_version) == config.guests.default_version.as_ref();
        }
        Self {
            env_file: env_file.to_owned(),
            postgres_port: services.postgres.port(),
            postgres_folder: services.postgres_folder.clone(),
            s3_endpoint: services.objects.endpoint(),
            bucket: BUCKET,
            objects_folder: services.objects_folder.clone(),
            model: config.llm.model.clone(),
            model_url: config.llm.base_url.to_string(),
            model_is_stand_in: services.model.is_some(),
            guests,
            guest_folder: config.guests.directory.clone(),
            admin,
            slots: config.worker.concurrency,
        }
    }

    /// Returns one line.
    pub fn json(&self) -> String {
        let line = serde_json::to_string(self).expect("plain data with text keys serializes");
        line + "\n"
    }

    pub fn text(&self) -> String {
        let here = std::env::current_dir().unwrap_or_default();
        let shown = |path: &Path| path.strip_prefix(&here).unwrap_or(path).display().to_string();
        let program = std::env::args().next().unwrap_or_else(|| "assay".to_owned());
        let sample = if here.join(SAMPLE).is_file() { SAMPLE } else { "YOUR-TRANSCRIPT.vtt" };
        self.render(&program, sample, shown)
    }

    fn render(&self, program: &str, sample: &str, shown: impl Fn(&Path) -> String) -> String {
        let model = if self.model_is_stand_in {
            format!("a stand-in at {}: not a model, it makes its answers from the transcript", self.model_url)
        } else {
            format!("{} at {}", self.model, self.model_url)
        };
        let guests: Vec<_> = self
            .guests
            .iter()
            .map(|guest| {
                let default = if guest.is_default { " (default)" } else { "" };
                format!("{}{default}", guest.prompt_version)
            })
            .collect();
        let env = shown(&self.env_file);
        let env = if env.contains(char::is_whitespace) { format!("'{env}'") } else { env };
        format!(
            "
Assay is ready. Everything runs in this process and ends with it: Ctrl-C

  database  postgres://127.0.0.1:{port}/assay, data in {postgres}
  objects   {endpoint}, bucket {bucket}, files in {objects}
  model     {model}
  guests    {guests} from {guest_folder}
  worker    {slots} slots, http://{admin}/metrics and /readyz
  env       {env} has the variables for other commands

Try in another terminal, in this folder:

  {program} --env-file {env} check
  {program} --env-file {env} submit {sample} --wait
  {program} --env-file {env} status
  set -a; . {source}; set +a        then --env-file is not needed

",
            port = self.postgres_port,
            postgres = shown(&self.postgres_folder),
            endpoint = self.s3_endpoint,
            bucket = self.bucket,
            objects = shown(&self.objects_folder),
            guests = guests.join(", "),
            guest_folder = shown(&self.guest_folder),
            slots = self.slots,
            admin = self.admin,
            // The shell looks for a name without a slash in PATH.
            source = if env.contains('/') { env.clone() } else { format!("./{env}") },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn welcome(stand_in: bool) -> Welcome {
        let guest = |version: &str, is_default| LoadedRelease {
            prompt_version: version.to_owned(),
            schema_version: "report.v1".to_owned(),
            digest: "3fa9".to_owned(),
            is_default,
            kept: false,
            channels: Vec::new(),
        };
        Welcome {
            env_file: "/srv/.assay/env".into(),
            postgres_port: 40_123,
            postgres_folder: "/srv/.assay/postgres".into(),
            s3_endpoint: "http://127.0.0.1:40124".to_owned(),
            bucket: BUCKET,
            objects_folder: "/srv/.assay/objects/assay-dev".into(),
            model: "small".to_owned(),
            model_url: "http://127.0.0.1:40125/v1".to_owned(),
            model_is_stand_in: stand_in,
            guests: vec![guest("meeting-v1", false), guest("meeting-v2", true)],
            guest_folder: "/srv/guest/dist".into(),
            admin: SocketAddr::from(([127, 0, 0, 1], 9464)),
            slots: 16,
        }
    }

    #[test]
    fn it_shows_what_runs_and_what_to_try() {
        let shown = |path: &Path| path.strip_prefix("/srv").unwrap_or(path).display().to_string();
        insta::assert_snapshot!("dev_is_ready", welcome(true).render("assay", SAMPLE, shown));
    }

    #[test]
    fn a_stand_in_is_called_one_and_a_model_is_not() {
        let shown = |path: &Path| path.display().to_string();
        assert!(welcome(true).render("assay", SAMPLE, shown).contains("a stand-in at"));
        assert!(!welcome(false).render("assay", SAMPLE, shown).contains("stand-in"));
        assert!(welcome(false).render("assay", SAMPLE, shown).contains("small at http"));
    }
}
