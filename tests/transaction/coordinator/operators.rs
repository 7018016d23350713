//! What an operator sees, and can do.

use std::time::Duration;

use tripod::transaction::log::{Durability, Record, Subject, TransactionLog};
use tripod::transaction::participant::Participant;
use tripod::transaction::two_phase::{
    CommitOutcome, Filter, Outcome, ParkReason, Progress, Refusal, Resolution, ResolveError,
    RetireError, Standing,
};
use tripod::transaction::{BranchId, Epoch};

use super::faulty::{Fault, Faulty};
use super::{balances, bank, eventually, fresh, open, shared, transfer};

#[tokio::test(start_paused = true)]
async fn a_refusal_is_parked_with_its_reason_until_somebody_says_retry() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let coordinator = open(log, [shared(&a), b.shared()]).await;
    b.set(Fault::RefusesCommits);
    let transaction = transfer(&coordinator, &a, b.bank(), 10).await;
    let id = transaction.id();
    // Waiting on would change nothing, so it returns at once.
    let CommitOutcome::Committed { pending } = transaction.commit().await else {
        panic!("not committed");
    };
    assert_eq!(pending.len(), 1);
    let parked = coordinator.list(Filter::Parked);
    let branch = &parked[0].branches[1];
    assert_eq!(branch.progress, Progress::Parked(ParkReason::Refused));
    let error = branch.error.as_ref().unwrap();
    assert!(format!("{error:?}").contains("a right is missing"));
    b.set(Fault::None);
    assert_eq!(coordinator.retry(id), 1);
    eventually("b has committed", || balances(&[&a, b.bank()]) == [90, 110]).await;
    eventually("it is over", || coordinator.list(Filter::All).is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_heuristic_outcome_stands_beside_the_decision_until_somebody_resolves_it() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let coordinator = open(log.clone(), [shared(&a), b.shared()]).await;
    b.set(Fault::Aborts);
    let transaction = transfer(&coordinator, &a, b.bank(), 10).await;
    let id = transaction.id();
    assert!(transaction.commit().await.is_committed());
    let parked = Progress::Parked(ParkReason::Heuristic(Outcome::Aborted));
    assert_eq!(
        coordinator.list(Filter::Parked)[0].branches[1].progress,
        parked
    );
    drop(coordinator);

    let coordinator = open(log, [shared(&a), b.shared()]).await;
    assert_eq!(
        coordinator.list(Filter::Parked)[0].branches[1].progress,
        parked
    );
    let did = Outcome::Aborted;
    coordinator
        .resolve(id, Resolution::Did { branch: 1, did })
        .await
        .unwrap();
    eventually("it is over", || coordinator.list(Filter::All).is_empty()).await;
    assert_eq!(coordinator.stats().impossible, 0);
}

#[tokio::test(start_paused = true)]
async fn an_operator_aborts_what_is_not_decided_and_nothing_else() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let coordinator = open(log, [shared(&a), b.shared()]).await;
    let transaction = transfer(&coordinator, &a, b.bank(), 10).await;
    coordinator
        .resolve(transaction.id(), Resolution::Abort)
        .await
        .unwrap();
    let outcome = transaction.commit().await;
    assert!(
        matches!(outcome, CommitOutcome::Aborted { .. }),
        "{outcome:?}"
    );

    b.set(Fault::LosesCommits);
    let transaction = transfer(&coordinator, &a, b.bank(), 10).await;
    let id = transaction.id();
    assert!(transaction.commit().await.is_committed());
    let late = coordinator
        .resolve(id, Resolution::Abort)
        .await
        .unwrap_err();
    assert!(
        matches!(late, ResolveError::Refused(Refusal::TooLate)),
        "{late:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_participant_of_the_past_can_be_retired() {
    let (log, a, b) = fresh();
    drop(open(log.clone(), [shared(&a), shared(&b)]).await);
    let coordinator = open(log.clone(), [shared(&a)]).await;
    let gone = coordinator.participants()[1].name.clone();
    assert_eq!(gone.as_str(), "b");
    coordinator.retire(&gone).await.unwrap();
    let still = coordinator.participants()[0].name.clone();
    let refused = coordinator.retire(&still).await.unwrap_err();
    assert!(matches!(refused, RetireError::Registered(_)));
    drop(coordinator);
    assert_eq!(open(log, [shared(&a)]).await.participants().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_left_alone_and_shown_until_somebody_discards_it() {
    let (log, a, b) = fresh();
    let gone = bank("gone");
    let b = Faulty::over(b);
    let coordinator = open(log.clone(), [shared(&a), b.shared(), shared(&gone)]).await;
    b.set(Fault::LosesCommits);
    let transaction = transfer(&coordinator, &a, b.bank(), 10).await;
    let id = transaction.id();
    assert!(transaction.commit().await.is_committed());
    drop(coordinator);
    b.set(Fault::None);
    // A later version of this crate adds something to it.
    let epoch = log.open(0).await.unwrap().epoch();
    let strange = Record::new(Subject::Transaction(id), [9]).unwrap();
    let appended = log.append(epoch, vec![strange], Durability::Forced, None);
    appended.await.unwrap();

    let coordinator = open(log.clone(), [shared(&a), b.shared()]).await;
    assert_eq!(coordinator.broken(), [id]);
    assert_eq!(coordinator.inquire(id), Standing::Unknown);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let later = Epoch::new(u64::MAX).unwrap();
    let in_doubt = async || b.bank().in_doubt(id.coordinator(), later).await.unwrap();
    assert_eq!(in_doubt().await, [BranchId::new(id, 1)]);
    // It may name anybody.
    let refused = coordinator.retire(gone.name()).await.unwrap_err();
    assert!(matches!(refused, RetireError::InUse(it) if it == id));
    let mut other = coordinator.begin().await.unwrap();
    let branch = other.enlist(&a).await.unwrap();
    branch.set("account", 91).await.unwrap();
    assert!(other.commit().await.is_committed());

    b.bank().commit(BranchId::new(id, 1)).await.unwrap();
    assert!(coordinator.discard(id).await.unwrap());
    assert!(!coordinator.discard(id).await.unwrap());
    assert!(coordinator.broken().is_empty());
    coordinator.retire(gone.name()).await.unwrap();
    drop(coordinator);
    let coordinator = open(log, [shared(&a), b.shared()]).await;
    assert!(coordinator.broken().is_empty());
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(balances(&[&a, b.bank()]), [91, 110]);
}

#[tokio::test(start_paused = true)]
async fn code_of_others_that_panics_counts_as_no_answer() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let coordinator = open(log, [shared(&a), b.shared()]).await;
    b.set(Fault::Panics);
    let outcome = transfer(&coordinator, &a, b.bank(), 10)
        .await
        .commit()
        .await;
    assert!(
        matches!(outcome, CommitOutcome::Aborted { .. }),
        "{outcome:?}"
    );
    b.set(Fault::None);
    let outcome = transfer(&coordinator, &a, b.bank(), 10)
        .await
        .commit()
        .await;
    assert!(outcome.is_committed(), "{outcome:?}");
}
