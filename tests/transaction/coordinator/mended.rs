//! What went wrong once.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tripod::transaction::Epoch;
use tripod::transaction::log::MemoryLog;
use tripod::transaction::two_phase::{
    BeginError, CommitOutcome, Coordinator, EnlistError, Filter, Outcome, Standing,
};

use super::failing::Failing;
use super::faulty::{Fault, Faulty};
use super::{balances, bank, eventually, fresh, open, shared, transfer};

#[tokio::test(start_paused = true)]
async fn callers_who_hang_take_no_place_for_ever() {
    let (log, a, b) = fresh();
    let opening = Coordinator::open(log).transactions_max(3);
    let opening = opening.work_timeout(Duration::from_secs(1));
    let coordinator = opening.participant(a.clone()).participant(b).await.unwrap();
    for round in 0..20 {
        let mut transaction = coordinator.begin().await.unwrap();
        sleep(Duration::from_secs(3)).await;
        if round % 2 == 0 {
            let late = transaction.enlist(&a).await.unwrap_err();
            assert!(matches!(late, EnlistError::Aborted(_)), "{late:?}");
        } else {
            let outcome = transaction.commit().await;
            assert!(matches!(outcome, CommitOutcome::Aborted { .. }));
        }
    }
    let held: Vec<_> = [coordinator.begin().await, coordinator.begin().await].into();
    assert!(
        timeout(Duration::from_secs(1), coordinator.begin())
            .await
            .is_ok()
    );
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_participant_that_is_down_takes_no_places_of_others() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let opening = Coordinator::open(log).transactions_max(4);
    let opening = opening.participant(a.clone()).participant(b.clone());
    let coordinator = opening.await.unwrap();
    b.set(Fault::Unreachable);
    let mut refused = false;
    for _ in 0..40 {
        let mut transaction = coordinator.begin().await.unwrap();
        match transaction.enlist(b.bank()).await {
            Ok(_) => {}
            Err(EnlistError::Unavailable(_)) => refused = true,
            Err(error) => panic!("{error:?}"),
        }
        transaction.rollback();
    }
    assert!(refused, "as many as it does not settle are not begun");
    assert!(coordinator.list(Filter::All).len() <= 16);
    let mut transaction = coordinator.begin().await.unwrap();
    transaction.enlist(&a).await.unwrap();
    assert!(transaction.commit().await.is_committed());
    b.set(Fault::None);
    eventually("all are settled", || {
        coordinator.list(Filter::All).is_empty()
    })
    .await;
    assert!(
        transfer(&coordinator, &a, b.bank(), 1)
            .await
            .commit()
            .await
            .is_committed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_commit_after_a_shutdown_is_answered() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let opening = Coordinator::open(log).work_timeout(Duration::from_secs(1));
    let opening = opening.participant(a.clone()).participant(b.clone());
    let coordinator = opening.await.unwrap();
    let transaction = transfer(&coordinator, &a, b.bank(), 10).await;
    let second = transfer_alone(&coordinator, &a).await;
    b.set(Fault::Unreachable);
    sleep(Duration::from_secs(3)).await;
    let shutdown = coordinator.shutdown(Duration::from_secs(1)).await.unwrap();
    assert_eq!(shutdown.unfinished, 1);
    for transaction in [transaction, second] {
        let outcome = timeout(Duration::from_secs(60), transaction.commit()).await;
        assert!(
            matches!(outcome, Ok(CommitOutcome::Aborted { .. })),
            "{outcome:?}"
        );
    }
}

async fn transfer_alone(
    coordinator: &Coordinator,
    a: &super::MemoryParticipant,
) -> super::ActiveTransaction {
    let mut transaction = coordinator.begin().await.unwrap();
    let branch = transaction.enlist(a).await.unwrap();
    // Not the key that the others hold.
    branch.set("another", 1).await.unwrap();
    transaction
}

#[tokio::test(start_paused = true)]
async fn times_beyond_the_clock_mean_for_ever() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let opening = Coordinator::open(log).settle_timeout(Duration::MAX);
    let opening = opening
        .prepare_timeout(Duration::MAX)
        .transactions_max(usize::MAX);
    let opening = opening.requests_max(usize::MAX).work_timeout(Duration::MAX);
    let opening = opening.participant(a.clone()).participant(b.clone());
    let coordinator = opening.await.unwrap();
    b.set(Fault::LosesCommits);
    let transaction = transfer(&coordinator, &a, b.bank(), 10).await;
    let later = b.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(100)).await;
        later.set(Fault::None);
    });
    let outcome = transaction.commit().await;
    assert_eq!(outcome, CommitOutcome::Committed { pending: vec![] });
    let shutdown = coordinator.shutdown(Duration::MAX).await.unwrap();
    assert_eq!(shutdown.unfinished, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_left_before_the_answer_learns_it_by_inquiry() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let coordinator = open(log, [shared(&a), b.shared()]).await;
    b.set(Fault::LosesCommits);
    let transaction = transfer(&coordinator, &a, b.bank(), 10).await;
    let id = transaction.id();
    let left = timeout(Duration::from_millis(1), transaction.commit()).await;
    assert!(left.is_err());
    b.set(Fault::None);
    eventually("it is over", || coordinator.list(Filter::All).is_empty()).await;
    assert_eq!(
        coordinator.inquire(id),
        Standing::Decided(Outcome::Committed)
    );
    // One who was told needs no memory of ours.
    let transaction = transfer(&coordinator, &a, b.bank(), 1).await;
    let id = transaction.id();
    assert!(transaction.commit().await.is_committed());
    assert_eq!(coordinator.inquire(id), Standing::Forgotten);
}

