//! Locks on `PostgreSQL`, against a real server.

mod blocked;
mod crash;
mod handover;
mod law;
mod schema;
mod secrets;

use std::time::Duration;

use tokio::time::sleep;
use tripod::lock::{Entry, HolderId, LockName, Locks, PostgresBackend, Request};

use crate::scenario::connected;
use crate::server::postgres::PostgresServer;

/// A server with the schema.
async fn server(settings: &[&str]) -> PostgresServer {
    let server = PostgresServer::start_with(settings);
    PostgresBackend::migrate(server.url()).await.unwrap();
    server
}

async fn store(server: &PostgresServer) -> PostgresBackend {
    connected(|| PostgresBackend::connect(server.url())).await
}

/// Waits until the server answers yes.
async fn until(server: &PostgresServer, question: &str) {
    for _ in 0..1200 {
        if server.query(question) == ["t"] {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("{question}");
}

async fn locks(server: &PostgresServer) -> Locks {
    Locks::new(store(server).await)
}

fn entry(name: &str, count: u64) -> Entry {
    Entry::new(LockName::new(name).unwrap(), HolderId::new(1, count))
}

fn request(name: &str, count: u64, ttl: Duration) -> Request {
    Request::new(entry(name, count), ttl).unwrap()
}
