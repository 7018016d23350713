//! The caller's handle of a branch.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use tripod::BoxFuture;
use tripod::transaction::BranchId;
use tripod::transaction::participant::tcc::{MemoryBarrier, Tcc, TccService, TryError};
use tripod::transaction::participant::{Enlist, Participant, ParticipantError, Vote};

use super::{ABORTED, COMMITTED, Hall, id, opening};

/// Its try ends when it is told to, and not before.
#[derive(Clone, Debug, Default)]
struct Slow {
    hall: Hall,
    go: std::sync::Arc<tokio::sync::Notify>,
}

impl TccService for Slow {
    type Request = u64;
    type Answer = u64;

    fn try_(&self, branch: BranchId, seat: u64) -> BoxFuture<'_, Result<u64, ParticipantError>> {
        Box::pin(async move {
            self.go.notified().await;
            self.hall.try_(branch, seat).await
        })
    }

    fn confirm(&self, branch: BranchId) -> BoxFuture<'_, Result<(), ParticipantError>> {
        self.hall.confirm(branch)
    }

    fn cancel(&self, branch: BranchId) -> BoxFuture<'_, Result<(), ParticipantError>> {
        self.hall.cancel(branch)
    }
}

#[tokio::test]
async fn a_branch_has_one_try() {
    let hall = Hall::default();
    let tcc = hall.tcc();
    tcc.open(opening(1)).await.unwrap();
    let mut branch = tcc.work(id(1, 0)).await.unwrap();
    assert_eq!(branch.id(), id(1, 0));
    assert_eq!(branch.try_(7).await.unwrap(), 7);
    let second = branch.try_(8).await.unwrap_err();
    assert!(matches!(second, TryError::Tried));
    assert_eq!(tcc.prepare(id(1, 0)).await.unwrap(), Vote::Prepared);
    assert_eq!(tcc.commit(id(1, 0)).await.unwrap(), COMMITTED);
    assert_eq!((hall.seat(7), hall.seat(8)), ((0, 1), (0, 0)));
}

#[tokio::test]
async fn what_was_not_tried_votes_read_only_and_asks_the_service_nothing() {
    let hall = Hall::default();
    let tcc = hall.tcc();
    let mut branch = tcc.work(id(1, 0)).await.unwrap();
    assert_eq!(tcc.prepare(id(1, 0)).await.unwrap(), Vote::ReadOnly);
    let late = branch.try_(7).await.unwrap_err();
    assert!(matches!(late, TryError::Over));
    assert_eq!(hall.faults.cancels.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_failed_try_votes_no_and_is_cancelled() {
    let hall = Hall::default();
    let tcc = hall.tcc();
    hall.faults.sold_out.store(true, Ordering::SeqCst);
    let mut branch = tcc.work(id(1, 0)).await.unwrap();
    let failed = branch.try_(7).await.unwrap_err();
    assert!(matches!(
        failed,
        TryError::Failed(ParticipantError::Refused(_))
    ));
    assert!(matches!(tcc.prepare(id(1, 0)).await.unwrap(), Vote::No(_)));
    assert_eq!(tcc.abort(id(1, 0)).await.unwrap(), ABORTED);
    assert_eq!(hall.seat(7), (0, 0));
}

#[tokio::test]
async fn a_dropped_try_votes_no_and_never_takes_place_after_its_cancel() {
    let slow = Slow::default();
    let tcc = Tcc::new("hall", slow.clone(), slow.hall.barrier.clone()).unwrap();
    let mut branch = tcc.work(id(1, 0)).await.unwrap();
    assert!(branch.try_(7).now_or_never().is_none());
    assert!(matches!(tcc.prepare(id(1, 0)).await.unwrap(), Vote::No(_)));
    assert_eq!(tcc.abort(id(1, 0)).await.unwrap(), ABORTED);
    // What was sent arrives all the same.
    let late = slow.hall.try_(id(1, 0), 7).await;
    assert!(matches!(late, Err(ParticipantError::Refused(_))));
    assert_eq!(slow.hall.seat(7), (0, 0));
}

#[tokio::test]
async fn a_try_that_is_under_way_when_the_abort_comes_has_no_effect() {
    let slow = Slow::default();
    let tcc = Tcc::new("hall", slow.clone(), slow.hall.barrier.clone()).unwrap();
    let mut branch = tcc.work(id(1, 0)).await.unwrap();
    let trying = tokio::spawn(async move { branch.try_(7).await });
    tokio::task::yield_now().await;
    assert!(matches!(tcc.prepare(id(1, 0)).await.unwrap(), Vote::No(_)));
    assert_eq!(tcc.abort(id(1, 0)).await.unwrap(), ABORTED);
    slow.go.notify_one();
    assert!(trying.await.unwrap().is_err());
    assert_eq!(slow.hall.seat(7), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_try_ends_by_itself() {
    let slow = Slow::default();
    let limit = Duration::from_secs(3);
    let tcc = Tcc::with_limit("hall", slow.clone(), slow.hall.barrier.clone(), limit).unwrap();
    let mut branch = tcc.work(id(1, 0)).await.unwrap();
    let failed = branch.try_(7).await.unwrap_err();
    assert!(matches!(
        failed,
        TryError::Failed(ParticipantError::Unknown(_))
    ));
    assert!(matches!(tcc.prepare(id(1, 0)).await.unwrap(), Vote::No(_)));
}

#[test]
fn handles_may_go_anywhere() {
    fn anywhere<T: Clone + Send + Sync + 'static>() {}
    fn moves<T: Send + 'static>() {}
    anywhere::<Tcc<Hall>>();
    anywhere::<MemoryBarrier>();
    moves::<tripod::transaction::participant::tcc::TccBranch<Hall>>();
}
