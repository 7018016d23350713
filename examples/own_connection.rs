//! A transaction over a connection of another driver: `sqlx` beside the built-in one.
//!
//! ```text
//! cargo run --release --features postgres --example own_connection -- postgres://postgres:secret@127.0.0.1/postgres
//! ```
//!
//! The branch works on your connection. What is prepared is committed over the participant's own.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};
use tripod::BoxFuture;
use tripod::transaction::log::{FileLog, FileLogOptions};
use tripod::transaction::participant::{PostgresParticipant, SqlConnection};
use tripod::transaction::two_phase::Coordinator;

type AnyError = Box<dyn Error + Send + Sync>;

/// All that is asked of a driver: to execute a statement, and to say how many rows it concerned.
struct BySqlx(PgConnection);

impl SqlConnection for BySqlx {
    fn execute<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<u64, AnyError>> {
        Box::pin(async move { Ok(self.0.execute(sql).await?.rows_affected()) })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "postgres://postgres:secret@127.0.0.1/postgres".to_owned());
    match order(&url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            eprintln!(
                "start a server: docker run -p 5432:5432 -e POSTGRES_PASSWORD=secret postgres -c max_prepared_transactions=64"
            );
            ExitCode::FAILURE
        }
    }
}

async fn order(url: &str) -> Result<(), AnyError> {
    PostgresParticipant::migrate(url).await?;
    let stock = PostgresParticipant::connect("stock", url).await?;
    let orders = PostgresParticipant::connect("orders", url).await?;
    let directory = std::env::temp_dir().join("own-connection");
    let log = FileLog::start(&directory, FileLogOptions::default())?;
    let coordinator = Coordinator::open(log)
        .participant(stock.clone())
        .participant(orders.clone())
        .await?;

    let mut connection = PgConnection::connect(url).await?;
    connection
        .execute("CREATE TABLE IF NOT EXISTS sold (item text, at timestamptz DEFAULT now())")
        .await?;

    let mut transaction = coordinator.begin().await?;
    let mut ours = transaction.enlist(&stock.with(BySqlx(connection))).await?;
    let mut theirs = transaction.enlist(&orders).await?;
    let mut own = ours.connection().await?;
    sqlx::query("INSERT INTO sold VALUES ($1)")
        .bind("by sqlx")
        .execute(&mut own.0)
        .await?;
    drop(own);
    theirs
        .execute("INSERT INTO sold VALUES ($1)", &[&"by the built-in driver"])
        .await?;
    println!("both drivers: {:?}", transaction.commit().await);

    // The connection is back, and good for what comes next.
    let back = ours.take_connection().await;
    let mut back = back.ok_or("the connection was lost")?;
    let sold: i64 = sqlx::query_scalar("SELECT count(*) FROM sold")
        .fetch_one(&mut back.0)
        .await?;
    println!("sold so far: {sold}");
    let _ = coordinator.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}
