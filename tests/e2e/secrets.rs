//! Secrets that change under load: files are read again, a command is run again, and no file fails.

use std::{fs, path::Path, sync::Arc};

use assay_dev::Keys;
use assay_tests::{AssayProcess, Reply, World};
use parking_lot::Mutex;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::fixtures::{Env, TRANSCRIPT, answer, env, with, worker};

/// A role of the database with a password of its own; it goes with the test.
struct Login<'a> {
    world: &'a World,
    name: String,
}

impl<'a> Login<'a> {
    async fn new(world: &'a World, password: &str) -> Self {
        let login = Self { world, name: format!("secrets_{}", world.database.name()) };
        login.execute(&format!("create role {} login superuser password '{password}'", login.name)).await;
        login
    }

    async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.world.database.pool()).await.expect("a statement");
    }

    fn url(&self, password: &str) -> String {
        let (_, place) = self.world.database.url().split_once('@').expect("a password");
        format!("postgres://{}:{password}@{place}", self.name)
    }

    /// Changes the password, and ends every session that knew the old one.
    async fn change(&self, password: &str) {
        self.execute(&format!("alter role {} password '{password}'", self.name)).await;
        self.end_sessions().await;
    }

    async fn end_sessions(&self) {
        let name = &self.name;
        self.execute(&format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{name}'")).await;
    }

    async fn drop(self) {
        self.end_sessions().await;
        self.execute(&format!("drop role {}", self.name)).await;
    }
}

/// A model that accepts one key.
fn accept_key(world: &World) -> Arc<Mutex<String>> {
    let key = Arc::new(Mutex::new("hush-one".to_owned()));
    let accepted = key.clone();
    world.model.respond(move |call| {
        let wanted = format!("Bearer {}", accepted.lock());
        let is_right = call.headers.get("authorization").is_some_and(|value| value.as_bytes() == wanted.as_bytes());
        if is_right { Reply::json(&answer()) } else { Reply::error(401, "invalid_request_error", "invalid_api_key") }
    });
    key
}

/// Writes a file as orchestrators do: whole, under another name first.
fn replace(path: &Path, value: &str) {
    let new = path.with_extension("new");
    fs::write(&new, format!("{value}\n")).expect("a file");
    fs::rename(&new, path).expect("a file");
}

async fn enqueue(world: &World, jobs: usize) -> Vec<Uuid> {
    let mut files = Vec::new();
    for _ in 0..jobs {
        files.push(world.enqueue(TRANSCRIPT).await);
    }
    files
}

async fn all_succeed(world: &World, files: &[Uuid]) {
    for file in files {
        world.wait_for_status(*file, "succeeded").await;
        assert_eq!(world.job(*file).await.attempts, 1, "no attempt was lost to an old secret");
    }
}

/// Returns the environment with every secret in a file of this folder.
fn in_files(world: &World, folder: &Path, url: &str, keys: &Keys) -> Env {
    let mut env = env(world);
    let values = [
        ("DATABASE_URL", url),
        ("S3_ACCESS_KEY_ID", &keys.access),
        ("S3_SECRET_ACCESS_KEY", &keys.secret),
        ("LLM_API_KEY", "hush-one"),
    ];
    for (name, value) in values {
        let path = folder.join(name);
        replace(&path, value);
        env.remove(name);
        env.insert(format!("{name}_FILE"), path.display().to_string());
    }
    with(env, &[("JOB_HOLD_MS", "300")])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_secret_changes_under_load_and_no_file_fails() {
    let world = World::start().await;
    let accepted = accept_key(&world);
    let login = Login::new(&world, "hush-one").await;
    let folder = world.folder();
    let env = in_files(&world, folder, &login.url("hush-one"), world.objects.credentials());
    let running = worker(&env).await;
    all_succeed(&world, &enqueue(&world, 4).await).await;

    let mut files = enqueue(&world, 12).await;
    replace(&folder.join("LLM_API_KEY"), "hush-two");
    "hush-two".clone_into(&mut accepted.lock());
    files.extend(enqueue(&world, 12).await);
    let keys = Keys { access: "other".to_owned(), ..Keys::random() };
    replace(&folder.join("S3_ACCESS_KEY_ID"), &keys.access);
    replace(&folder.join("S3_SECRET_ACCESS_KEY"), &keys.secret);
    world.objects.bucket().accept(std::slice::from_ref(&keys));
    files.extend(enqueue(&world, 12).await);
    replace(&folder.join("DATABASE_URL"), &login.url("hush-two"));
    login.change("hush-two").await;
    files.extend(enqueue(&world, 12).await);
    for file in files {
        world.wait_for_status(file, "succeeded").await;
    }
    // A session that was ended in the middle of a statement may cost an attempt; a secret never costs one.
    all_succeed(&world, &enqueue(&world, 4).await).await;
    let log = running.stderr().join("\n");
    for secret in ["hush-one", "hush-two", &keys.secret] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    drop(running);
    login.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_gives_the_password_and_is_run_again_when_it_is_refused() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let login = Login::new(&world, "hush-one").await;
    let password = world.folder().join("password");
    replace(&password, "hush-one");
    let url = login.url("").replace(":@", "@");
    let command = format!("cat '{}'", password.display());
    let env = with(env(&world), &[("DATABASE_URL", &*url), ("DATABASE_PASSWORD_COMMAND", &command)]);
    let running = worker(&env).await;
    all_succeed(&world, &enqueue(&world, 2).await).await;
    replace(&password, "hush-two");
    login.change("hush-two").await;
    for file in enqueue(&world, 4).await {
        world.wait_for_status(file, "succeeded").await;
    }
    drop(running);
    let broken = with(env, &[("DATABASE_PASSWORD_COMMAND", "exit 3")]);
    let mut check = AssayProcess::spawn(&["check"], &broken);
    assert!(!check.wait().await.success());
    let told = check.stdout().join("\n");
    assert!(told.contains("DATABASE_PASSWORD_COMMAND"), "{told}");
    login.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_named_at_the_start_and_its_content_never() {
    let world = World::start().await;
    let path = world.folder().join("key");
    fs::write(&path, "hush\nhush\n").expect("a file");
    let path = path.display().to_string();
    let mut env = env(&world);
    env.remove("LLM_API_KEY");
    for (value, told) in [
        ("/nowhere/key", "invalid LLM_API_KEY_FILE: /nowhere/key: entity not found"),
        (&*path, "invalid LLM_API_KEY_FILE: the key must not contain line breaks"),
    ] {
        let mut check = AssayProcess::spawn(&["worker"], &with(env.clone(), &[("LLM_API_KEY_FILE", value)]));
        assert_eq!(check.wait().await.code(), Some(64));
        let log = check.stderr().join("\n");
        assert!(log.contains(told) && !log.contains("hush"), "{log}");
    }
}
