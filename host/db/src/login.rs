//! Who this process is for the database. It may change: a file has another URL, a command prints another password.

use std::{
    process::Stdio,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use assay_core::secret::{Secret, SecretFileError};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use tokio::{io::AsyncReadExt, process::Command, sync::Mutex, time::timeout};

use crate::{
    config::session,
    database_url::{UrlFault, parse},
};

/// A command asks a service for a token.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// Far more than a token.
const MAX_PASSWORD_BYTES: u64 = 64 * 1024;
/// Refusals come from many connections at once; the login is renewed once for all of them.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);

/// The options of new connections, and where they come from. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    url: Secret,
    password_command: Option<String>,
    current: Arc<RwLock<Current>>,
    renewing: Arc<Mutex<Option<Instant>>>,
}

#[derive(Clone, Debug)]
struct Current {
    options: PgConnectOptions,
    /// What the options were made from.
    url: SecretString,
    /// What the command printed last.
    password: Option<SecretString>,
    number: u64,
}

/// Why a login could not be renewed. It has nothing of a URL or a password.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error(transparent)]
    File(#[from] SecretFileError),
    #[error("{0}: {1}")]
    Url(&'static str, UrlFault),
    #[error("DATABASE_PASSWORD_COMMAND {0}")]
    Command(String),
}

impl Login {
    /// Takes the options of the URL; the command is run at the first connection.
    pub(crate) fn new(url: Secret, password_command: Option<String>, options: PgConnectOptions) -> Self {
        let current = Current { options: session(options), url: url.current(), password: None, number: 0 };
        Self { url, password_command, current: Arc::new(RwLock::new(current)), renewing: Arc::default() }
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.current().options
    }

    /// Returns which options of this process they are.
    pub(crate) fn number(&self) -> u64 {
        self.current().number
    }

    /// Returns whether a connection can be tried: there is no command, or it has printed a password.
    pub(crate) fn is_complete(&self) -> bool {
        self.password_command.is_none() || self.current().password.is_some()
    }

    /// Reads the file and runs the command again, unless others did since `used`. Returns whether there are other options.
    pub(crate) async fn renew(&self, used: u64) -> Result<bool, LoginError> {
        let mut last = self.renewing.lock().await;
        if self.number() > used {
            return Ok(true);
        }
        if last.is_some_and(|at| at.elapsed() < RENEWAL_PAUSE) {
            return Ok(false);
        }
        let renewed = self.read_again().await;
        *last = Some(Instant::now());
        renewed
    }

    async fn read_again(&self) -> Result<bool, LoginError> {
        self.url.read_again()?;
        let url = self.url.current();
        let mut options = parse(&url).map_err(|fault| LoginError::Url(self.url.variable(), fault))?;
        // Compared with what the options were made from: a change that was read before may have been of no use then.
        let before = self.current();
        let mut changed = before.url.expose_secret() != url.expose_secret();
        let mut password = None;
        if let Some(command) = &self.password_command {
            let printed = run(command).await?;
            changed |= before.password.is_none_or(|before| before.expose_secret() != printed.expose_secret());
            options = options.password(printed.expose_secret());
            password = Some(printed);
        }
        if changed {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            *current = Current { options: session(options), url, password, number: current.number + 1 };
        }
        Ok(changed)
    }

    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs a command of the operator and returns what it prints, without the line end.
async fn run(command: &str) -> Result<SecretString, LoginError> {
    let failed = |what: String| LoginError::Command(what);
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // It may quote what it was given.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("was not started: {}", error.kind())))?;
    let mut output = child.stdout.take().expect("a pipe").take(MAX_PASSWORD_BYTES + 1);
    let mut text = String::new();
    let work = async {
        let read = output.read_to_string(&mut text).await;
        drop(output);
        Ok::<_, std::io::Error>((read?, child.wait().await?))
    };
    let (bytes, status) = timeout(COMMAND_TIMEOUT, work)
        .await
        .map_err(|_| failed(format!("did not end within {COMMAND_TIMEOUT:?}")))?
        .map_err(|error| failed(format!("printed no text: {}", error.kind())))?;
    if bytes as u64 > MAX_PASSWORD_BYTES {
        return Err(failed(format!("printed more than {MAX_PASSWORD_BYTES} bytes")));
    }
    if !status.success() {
        return Err(failed(format!("ended with {status}")));
    }
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(failed("printed nothing".to_owned()));
    }
    Ok(password.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(url: Secret, command: Option<&str>) -> Login {
        let options = parse(&url.current()).expect("a Postgres URL");
        Login::new(url, command.map(str::to_owned), options)
    }

    fn user(login: &Login) -> String {
        login.options().get_username().to_owned()
    }

    #[tokio::test]
    async fn a_file_with_another_url_gives_other_options_once() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "postgres://one@host/db\n").expect("a file");
        let login = login(Secret::from_file("DATABASE_URL_FILE", file.path()).expect("a secret"), None);
        assert!(login.is_complete());
        std::fs::write(file.path(), "postgres://two@host/db").expect("a file");
        assert!(login.renew(0).await.expect("a file"));
        assert_eq!((user(&login), login.number()), ("two".to_owned(), 1));
        // A caller that was refused with the old ones has the new ones at once.
        assert!(login.renew(0).await.expect("a file"));
        // The others wait for the pause.
        assert!(!login.renew(1).await.expect("a file"));
    }

    #[tokio::test]
    async fn a_file_that_is_no_url_keeps_the_options_of_before() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "postgres://one@host/db").expect("a file");
        let login = login(Secret::from_file("DATABASE_URL_FILE", file.path()).expect("a secret"), None);
        std::fs::write(file.path(), "hush").expect("a file");
        let error = login.renew(0).await.expect_err("no URL").to_string();
        assert!(error.starts_with("DATABASE_URL_FILE: expected a URL") && !error.contains("hush"), "{error}");
        assert_eq!(user(&login), "one");
    }

    #[tokio::test]
    async fn a_change_that_was_read_while_the_command_failed_is_not_lost() {
        let (url, flag) =
            (tempfile::NamedTempFile::new().expect("a file"), tempfile::NamedTempFile::new().expect("a file"));
        std::fs::write(url.path(), "postgres://one@host/db").expect("a file");
        std::fs::write(flag.path(), "echo hush").expect("a file");
        let secret = Secret::from_file("DATABASE_URL_FILE", url.path()).expect("a secret");
        let command = format!(". '{}'", flag.path().display());
        let login = login(secret, Some(&command));
        assert!(login.read_again().await.expect("a password"));
        std::fs::write(url.path(), "postgres://two@host/db").expect("a file");
        std::fs::write(flag.path(), "exit 3").expect("a file");
        login.read_again().await.expect_err("the command failed");
        std::fs::write(flag.path(), "echo hush").expect("a file");
        assert!(login.read_again().await.expect("a password"));
        assert_eq!(user(&login), "two");
    }

    #[tokio::test]
    async fn a_command_gives_the_password_and_is_named_without_its_words() {
        let url = || Secret::fixed("DATABASE_URL", "postgres://one@host/db".to_owned());
        let good = login(url(), Some("printf 'a b\\n'"));
        assert!(!good.is_complete());
        assert!(good.renew(0).await.expect("a password") && good.is_complete());
        for (command, told) in [
            ("echo hush >&2; exit 3", "DATABASE_PASSWORD_COMMAND ended with exit status: 3"),
            ("true", "DATABASE_PASSWORD_COMMAND printed nothing"),
            ("printf '\\377'", "DATABASE_PASSWORD_COMMAND printed no text: invalid data"),
            ("head -c 70000 /dev/zero | tr '\\0' x", "DATABASE_PASSWORD_COMMAND printed more than 65536 bytes"),
        ] {
            let bad = login(url(), Some(command));
            assert_eq!(bad.renew(0).await.expect_err("no password").to_string(), told);
            assert!(!bad.is_complete());
        }
    }
}
