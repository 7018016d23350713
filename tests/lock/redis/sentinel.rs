//! Locks on the master that sentinels name.

use tripod::lock::{Locks, RedisBackend};

use crate::scenario::{acquire_at_last, acquire_contend_lose_release};
use crate::server::redis_sentinel::{DATA_PASSWORD, MASTER, RedisSentinels};

async fn locks(all: &RedisSentinels) -> Locks {
    let mut urls = all.urls();
    // One that nobody answers at does not matter.
    urls.insert(0, "redis://127.0.0.1:1".to_owned());
    let store = RedisBackend::connect_sentinel(urls, MASTER);
    Locks::new(store.credentials("default", DATA_PASSWORD).await.unwrap())
}

#[tokio::test]
async fn locks_move_to_the_new_master_when_the_old_one_is_killed() {
    let mut all = RedisSentinels::start().await;
    let (one, other) = (locks(&all).await, locks(&all).await);
    acquire_contend_lose_release(&one, &other).await;
    let token = one.acquire("a").await.unwrap().fencing_token();
    one.flush().await.unwrap();
    all.master.kill();
    all.wait_for_failover().await;
    // The new master knows no script yet.
    let guard = acquire_at_last(|| one.acquire("a")).await;
    assert!(guard.fencing_token() > token);
    assert!(guard.release().await.unwrap());
    drop(acquire_at_last(|| other.acquire("b")).await);
    acquire_contend_lose_release(&one, &other).await;
    // The old one comes back, and nobody goes back to it.
    all.master.restart().await;
    all.master.wait_for("INFO replication", "role:slave").await;
    acquire_contend_lose_release(&one, &locks(&all).await).await;
}

#[tokio::test]
async fn a_master_that_hangs_is_left_for_its_successor() {
    let all = RedisSentinels::start().await;
    let (one, other) = (locks(&all).await, locks(&all).await);
    let guard = one.acquire("a").await.unwrap();
    let token = guard.fencing_token();
    drop(guard);
    one.flush().await.unwrap();
    all.master.pause();
    all.wait_for_failover().await;
    assert!(acquire_at_last(|| one.acquire("a")).await.fencing_token() > token);
    all.master.resume();
    acquire_contend_lose_release(&one, &other).await;
    all.master.wait_for("INFO replication", "role:slave").await;
    let keys = all.replica.ask("KEYS *");
    assert!(keys.contains("scenario"), "{keys}");
}
