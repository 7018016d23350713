//! The suite for participants, on a real server.

use std::sync::Arc;

use tripod::BoxFuture;
use tripod::transaction::participant::conformance::{Fixture, run};
use tripod::transaction::participant::{MysqlBranch, MysqlParticipant, ParticipantError};

use super::connect;
use crate::server::mariadb::MariadbServer;

struct Store(Arc<MariadbServer>);

impl Fixture for Store {
    type Participant = MysqlParticipant;

    fn start(&self) -> BoxFuture<'_, Result<MysqlParticipant, ParticipantError>> {
        Box::pin(async {
            // What the process before had open ends with it.
            let others = "SELECT id FROM information_schema.processlist
                WHERE id <> connection_id() AND user = 'root'";
            for id in self.0.query(others) {
                // It may have ended meanwhile.
                self.0.allows(&format!("KILL {id}"));
            }
            connect(&self.0).await.map_err(ParticipantError::unknown)
        })
    }

    fn write<'a>(
        &'a self,
        branch: &'a mut MysqlBranch,
        mark: u64,
    ) -> BoxFuture<'a, Result<(), ParticipantError>> {
        Box::pin(async move {
            let written = branch.execute("INSERT INTO mark VALUES (?)", (mark.to_string(),));
            written.await.map_err(ParticipantError::unknown)?;
            Ok(())
        })
    }

    fn holds(&self, mark: u64) -> BoxFuture<'_, Result<bool, ParticipantError>> {
        let found = format!("SELECT 1 FROM mark WHERE mark = '{mark}'");
        Box::pin(async move { Ok(!self.0.query(&found).is_empty()) })
    }
}

#[tokio::test]
async fn mariadb_obeys_the_law() {
    let server = Arc::new(MariadbServer::start());
    MysqlParticipant::migrate(server.url()).await.unwrap();
    server.query("CREATE TABLE mark (mark varchar(40) PRIMARY KEY)");
    run(&Store(server)).await.into_result().unwrap();
}
