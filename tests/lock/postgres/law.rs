//! The whole law.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tripod::BoxFuture;
use tripod::lock::conformance::{self, Fixture};
use tripod::lock::{BackendError, BackendErrorKind, ConnectPostgres, LockBackend, PostgresBackend};

use crate::scenario::settled;
use crate::server::pgbouncer::PgBouncer;
use crate::server::postgres::PostgresServer;
use crate::told::told;

use super::server;

/// What the suite runs on: how to connect.
struct Store<F>(F);

impl<F: Fn() -> ConnectPostgres + Send + Sync> Fixture for Store<F> {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn LockBackend>, BackendError>> {
        Box::pin(async move { Ok(Arc::new(settled(&self.0).await?) as Arc<dyn LockBackend>) })
    }

    fn ttl_min(&self) -> Duration {
        // Every case begins at once, and its calls wait for connections.
        Duration::from_secs(8)
    }

    fn slack(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn sever<'a>(&'a self, _: &'a Arc<dyn LockBackend>) -> BoxFuture<'a, ()> {
        // No sessions: what nobody renews is over by itself.
        Box::pin(async {})
    }
}

/// At the same time, for they mostly wait.
#[tokio::test]
async fn locks_on_postgres_also_behind_a_pooler_and_without_listening_obey_the_law() {
    let server = server(&["fsync=off"]).await;
    let behind = super::server(&["fsync=off"]).await;
    let pooler = PgBouncer::start(&behind);
    let direct = Store(|| PostgresBackend::connect(server.url()));
    let listening = Store(|| PostgresBackend::connect(pooler.url()).listen_url(behind.url()));
    let blind = Store(|| PostgresBackend::connect(pooler.url()).without_listening());
    // Not all of them ask the most at the same time.
    let later = async |store: &dyn Fixture, gaps| {
        sleep(store.ttl_min() * gaps).await;
        conformance::run(store).await
    };
    let (direct, listening, blind) =
        tokio::join!(later(&direct, 0), later(&listening, 1), later(&blind, 2));
    direct.into_result().expect("the law, on a server");
    listening.into_result().expect("the law, behind a pooler");
    blind.into_result().expect("the law, without listening");
}

/// Through the pooler itself.
#[tokio::test]
async fn the_schema_is_made_behind_a_pooler() {
    let server = PostgresServer::start();
    let pooler = PgBouncer::start(&server);
    PostgresBackend::migrate(pooler.url()).await.unwrap();
    PostgresBackend::connect(server.url()).await.unwrap();
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
