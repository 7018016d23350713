//! How leases are renewed, and how they are lost.

use std::time::Duration;

use tokio::time::{Instant, advance, sleep};
use tripod::lock::{BackendErrorKind, LockName, Locks, Loss, Verb};

use crate::scripted::{AT_ONCE, Fate, Scripted};

const SECOND: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(10);
/// 1 % and 2 ms early.
const DEADLINE: Duration = Duration::from_millis(9_898);

fn scripted() -> (Scripted, Locks) {
    let store = Scripted::default();
    (store.clone(), Locks::new(store))
}

#[tokio::test(start_paused = true)]
async fn the_loss_fires_at_the_deadline_while_a_renewal_hangs() {
    for fate in [
        Fate::Hang,
        Fate::HangAfter,
        Fate::Fail(BackendErrorKind::Unavailable),
        Fate::FailAfter(BackendErrorKind::Indeterminate),
        Fate::Answer(Duration::ZERO, TTL),
    ] {
        let (store, locks) = scripted();
        store.on(Verb::Renew, fate);
        let began = Instant::now();
        let guard = locks.acquire("a").ttl(TTL).await.unwrap();
        let cancelled = guard.cancellation_token();
        sleep(Duration::from_millis(9_897)).await;
        guard.check().unwrap();
        assert!(!cancelled.is_cancelled());
        assert_eq!(guard.remaining(), Duration::from_millis(1));
        cancelled.cancelled().await;
        assert_eq!(began.elapsed(), DEADLINE, "{fate:?}");
        assert_eq!(guard.lost().await, Loss::Expired);
        assert_eq!(guard.check(), Err(Loss::Expired));
        assert_eq!(guard.remaining(), Duration::ZERO);
        assert_eq!(locks.stats().expired, 1);
        assert!(locks.stats().renewals_failed >= 2, "it was tried again");
        // What is lost stays lost, though the store may be had again.
        store.on(Verb::Renew, AT_ONCE);
        sleep(TTL).await;
        assert_eq!(guard.check(), Err(Loss::Expired));
        assert_eq!(locks.stats().held, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_that_pass_lose_nothing() {
    let (store, locks) = scripted();
    let guard = locks.acquire("a").ttl(TTL).await.unwrap();
    for _ in 0..5 {
        store.on(
            Verb::Renew,
            Fate::FailAfter(BackendErrorKind::Indeterminate),
        );
        sleep(3 * SECOND).await;
        store.on(Verb::Renew, Fate::Hang);
        sleep(SECOND).await;
        store.on(Verb::Renew, AT_ONCE);
        sleep(6 * SECOND).await;
        guard.check().unwrap();
    }
    assert!(guard.release().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_renewal_moves_the_deadline_by_when_it_was_sent() {
    let (store, locks) = scripted();
    // The request is taken on arrival, and the answer is two seconds under way.
    store.on(Verb::Renew, Fate::Answer(Duration::ZERO, 2 * SECOND));
    let guard = locks.acquire("a").ttl(TTL).await.unwrap();
    while store.calls(Verb::Renew).is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    let (sent, _) = store.calls(Verb::Renew)[0];
    sleep(2 * SECOND + Duration::from_millis(5)).await;
    assert_eq!(Instant::now() + guard.remaining(), sent + DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn without_renewal_the_lock_is_lost_at_its_deadline_and_freed() {
    let (store, locks) = scripted();
    let guard = locks.acquire("a").ttl(TTL).renew(false).await.unwrap();
    let began = Instant::now();
    assert_eq!(guard.lost().await, Loss::Expired);
    assert_eq!(began.elapsed(), DEADLINE);
    // The task notices in the same instant.
    sleep(Duration::from_millis(1)).await;
    locks.flush().await.unwrap();
    assert!(store.is_empty("a").await);
    assert_eq!(store.calls(Verb::Renew), []);
    assert!(!guard.release().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_forced_release_is_noticed_within_a_renewal_interval() {
    let (_, locks) = scripted();
    let name = LockName::new("a").unwrap();
    let guard = locks.acquire(&name).ttl(TTL).await.unwrap();
    sleep(SECOND).await;
    assert!(
        locks
            .force_release(&name, guard.fencing_token())
            .await
            .unwrap()
    );
    let began = Instant::now();
    assert_eq!(guard.lost().await, Loss::Removed);
    assert!(began.elapsed() <= TTL / 3);
    assert_eq!(guard.check(), Err(Loss::Removed));
    assert!(
        guard.cancellation_token().is_cancelled(),
        "one that is asked for late is"
    );
    assert_eq!(locks.stats().removed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_paused_knows_at_once() {
    let (_, locks) = scripted();
    let guard = locks.acquire("a").ttl(TTL).await.unwrap();
    // No task ran meanwhile.
    advance(TTL).await;
    assert_eq!(guard.check(), Err(Loss::Expired));
    assert_eq!(guard.lost().await, Loss::Expired);
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_the_deadline_revives_nothing() {
    let (store, locks) = scripted();
    store.on(Verb::Renew, Fate::Answer(Duration::ZERO, 2 * SECOND));
    let guard = locks.acquire("a").ttl(TTL).await.unwrap();
    while store.calls(Verb::Renew).is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    // The answer and the deadline are both there when the task runs again.
    advance(TTL).await;
    assert_eq!(guard.check(), Err(Loss::Expired));
    sleep(SECOND).await;
    assert_eq!(guard.check(), Err(Loss::Expired));
}

#[test]
fn a_guard_whose_runtime_ended_is_lost_at_its_deadline_elsewhere() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (_, locks) = scripted();
    let first = runtime();
    let ttl = Duration::from_millis(60);
    let guard = first
        .block_on(locks.acquire("a").ttl(ttl).into_future())
        .unwrap();
    drop(first);
    assert_eq!(runtime().block_on(guard.lost()), Loss::Expired);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_leases_are_renewed_by_one_task_and_not_in_one_burst() {
    let (store, locks) = scripted();
    let runtime = tokio::runtime::Handle::current();
    let mut guards = Vec::new();
    for at in 0..10_000 {
        guards.push(
            locks
                .acquire(format!("lock/{at}"))
                .ttl(12 * SECOND)
                .await
                .unwrap(),
        );
    }
    assert_eq!(
        runtime.metrics().num_alive_tasks(),
        2,
        "one renews, one cleans up"
    );
    let began = Instant::now();
    sleep(20 * SECOND).await;
    for guard in &guards {
        guard.check().unwrap();
    }
    assert_eq!(runtime.metrics().num_alive_tasks(), 2);
    let calls = store.calls(Verb::Renew);
    let renewed: usize = calls.iter().map(|(_, entries)| entries).sum();
    // Every three to four seconds each.
    assert!((50_000..=67_000).contains(&renewed), "{renewed}");
    assert!(calls.iter().all(|(_, entries)| *entries <= 128));
    // A second of renewals, the window, has none of its tenths much above its share.
    let mut tenths = [0; 200];
    for (at, entries) in &calls {
        let tenth = at.duration_since(began).as_millis() / 100;
        tenths[usize::try_from(tenth).unwrap().min(199)] += entries;
    }
    let most = tenths.iter().max().unwrap();
    assert!(*most <= 1_200, "{most} of 10,000 in a tenth of a second");
    assert_eq!(locks.stats().held, 10_000);
    drop(guards);
    locks.flush().await.unwrap();
    assert_eq!(store.store.names(), 0);
    assert_eq!(locks.stats().held, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_a_day_does_not_keep_a_short_one_waiting() {
    let (store, locks) = scripted();
    store.on(
        Verb::Renew,
        Fate::Answer(Duration::ZERO, Duration::from_millis(5)),
    );
    let _long = locks.acquire("long").ttl(24 * 3600 * SECOND).await.unwrap();
    sleep(7 * 3600 * SECOND).await;
    let short = locks
        .acquire("short")
        .ttl(Duration::from_millis(30))
        .await
        .unwrap();
    sleep(2 * 3600 * Duration::from_millis(20)).await;
    short.check().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_tasks_end_with_the_last_handle_and_guard() {
    let (store, locks) = scripted();
    let runtime = tokio::runtime::Handle::current();
    let guard = locks.acquire("a").await.unwrap();
    drop(locks);
    sleep(60 * SECOND).await;
    guard.check().unwrap();
    assert_eq!(runtime.metrics().num_alive_tasks(), 2);
    drop(guard);
    sleep(SECOND).await;
    assert!(store.is_empty("a").await);
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
}
