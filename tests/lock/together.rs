//! Work under a lock, several locks as one, elections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tripod::lock::{AcquireError, Election, LockName, Locks, Loss, MemoryBackend, RunError, Verb};

use crate::scripted::{Fate, Scripted};

const SECOND: Duration = Duration::from_secs(1);

fn memory() -> (Arc<MemoryBackend>, Locks) {
    let store = Arc::new(MemoryBackend::new());
    (Arc::clone(&store), Locks::new(store))
}

#[tokio::test(start_paused = true)]
async fn run_gives_the_result_and_releases() {
    let (store, locks) = memory();
    let token = locks
        .acquire("a")
        .run(async |pass| pass.token())
        .await
        .unwrap();
    assert!(token.as_u64() > 0);
    assert_eq!(store.names(), 0);
}

#[tokio::test(start_paused = true)]
async fn run_drops_the_work_when_the_lease_is_lost() {
    let store = Scripted::default();
    store.on(Verb::Renew, Fate::Hang);
    let locks = Locks::new(store);
    let steps = AtomicU32::new(0);
    let error = locks.acquire("a").ttl(10 * SECOND).run(async |_| {
        loop {
            sleep(SECOND).await;
            steps.fetch_add(1, Ordering::Relaxed);
        }
    });
    let error: Result<(), RunError> = error.await;
    let lost = RunError::Lost {
        loss: Loss::Expired,
        finished: false,
    };
    assert_eq!(format!("{:?}", error.unwrap_err()), format!("{lost:?}"));
    assert_eq!(steps.load(Ordering::Relaxed), 9);
}

#[tokio::test(start_paused = true)]
async fn run_tells_that_the_work_ended_after_the_loss() {
    let (_, locks) = memory();
    let name = LockName::new("a").unwrap();
    let error = locks.acquire(&name).run(async |pass| {
        assert!(locks.force_release(&name, pass.token()).await.unwrap());
    });
    let lost = RunError::Lost {
        loss: Loss::Removed,
        finished: true,
    };
    assert_eq!(
        format!("{:?}", error.await.unwrap_err()),
        format!("{lost:?}")
    );
    // As if the process were paused while the work awaits: it is not polled again.
    let error = locks
        .acquire("b")
        .ttl(SECOND)
        .run(async |_| tokio::time::advance(SECOND).await);
    let lost = RunError::Lost {
        loss: Loss::Expired,
        finished: false,
    };
    assert_eq!(
        format!("{:?}", error.await.unwrap_err()),
        format!("{lost:?}")
    );
}

#[tokio::test(start_paused = true)]
async fn a_set_is_taken_in_the_order_of_the_names() {
    let store = Scripted::default();
    let locks = Locks::new(store.clone());
    let other = Locks::new(Arc::clone(&store.store));
    let held = other.acquire("b").await.unwrap();
    let set = tokio::spawn(locks.acquire_all(["c", "b", "a"]).into_future());
    sleep(SECOND).await;
    assert_eq!(store.look("a").await.holders().len(), 1);
    assert!(store.is_empty("c").await);
    drop(held);
    let set = set.await.unwrap().unwrap();
    let names: Vec<&str> = set
        .guards()
        .iter()
        .map(|guard| guard.name().as_str())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(set.release().await.unwrap());
    assert_eq!(store.store.names(), 0);
}