#[tokio::test(start_paused = true)]
async fn what_a_failing_log_left_open_is_told_once_it_is_open_again() {
    for written in [false, true] {
        let (_, a, b) = fresh();
        let log = Failing::over(MemoryLog::new(), written);
        let coordinator = open(log.clone(), [shared(&a), shared(&b)]).await;
        log.fail();
        let transaction = transfer(&coordinator, &a, &b, 10).await;
        let id = transaction.id();
        assert_eq!(transaction.commit().await, CommitOutcome::Unknown(id));
        let outcome = if written {
            Outcome::Committed
        } else {
            Outcome::Aborted
        };
        eventually("it is decided", || {
            coordinator.inquire(id) == Standing::Decided(outcome)
        })
        .await;
        let expected = if written { [90, 110] } else { [100, 100] };
        eventually("it is so", || balances(&[&a, &b]) == expected).await;
        assert_eq!(coordinator.stats().reopened, 1);
        assert!(
            transfer(&coordinator, &a, &b, 1)
                .await
                .commit()
                .await
                .is_committed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_works_while_the_log_fails_is_aborted_and_frees_its_locks() {
    let (_, a, b) = fresh();
    let log = Failing::over(MemoryLog::new(), false);
    let coordinator = open(log.clone(), [shared(&a), shared(&b)]).await;
    let c = bank("c");
    let working = transfer(&coordinator, &a, &b, 10).await;
    drop(c);
    let other = {
        let mut other = coordinator.begin().await.unwrap();
        other
            .enlist(&a)
            .await
            .unwrap()
            .set("else", 1)
            .await
            .unwrap();
        other
            .enlist(&b)
            .await
            .unwrap()
            .set("else", 1)
            .await
            .unwrap();
        other
    };
    log.fail();
    assert!(matches!(other.commit().await, CommitOutcome::Unknown(_)));
    assert!(matches!(
        coordinator.begin().await,
        Err(BeginError::Reopening)
    ));
    eventually("it is open again", || coordinator.stats().reopened == 1).await;
    // The keys are free, though nobody has ended the transaction that held them.
    assert!(
        transfer(&coordinator, &a, &b, 1)
            .await
            .commit()
            .await
            .is_committed()
    );
    let outcome = working.commit().await;
    assert!(
        matches!(outcome, CommitOutcome::Aborted { .. }),
        "{outcome:?}"
    );
    assert_eq!(balances(&[&a, &b]), [99, 101]);
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_another_has_followed_does_not_take_the_log_back() {
    let (_, a, b) = fresh();
    let memory = MemoryLog::new();
    let log = Failing::over(memory.clone(), false);
    let first = open(log.clone(), [shared(&a), shared(&b)]).await;
    log.fail();
    let transaction = transfer(&first, &a, &b, 1).await;
    assert!(matches!(
        transaction.commit().await,
        CommitOutcome::Unknown(_)
    ));
    // Before the first one opens it again.
    let opening = Coordinator::open(memory).epoch_hint(100);
    let second = opening
        .participant(a.clone())
        .participant(b.clone())
        .await
        .unwrap();
    eventually("the first one knows", || {
        first.stats().reopened == 1 || first.is_superseded()
    })
    .await;
    assert!(first.is_superseded());
    // Nor does it try: the other has never noticed.
    let transaction = transfer(&second, &a, &b, 1).await;
    assert!(transaction.commit().await.is_committed());
    assert_eq!(second.stats().epoch.map(Epoch::as_u64), Some(100));
    assert_eq!(second.stats().reopened, 0);
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_is_superseded_leaves_participants_to_its_successor() {
    let (log, a, b) = fresh();
    let (its_a, its_b) = (Faulty::over(a.clone()), Faulty::over(b.clone()));
    let opening = Coordinator::open(log.clone()).work_timeout(Duration::from_secs(60));
    let opening = opening
        .participant(its_a.clone())
        .participant(its_b.clone());
    let first = opening.await.unwrap();
    let working = transfer(&first, &a, &b, 1).await;
    let second = open(log, [shared(&a), shared(&b)]).await;
    sleep(Duration::from_secs(1)).await;
    let refused = first.begin().await.unwrap_err();
    assert!(first.is_superseded(), "{refused:?}");
    let scans = || its_a.scans() + its_b.scans();
    let before = scans();
    assert!(before > 0, "it has looked after them");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(scans(), before);
    // What it has begun itself ends in time all the same.
    assert!(first.list(Filter::All).is_empty());
    drop(working);
    let transaction = transfer(&second, &a, &b, 1).await;
    assert!(transaction.commit().await.is_committed());
}

#[tokio::test(start_paused = true)]
async fn retries_by_hand_leave_one_pause_and_not_one_each() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let coordinator = open(log, [shared(&a), b.shared()]).await;
    b.set(Fault::LosesCommits);
    let transaction = transfer(&coordinator, &a, b.bank(), 10).await;
    let id = transaction.id();
    assert!(transaction.commit().await.is_committed());
    for _ in 0..100 {
        coordinator.retry(id);
        sleep(Duration::from_millis(500)).await;
    }
    let before = b.asked();
    sleep(Duration::from_secs(600)).await;
    // Pauses are half a minute at the most, and a quarter at the least.
    assert!(b.asked() - before <= 60, "{}", b.asked() - before);
}

#[test]
fn a_commit_goes_on_when_the_runtime_of_its_caller_ends() {
    let home = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let coordinator = home.block_on(open(log, [shared(&a), b.shared()]));
    b.set(Fault::LosesCommits);
    let visitor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    visitor.block_on(async {
        let transaction = transfer(&coordinator, &a, b.bank(), 10).await;
        let left = timeout(Duration::from_millis(200), transaction.commit()).await;
        assert!(left.is_err());
    });
    drop(visitor);
    b.set(Fault::None);
    home.block_on(eventually("b has committed", || {
        balances(&[&a, b.bank()]) == [90, 110]
    }));
}
