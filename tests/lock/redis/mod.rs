//! Locks on Redis, against real servers.
#![allow(clippy::indexing_slicing, reason = "a cluster has three servers")]

mod clock;
mod cluster;
mod connection;
mod secrets;
mod sentinel;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tripod::BoxFuture;
use tripod::lock::conformance::{self, Fixture};
use tripod::lock::{BackendError, BackendErrorKind, LockBackend, LockName, Locks, RedisBackend};

use crate::scenario::{
    FAR, HANGS, acquire_at_last, connected, is_down, is_lost_at_its_deadline, until_renewed,
    until_waiting,
};
use crate::server::redis::RedisServer;
use crate::server::redis_cluster::RedisCluster;

/// What the suite runs on.
enum Servers {
    One(RedisServer),
    Cluster(RedisCluster),
}

impl Fixture for Servers {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn LockBackend>, BackendError>> {
        Box::pin(async move {
            let backend = match self {
                Self::One(server) => RedisBackend::connect(server.url()).await,
                Self::Cluster(cluster) => RedisBackend::connect_cluster(cluster.urls()).await,
            };
            Ok(Arc::new(backend?) as Arc<dyn LockBackend>)
        })
    }

    fn ttl_min(&self) -> Duration {
        // It can do with less; a busy machine needs more for what comes between.
        Duration::from_secs(8)
    }

    fn slack(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn sever<'a>(&'a self, _: &'a Arc<dyn LockBackend>) -> BoxFuture<'a, ()> {
        // No sessions: what nobody renews is over by itself.
        Box::pin(async {})
    }
}

/// At the same time, for they mostly wait.
#[tokio::test]
async fn locks_on_redis_and_on_a_redis_cluster_obey_the_law() {
    let server = Servers::One(RedisServer::start(&[]).await);
    let cluster = Servers::Cluster(RedisCluster::start().await);
    let (one, other) = tokio::join!(conformance::run(&server), conformance::run(&cluster));
    one.into_result().expect("the law, on one server");
    other.into_result().expect("the law, on a cluster");
}

async fn locks(server: &RedisServer) -> Locks {
    Locks::new(connected(|| RedisBackend::connect(server.url())).await)
}

/// Until somebody waits for the lock, and is likely to listen.
async fn until_it_waits(locks: &Locks, name: &str) {
    until_waiting(locks, name, 1).await;
    sleep(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn a_lock_is_handed_over_by_a_message_and_leaves_only_its_counter() {
    let server = RedisServer::start(&[]).await;
    let (one, other) = (locks(&server).await, locks(&server).await);
    let acquire = |locks: &Locks| locks.acquire("a/{b} c").ttl(FAR);
    let guard = acquire(&one).metadata("me").await.unwrap();
    let waiter = tokio::spawn(acquire(&other).into_future());
    until_it_waits(&one, "a/{b} c").await;
    assert!(guard.release().await.unwrap());
    let told = timeout(HANGS, waiter).await;
    let guard = told.expect("it is told").unwrap().unwrap();
    assert!(guard.release().await.unwrap());
    assert_eq!(server.ask("KEYS *"), "tripod:{a/%7Bb%7D%20c}");
    assert_eq!(server.ask("HKEYS tripod:{a/%7Bb%7D%20c}"), "t");
    let lives: i64 = server.ask("TTL tripod:{a/%7Bb%7D%20c}").parse().unwrap();
    assert!((86_400..=172_801).contains(&lives), "{lives}");
}

#[tokio::test]
async fn metadata_is_kept_whatever_is_in_it() {
    let server = RedisServer::start(&[]).await;
    let locks = locks(&server).await;
    let (name, told) = (LockName::new("a").unwrap(), "h|x|\0|\r\n|'é%s");
    let held = locks.acquire(&name).ttl(Duration::from_secs(6));
    let held = held.metadata(told).await.unwrap();
    let waiter = locks.acquire(&name).metadata(told).into_future();
    let waiter = tokio::spawn(waiter);
    until_it_waits(&locks, "a").await;
    until_renewed(&locks, 1).await;
    let seen = locks.inspect(&name).await.unwrap();
    let [holder] = seen.holders() else {
        panic!("{seen:?}")
    };
    assert_eq!(holder.metadata().as_str(), told);
    assert_eq!(seen.waiters()[0].metadata().as_str(), told);
    assert!(held.release().await.unwrap());
    let held = waiter.await.unwrap().unwrap();
    let seen = locks.inspect(&name).await.unwrap();
    assert_eq!(seen.holders()[0].metadata().as_str(), told);
    assert!(held.release().await.unwrap());
}

#[tokio::test]
async fn scripts_are_loaded_again_after_they_were_flushed() {
    let server = RedisServer::start(&[]).await;
    let locks = locks(&server).await;
    let guard = locks.acquire("a").await.unwrap();
    assert_eq!(server.ask("SCRIPT FLUSH"), "OK");
    assert!(guard.release().await.unwrap());
}

#[tokio::test]
async fn a_server_that_may_evict_is_refused() {
    let server = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]).await;
    let error = RedisBackend::connect(server.url()).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Rejected);
    assert!(error.source().unwrap().to_string().contains("noeviction"));
}

#[tokio::test]
async fn a_lease_is_lost_at_its_deadline_while_the_server_is_down_and_not_before() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let locks = locks(&server).await;
    let long = locks
        .acquire("long")
        .ttl(Duration::from_secs(300))
        .await
        .unwrap();
    let short = locks
        .acquire("short")
        .ttl(Duration::from_secs(3))
        .await
        .unwrap();
    let (first, second) = (long.fencing_token(), short.fencing_token());
    server.kill();
    is_lost_at_its_deadline(&short).await;
    long.check().unwrap();
    is_down(&locks).await;
    server.restart().await;
    // It connects again by itself, and what was acknowledged is there.
    let again = acquire_at_last(|| locks.acquire("short")).await;
    assert!(again.fencing_token() > second);
    assert!(long.release().await.unwrap(), "it was held throughout");
    assert!(locks.acquire("long").await.unwrap().fencing_token() > first);
}