#[tokio::test(start_paused = true)]
async fn philosophers_all_eat() {
    let (store, locks) = memory();
    let tasks: Vec<_> = (0..5_u32)
        .map(|at| {
            let locks = locks.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    let forks = [at, (at + 1) % 5].map(|fork| format!("fork/{fork}"));
                    let set = locks.acquire_all(forks).await.unwrap();
                    sleep(Duration::from_millis(u64::from(at) + 1)).await;
                    assert!(set.release().await.unwrap());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.names(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_set_is_all_or_nothing_within_one_bound() {
    let (store, locks) = memory();
    let held = locks.acquire("c").await.unwrap();
    let also = locks
        .acquire("a")
        .ttl(3 * SECOND)
        .renew(false)
        .await
        .unwrap();
    let began = Instant::now();
    let error = locks
        .acquire_all(["a", "b", "c"])
        .wait(5 * SECOND)
        .await
        .unwrap_err();
    assert!(matches!(error, AcquireError::TimedOut { .. }));
    assert_eq!(began.elapsed(), 5 * SECOND);
    drop((held, also));
    locks.flush().await.unwrap();
    assert_eq!(store.names(), 0);
}

#[tokio::test(start_paused = true)]
async fn members_are_renewed_while_others_are_waited_for() {
    let (_, locks) = memory();
    let held = locks.acquire("b").await.unwrap();
    let set = tokio::spawn(locks.acquire_all(["a", "b"]).ttl(SECOND).into_future());
    sleep(60 * SECOND).await;
    drop(held);
    set.await.unwrap().unwrap().check().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_set_is_begun_anew_if_a_member_was_lost_meanwhile() {
    let (_, locks) = memory();
    let name = LockName::new("a").unwrap();
    let held = locks.acquire("b").await.unwrap();
    let set = tokio::spawn(locks.acquire_all(["a", "b"]).ttl(SECOND).into_future());
    sleep(SECOND).await;
    let inspection = locks.inspect(&name).await.unwrap();
    let token = inspection.holders()[0].pass().token();
    assert!(locks.force_release(&name, token).await.unwrap());
    sleep(SECOND).await;
    drop(held);
    let set = set.await.unwrap().unwrap();
    set.check().unwrap();
    assert!(set.guards()[0].fencing_token() > token);
}

#[tokio::test(start_paused = true)]
async fn a_set_is_lost_when_a_member_is() {
    let (_, locks) = memory();
    let set = locks.acquire_all(["a", "b"]).await.unwrap();
    let name = LockName::new("b").unwrap();
    let token = set.guards()[1].fencing_token();
    assert!(locks.force_release(&name, token).await.unwrap());
    assert_eq!(set.lost().await, Loss::Removed);
    assert_eq!(set.check(), Err(Loss::Removed));
    assert!(!set.release().await.unwrap());
    let none: [&str; 0] = [];
    locks.acquire_all(none).await.unwrap().check().unwrap();
}

#[tokio::test(start_paused = true)]
async fn candidates_lead_one_after_another() {
    let (_, locks) = memory();
    let election = Election::new(&locks, "office").unwrap();
    let mut observer = election.observe();
    assert_eq!(observer.changed().await.unwrap(), None);
    let first = election.campaign("first").await.unwrap();
    let seen = observer.changed().await.unwrap().unwrap();
    assert_eq!((seen.proposal(), seen.term()), ("first", first.term()));
    assert_eq!(election.leader().await.unwrap(), Some(seen));
    let candidate = {
        let election = election.clone();
        tokio::spawn(async move { election.campaign("second").await })
    };
    sleep(SECOND).await;
    assert!(first.resign().await.unwrap());
    let second = candidate.await.unwrap().unwrap();
    let seen = observer.changed().await.unwrap().unwrap();
    assert_eq!((seen.proposal(), seen.term()), ("second", second.term()));
    assert!(second.term() > seen_term_of(&election, "nobody").await);
    drop(second);
    assert_eq!(observer.changed().await.unwrap(), None);
}

/// The lowest term there is, for an office that nobody has held.
async fn seen_term_of(election: &Election, _: &str) -> tripod::lock::FencingToken {
    let leader = election.leader().await.unwrap();
    let term = leader.map_or(0, |leader| leader.term().as_u64() - 1);
    tripod::lock::FencingToken::new(term)
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_is_succeeded() {
    let store = Scripted::default();
    let cut_off = Election::new(&Locks::new(store.clone()), "office").unwrap();
    let other = Election::new(&Locks::new(Arc::clone(&store.store)), "office").unwrap();
    let old = cut_off
        .with_ttl(10 * SECOND)
        .unwrap()
        .campaign("old")
        .await
        .unwrap();
    store
        .on(Verb::Renew, Fate::Hang)
        .on(Verb::Leave, Fate::Hang);
    let new = other.campaign("new").await.unwrap();
    assert_eq!(old.check(), Err(Loss::Expired));
    assert_eq!(old.lost().await, Loss::Expired);
    assert!(new.term() > old.term());
    new.check().unwrap();
}
