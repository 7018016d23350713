//! The map in memory: what its branches see, and how they wait.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use tripod::transaction::participant::{
    Enlist, MemoryBranch, MemoryError, MemoryParticipant, Opening, Outcome, Participant, Report,
    Vote,
};
use tripod::transaction::{BranchId, CoordinatorId};

use super::{branch, epoch};

const COMMITTED: Report = Report::Did(Outcome::Committed);
const ABORTED: Report = Report::Did(Outcome::Aborted);

fn accounts() -> MemoryParticipant {
    MemoryParticipant::with("accounts", [("alice", 100), ("bob", 5)]).unwrap()
}

async fn works(accounts: &MemoryParticipant, sequence: u64) -> (BranchId, MemoryBranch) {
    let id = branch(1, sequence);
    (id, accounts.work(id).await.unwrap())
}

#[tokio::test]
async fn a_branch_sees_what_it_wrote_and_others_what_was_committed() {
    let accounts = accounts();
    let (id, work) = works(&accounts, 0).await;
    work.update("alice", |sum| sum.map(|sum| sum - 30))
        .await
        .unwrap();
    work.remove("bob").await.unwrap();
    work.set("carol", 30).await.unwrap();
    assert_eq!(work.get("alice").await, Ok(Some(70)));
    assert_eq!(work.get("bob").await, Ok(None));
    assert_eq!(work.get("carol").await, Ok(Some(30)));
    assert_eq!(accounts.get("alice"), Some(100));
    assert_eq!(accounts.get("carol"), None);
    accounts.prepare(id).await.unwrap();
    assert_eq!(accounts.get("carol"), None);
    accounts.commit(id).await.unwrap();
    let now = [("alice".to_owned(), 70), ("carol".to_owned(), 30)];
    assert_eq!(accounts.snapshot(), now.into());
}

#[tokio::test]
async fn an_aborted_branch_leaves_nothing() {
    let accounts = accounts();
    let before = accounts.snapshot();
    let (id, work) = works(&accounts, 0).await;
    work.remove("bob").await.unwrap();
    work.set("carol", 30).await.unwrap();
    assert_eq!(accounts.abort(id).await.unwrap(), ABORTED);
    assert_eq!(accounts.snapshot(), before);
    let (_, next) = works(&accounts, 1).await;
    assert_eq!(next.get("bob").await, Ok(Some(5)));
}

#[tokio::test(start_paused = true)]
async fn keys_are_held_until_the_branch_ends_not_the_handle() {
    let accounts = accounts().lock_wait(Duration::from_secs(3600));
    let (first, work) = works(&accounts, 0).await;
    work.update("alice", |sum| sum.map(|sum| sum + 1))
        .await
        .unwrap();
    drop(work);
    let (_, next) = works(&accounts, 1).await;
    let mut read = Box::pin(next.get("alice"));
    assert!(read.as_mut().now_or_never().is_none());
    accounts.prepare(first).await.unwrap();
    assert!(read.as_mut().now_or_never().is_none());
    accounts.commit(first).await.unwrap();
    assert_eq!(read.now_or_never(), Some(Ok(Some(101))));
}

