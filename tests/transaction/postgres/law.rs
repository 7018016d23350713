//! The suite for participants, on a real server.

use tripod::BoxFuture;
use tripod::transaction::participant::conformance::{Fixture, run};
use tripod::transaction::participant::{ParticipantError, PostgresBranch, PostgresParticipant};

use super::connected;
use crate::server::postgres::PostgresServer;

struct Store(PostgresServer);

impl Fixture for Store {
    type Participant = PostgresParticipant;

    fn start(&self) -> BoxFuture<'_, Result<PostgresParticipant, ParticipantError>> {
        Box::pin(async {
            // What the process before had open ends with it.
            self.0.end_connections();
            Ok(connected(&self.0).await)
        })
    }

    fn write<'a>(
        &'a self,
        branch: &'a mut PostgresBranch,
        mark: u64,
    ) -> BoxFuture<'a, Result<(), ParticipantError>> {
        Box::pin(async move {
            let mark = mark.to_string();
            let written = branch
                .execute("INSERT INTO mark VALUES ($1)", &[&mark])
                .await;
            written.map(drop).map_err(ParticipantError::unknown)
        })
    }

    fn holds(&self, mark: u64) -> BoxFuture<'_, Result<bool, ParticipantError>> {
        let found = format!("SELECT 1 FROM mark WHERE mark = '{mark}'");
        Box::pin(async move { Ok(!self.0.query(&found).is_empty()) })
    }
}

#[tokio::test]
async fn postgres_obeys_the_law() {
    let settings = ["fsync=off", "max_prepared_transactions=32"];
    let server = PostgresServer::start_with(&settings);
    PostgresParticipant::migrate(server.url()).await.unwrap();
    server.query("CREATE TABLE mark (mark text PRIMARY KEY)");
    run(&Store(server)).await.into_result().unwrap();
}
