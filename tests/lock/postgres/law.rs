//! The whole law.

use std::sync::Arc;
use std::time::Duration;

use tripod::BoxFuture;
use tripod::lock::conformance::{self, Fixture};
use tripod::lock::{BackendError, BackendErrorKind, ConnectPostgres, LockBackend, PostgresBackend};

use crate::server::pgbouncer::PgBouncer;
use crate::server::postgres::PostgresServer;
use crate::told::told;

use super::server;

/// What the suite runs on: how to connect.
struct Store<F>(F);

impl<F: Fn() -> ConnectPostgres + Send + Sync> Fixture for Store<F> {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn LockBackend>, BackendError>> {
        Box::pin(async move { Ok(Arc::new((self.0)().await?) as Arc<dyn LockBackend>) })
    }

    fn ttl_min(&self) -> Duration {
        // Every case of three suites begins at once, and its calls wait for connections.
        Duration::from_secs(3)
    }

    fn slack(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn sever<'a>(&'a self, _: &'a Arc<dyn LockBackend>) -> BoxFuture<'a, ()> {
        // No sessions: what nobody renews is over by itself.
        Box::pin(async {})
    }
}

#[tokio::test]
async fn locks_on_postgres_obey_the_law() {
    let server = server(&["fsync=off"]).await;
    let store = Store(|| PostgresBackend::connect(server.url()));
    conformance::run(&store).await.into_result().unwrap();
}

#[tokio::test]
async fn locks_behind_a_pooler_obey_the_law() {
    let server = PostgresServer::start();
    let pooler = PgBouncer::start(&server);
    PostgresBackend::migrate(pooler.url()).await.unwrap();
    let connect = || PostgresBackend::connect(pooler.url()).listen_url(server.url());
    conformance::run(&Store(connect))
        .await
        .into_result()
        .unwrap();
}

#[tokio::test]
async fn who_would_not_hear_what_is_told_is_refused() {
    let server = server(&["fsync=off"]).await;
    let pooler = PgBouncer::start(&server);
    server.query("CREATE DATABASE other");
    let elsewhere = server.url_of_database("other");
    for connect in [
        PostgresBackend::connect(pooler.url()),
        PostgresBackend::connect(server.url()).listen_url(elsewhere),
    ] {
        let error = connect.await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Rejected, "{error:?}");
        assert!(told(&error).contains("listen_url"), "{error:?}");
    }
}

#[tokio::test]
async fn locks_that_cannot_listen_obey_the_law() {
    let server = server(&["fsync=off"]).await;
    let pooler = PgBouncer::start(&server);
    let connect = || PostgresBackend::connect(pooler.url()).without_listening();
    conformance::run(&Store(connect))
        .await
        .into_result()
        .unwrap();
}
