//! Defects that `tests/transaction_simulation` has found.

use std::time::Duration;

use tokio::time::sleep;
use tripod::BoxFuture;
use tripod::transaction::log::{
    AppendError, Durability, LogError, MemoryLog, Opened, Record, Reservation, TransactionLog,
};
use tripod::transaction::participant::{Enlist, Opening, Participant, Report};
use tripod::transaction::two_phase::{AbortReason, Coordinator, EnlistError, Filter, Outcome};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, TransactionId};

use super::faulty::{Fault, Faulty};
use super::{bank, eventually, open};

#[tokio::test(start_paused = true)]
async fn what_was_recovered_has_room_for_its_end_in_a_full_log() {
    let (log, b) = (MemoryLog::with_space(8192), Faulty::over(bank("b")).blind());
    let coordinator = open(log.clone(), [b.shared()]).await;
    let mut transaction = coordinator.begin().await.unwrap();
    transaction.enlist(&b).await.unwrap();
    log.crash();
    drop(transaction);
    drop(coordinator);
    b.set(Fault::LosesOneAnswer);

    let coordinator = open(log.clone(), [b.shared()]).await;
    let epoch = coordinator.stats().epoch.unwrap();
    let mut hoard = Vec::new();
    for bytes in [512, 64, 8, 1] {
        while let Ok(space) = log.reserve(epoch, bytes).await {
            hoard.push(space);
        }
    }
    eventually("it is over", || coordinator.list(Filter::All).is_empty()).await;
    drop(hoard);
}

/// A log that takes its time for what is forced.
#[derive(Clone, Debug)]
struct Slow(MemoryLog);

impl TransactionLog for Slow {
    fn open(&self, hint: u64) -> BoxFuture<'_, Result<Opened, LogError>> {
        self.0.open(hint)
    }

    fn reopen(&self, after: Epoch) -> BoxFuture<'_, Result<Opened, LogError>> {
        self.0.reopen(after)
    }

    fn append(
        &self,
        epoch: Epoch,
        records: Vec<Record>,
        durability: Durability,
        space: Option<Reservation>,
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        Box::pin(async move {
            if durability == Durability::Forced {
                sleep(Duration::from_secs(1)).await;
            }
            self.0.append(epoch, records, durability, space).await
        })
    }

    fn reserve(&self, epoch: Epoch, bytes: u64) -> BoxFuture<'_, Result<Reservation, AppendError>> {
        self.0.reserve(epoch, bytes)
    }

    fn close(&self, epoch: Epoch) -> BoxFuture<'_, Result<(), LogError>> {
        self.0.close(epoch)
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_is_appended_after_the_record_of_a_branch_that_is_under_way() {
    let (log, b) = (Slow(MemoryLog::new()), Faulty::over(bank("b")).blind());
    let coordinator = Coordinator::open(log.clone())
        .participant(b.clone())
        .work_timeout(Duration::from_millis(100))
        .await
        .unwrap();
    let mut transaction = coordinator.begin().await.unwrap();
    let enlisted = transaction.enlist(&b).await;
    let Err(EnlistError::Aborted(reason)) = enlisted else {
        panic!("{enlisted:?}");
    };
    assert_eq!(reason, AbortReason::Deadline);
    drop(transaction);
    eventually("it is over", || coordinator.list(Filter::All).is_empty()).await;
    assert_eq!(coordinator.stats().impossible, 0);
    let opened = log.open(0).await.unwrap();
    let live = opened.live().len();
    assert_eq!(live, 1, "but the participant's name: {opened:?}");
}

#[tokio::test]
async fn work_of_an_epoch_that_is_over_is_refused() {
    let bank = bank("a");
    let whose = CoordinatorId::from_u128(1);
    let [first, second] = [1, 2].map(|epoch| Epoch::new(epoch).unwrap());
    bank.open(Opening::new(whose, first, 1)).await.unwrap();
    bank.open(Opening::new(whose, second, 2)).await.unwrap();
    let late = BranchId::new(TransactionId::new(whose, first, 0), 0);
    assert!(bank.work(late).await.is_err());
    let now = BranchId::new(TransactionId::new(whose, second, 0), 0);
    assert!(bank.work(now).await.is_ok());
}

#[tokio::test]
async fn work_that_is_below_the_watermark_is_ended_with_its_locks() {
    let bank = bank("a");
    let whose = CoordinatorId::from_u128(1);
    let epoch = Epoch::new(1).unwrap();
    bank.open(Opening::new(whose, epoch, 1)).await.unwrap();
    let [over, next] =
        [0, 1].map(|sequence| BranchId::new(TransactionId::new(whose, epoch, sequence), 0));
    let left = bank.work(over).await.unwrap();
    left.set("account", 1).await.unwrap();
    bank.forget(whose, (epoch, 1)).await.unwrap();
    assert!(left.set("account", 2).await.is_err());
    let works = bank.work(next).await.unwrap();
    works.set("account", 3).await.unwrap();
    let report = bank.commit_one_phase(next).await.unwrap();
    assert_eq!(report, Report::Did(Outcome::Committed));
}
