//! Locks on `PostgreSQL`, against a real server.

mod law;

use tripod::lock::{Locks, PostgresBackend};

use crate::server::postgres::PostgresServer;

/// A server with the schema.
async fn server(settings: &[&str]) -> PostgresServer {
    let server = PostgresServer::start_with(settings);
    PostgresBackend::migrate(server.url()).await.unwrap();
    server
}

async fn store(server: &PostgresServer) -> PostgresBackend {
    PostgresBackend::connect(server.url()).await.unwrap()
}

async fn locks(server: &PostgresServer) -> Locks {
    Locks::new(store(server).await)
}
