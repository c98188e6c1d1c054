//! A migrated database per test.
//!
//! One cluster serves the whole test process: the one named by `ASSAY_TEST_POSTGRES` (the URL of a superuser; the binary `with-postgres` sets
//! it for a run), else a throwaway one that is started on first use and dies with the process. A database is cloned from a migrated template,
//! which takes a fraction of the time that migrating takes.

use std::hash::{DefaultHasher, Hash, Hasher};

use assay_db::{
    Database, DatabaseConfig,
    migrate::{Origin, Target, plan},
};
use assay_dev::{Postgres, PostgresOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, postgres::PgPoolOptions};
use tokio::sync::OnceCell;

/// The variable that names a cluster to use.
const VARIABLE: &str = "ASSAY_TEST_POSTGRES";

/// The key of the advisory lock under which the template is made, so that test processes do not race.
const TEMPLATE_LOCK: i64 = 0x6173_7361_7900;

/// Connections of a test's own pool; a test with many workers gives each its own.
const POOL: u32 = 8;

/// Room for a test per core of a large machine, each with a few pools.
const MAX_CONNECTIONS: &str = "500";

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

enum Cluster {
    Given(String),
    /// Lives in a static, so it is never dropped: the kernel ends it together with this process.
    Own(Postgres),
}

impl Cluster {
    #[expect(clippy::disallowed_methods, reason = "a variable may name a cluster for a run of the tests")]
    async fn get() -> &'static Self {
        CLUSTER
            .get_or_init(|| async {
                match std::env::var(VARIABLE) {
                    Ok(url) if !url.is_empty() => Self::Given(url),
                    _ => {
                        let options = PostgresOptions::throwaway().setting("max_connections", MAX_CONNECTIONS);
                        Self::Own(Postgres::start(options).await.expect("a Postgres cluster for tests"))
                    }
                }
            })
            .await
    }

    fn url(&self, database: &str) -> String {
        match self {
            Self::Own(postgres) => postgres.url(database),
            Self::Given(admin) => {
                let (server, _) = admin.rsplit_once('/').expect("ASSAY_TEST_POSTGRES ends in a database's name");
                format!("{server}/{database}")
            }
        }
    }

    async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.url("postgres")).await.expect("a connection to the test cluster")
    }
}

/// A database of its own. Dropping the value drops it, with its open connections.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    admin_url: String,
    pool: PgPool,
}

impl TestDatabase {
    /// Returns a database with the current schema and no rows.
    pub async fn new() -> Self {
        let template = TEMPLATE.get_or_init(make_template).await;
        Self::create(&format!(" TEMPLATE {template}")).await
    }

    /// Returns a database without a schema, for tests of the migrations.
    pub async fn empty() -> Self {
        Self::create("").await
    }

    /// Returns the URL, of a superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the test's own connections.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Returns one more connection, outside the pool.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("a connection to the test database")
    }

    /// Returns a database without a schema in another encoding than UTF8.
    pub async fn in_encoding(encoding: &str) -> Self {
        Self::create(&format!(" TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'")).await
    }

    /// Returns a database with the current schema and no rows on a cluster of the test's own.
    pub async fn on(postgres: &Postgres) -> Self {
        let admin_url = postgres.admin_url();
        let database = Self::create_at(&admin_url, |name| postgres.url(name), "").await;
        migrate(&database.url).await;
        database
    }

    async fn create(clause: &str) -> Self {
        let cluster = Cluster::get().await;
        Self::create_at(&cluster.url("postgres"), |name| cluster.url(name), clause).await
    }

    async fn create_at(admin_url: &str, url_of: impl Fn(&str) -> String, clause: &str) -> Self {
        let name = format!("test_{:016x}", rand::random::<u64>());
        let mut admin = PgConnection::connect(admin_url).await.expect("a connection to the test cluster");
        run(&mut admin, format!("CREATE DATABASE {name}{clause}")).await;
        let url = url_of(&name);
        let pool =
            PgPoolOptions::new().max_connections(POOL).connect(&url).await.expect("a pool for the test database");
        Self { name, url, admin_url: admin_url.to_owned(), pool }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (name, admin_url) = (std::mem::take(&mut self.name), std::mem::take(&mut self.admin_url));
        // `drop` is not async and may run inside a runtime, so the statement gets a thread and a runtime of its own.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut admin = PgConnection::connect(&admin_url).await.map_err(std::io::Error::other)?;
                let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                admin.execute(AssertSqlSafe(statement)).await.map_err(std::io::Error::other)
            })
        });
        // A leftover database does no harm: a throwaway cluster goes as a whole.
        let _ = dropping.join();
    }
}

/// Makes the migrated template, or finds it: its name is a hash of the migrations it holds.
async fn make_template() -> String {
    let cluster = Cluster::get().await;
    let mut hasher = DefaultHasher::new();
    for step in plan(Origin::Own, &[].into(), Target::Latest) {
        (step.version, step.sql).hash(&mut hasher);
    }
    let name = format!("assay_template_{:016x}", hasher.finish());
    let mut admin = cluster.admin().await;
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut admin)
        .await
        .expect("the template's lock");
    let done: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)")
        .bind(&name)
        .fetch_one(&mut admin)
        .await
        .expect("a look at the databases");
    if !done {
        run(&mut admin, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        run(&mut admin, format!("CREATE DATABASE {name}")).await;
        migrate(&cluster.url(&name)).await;
        // The mark that it is complete.
        run(&mut admin, format!("ALTER DATABASE {name} IS_TEMPLATE true")).await;
    }
    // Ends the session, and the lock with it.
    admin.close().await.expect("the end of a session");
    name
}

async fn migrate(url: &str) {
    let config = DatabaseConfig::from_url(&url.into()).expect("a Postgres URL");
    let database = Database::new(config);
    database.migrate(Target::Latest).await.expect("the migrations");
    database.close().await;
}

/// Statements that take no parameters; the names in them are made here.
async fn run(connection: &mut PgConnection, statement: String) {
    connection.execute(AssertSqlSafe(statement)).await.expect("a statement about databases");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_databases_have_the_schema_and_not_each_others_rows() {
        let (one, two) = tokio::join!(TestDatabase::new(), TestDatabase::new());
        sqlx::query("INSERT INTO workers (id, version, slots) VALUES ('w', '1', 1)").execute(one.pool()).await.unwrap();
        for (database, expected) in [(&one, 1), (&two, 0)] {
            let rows: i64 =
                sqlx::query_scalar("SELECT count(*) FROM workers").fetch_one(database.pool()).await.unwrap();
            assert_eq!(rows, expected);
        }
    }

    #[tokio::test]
    async fn a_dropped_database_is_gone() {
        let database = TestDatabase::empty().await;
        let (name, mut admin) = (database.name().to_owned(), Cluster::get().await.admin().await);
        drop(database);
        let found: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(name)
            .fetch_one(&mut admin)
            .await
            .unwrap();
        assert!(!found);
    }
}
