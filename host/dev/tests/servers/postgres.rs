//! The embedded Postgres, started, restarted and stopped for real.

use std::{fs, path::Path, process::Command};

use assay_dev::{Postgres, PostgresOptions};

/// Runs one statement through `psql`; returns its output, or its error output.
fn query(url: &str, statement: &str) -> Result<String, String> {
    let psql =
        ["/usr/lib/postgresql/18/bin/psql", "/usr/lib/postgresql/17/bin/psql", "/usr/lib/postgresql/15/bin/psql"];
    let psql = psql.into_iter().find(|path| Path::new(path).is_file()).unwrap_or("psql");
    let output = Command::new(psql).args(["-XAtqd", url, "-c", statement]).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[tokio::test]
async fn a_kept_cluster_keeps_rows_and_password_through_crash_and_restart() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::start(PostgresOptions::kept(folder.path())).await.unwrap();
    postgres.ensure_database("assay").await.unwrap();
    postgres.ensure_database("assay").await.unwrap();
    let url = postgres.url("assay");
    query(&url, "CREATE TABLE marks AS SELECT 7 AS mark").unwrap();
    assert_eq!(query(&url, "SHOW synchronous_commit").unwrap(), "on");

    postgres.restart_immediate().await.unwrap();
    assert_eq!(query(&url, "SELECT mark FROM marks").unwrap(), "7");

    let password = url.split([':', '@']).nth(2).unwrap().to_owned();
    postgres.stop().await.unwrap();
    assert!(query(&url, "SELECT 1").is_err());
    let again = Postgres::start(PostgresOptions::kept(folder.path())).await.unwrap();
    assert_eq!(query(&again.url("assay"), "SELECT mark FROM marks").unwrap(), "7");
    assert!(again.admin_url().contains(&password));
    remove_data_outside(&again.admin_url());
    again.stop().await.unwrap();
}

#[tokio::test]
async fn a_cluster_whose_folder_was_removed_starts_empty() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = folder.path().join("cluster");
    let postgres = Postgres::start(PostgresOptions::kept(&cluster)).await.unwrap();
    query(&postgres.admin_url(), "CREATE TABLE marks AS SELECT 7 AS mark").unwrap();
    postgres.stop().await.unwrap();
    fs::remove_dir_all(&cluster).unwrap();
    let again = Postgres::start(PostgresOptions::kept(&cluster)).await.unwrap();
    assert!(query(&again.admin_url(), "SELECT mark FROM marks").unwrap_err().contains("does not exist"));
    remove_data_outside(&again.admin_url());
    again.stop().await.unwrap();
}

/// Removes the data of root's clusters, which may lie outside of the test's folder.
fn remove_data_outside(url: &str) {
    let data = query(url, "SHOW data_directory").unwrap();
    if data.starts_with("/var/tmp/") {
        // The server still runs, but stops right after and never starts again.
        let _ = fs::remove_dir_all(Path::new(&data).parent().unwrap());
    }
}

#[tokio::test]
async fn a_throwaway_cluster_asks_for_a_password_and_leaves_no_files() {
    let options = PostgresOptions::throwaway().setting("work_mem", "7MB");
    let folder = options.folder.clone();
    let postgres = Postgres::start(options).await.unwrap();
    assert_eq!(query(&postgres.admin_url(), "SHOW fsync").unwrap(), "off");
    assert_eq!(query(&postgres.admin_url(), "SHOW work_mem").unwrap(), "7MB");
    let wrong_password = format!("postgres://assay:wrong@127.0.0.1:{}/postgres", postgres.port());
    assert!(query(&wrong_password, "SELECT 1").unwrap_err().contains("password"));
    assert!(folder.exists());
    postgres.stop().await.unwrap();
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_second_server_on_one_folder_is_refused() {
    let options = PostgresOptions::throwaway();
    let _first = Postgres::start(options.clone()).await.unwrap();
    let second = PostgresOptions { temporary: false, ..options };
    let error = Postgres::start(second).await.unwrap_err();
    assert!(error.to_string().contains("another process serves"), "{error:#}");
}

#[tokio::test]
async fn a_setting_that_postgres_refuses_is_named_in_the_error() {
    let options = PostgresOptions::throwaway().setting("no_such_setting", "1");
    let folder = options.folder.clone();
    let error = Postgres::start(options).await.unwrap_err();
    assert!(error.to_string().contains("no_such_setting"), "{error:#}");
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_stale_pid_of_another_process_does_not_prevent_a_start() {
    let options = PostgresOptions { temporary: false, ..PostgresOptions::throwaway() };
    let folder = options.folder.clone();
    Postgres::start(options.clone()).await.unwrap().stop().await.unwrap();
    // The test process is alive and is not a server.
    fs::write(folder.join("data/postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
    let again = Postgres::start(PostgresOptions { temporary: true, ..options }).await.unwrap();
    again.stop().await.unwrap();
    assert!(!folder.exists());
}
