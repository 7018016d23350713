//! Locks on Redis, against a real server.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tripod::BoxFuture;
use tripod::lock::conformance::{self, Fixture};
use tripod::lock::{
    AcquireError, BackendError, BackendErrorKind, LockBackend, Locks, Loss, RedisBackend,
};

use crate::server::redis::{RedisCluster, RedisServer};

/// What the suite runs on.
enum Servers {
    One(RedisServer),
    Cluster(RedisCluster),
}

impl Fixture for Servers {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn LockBackend>, BackendError>> {
        Box::pin(async move {
            let backend = match self {
                Self::One(server) => RedisBackend::connect(&server.url()).await,
                Self::Cluster(cluster) => RedisBackend::connect_cluster(cluster.urls()).await,
            };
            Ok(Arc::new(backend?) as Arc<dyn LockBackend>)
        })
    }

    fn ttl_min(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn slack(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn sever<'a>(&'a self, _: &'a Arc<dyn LockBackend>) -> BoxFuture<'a, ()> {
        // No sessions: what nobody renews is over by itself.
        Box::pin(async {})
    }
}

#[tokio::test]
async fn locks_on_redis_obey_the_law() {
    let server = Servers::One(RedisServer::start(&[]).await);
    conformance::run(&server).await.into_result().unwrap();
}

#[tokio::test]
async fn locks_on_a_redis_cluster_obey_the_law() {
    let cluster = Servers::Cluster(RedisCluster::start().await);
    conformance::run(&cluster).await.into_result().unwrap();
}

async fn locks(server: &RedisServer) -> Locks {
    Locks::new(RedisBackend::connect(&server.url()).await.unwrap())
}

async fn ask<T: redis::FromRedisValue>(server: &RedisServer, command: &str) -> T {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut words = command.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    for word in words {
        command.arg(word);
    }
    command.query_async(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_lock_is_handed_over_by_a_message_and_leaves_only_its_counter() {
    let server = RedisServer::start(&[]).await;
    let (one, other) = (locks(&server).await, locks(&server).await);
    let guard = one.acquire("a/{b} c").metadata("me").await.unwrap();
    let waiter = tokio::spawn(other.acquire("a/{b} c").into_future());
    sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    assert!(guard.release().await.unwrap());
    let guard = waiter.await.unwrap().unwrap();
    // The poll that is the net under it would come after seconds.
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(guard.release().await.unwrap());
    let keys: Vec<String> = ask(&server, "KEYS *").await;
    assert_eq!(keys, ["tripod:{a/%7Bb%7D%20c}:t"]);
    let lives: i64 = ask(&server, "TTL tripod:{a/%7Bb%7D%20c}:t").await;
    assert!((86_000..=86_401).contains(&lives), "{lives}");
}

#[tokio::test]
async fn scripts_are_loaded_again_after_they_were_flushed() {
    let server = RedisServer::start(&[]).await;
    let locks = locks(&server).await;
    let guard = locks.acquire("a").await.unwrap();
    let () = ask(&server, "SCRIPT FLUSH").await;
    assert!(guard.release().await.unwrap());
}

#[tokio::test]
async fn a_server_that_may_evict_is_refused() {
    let server = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]).await;
    let error = RedisBackend::connect(&server.url()).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Rejected);
    assert!(error.source().unwrap().to_string().contains("noeviction"));
}

#[tokio::test]
async fn passwords_are_told_to_nobody() {
    let server = RedisServer::start(&["--requirepass", "canary-right"]).await;
    let store = RedisBackend::connect(&server.url_of_user("canary-right"))
        .await
        .unwrap();
    assert!(!format!("{store:?}").contains("canary"));
    let locks = Locks::new(store);
    let guard = locks.acquire("a").await.unwrap();
    assert!(!format!("{locks:?} {guard:?}").contains("canary"));
    for url in [server.url_of_user("canary-wrong"), server.url()] {
        let error = RedisBackend::connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Rejected, "{error:?}");
        let told = format!("{error:?} {error} {}", error.source().unwrap());
        assert!(!told.contains("canary"), "{told}");
    }
    let error = RedisBackend::connect("nonsense://canary@")
        .await
        .unwrap_err();
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn a_lease_is_lost_at_its_deadline_while_the_server_is_down_and_not_before() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let locks = locks(&server).await;
    let long = locks
        .acquire("long")
        .ttl(Duration::from_secs(20))
        .await
        .unwrap();
    let short = locks
        .acquire("short")
        .ttl(Duration::from_secs(3))
        .await
        .unwrap();
    let (first, second) = (long.fencing_token(), short.fencing_token());
    server.kill();
    let began = Instant::now();
    assert_eq!(short.lost().await, Loss::Expired);
    assert!(began.elapsed() < Duration::from_secs(5));
    long.check().unwrap();
    let error = locks.try_acquire("other").await.unwrap_err();
    let AcquireError::Store(error) = error else {
        panic!("{error:?}")
    };
    assert!(matches!(
        error.kind(),
        BackendErrorKind::Unavailable | BackendErrorKind::Indeterminate
    ));
    server.restart().await;
    // It connects again by itself, and what was acknowledged is there.
    let again = loop {
        match locks.acquire("short").wait(Duration::from_secs(10)).await {
            Ok(guard) => break guard,
            Err(AcquireError::Store(_)) => sleep(Duration::from_millis(100)).await,
            Err(error) => panic!("{error:?}"),
        }
    };
    assert!(again.fencing_token() > second);
    assert!(long.release().await.unwrap(), "it was held throughout");
    assert!(locks.acquire("long").await.unwrap().fencing_token() > first);
}
