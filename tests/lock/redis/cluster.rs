//! Locks on a cluster.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tripod::lock::{
    AcquireError, BackendErrorKind, Entry, HolderId, LockBackend, LockName, Locks, RedisBackend,
    Renewed, Request,
};

use super::until_it_waits;
use crate::scenario::{
    FAR, HANGS, acquire_at_last, acquire_contend_lose_release, is_lost_at_its_deadline,
};
use crate::server::redis_cluster::RedisCluster;
use crate::told::told;

const SECOND: Duration = Duration::from_secs(1);

async fn store(cluster: &RedisCluster) -> RedisBackend {
    RedisBackend::connect_cluster(cluster.urls()).await.unwrap()
}

async fn locks(cluster: &RedisCluster) -> Locks {
    Locks::new(store(cluster).await)
}

/// A lock of this name is handed over by a message: long before anybody would look.
async fn is_handed_over(one: &Locks, other: &Locks, name: &str) {
    let guard = acquire_at_last(|| one.acquire(name).ttl(FAR)).await;
    let waiter = tokio::spawn(other.acquire(name).ttl(FAR).into_future());
    until_it_waits(one, name).await;
    assert!(guard.release().await.unwrap());
    let told = timeout(HANGS, waiter).await;
    let guard = told.expect("it is told").unwrap().unwrap();
    assert!(guard.release().await.unwrap());
}

#[tokio::test]
async fn locks_on_every_server_of_a_cluster_work_and_survive_a_flush_of_scripts() {
    let cluster = RedisCluster::start().await;
    let (one, other) = (locks(&cluster).await, locks(&cluster).await);
    acquire_contend_lose_release(&one, &other).await;
    for (at, server) in cluster.servers.iter().enumerate() {
        for name in cluster.names(at, 2) {
            is_handed_over(&one, &other, &name).await;
            let guard = one.acquire(&name).await.unwrap();
            assert_eq!(server.ask("SCRIPT FLUSH"), "OK");
            assert!(guard.release().await.unwrap());
        }
    }
}