#[tokio::test]
async fn a_read_only_branch_votes_so_and_lets_its_keys_go() {
    let accounts = accounts();
    let (first, work) = works(&accounts, 0).await;
    work.get("alice").await.unwrap();
    work.get("nobody").await.unwrap();
    assert_eq!(accounts.prepare(first).await.unwrap(), Vote::ReadOnly);
    let (second, next) = works(&accounts, 1).await;
    assert_eq!(next.set("alice", 1).now_or_never(), Some(Ok(())));
    assert_eq!(accounts.prepare(second).await.unwrap(), Vote::Prepared);
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_bounded_and_what_was_before_stands() {
    let accounts = accounts().lock_wait(Duration::from_secs(3));
    let (holder, first) = works(&accounts, 0).await;
    first.set("alice", 1).await.unwrap();
    let (id, second) = works(&accounts, 1).await;
    second.set("bob", 2).await.unwrap();
    let start = Instant::now();
    let waited = Duration::from_secs(3);
    let locked = Err(MemoryError::Locked { holder, waited });
    assert_eq!(second.set("alice", 2).await, locked);
    assert_eq!(start.elapsed(), waited);
    assert_eq!(accounts.commit_one_phase(id).await.unwrap(), COMMITTED);
    assert_eq!(accounts.get("bob"), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_deadlock_ends() {
    let accounts = accounts();
    let (one, first) = works(&accounts, 0).await;
    let (two, second) = works(&accounts, 1).await;
    first.set("alice", 1).await.unwrap();
    second.set("bob", 2).await.unwrap();
    let crossed = async {
        let locked = first.set("bob", 1).await;
        assert!(matches!(locked, Err(MemoryError::Locked { .. })));
        accounts.abort(one).await.unwrap();
    };
    // Its patience lasts a little longer.
    let waits = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        second.set("alice", 2).await.unwrap();
    };
    tokio::join!(crossed, waits);
    assert_eq!(accounts.commit_one_phase(two).await.unwrap(), COMMITTED);
    assert_eq!(
        (accounts.get("alice"), accounts.get("bob")),
        (Some(2), Some(2))
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_in_order_and_who_gave_up_is_not() {
    let accounts = accounts();
    let (holder, first) = works(&accounts, 0).await;
    first.set("alice", 0).await.unwrap();
    let mut works_later = Vec::new();
    for sequence in 1..4 {
        works_later.push(works(&accounts, sequence).await);
    }
    let [(_, gave_up), (second, next), (_, last)] = &works_later[..] else {
        panic!("three wait")
    };
    assert!(gave_up.set("alice", 1).now_or_never().is_none());
    let mut next = Box::pin(next.set("alice", 2));
    let mut last = Box::pin(last.set("alice", 3));
    assert!(next.as_mut().now_or_never().is_none());
    assert!(last.as_mut().now_or_never().is_none());
    accounts.abort(holder).await.unwrap();
    assert!(last.as_mut().now_or_never().is_none());
    assert_eq!(next.now_or_never(), Some(Ok(())));
    accounts.commit_one_phase(*second).await.unwrap();
    assert_eq!(last.now_or_never(), Some(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_ends_waits_no_more() {
    let accounts = accounts();
    let (_, first) = works(&accounts, 0).await;
    first.set("alice", 0).await.unwrap();
    let (id, second) = works(&accounts, 1).await;
    let mut write = Box::pin(second.set("alice", 1));
    assert!(write.as_mut().now_or_never().is_none());
    accounts.settle(id).await.unwrap();
    assert_eq!(write.now_or_never(), Some(Err(MemoryError::Ended(id))));
    assert_eq!(second.get("bob").await, Err(MemoryError::Ended(id)));
}

#[tokio::test]
async fn a_key_that_is_handed_to_a_dropped_wait_is_the_branch_s() {
    let accounts = accounts();
    let (holder, first) = works(&accounts, 0).await;
    first.set("alice", 0).await.unwrap();
    let (id, second) = works(&accounts, 1).await;
    let mut write = Box::pin(second.set("alice", 1));
    assert!(write.as_mut().now_or_never().is_none());
    accounts.abort(holder).await.unwrap();
    drop(write);
    let (_, third) = works(&accounts, 2).await;
    let mut read = Box::pin(third.get("alice"));
    assert!(read.as_mut().now_or_never().is_none());
    accounts.abort(id).await.unwrap();
    assert_eq!(read.now_or_never(), Some(Ok(Some(100))));
}

#[tokio::test]
async fn two_handles_of_one_branch_share_its_keys() {
    let accounts = accounts();
    let (holder, first) = works(&accounts, 0).await;
    first.set("alice", 0).await.unwrap();
    let (id, one) = works(&accounts, 1).await;
    let (_, two) = works(&accounts, 1).await;
    let mut write = Box::pin(one.set("alice", 1));
    let mut read = Box::pin(two.get("alice"));
    assert!(write.as_mut().now_or_never().is_none());
    assert!(read.as_mut().now_or_never().is_none());
    accounts.abort(holder).await.unwrap();
    assert_eq!(write.now_or_never(), Some(Ok(())));
    assert_eq!(read.now_or_never(), Some(Ok(Some(1))));
    accounts.commit_one_phase(id).await.unwrap();
    assert_eq!(accounts.get("alice"), Some(1));
}

#[tokio::test]
async fn an_opening_ends_what_works_in_earlier_epochs() {
    let accounts = accounts();
    let coordinator = CoordinatorId::from_u128(1);
    accounts
        .open(Opening::new(coordinator, epoch(1), 1))
        .await
        .unwrap();
    let (id, work) = works(&accounts, 0).await;
    work.set("alice", 0).await.unwrap();
    let (prepared, other) = works(&accounts, 1).await;
    other.set("bob", 0).await.unwrap();
    accounts.prepare(prepared).await.unwrap();
    accounts
        .open(Opening::new(coordinator, epoch(2), 2))
        .await
        .unwrap();
    assert_eq!(work.set("alice", 1).await, Err(MemoryError::Ended(id)));
    let next = accounts.work(branch(2, 0)).await.unwrap();
    assert_eq!(next.get("alice").now_or_never(), Some(Ok(Some(100))));
    assert_eq!(accounts.commit(prepared).await.unwrap(), COMMITTED);
}

#[tokio::test]
async fn handles_are_shared_and_print_no_values() {
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    fn sent<T: Send + 'static>(_: &T) {}
    let accounts = MemoryParticipant::with("accounts", [("alice", 987_654)]).unwrap();
    shared(&accounts);
    let (_, work) = works(&accounts, 0).await;
    sent(&work);
    let printed = format!("{accounts:?} {work:?}");
    assert!(
        printed.contains("accounts") && !printed.contains("987"),
        "{printed}"
    );
    assert!(MemoryParticipant::new("no name").is_err());
}
