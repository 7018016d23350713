//! A lock on `PostgreSQL`: run it in two terminals, and stop the one that holds.
//!
//! ```text
//! cargo run --release --features postgres --example postgres_lock -- postgres://postgres:secret@127.0.0.1/postgres
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::sleep;
use tripod::lock::{BackendError, Locks, PostgresBackend};

#[tokio::main]
async fn main() -> ExitCode {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "postgres://postgres:secret@127.0.0.1/postgres".to_owned());
    let store = match connect(&url).await {
        Ok(store) => store,
        Err(error) => {
            let cause = error.source().map(ToString::to_string);
            eprintln!("{error} ({})", cause.unwrap_or_default());
            eprintln!(
                "start a server: docker run -p 5432:5432 -e POSTGRES_PASSWORD=secret postgres"
            );
            return ExitCode::FAILURE;
        }
    };
    match print(&Locks::new(store)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn connect(url: &str) -> Result<PostgresBackend, BackendError> {
    PostgresBackend::migrate(url).await?; // does nothing if it has been done
    PostgresBackend::connect(url).await
}

async fn print(locks: &Locks) -> Result<(), Box<dyn Error>> {
    println!("waits for the lock");
    let guard = locks
        .acquire("examples/printer")
        .ttl(Duration::from_secs(5))
        .metadata(format!("process {}", std::process::id()))
        .await?;
    println!("holds it, with fencing token {}", guard.fencing_token());
    for page in 1..=3 {
        guard.check()?;
        println!("prints page {page}");
        sleep(Duration::from_millis(300)).await;
    }
    println!("held up to now: {}", guard.release().await?);
    Ok(())
}
