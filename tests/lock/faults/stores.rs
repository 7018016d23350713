//! The stores, as the harness starts, breaks and empties them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tripod::BoxFuture;
use tripod::lock::{BackendError, LockBackend, RedisBackend};

use crate::server::redis::RedisServer;

/// A server that can be broken.
pub trait Server: Send {
    /// Where it listens.
    fn address(&self) -> SocketAddr;

    /// How to reach it at this address.
    fn url(&self, address: SocketAddr) -> String;

    fn pid(&self) -> u32;

    /// Ends it as a failure would, at once.
    fn kill(&mut self);

    /// Starts it again where it was, and waits until it answers.
    fn restart(&mut self) -> BoxFuture<'_, ()>;

    /// What it keeps though nobody holds or waits, but for what the design says it may.
    fn leftovers(&self) -> BoxFuture<'_, Vec<String>>;
}

/// Connects to whatever store this is.
pub async fn connect(url: &str, _ttl: Duration) -> Result<Arc<dyn LockBackend>, BackendError> {
    let (scheme, _) = url.split_once("://").unwrap();
    Ok(match scheme {
        "redis" => Arc::new(RedisBackend::connect(url).await?),
        other => panic!("no store for {other}"),
    })
}

impl Server for RedisServer {
    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port()).into()
    }

    fn url(&self, address: SocketAddr) -> String {
        format!("redis://{address}")
    }

    fn pid(&self) -> u32 {
        RedisServer::pid(self)
    }

    fn kill(&mut self) {
        RedisServer::kill(self);
    }

    fn restart(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(RedisServer::restart(self))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(async {
            let client = redis::Client::open(RedisServer::url(self)).unwrap();
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            let keys: Vec<String> = redis::cmd("KEYS")
                .arg("*")
                .query_async(&mut connection)
                .await
                .unwrap();
            let mut left = Vec::new();
            for key in keys {
                let lives: i64 = redis::cmd("TTL")
                    .arg(&key)
                    .query_async(&mut connection)
                    .await
                    .unwrap();
                // A counter for each name, for a day.
                if !key.ends_with("}:t") || !(0..=86_401).contains(&lives) {
                    left.push(format!("{key} for {lives} s"));
                }
            }
            left
        })
    }
}
