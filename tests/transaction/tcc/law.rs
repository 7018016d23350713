//! The suite for participants, on services.

use tripod::BoxFuture;
use tripod::transaction::participant::ParticipantError;
use tripod::transaction::participant::conformance::{Fixture, run};
use tripod::transaction::participant::tcc::{Tcc, TccBranch};

use super::Hall;

struct InMemory(Hall);

impl Fixture for InMemory {
    type Participant = Tcc<Hall>;

    fn start(&self) -> BoxFuture<'_, Result<Tcc<Hall>, ParticipantError>> {
        Box::pin(async { Ok(self.0.tcc()) })
    }

    fn write<'a>(
        &'a self,
        branch: &'a mut TccBranch<Hall>,
        mark: u64,
    ) -> BoxFuture<'a, Result<(), ParticipantError>> {
        Box::pin(async move {
            let tried = branch.try_(mark).await;
            tried.map(drop).map_err(ParticipantError::refused)
        })
    }

    fn writes_max(&self) -> usize {
        1
    }

    fn holds(&self, mark: u64) -> BoxFuture<'_, Result<bool, ParticipantError>> {
        Box::pin(async move { Ok(self.0.seat(mark).1 > 0) })
    }
}

#[tokio::test]
async fn a_service_in_memory_obeys_the_law() {
    // Each run has histories of its own.
    for _ in 0..20 {
        let hall = Hall::default();
        let report = run(&InMemory(hall.clone())).await;
        report
            .into_result()
            .unwrap_or_else(|report| panic!("{report}"));
        let twice =
            |(held, booked): &(i32, i32)| !matches!(held, 0 | 1) || !matches!(booked, 0 | 1);
        let seats = hall.seats.lock();
        assert!(!seats.values().any(twice), "{seats:?}");
    }
}
