//! What becomes of what a crash has interrupted.

use std::time::Duration;

use tripod::transaction::log::TransactionLog;
use tripod::transaction::two_phase::{
    BeginError, CommitOutcome, Coordinator, EnlistError, Filter, OpenError, Outcome, Standing,
};

use super::faulty::{Fault, Faulty};
use super::{balances, eventually, fresh, open, shared, transfer};

#[tokio::test(start_paused = true)]
async fn what_was_decided_commits_after_a_crash() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let coordinator = open(log.clone(), [shared(&a), b.shared()]).await;
    b.set(Fault::LosesCommits);
    let transaction = transfer(&coordinator, &a, b.bank(), 10).await;
    assert!(transaction.commit().await.is_committed());
    drop(coordinator);
    log.crash();
    a.crash();
    b.bank().crash();
    b.set(Fault::None);

    let coordinator = open(log, [shared(&a), b.shared()]).await;
    eventually("b has committed", || balances(&[&a, b.bank()]) == [90, 110]).await;
    eventually("it is over", || coordinator.list(Filter::All).is_empty()).await;
    assert_eq!(coordinator.stats().impossible, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_prepared_and_not_decided_aborts_after_a_crash() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let coordinator = open(log.clone(), [shared(&a), b.shared()]).await;
    b.set(Fault::HangsInPrepare);
    let transaction = transfer(&coordinator, &a, b.bank(), 10).await;
    let committing = tokio::time::timeout(Duration::from_secs(1), transaction.commit());
    assert!(committing.await.is_err());
    log.crash();
    drop(coordinator);
    b.set(Fault::None);

    let coordinator = open(log, [shared(&a), b.shared()]).await;
    eventually("nothing is prepared", || {
        coordinator.list(Filter::All).is_empty() && balances(&[&a, b.bank()]) == [100, 100]
    })
    .await;
    let outcome = transfer(&coordinator, &a, b.bank(), 1).await.commit().await;
    assert!(outcome.is_committed(), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn branches_that_cannot_be_listed_are_found_by_their_record() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b).blind();
    let coordinator = open(log.clone(), [shared(&a), b.shared()]).await;
    b.set(Fault::LosesVotes);
    let mut transaction = coordinator.begin().await.unwrap();
    let branch = transaction.enlist(&b).await.unwrap();
    branch.set("account", 1).await.unwrap();
    log.crash();
    drop(transaction);
    drop(coordinator);
    b.set(Fault::None);

    let coordinator = open(log, [shared(&a), b.shared()]).await;
    eventually("it is over", || coordinator.list(Filter::All).is_empty()).await;
    eventually("its locks are gone", || {
        b.bank().get("account") == Some(100)
    })
    .await;
    let mut transaction = coordinator.begin().await.unwrap();
    let branch = transaction.enlist(b.bank()).await.unwrap();
    branch.set("account", 2).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_later_opening_takes_over_and_the_earlier_one_says_so() {
    let (log, a, b) = fresh();
    let first = open(log.clone(), [shared(&a), shared(&b)]).await;
    let under_way = transfer(&first, &a, &b, 10).await;
    let second = open(log, [shared(&a), shared(&b)]).await;
    let outcome = under_way.commit().await;
    assert!(
        matches!(outcome, CommitOutcome::Aborted { .. }),
        "{outcome:?}"
    );
    assert!(matches!(
        first.begin().await.unwrap_err(),
        BeginError::Superseded
    ));
    let outcome = transfer(&second, &a, &b, 1).await.commit().await;
    assert!(outcome.is_committed(), "{outcome:?}");
    assert_eq!(balances(&[&a, &b]), [99, 101]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_was_closed_under_it_is_another_s() {
    let (log, a, b) = fresh();
    let coordinator = open(log.clone(), [shared(&a), shared(&b)]).await;
    log.crash();
    let refused = coordinator.begin().await.unwrap_err();
    assert!(matches!(refused, BeginError::Superseded), "{refused:?}");
    assert!(coordinator.is_superseded());
}

#[tokio::test(start_paused = true)]
async fn a_participant_that_cannot_be_reached_stops_nobody_else() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    b.set(Fault::Unreachable);
    let coordinator = open(log, [shared(&a), b.shared()]).await;
    let mut transaction = coordinator.begin().await.unwrap();
    let unreached = transaction.enlist(b.bank()).await.unwrap_err();
    assert!(matches!(unreached, EnlistError::Unavailable(_)));
    let branch = transaction.enlist(&a).await.unwrap();
    branch.set("account", 5).await.unwrap();
    assert!(transaction.commit().await.is_committed());
    b.set(Fault::None);
    eventually("b is reached", || coordinator.participants()[1].reached).await;
    assert!(
        transfer(&coordinator, &a, b.bank(), 1)
            .await
            .commit()
            .await
            .is_committed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_stale_log_is_refused() {
    let (log, a, b) = fresh();
    drop(open(log.clone(), [shared(&a), shared(&b)]).await);
    let opened = log.open(0).await.unwrap();
    // The participants have seen a later epoch of this coordinator, from the original of this log.
    let later = tripod::transaction::Epoch::new(opened.epoch().as_u64() + 5).unwrap();
    let opening = tripod::transaction::participant::Opening::new(opened.coordinator(), later, 1);
    tripod::transaction::participant::Participant::open(&b, opening)
        .await
        .unwrap();
    let refused = Coordinator::open(log).participant(a).participant(b).await;
    let OpenError::Participant { name, source } = refused.unwrap_err() else {
        panic!("opened");
    };
    assert!(name.as_str() == "b" && source.is_stale());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_registered_is_told_of_and_parks_what_it_has_in_doubt() {
    let (log, a, b) = fresh();
    let b = Faulty::over(b);
    let coordinator = open(log.clone(), [shared(&a), b.shared()]).await;
    b.set(Fault::LosesCommits);
    let transaction = transfer(&coordinator, &a, b.bank(), 10).await;
    let id = transaction.id();
    assert!(transaction.commit().await.is_committed());
    drop(coordinator);
    log.crash();

    let coordinator = open(log.clone(), [shared(&a)]).await;
    eventually("it is parked", || {
        coordinator.list(Filter::Parked).len() == 1
    })
    .await;
    assert_eq!(
        coordinator.inquire(id),
        Standing::Decided(Outcome::Committed)
    );
    let registered: Vec<_> = coordinator
        .participants()
        .iter()
        .map(|it| it.registered)
        .collect();
    assert_eq!(registered, [true, false]);
    assert!(transfer_within(&coordinator, &a).await);
    drop(coordinator);
    log.crash();
    b.set(Fault::None);

    let _coordinator = open(log, [shared(&a), b.shared()]).await;
    eventually("b has committed", || b.bank().get("account") == Some(110)).await;
}

async fn transfer_within(coordinator: &Coordinator, a: &super::MemoryParticipant) -> bool {
    let mut transaction = coordinator.begin().await.unwrap();
    let branch = transaction.enlist(a).await.unwrap();
    branch.set("account", 90).await.unwrap();
    transaction.commit().await.is_committed()
}
