//! The suite for logs, on a real server.

use std::sync::Arc;

use tripod::BoxFuture;
use tripod::transaction::log::conformance::{Fixture, run};
use tripod::transaction::log::{LogError, PostgresLog, TransactionLog};

use crate::server::pgbouncer::PgBouncer;
use crate::server::postgres::PostgresServer;

use super::server;

struct Logs {
    server: PostgresServer,
    url: String,
}

impl Fixture for Logs {
    fn start<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn TransactionLog>, LogError>> {
        Box::pin(async move {
            // What the process before had open ends with it.
            self.server.end_connections();
            // A name may be longer than a log's.
            let short: String = name.chars().rev().take(64).collect();
            let log = PostgresLog::connect(short, &self.url).await?;
            Ok(Arc::new(log) as Arc<dyn TransactionLog>)
        })
    }
}

#[tokio::test]
async fn a_log_on_postgres_obeys_the_law() {
    let server = server().await;
    let url = server.url();
    let logs = Logs { server, url };
    run(&logs).await.into_result().unwrap();
}

#[tokio::test]
async fn a_log_behind_a_pooler_that_gives_a_connection_for_a_transaction_obeys_the_law() {
    let server = server().await;
    let pooler = PgBouncer::start(&server);
    let url = pooler.url();
    let logs = Logs { server, url };
    run(&logs).await.into_result().unwrap();
}
