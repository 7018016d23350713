//! Money from a `PostgreSQL` database to a `MariaDB` one, in both or in neither.
//!
//! ```text
//! cargo run --release --features postgres,mysql --example two_databases -- \
//!     postgres://postgres:secret@127.0.0.1/postgres mysql://root:secret@127.0.0.1/test
//! ```
//!
//! Kill it whenever you like, and start it again: it settles what is in doubt, and the sum holds.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use tripod::transaction::log::{FileLog, FileLogOptions};
use tripod::transaction::participant::{MysqlParticipant, PostgresParticipant};
use tripod::transaction::two_phase::{CommitOutcome, Coordinator, Filter};

const POSTGRES: &str = "postgres://postgres:secret@127.0.0.1/postgres";
const MYSQL: &str = "mysql://root:secret@127.0.0.1/test";

#[tokio::main]
async fn main() -> ExitCode {
    let mut urls = std::env::args().skip(1);
    let postgres = urls.next().unwrap_or_else(|| POSTGRES.to_owned());
    let mysql = urls.next().unwrap_or_else(|| MYSQL.to_owned());
    match transfer(&postgres, &mysql).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            eprintln!(
                "start the servers: docker run -p 5432:5432 -e POSTGRES_PASSWORD=secret postgres -c max_prepared_transactions=64"
            );
            eprintln!(
                "               and: docker run -p 3306:3306 -e MARIADB_ROOT_PASSWORD=secret -e MARIADB_DATABASE=test mariadb"
            );
            ExitCode::FAILURE
        }
    }
}

async fn transfer(postgres: &str, mysql: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    // Tables for what has become of branches; done already, they do nothing.
    PostgresParticipant::migrate(postgres).await?;
    MysqlParticipant::migrate(mysql).await?;
    let orders = PostgresParticipant::connect("orders", postgres).await?;
    let billing = MysqlParticipant::connect("billing", mysql).await?;

    let directory = std::env::temp_dir().join("two-databases");
    let log = FileLog::start(&directory, FileLogOptions::default())?;
    let coordinator = Coordinator::open(log)
        .participant(orders.clone())
        .participant(billing.clone())
        .await?;
    println!("in doubt: {}", coordinator.list(Filter::InDoubt).len());

    let mut setup = coordinator.begin().await?;
    let mut in_orders = setup.enlist(&orders).await?;
    in_orders
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS money (who text PRIMARY KEY, amount bigint NOT NULL);
             INSERT INTO money VALUES ('alice', 1000) ON CONFLICT DO NOTHING",
        )
        .await?;
    println!("tables on PostgreSQL: {:?}", setup.commit().await);
    prepare_mysql(mysql).await?;

    for amount in [10_i64, 20, 30] {
        let mut transfer = coordinator.begin().await?;
        let mut from = transfer.enlist(&orders).await?;
        let mut to = transfer.enlist(&billing).await?;
        let take = "UPDATE money SET amount = amount - $1 WHERE who = 'alice'";
        from.execute(take, &[&amount]).await?;
        let give = "UPDATE money SET amount = amount + ? WHERE who = 'bob'";
        to.execute(give, (amount,)).await?;
        match transfer.commit().await {
            CommitOutcome::Committed { pending } if pending.is_empty() => {
                println!("{amount} transferred");
            }
            CommitOutcome::Committed { pending } => {
                println!("{amount} transferred; {pending:?} will follow");
            }
            CommitOutcome::Aborted { reason, .. } => {
                println!("{amount} not transferred: {reason:?}");
            }
            CommitOutcome::Unknown(id) => println!("{amount}: ask later for {id}"),
        }
    }

    let mut look = coordinator.begin().await?;
    let mut from = look.enlist(&orders).await?;
    let mut to = look.enlist(&billing).await?;
    let row = from.query_one("SELECT amount FROM money WHERE who = 'alice'", &[]);
    let alice: i64 = row.await?.get(0);
    let sql = "SELECT amount FROM money WHERE who = 'bob'";
    let bob: i64 = to.query_first(sql, ()).await?.unwrap_or_default();
    look.rollback();
    println!("alice {alice}, bob {bob}: together {}", alice + bob);

    let shutdown = coordinator.shutdown(Duration::from_secs(5)).await?;
    println!("unfinished: {}", shutdown.unfinished);
    Ok(())
}

/// A table and an account: a statement that creates a table ends a transaction there, so it is no
/// part of one.
async fn prepare_mysql(url: &str) -> Result<(), mysql_async::Error> {
    use mysql_async::prelude::Queryable;
    let mut connection = mysql_async::Conn::from_url(url).await?;
    let table = "CREATE TABLE IF NOT EXISTS money
        (who varchar(40) PRIMARY KEY, amount bigint NOT NULL)";
    connection.query_drop(table).await?;
    let account = "INSERT INTO money VALUES ('bob', 0) ON DUPLICATE KEY UPDATE who = who";
    connection.query_drop(account).await?;
    connection.disconnect().await
}
