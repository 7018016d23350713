//! Services that do not keep to the rules.

use std::sync::atomic::Ordering;

use tripod::transaction::participant::{Enlist, Participant, ParticipantError, Vote};

use super::{ABORTED, Hall, id, opening};

#[tokio::test]
async fn a_service_that_passes_its_barrier_by_is_noticed() {
    let hall = Hall::default();
    let tcc = hall.tcc();
    tcc.open(opening(1)).await.unwrap();
    hall.faults.barred.store(true, Ordering::SeqCst);
    let mut branch = tcc.work(id(1, 0)).await.unwrap();
    branch.try_(7).await.unwrap();
    assert!(matches!(tcc.prepare(id(1, 0)).await.unwrap(), Vote::No(_)));
    let noticed = tcc.abort(id(1, 0)).await.unwrap_err();
    assert!(matches!(noticed, ParticipantError::Refused(_)));
    // Once it is mended, the branch is settled.
    hall.faults.barred.store(false, Ordering::SeqCst);
    assert_eq!(tcc.abort(id(1, 0)).await.unwrap(), ABORTED);
}

#[tokio::test]
async fn what_was_done_is_told_although_its_answer_was_lost() {
    let hall = Hall::default();
    let tcc = hall.tcc();
    for (sequence, commits) in [(0, true), (1, false)] {
        let (branch, seat) = (id(1, sequence), sequence);
        tcc.work(branch).await.unwrap().try_(seat).await.unwrap();
        assert_eq!(tcc.prepare(branch).await.unwrap(), Vote::Prepared);
        hall.faults.lost.store(1, Ordering::SeqCst);
        let report = if commits {
            tcc.commit(branch).await.unwrap()
        } else {
            tcc.abort(branch).await.unwrap()
        };
        let expected = if commits { super::COMMITTED } else { ABORTED };
        assert_eq!(report, expected);
        assert_eq!(hall.faults.lost.load(Ordering::SeqCst), 0);
        assert_eq!(hall.seat(seat), (0, i32::from(commits)));
    }
}
