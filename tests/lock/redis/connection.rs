//! How a connection is lost and made again.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tripod::lock::{AcquireError, BackendErrorKind, Locks, RedisBackend};

use super::{locks, until_it_waits};
use crate::scenario::{FAR, HANGS, acquire_at_last, is_lost_at_its_deadline, is_transient};
use crate::server::redis::RedisServer;
use crate::told::told;

const SECOND: Duration = Duration::from_secs(1);

/// Calls fail for so long, each by itself, and with this as the reason.
async fn fails_for(locks: &Locks, time: Duration, reason: &str) {
    let began = Instant::now();
    let mut said = String::new();
    while began.elapsed() < time {
        let failed = timeout(HANGS, locks.try_acquire("fails")).await;
        let error = failed.expect("it ends").unwrap_err();
        let AcquireError::Store(error) = error else {
            panic!("{error:?}")
        };
        assert!(is_transient(&error), "{error:?}");
        said += &told(&error);
    }
    assert!(said.contains(reason), "{said}");
}

#[tokio::test]
async fn a_server_that_is_full_for_a_while_is_connected_to_again() {
    let server = RedisServer::start(&[]).await;
    let locks = locks(&server).await;
    // Takes the one place there is.
    let client = redis::Client::open(server.url()).unwrap();
    let mut only = client.get_multiplexed_async_connection().await.unwrap();
    for command in ["CONFIG SET maxclients 1", "CLIENT KILL TYPE pubsub"] {
        let words: Vec<&str> = command.split(' ').collect();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.exec_async(&mut only).await.unwrap();
    }
    // It is told so, or cut off before it hears it.
    fails_for(&locks, 9 * SECOND, "").await;
    drop(only);
    drop(acquire_at_last(|| locks.acquire("a")).await);
}

#[tokio::test]
async fn a_password_that_is_wrong_for_a_while_does_not_matter_later() {
    let server = RedisServer::start(&["--requirepass", "canary-right"]).await;
    let url = server.url_of_user("canary-right");
    let locks = Locks::new(RedisBackend::connect(url).await.unwrap());
    let server = server.with_password("canary-right");
    assert_eq!(server.ask("CONFIG SET requirepass canary-other"), "OK");
    let server = server.with_password("canary-other");
    server.ask("CLIENT KILL TYPE pubsub");
    fails_for(&locks, 9 * SECOND, "WRONGPASS").await;
    assert_eq!(server.ask("CONFIG SET requirepass canary-right"), "OK");
    drop(acquire_at_last(|| locks.acquire("a")).await);
}

#[tokio::test]
async fn a_server_that_became_a_replica_is_not_written_to() {
    let (server, other) = (RedisServer::start(&[]).await, RedisServer::start(&[]).await);
    let locks = locks(&server).await;
    drop(locks.acquire("a").await.unwrap());
    locks.flush().await.unwrap();
    let follow = format!("REPLICAOF 127.0.0.1 {}", other.port());
    assert_eq!(server.ask(&follow), "OK");
    // The server lets its clients be. The first call finds out, later ones do not ask it any more.
    let error = locks.try_acquire("a").await.unwrap_err();
    let AcquireError::Store(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error:?}");
    assert!(told(&error).contains("read only replica"), "{error:?}");
    fails_for(&locks, 3 * SECOND, "the server is a replica").await;
    assert_eq!(server.ask("REPLICAOF NO ONE"), "OK");
    drop(acquire_at_last(|| locks.acquire("a")).await);
}

#[tokio::test]
async fn a_server_that_hangs_costs_a_call_its_time_and_a_lease_its_deadline() {
    let server = RedisServer::start(&[]).await;
    let locks = locks(&server).await;
    let short = locks.acquire("short").ttl(5 * SECOND).await.unwrap();
    let long = locks.acquire("long").ttl(FAR).await.unwrap();
    server.pause();
    let fails = fails_for(&locks, 5 * SECOND, "");
    tokio::join!(fails, is_lost_at_its_deadline(&short));
    server.resume();
    drop(acquire_at_last(|| locks.acquire("again")).await);
    assert!(long.release().await.unwrap(), "it was held throughout");
}

#[tokio::test]
async fn a_subscription_that_is_cut_off_is_made_again_and_what_was_missed_is_looked_for() {
    let server = RedisServer::start(&[]).await;
    let (one, other) = (locks(&server).await, locks(&server).await);
    for round in 0..3 {
        let guard = one.acquire("a").ttl(FAR).await.unwrap();
        let waiter = tokio::spawn(other.acquire("a").ttl(FAR).into_future());
        until_it_waits(&one, "a").await;
        // Released while nobody hears it.
        server.ask("CLIENT KILL TYPE pubsub");
        drop(guard);
        let told = timeout(HANGS, waiter).await;
        let told = told.unwrap_or_else(|_| panic!("it is not told in round {round}"));
        drop(told.unwrap().unwrap());
    }
}

#[test]
fn a_store_outlives_the_runtime_that_it_was_connected_in() {
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let first = runtime();
    let (server, locks) = first.block_on(async {
        let server = RedisServer::start(&[]).await;
        let locks = locks(&server).await;
        drop(locks.acquire("a").await.unwrap());
        (server, locks)
    });
    drop(first);
    runtime().block_on(async {
        drop(acquire_at_last(|| locks.acquire("a")).await);
        let held = locks.acquire("b").await.unwrap();
        assert!(held.release().await.unwrap());
    });
    drop(server);
}

#[tokio::test]
async fn what_cannot_keep_locks_is_refused_at_once() {
    let member = RedisServer::start(&["--cluster-enabled", "yes"]).await;
    let error = RedisBackend::connect(member.url()).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Rejected);
    assert!(told(&error).contains("part of a cluster"), "{error:?}");
    let alone = RedisServer::start(&[]).await;
    let error = RedisBackend::connect_cluster([alone.url()])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Rejected);
    let error = RedisBackend::connect("redis://127.0.0.1:1")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable);
    // Something that accepts connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let failed = timeout(HANGS, RedisBackend::connect(url).into_future()).await;
    let error = failed.expect("it ends").unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable);
}

#[tokio::test]
async fn a_key_of_somebody_else_is_told_as_damage() {
    let server = RedisServer::start(&[]).await;
    let locks = locks(&server).await;
    server.ask("SET tripod:{a} nonsense");
    let error = locks.try_acquire("a").await.unwrap_err();
    let AcquireError::Store(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.kind(), BackendErrorKind::Corrupt, "{error:?}");
}
