//! The proxy in front of a server that sends everything back, and in front of Postgres.

use sqlx::{Connection, PgConnection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::TestDatabase;

/// Returns a server that sends back what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                tokio::io::copy(&mut reader, &mut writer).await
            });
        }
    });
    address
}

async fn say(stream: &mut TcpStream, text: &[u8]) -> Vec<u8> {
    stream.write_all(text).await.unwrap();
    let mut back = vec![0; text.len()];
    within("the echo", stream.read_exact(&mut back)).await.unwrap();
    back
}

#[tokio::test]
async fn bytes_pass_until_the_connection_is_cut() {
    let proxy = Proxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut stream, b"hello").await, b"hello");
    proxy.cut_all();
    let end = within("the end", stream.read(&mut [0; 8])).await;
    assert!(matches!(end, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_refusing_proxy_ends_new_connections_and_keeps_old_ones() {
    let proxy = Proxy::start(echo().await).await;
    let mut old = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut old, b"one").await, b"one");
    proxy.refuse();
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(matches!(within("the end", new.read(&mut [0; 8])).await, Ok(0) | Err(_)));
    assert_eq!(say(&mut old, b"two").await, b"two");
}

#[tokio::test]
async fn what_a_black_hole_swallowed_arrives_when_it_forwards_again() {
    let proxy = Proxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut stream, b"one").await, b"one");
    proxy.black_hole();
    stream.write_all(b"two").await.unwrap();
    assert_eq!(stream.try_read(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    proxy.forward();
    let mut back = [0; 3];
    within("the echo", stream.read_exact(&mut back)).await.unwrap();
    assert_eq!(&back, b"two");
}

#[tokio::test]
async fn a_held_pattern_is_forwarded_on_command_only() {
    let proxy = Proxy::start(echo().await).await;
    let hold = proxy.hold_bytes("STOP");
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(b"go STOP now").await.unwrap();
    hold.reached().await;
    let mut before = [0; 3];
    within("what came before", stream.read_exact(&mut before)).await.unwrap();
    assert_eq!(&before, b"go ");
    hold.forward().await;
    let mut after = [0; 8];
    within("what was held", stream.read_exact(&mut after)).await.unwrap();
    assert_eq!(&after, b"STOP now");
}

#[tokio::test]
async fn a_prepared_statement_is_carried_out_after_its_client_was_cut() {
    let database = TestDatabase::empty().await;
    sqlx::query("CREATE TABLE marks (mark int)").execute(database.pool()).await.unwrap();
    let proxy = Proxy::before(database.url()).await;
    let hold = proxy.hold_statement("insert INTO marks");
    let url = proxy.url_of(database.url());
    let client = tokio::spawn(async move {
        let mut connection = PgConnection::connect(&url).await?;
        sqlx::query("INSERT INTO marks VALUES ($1)").bind(7).execute(&mut connection).await
    });
    hold.reached().await;
    hold.cut_client().await;
    assert!(within("the client's error", client).await.unwrap().is_err());
    let count = || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM marks").fetch_one(database.pool());
    assert_eq!(count().await.unwrap(), 0);
    hold.forward().await;
    assert_eq!(count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_held_commit_lets_its_client_go_on_after_it_was_forwarded() {
    let database = TestDatabase::empty().await;
    sqlx::query("CREATE TABLE marks (mark int)").execute(database.pool()).await.unwrap();
    let proxy = Proxy::before(database.url()).await;
    let hold = proxy.hold_statement("commit");
    let url = proxy.url_of(database.url());
    let client = tokio::spawn(async move {
        let mut connection = PgConnection::connect(&url).await?;
        let mut transaction = connection.begin().await?;
        sqlx::query("INSERT INTO marks VALUES ($1)").bind(7).execute(&mut *transaction).await?;
        transaction.commit().await?;
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM marks").fetch_one(&mut connection).await
    });
    hold.reached().await;
    let committed: i64 = sqlx::query_scalar("SELECT count(*) FROM marks").fetch_one(database.pool()).await.unwrap();
    assert_eq!(committed, 0);
    hold.forward().await;
    assert_eq!(within("the client", client).await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn half_open_connections_are_silent_while_new_ones_work() {
    let proxy = Proxy::start(echo().await).await;
    let mut old = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut old, b"one").await, b"one");
    proxy.half_open();
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    old.write_all(b"two").await.unwrap();
    assert_eq!(say(&mut new, b"three").await, b"three");
    assert_eq!(old.try_read(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    proxy.forward();
    let mut back = [0; 3];
    within("the echo", old.read_exact(&mut back)).await.unwrap();
    assert_eq!(&back, b"two");
}

/// Inserts a mark through a proxy whose rule delays it; returns the client's result and the marks.
async fn delayed_insert(client: Fate) -> (sqlx::Result<()>, i64) {
    let database = TestDatabase::empty().await;
    sqlx::query("CREATE TABLE marks (mark int)").execute(database.pool()).await.unwrap();
    let proxy = Proxy::before(database.url()).await;
    let url = proxy.url_of(database.url());
    proxy.delay_statements("INSERT INTO marks", move || Some(Delay { by: Duration::from_millis(20), client }));
    let inserted = async {
        let mut connection = PgConnection::connect(&url).await?;
        sqlx::query("INSERT INTO marks VALUES ($1)").bind(7).execute(&mut connection).await?;
        // The connection goes on, and the rule is about the one statement.
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM marks").fetch_one(&mut connection).await.map(|_| ())
    };
    let inserted = within("the client's answer", inserted).await;
    proxy.wait_for_delayed(1).await;
    let count = sqlx::query_scalar("SELECT count(*) FROM marks").fetch_one(database.pool()).await.unwrap();
    (inserted, count)
}

#[tokio::test]
async fn a_delayed_statement_is_carried_out_whatever_its_client_sees() {
    for (fate, is_told) in [(Fate::Answered, true), (Fate::Unanswered, false), (Fate::Cut, false)] {
        let (printed, marks) = delayed_insert(fate).await;
        assert_eq!((printed.is_ok(), marks), (is_told, 1), "{fate:?}");
    }
}

#[tokio::test]
async fn an_impatient_clients_statement_is_carried_out() {
    let database = TestDatabase::empty().await;
    sqlx::query("CREATE TABLE marks (mark int)").execute(database.pool()).await.unwrap();
    let proxy = Proxy::before(database.url()).await;
    let delay = Delay { by: Duration::from_millis(300), client: Fate::Answered };
    proxy.delay_statements("insert into marks", move || Some(delay));
    let mut connection = PgConnection::connect(&proxy.url_of(database.url())).await.unwrap();
    let insert = sqlx::query("INSERT INTO marks VALUES (7)").execute(&mut connection);
    assert!(tokio::time::timeout(Duration::from_millis(20), insert).await.is_err());
    drop(connection);
    proxy.wait_for_delayed(1).await;
    let marks: i64 = sqlx::query_scalar("SELECT count(*) FROM marks").fetch_one(database.pool()).await.unwrap();
    assert_eq!(marks, 1);
}

#[tokio::test]
async fn a_rule_may_let_a_statement_pass_and_ends_with_the_faults() {
    let database = TestDatabase::empty().await;
    let proxy = Proxy::before(database.url()).await;
    let mut connection = PgConnection::connect(&proxy.url_of(database.url())).await.unwrap();
    proxy.delay_statements("select 1", || None);
    sqlx::query("SELECT 1").execute(&mut connection).await.unwrap();
    proxy.delay_statements("select 2", || Some(Delay { by: Duration::ZERO, client: Fate::Cut }));
    proxy.forward();
    sqlx::query("SELECT 2").execute(&mut connection).await.unwrap();
    assert_eq!(proxy.delayed(), 0);
}
