//! What callers see.

use std::time::Duration;

use tripod::transaction::two_phase::{
    AbortReason, BeginError, CommitOutcome, EnlistError, OpenError, Outcome, Standing,
};

use super::faulty::{Fault, Faulty};
use super::{balances, bank, eventually, fresh, open, shared, transfer};

#[tokio::test(start_paused = true)]
async fn all_branches_commit() {
    let (log, a, b) = fresh();
    let coordinator = open(log, [shared(&a), shared(&b)]).await;
    let outcome = transfer(&coordinator, &a, &b, 10).await.commit().await;
    assert_eq!(outcome, CommitOutcome::Committed { pending: vec![] });
    assert_eq!(balances(&[&a, &b]), [90, 110]);
    let stats = coordinator.stats();
    assert_eq!(
        (stats.begun, stats.committed, stats.forced_writes),
        (1, 1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_rollback_and_a_drop_leave_nothing() {
    let (log, a, b) = fresh();
    let coordinator = open(log, [shared(&a), shared(&b)]).await;
    transfer(&coordinator, &a, &b, 10).await.rollback();
    drop(transfer(&coordinator, &a, &b, 10).await);
    let outcome = transfer(&coordinator, &a, &b, 1).await.commit().await;
    assert!(outcome.is_committed());
    assert_eq!(balances(&[&a, &b]), [99, 101]);
    eventually("all are over", || {
        coordinator
            .list(tripod::transaction::two_phase::Filter::All)
            .is_empty()
    })
    .await;
    assert_eq!(coordinator.stats().impossible, 0);
}

#[tokio::test(start_paused = true)]
async fn a_no_aborts_all_and_says_who_and_why() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let coordinator = open(log, [shared(&a), b.shared()]).await;
    b.set(Fault::VotesNo);
    let outcome = transfer(&coordinator, &a, b.bank(), 10)
        .await
        .commit()
        .await;
    let CommitOutcome::Aborted {
        reason,
        participant,
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    assert!(matches!(reason, AbortReason::No { branch: 1, .. }));
    assert_eq!(participant.unwrap().as_str(), "b");
    eventually("both have aborted", || {
        balances(&[&a, b.bank()]) == [100, 100]
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_vote_that_does_not_come_aborts_at_the_deadline() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let coordinator = open(log, [shared(&a), b.shared()]).await;
    b.set(Fault::HangsInPrepare);
    let before = tokio::time::Instant::now();
    let outcome = transfer(&coordinator, &a, b.bank(), 10)
        .await
        .commit()
        .await;
    assert!(matches!(
        outcome,
        CommitOutcome::Aborted {
            reason: AbortReason::Deadline,
            ..
        }
    ));
    assert_eq!(before.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_vote_that_cannot_be_told_is_no_yes() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let coordinator = open(log, [shared(&a), b.shared()]).await;
    b.set(Fault::LosesVotes);
    let outcome = transfer(&coordinator, &a, b.bank(), 10)
        .await
        .commit()
        .await;
    assert!(matches!(
        outcome,
        CommitOutcome::Aborted {
            reason: AbortReason::Unknown { branch: 1 },
            ..
        }
    ));
    b.set(Fault::None);
    eventually("the prepared branch is aborted", || {
        balances(&[&a, b.bank()]) == [100, 100]
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_that_do_not_come_are_pending_and_are_fetched_later() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let coordinator = open(log, [shared(&a), b.shared()]).await;
    b.set(Fault::LosesCommits);
    let transaction = transfer(&coordinator, &a, b.bank(), 10).await;
    let id = transaction.id();
    let CommitOutcome::Committed { pending } = transaction.commit().await else {
        panic!("not committed");
    };
    assert_eq!(pending[0].as_str(), "b");
    assert_eq!(
        coordinator.inquire(id),
        Standing::Decided(Outcome::Committed)
    );
    assert_eq!(balances(&[&a, b.bank()]), [90, 100]);
    b.set(Fault::None);
    eventually("b has committed", || balances(&[&a, b.bank()]) == [90, 110]).await;
    eventually("it is over", || {
        coordinator.inquire(id) == Standing::Forgotten
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_participant_commits_in_one_phase_without_a_record() {
    let (log, a, _) = fresh();
    let coordinator = open(log, [shared(&a)]).await;
    let mut transaction = coordinator.begin().await.unwrap();
    let branch = transaction.enlist(&a).await.unwrap();
    branch.set("account", 1).await.unwrap();
    assert!(transaction.commit().await.is_committed());
    assert_eq!(balances(&[&a]), [1]);
    assert_eq!(coordinator.stats().forced_writes, 0);
    // Its handle ended with it.
    assert!(branch.set("account", 2).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_one_phase_commit_whose_answer_is_lost_is_settled_by_proof() {
    let (log, a, _) = fresh();
    let a = Faulty::over(a);
    let coordinator = open(log, [a.shared()]).await;
    let mut transaction = coordinator.begin().await.unwrap();
    let branch = transaction.enlist(a.bank()).await.unwrap();
    branch.set("account", 1).await.unwrap();
    a.set(Fault::LosesOneAnswer);
    assert!(transaction.commit().await.is_committed());
    assert_eq!(balances(&[a.bank()]), [1]);
}

#[tokio::test(start_paused = true)]
async fn read_only_and_empty_transactions_write_nothing() {
    let (log, a, b) = fresh();
    let coordinator = open(log, [shared(&a), shared(&b)]).await;
    assert!(
        coordinator
            .begin()
            .await
            .unwrap()
            .commit()
            .await
            .is_committed()
    );
    let mut transaction = coordinator.begin().await.unwrap();
    for bank in [&a, &b] {
        let branch = transaction.enlist(bank).await.unwrap();
        assert_eq!(branch.get("account").await.unwrap(), Some(100));
    }
    assert!(transaction.commit().await.is_committed());
    assert_eq!(coordinator.stats().forced_writes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_hangs_is_aborted_and_told_so() {
    let (log, a, b) = fresh();
    let coordinator = open(log, [shared(&a), shared(&b)]).await;
    let mut transaction = transfer(&coordinator, &a, &b, 10).await;
    tokio::time::sleep(Duration::from_secs(70)).await;
    // Its locks are free.
    assert!(
        transfer(&coordinator, &a, &b, 1)
            .await
            .commit()
            .await
            .is_committed()
    );
    let late = transaction.enlist(&a).await.unwrap_err();
    assert!(
        matches!(late, EnlistError::Aborted(AbortReason::Deadline)),
        "{late:?}"
    );
    let outcome = transaction.commit().await;
    assert!(
        matches!(outcome, CommitOutcome::Aborted { .. }),
        "{outcome:?}"
    );
    assert_eq!(balances(&[&a, &b]), [99, 101]);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_caller_who_commits_late_learns_of_the_deadline() {
    let (log, a, b) = fresh();
    let coordinator = open(log, [shared(&a), shared(&b)]).await;
    let transaction = transfer(&coordinator, &a, &b, 10).await;
    tokio::time::sleep(Duration::from_secs(70)).await;
    let outcome = transaction.commit().await;
    assert!(
        matches!(
            outcome,
            CommitOutcome::Aborted {
                reason: AbortReason::Deadline,
                ..
            }
        ),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn strangers_are_not_enlisted() {
    let (log, a, b) = fresh();
    let coordinator = open(log, [shared(&a)]).await;
    let mut transaction = coordinator.begin().await.unwrap();
    let stranger = transaction.enlist(&b).await.unwrap_err();
    assert!(matches!(stranger, EnlistError::Unregistered(name) if name.as_str() == "b"));
    transaction.enlist(&a).await.unwrap();
    assert!(transaction.commit().await.is_committed());
}

#[tokio::test(start_paused = true)]
async fn two_of_one_name_are_refused() {
    let (log, a, _) = fresh();
    let opening = tripod::transaction::two_phase::Coordinator::open(log);
    let opened = opening.participant(a.clone()).participant(bank("a")).await;
    assert!(matches!(opened.unwrap_err(), OpenError::Duplicate(name) if name.as_str() == "a"));
}

#[tokio::test(start_paused = true)]
async fn a_volatile_log_is_refused_for_durable_participants() {
    let (log, a, _) = fresh();
    let durable = Faulty::over(a).durable();
    let refused = tripod::transaction::two_phase::Coordinator::open(log.clone())
        .participant(durable.shared())
        .await;
    assert!(matches!(refused.unwrap_err(), OpenError::Volatile(_)));
    let allowed = tripod::transaction::two_phase::Coordinator::open(log)
        .participant(durable.shared())
        .allow_volatile_log()
        .await;
    assert!(allowed.is_ok());
}

#[tokio::test(start_paused = true)]
async fn as_many_as_may_be_are_under_way() {
    let (log, a, b) = fresh();
    let opening = tripod::transaction::two_phase::Coordinator::open(log);
    let coordinator = opening
        .participant(a)
        .participant(b)
        .transactions_max(2)
        .await
        .unwrap();
    let first = coordinator.begin().await.unwrap();
    let _second = coordinator.begin().await.unwrap();
    let third = tokio::time::timeout(Duration::from_secs(1), coordinator.begin()).await;
    assert!(third.is_err());
    first.rollback();
    coordinator.begin().await.unwrap().rollback();
}

#[tokio::test(start_paused = true)]
async fn after_a_shutdown_nothing_begins_and_the_log_is_closed() {
    let (log, a, b) = fresh();
    let coordinator = open(log.clone(), [shared(&a), shared(&b)]).await;
    let transaction = transfer(&coordinator, &a, &b, 10).await;
    let second = coordinator.clone();
    let ending = tokio::spawn(async move { second.shutdown(Duration::from_secs(5)).await });
    tokio::task::yield_now().await;
    assert!(matches!(
        coordinator.begin().await.unwrap_err(),
        BeginError::Closed
    ));
    assert!(transaction.commit().await.is_committed());
    assert_eq!(ending.await.unwrap().unwrap().unfinished, 0);
    assert_eq!(balances(&[&a, &b]), [90, 110]);
}

#[tokio::test(start_paused = true)]
async fn a_full_log_refuses_to_begin_and_never_a_decision() {
    let (_, a, b) = fresh();
    let log = tripod::transaction::log::MemoryLog::with_space(2048);
    let coordinator = open(log, [shared(&a), shared(&b)]).await;
    let mut under_way = Vec::new();
    let refused = loop {
        match coordinator.begin().await {
            Ok(transaction) => under_way.push(transaction),
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, BeginError::Log(_)), "{refused:?}");
    assert!(under_way.len() > 1);
    for mut transaction in under_way {
        for bank in [&a, &b] {
            let branch = transaction.enlist(bank).await.unwrap();
            branch.set("account", 7).await.unwrap();
        }
        assert!(transaction.commit().await.is_committed());
    }
    assert!(coordinator.begin().await.is_ok());
}
