//! Locks on Redis when the server's time of day jumps: what is lost, and what the fence still
//! keeps.

use std::time::Duration;

use tokio::time::sleep;
use tripod::lock::{
    AcquireError, Enqueued, Entry, FenceGate, HolderId, LockBackend, LockName, Locks, RedisBackend,
    Request,
};

use crate::scenario::HANGS;
use crate::server::clock::Clock;
use crate::server::redis::RedisServer;

const HOUR: i64 = 3_600;

async fn locks(server: &RedisServer) -> Locks {
    Locks::new(RedisBackend::connect(server.url()).await.unwrap())
}

/// Holds the lock `dead`, and never says another word.
async fn enter_and_die(server: &RedisServer, ttl: Duration) {
    let store = RedisBackend::connect(server.url()).await.unwrap();
    let entry = Entry::new(LockName::new("dead").unwrap(), HolderId::new(1, 1));
    let request = Request::new(entry, ttl).unwrap();
    let enqueued = store.enqueue(&request).await.unwrap();
    assert!(matches!(enqueued, Enqueued::Granted(_)));
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_ends_leases_and_the_fence_refuses_whose_lease_it_ended() {
    let clock = Clock::new();
    let server = RedisServer::start_with_clock(&[], &clock).await;
    let (one, other) = (locks(&server).await, locks(&server).await);
    let mut account = FenceGate::new(0);
    let first = one.acquire("a").renew(false).await.unwrap();
    account
        .write(first.pass(), |balance| *balance += 1)
        .unwrap();
    clock.set(HOUR);
    let second = other.acquire("a").await.unwrap();
    // This is what a clock that jumps costs: both believe.
    first.check().unwrap();
    second.check().unwrap();
    assert!(second.fencing_token() > first.fencing_token());
    account
        .write(second.pass(), |balance| *balance += 1)
        .unwrap();
    account.write(first.pass(), |_| ()).unwrap_err();
}

#[tokio::test]
async fn a_clock_that_jumps_back_holds_leases_for_as_long_and_fencing_tokens_still_rise() {
    let clock = Clock::new();
    let server = RedisServer::start_with_clock(&[], &clock).await;
    let (one, other) = (locks(&server).await, locks(&server).await);
    let ttl = Duration::from_secs(1);
    enter_and_die(&server, ttl).await;
    let free = one.acquire("free").await.unwrap();
    let before = free.fencing_token();
    assert!(free.release().await.unwrap());
    clock.set(-HOUR);
    sleep(ttl).await;
    // By the server's clock the lease has an hour to go.
    let waited = other.acquire("dead").wait(2 * ttl).await;
    assert!(
        matches!(waited, Err(AcquireError::TimedOut { .. })),
        "{waited:?}"
    );
    let after = other.acquire("free").await.unwrap().fencing_token();
    assert!(after > before);
    clock.set(0);
    sleep(ttl).await;
    drop(other.acquire("dead").wait(HANGS).await.unwrap());
}

#[tokio::test]
async fn after_a_jump_back_and_a_loss_nobody_writes_below_the_fence() {
    let clock = Clock::new();
    // It keeps nothing.
    let mut server = RedisServer::start_with_clock(&["--appendonly", "no"], &clock).await;
    let mut account = FenceGate::new(0);
    let before = locks(&server).await.acquire("a").await.unwrap();
    account
        .write(before.pass(), |balance| *balance += 1)
        .unwrap();
    clock.set(-HOUR);
    server.restart().await;
    let locks = locks(&server).await;
    let after = locks.acquire("a").await.unwrap();
    // Fencing tokens went back: the fence keeps the resource safe, and out of reach until the
    // clock has caught up.
    assert!(after.fencing_token() < before.fencing_token());
    account.write(after.pass(), |_| ()).unwrap_err();
    assert!(after.release().await.unwrap());
    clock.set(1);
    let again = locks.acquire("a").await.unwrap();
    account
        .write(again.pass(), |balance| *balance += 1)
        .unwrap();
    assert_eq!(*account.read(), 2);
}
