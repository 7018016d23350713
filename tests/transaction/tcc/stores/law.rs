//! The suite for participants, on services with real databases.

use tripod::BoxFuture;
use tripod::transaction::participant::ParticipantError;
use tripod::transaction::participant::conformance::{Fixture, run};
use tripod::transaction::participant::tcc::{Tcc, TccBranch};

use super::Store;
use super::maria::Maria;
use super::pg::Pg;
use super::service::Hall;

struct Seats<S>(Hall<S>);

impl<S: Store> Fixture for Seats<S> {
    type Participant = Tcc<Hall<S>>;

    fn start(&self) -> BoxFuture<'_, Result<Self::Participant, ParticipantError>> {
        Box::pin(async { Ok(self.0.tcc("hall").await) })
    }

    fn write<'a>(
        &'a self,
        branch: &'a mut TccBranch<Hall<S>>,
        mark: u64,
    ) -> BoxFuture<'a, Result<(), ParticipantError>> {
        Box::pin(async move { branch.try_(mark).await.map_err(ParticipantError::refused) })
    }

    fn writes_max(&self) -> usize {
        1
    }

    fn holds(&self, mark: u64) -> BoxFuture<'_, Result<bool, ParticipantError>> {
        Box::pin(async move { Ok(self.0.store.seat(mark).await.1 > 0) })
    }
}

async fn obeys_the_law<S: Store>(store: S) {
    let report = run(&Seats(Hall::new(store))).await;
    report
        .into_result()
        .unwrap_or_else(|report| panic!("{report}"));
}

#[tokio::test]
async fn a_service_on_postgres_obeys_the_law() {
    let pg = Pg::start().await;
    let server = pg.server.clone();
    obeys_the_law(pg).await;
    let twice = "SELECT * FROM seat WHERE held NOT IN (0, 1) OR booked NOT IN (0, 1)";
    assert!(server.query(twice).is_empty());
}

#[tokio::test]
async fn a_service_on_mariadb_obeys_the_law() {
    let maria = Maria::start().await;
    let server = maria.server.clone();
    obeys_the_law(maria).await;
    let twice = "SELECT * FROM seat WHERE held NOT IN (0, 1) OR booked NOT IN (0, 1)";
    assert!(server.query(twice).is_empty());
}