#[tokio::test]
async fn a_server_that_hangs_does_not_delay_renewals_at_the_others() {
    let cluster = RedisCluster::start().await;
    let store = store(&cluster).await;
    let mut entries = Vec::new();
    for at in 0..3 {
        for name in cluster.names(at, 20) {
            let name = LockName::new(name).unwrap();
            let entry = Entry::new(name, HolderId::new(at as u64, entries.len() as u64));
            let request = Request::new(entry.clone(), FAR).unwrap();
            let _ = store.enqueue(&request).await.unwrap();
            entries.push(entry);
        }
    }
    // In no order.
    entries.sort_by_key(|entry| entry.holder().as_u128() % 7);
    let owner = |entry: &Entry| entry.holder().as_u128() >> 64;
    cluster.servers[1].pause();
    let began = Instant::now();
    let mut renewed = vec![0; entries.len()];
    for round in 0.. {
        let answers = store.renew(&entries).await;
        for ((entry, answer), renewed) in entries.iter().zip(&answers).zip(&mut renewed) {
            match answer {
                Ok(Renewed::Alive(_)) => {
                    assert_ne!(owner(entry), 1);
                    *renewed += 1;
                }
                Ok(Renewed::Gone) => panic!("{entry:?}"),
                // Not that nothing came in time: that would be said after all of it.
                Err(error) => {
                    assert_eq!(error.kind(), BackendErrorKind::Indeterminate);
                    let told = told(error);
                    assert!(told.contains("has not answered yet"), "{round}: {told}");
                }
            }
        }
        if round == 0 {
            let given = began.elapsed();
            assert!(given >= SECOND / 70, "it was given no time: {given:?}");
        }
        // A busy machine may keep another waiting too, now and then.
        let enough = |(entry, renewed): (&Entry, &i32)| owner(entry) == 1 || *renewed >= 8;
        if entries.iter().zip(&renewed).all(enough) {
            break;
        }
        assert!(began.elapsed() < HANGS, "some are not renewed: {renewed:?}");
        sleep(Duration::from_millis(10)).await;
    }
    cluster.servers[1].resume();
    let answered = async {
        while store.renew(&entries).await.iter().any(Result::is_err) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(HANGS, answered).await.expect("it is asked again");
}

#[tokio::test]
async fn leases_survive_that_another_server_hangs() {
    let cluster = RedisCluster::start().await;
    let locks = locks(&cluster).await;
    let names = [0, 1, 2].map(|at| cluster.names(at, 30));
    let mut guards = Vec::new();
    for (at, names) in names.iter().enumerate() {
        for name in names {
            let guard = locks.acquire(name).ttl(6 * SECOND).await.unwrap();
            guards.push((at, guard));
        }
    }
    cluster.servers[2].pause();
    let (theirs, others): (Vec<_>, Vec<_>) = guards.iter().partition(|(at, _)| *at == 2);
    // Each of these was granted before those of the server that hangs.
    for (_, guard) in theirs {
        is_lost_at_its_deadline(guard).await;
    }
    for (at, guard) in others {
        assert!(guard.check().is_ok(), "server {at}: {guard:?}");
    }
    cluster.servers[2].resume();
}

#[tokio::test]
async fn a_hand_over_is_told_after_the_server_with_the_subscription_is_lost() {
    let mut cluster = RedisCluster::start().await;
    let one = locks(&cluster).await;
    // One subscription, so that its carrier is the waiter's.
    let other = one.clone();
    let name = cluster.names(0, 1).remove(0);
    is_handed_over(&one, &other, &name).await;
    for server in &cluster.servers {
        server.ask("CLIENT KILL TYPE pubsub");
    }
    sleep(SECOND).await;
    is_handed_over(&one, &other, &name).await;
    let is_told = |at: &usize| !cluster.servers[*at].ask("PUBSUB CHANNELS").is_empty();
    let carrier = (0..3).find(is_told).unwrap();
    let name = cluster.names((carrier + 1) % 3, 1).remove(0);
    cluster.servers[carrier].kill();
    sleep(3 * SECOND).await;
    is_handed_over(&one, &other, &name).await;
}

#[tokio::test]
async fn every_master_is_looked_at_for_eviction() {
    let cluster = RedisCluster::start().await;
    for server in &cluster.servers {
        server.ask("CONFIG SET maxmemory-policy allkeys-lru");
        // Not one of them, at random.
        for _ in 0..4 {
            let error = RedisBackend::connect_cluster(cluster.urls()).await;
            let error = error.unwrap_err();
            assert_eq!(error.kind(), BackendErrorKind::Rejected);
            assert!(told(&error).contains("noeviction"), "{error:?}");
        }
        server.ask("CONFIG SET maxmemory-policy noeviction");
    }
    store(&cluster).await;
}

#[tokio::test]
async fn locks_move_to_a_replica_when_their_server_hangs_or_is_killed() {
    let mut cluster = RedisCluster::start().await;
    let replica = cluster.start_replica().await;
    let (one, other) = (locks(&cluster).await, locks(&cluster).await);
    let name = cluster.names(0, 1).remove(0);
    let token = one.acquire(&name).await.unwrap().fencing_token();
    one.flush().await.unwrap();
    cluster.servers[0].pause();
    replica.wait_for("INFO replication", "role:master").await;
    let guard = acquire_at_last(|| one.acquire(&name)).await;
    assert!(guard.fencing_token() > token);
    drop(guard);
    cluster.servers[0].resume();
    cluster.servers[0]
        .wait_for("INFO replication", "role:slave")
        .await;
    let link = "master_link_status:up";
    cluster.servers[0].wait_for("INFO replication", link).await;
    is_handed_over(&one, &other, &name).await;
    // And back again.
    drop(replica);
    cluster.servers[0]
        .wait_for("INFO replication", "role:master")
        .await;
    is_handed_over(&one, &other, &name).await;
    let name = cluster.names(1, 1).remove(0);
    cluster.servers[1].kill();
    let error = one.try_acquire(&name).await.unwrap_err();
    assert!(matches!(error, AcquireError::Store(_)), "{error:?}");
}

#[tokio::test]
async fn a_slot_that_moves_takes_its_locks_along() {
    let cluster = RedisCluster::start().await;
    let (locks, other) = (locks(&cluster).await, locks(&cluster).await);
    let name = cluster.names(0, 1).remove(0);
    let (from, to) = (&cluster.servers[0], &cluster.servers[1]);
    let slot = from.ask(&format!("CLUSTER KEYSLOT {name}"));
    let held = locks.acquire(&name).ttl(FAR).await.unwrap();
    let (from_id, to_id) = (from.ask("CLUSTER MYID"), to.ask("CLUSTER MYID"));
    to.ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"));
    from.ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"));
    let key = format!("tripod:{{{name}}}");
    let there = format!("MIGRATE 127.0.0.1 {} {key} 0 1000", to.port());
    assert!(
        locks.try_acquire(&name).await.unwrap().is_none(),
        "it is held"
    );
    assert_eq!(from.ask(&there), "OK");
    assert!(
        locks.try_acquire(&name).await.unwrap().is_none(),
        "it is held"
    );
    let token = held.fencing_token();
    assert!(held.release().await.unwrap());
    let held = locks.acquire(&name).await.unwrap();
    assert!(held.fencing_token() > token);
    assert!(held.release().await.unwrap());
    is_handed_over(&locks, &other, &name).await;
    let held = locks.acquire(&name).await.unwrap();
    for server in [to, from, &cluster.servers[2]] {
        server.ask(&format!("CLUSTER SETSLOT {slot} NODE {to_id}"));
    }
    assert!(held.release().await.unwrap());
    assert!(locks.try_acquire(&name).await.unwrap().is_some());
}
