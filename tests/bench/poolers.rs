//! What a claim costs behind a pooler: the driver's own sessions, statements without sessions, and a real PgBouncer.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use assay_core::{env::Variables, serving::Serving};
use assay_db::{Database, DatabaseConfig};
use bytes::Bytes;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::{stage::Stage, talk::transcript};

/// Debian's place comes last: it is not on everybody's path.
const PLACES: [&str; 3] = ["/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer", "/usr/sbin/pgbouncer"];
/// PgBouncer refuses to run as root.
const USER: &str = "nobody";
const PATIENCE: Duration = Duration::from_secs(10);
const DIGEST: &str = "bench";

/// Milliseconds per claim.
pub struct Claims {
    pub direct: f64,
    /// Without sessions of its own, and without a pooler.
    pub sessionless: f64,
    /// The same through PgBouncer. `None` where that is not installed.
    pub pgbouncer: Option<f64>,
}

impl Stage {
    /// Claims jobs one by one, in each way `jobs` of them.
    ///
    /// # Errors
    /// The database's, or PgBouncer does not start.
    pub async fn claims_behind_poolers(&self, jobs: usize) -> anyhow::Result<Claims> {
        let url = self.database_url();
        let direct = self.claims(&url, "none", jobs).await.context("directly")?;
        let sessionless = self.claims(&url, "transaction", jobs).await.context("without sessions")?;
        let pgbouncer = match PLACES.iter().map(Path::new).find(|place| place.is_file()) {
            Some(program) => {
                let pooler = Pooler::start(program, &url).await?;
                Some(self.claims(&pooler.url, "transaction", jobs).await.context("through PgBouncer")?)
            }
            None => None,
        };
        Ok(Claims { direct, sessionless, pgbouncer })
    }

    async fn claims(&self, url: &str, pooler: &str, jobs: usize) -> anyhow::Result<f64> {
        let values = [("DATABASE_URL", url), ("DATABASE_POOLER", pooler)];
        let values: BTreeMap<_, _> = values.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let database = Database::new(DatabaseConfig::load(&mut Variables::from_map(values)));
        let serving =
            Serving { default: Some(DIGEST.to_owned()), digests: vec![DIGEST.to_owned()], ..Serving::default() };
        let claim = async || database.claim("bench", &serving, 1, Duration::from_secs(600), None).await;
        let transcript = Bytes::from(transcript());
        let files = self.add_files(jobs + 1, |_| transcript.clone()).await?;
        let enqueue = "select assay_enqueue(id) from unnest($1::uuid[]) as id";
        sqlx::query(enqueue).bind(&files).execute(&self.pool).await?;
        sqlx::query("analyze").execute(&self.pool).await?;
        // Connected and planned.
        ensure!(claim().await?.len() == 1, "there is a job to claim");
        let begun = Instant::now();
        for _ in 0..jobs {
            ensure!(claim().await?.len() == 1, "each claim finds a job");
        }
        let took = begun.elapsed();
        database.close().await;
        // They were claimed and never run.
        for table in ["processing_jobs where file_id", "files where id"] {
            let delete = format!("delete from {table} = any ($1)");
            sqlx::query(sqlx::AssertSqlSafe(delete)).bind(&files).execute(&self.pool).await?;
        }
        Ok(took.as_secs_f64() * 1e3 / jobs as f64)
    }
}

/// A PgBouncer in transaction mode that keeps no prepared statements.
struct Pooler {
    url: String,
    _process: Child,
    _folder: tempfile::TempDir,
}

impl Pooler {
    async fn start(program: &Path, url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("postgres://").context("a URL of Postgres")?;
        let (login, place) = rest.split_once('@').context("a login")?;
        let (user, password) = login.split_once(':').context("a password")?;
        let (address, database) = place.split_once('/').context("a database")?;
        let (host, server) = address.split_once(':').context("a port")?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let file = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n{database} = host={host} port={server} dbname={database} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n"
        );
        fs::write(&file, text)?;
        let process = start(program, &file)?;
        let listens = async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, listens).await.context("PgBouncer does not listen")?;
        let url = format!("postgres://{user}@127.0.0.1:{port}/{database}");
        Ok(Self { url, _process: process, _folder: folder })
    }
}

fn start(program: &Path, file: &PathBuf) -> anyhow::Result<Child> {
    let mut command = Command::new(program);
    command.arg("-q");
    if rustix::process::geteuid().is_root() {
        command.args(["-u", USER]);
    }
    command.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().context("start PgBouncer")
}
