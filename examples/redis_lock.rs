//! A lock on Redis: run it in two terminals, and stop the one that holds.
//!
//! ```text
//! cargo run --release --features redis --example redis_lock -- redis://127.0.0.1:6379
//! ```

use std::error::Error;
use std::time::Duration;

use tokio::time::sleep;
use tripod::lock::{Locks, RedisBackend};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let store = RedisBackend::connect(&url).await.map_err(|error| {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        format!("{error} ({cause})\nstart a server: redis-server --port 6379 --appendonly yes --appendfsync always")
    })?;
    let locks = Locks::new(store);

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
