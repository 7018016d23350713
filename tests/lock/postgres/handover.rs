//! Who waits is told; and what is left afterwards.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tripod::lock::{LockBackend, Renewed};

use crate::server::postgres::PostgresServer;

use super::{entry, locks, request, server, store};

fn entries(server: &PostgresServer) -> Vec<String> {
    server.query("SELECT count(*) FROM tripod.entry")
}

/// How long a waiter takes to hold after a release.
async fn handed_over(server: &PostgresServer, between: impl AsyncFnOnce()) -> Duration {
    let (one, other) = (locks(server).await, locks(server).await);
    let guard = one.acquire("a/{b} c").metadata("me").await.unwrap();
    let waiter = tokio::spawn(other.acquire("a/{b} c").into_future());
    sleep(Duration::from_millis(300)).await;
    between().await;
    let began = Instant::now();
    assert!(guard.release().await.unwrap());
    let guard = waiter.await.unwrap().unwrap();
    let took = began.elapsed();
    assert!(guard.release().await.unwrap());
    took
}

#[tokio::test]
async fn a_lock_is_handed_over_by_a_notification_and_leaves_nothing() {
    let server = server(&["fsync=off"]).await;
    let took = handed_over(&server, async || {}).await;
    // The poll that is the net under it would come after seconds.
    assert!(took < Duration::from_millis(500), "{took:?}");
    assert_eq!(entries(&server), ["0"]);
    let advisory = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    assert_eq!(server.query(advisory), ["0"]);
}

#[tokio::test]
async fn severed_connections_are_made_anew_and_listen() {
    let server = server(&["fsync=off"]).await;
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE application_name = 'tripod'";
    let took = handed_over(&server, async || {
        let cut: usize = server.query(cut).concat().parse().unwrap();
        assert!(cut >= 4, "{cut}");
        sleep(Duration::from_secs(1)).await;
        let listen = "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^LISTEN'
            AND application_name = 'tripod'";
        assert_eq!(server.query(listen), ["2"]);
    })
    .await;
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[tokio::test]
async fn names_that_nobody_touches_are_swept() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    for count in 0..100 {
        let ttl = Duration::from_millis(if count == 7 { 60_000 } else { 300 });
        let request = request(&format!("once/{count}"), count, ttl);
        let _ = store.enqueue(&request).await.unwrap();
    }
    assert_eq!(entries(&server), ["100"]);
    sleep(Duration::from_secs(1)).await;
    // Every 1024th draw of a fencing token sweeps.
    server.query("SELECT setval('tripod.fencing_token', 1014)");
    for _ in 0..10 {
        let _ = store
            .enqueue(&request("often", 1000, Duration::from_secs(60)))
            .await
            .unwrap();
        store.release(&entry("often", 1000)).await.unwrap();
    }
    assert_eq!(entries(&server), ["1"]);
}

#[tokio::test]
async fn the_sweep_spares_what_is_renewed() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    let ttl = Duration::from_secs(1);
    let _ = store.enqueue(&request("kept", 1, ttl)).await.unwrap();
    for _ in 0..30 {
        sleep(Duration::from_millis(100)).await;
        let renewed = store.renew(&[entry("kept", 1)]).await;
        assert!(matches!(renewed[..], [Ok(Renewed::Alive(_))]));
    }
    server.query("SELECT tripod.sweep(clock_timestamp())");
    assert_eq!(entries(&server), ["1"]);
    sleep(Duration::from_millis(1100)).await;
    server.query("SELECT tripod.sweep(clock_timestamp())");
    assert_eq!(entries(&server), ["0"]);
}

#[tokio::test]
async fn a_renewal_writes_no_index() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    for count in 0..20 {
        let request = request(&format!("{count}"), count, Duration::from_secs(60));
        let _ = store.enqueue(&request).await.unwrap();
    }
    let all: Vec<_> = (0..20)
        .map(|count| entry(&format!("{count}"), count))
        .collect();
    for _ in 0..50 {
        assert!(store.renew(&all).await.iter().all(Result::is_ok));
    }
    // What was counted is told at the latest when its connection ends.
    drop(store);
    sleep(Duration::from_secs(1)).await;
    let updates = "SELECT n_tup_upd, n_tup_upd - n_tup_hot_upd < 50 FROM pg_stat_user_tables
        WHERE relname = 'entry'";
    assert_eq!(server.query(updates), ["1000|t"]);
}

#[tokio::test]
async fn metadata_may_be_any_text() {
    let server = server(&["fsync=off"]).await;
    let locks = locks(&server).await;
    let text = "a\0b|'\\ \u{1F512}";
    let guard = locks.acquire("'); \\x00 --").metadata(text).await.unwrap();
    let seen = locks.inspect(guard.name()).await.unwrap();
    let metadata: Vec<_> = seen
        .holders()
        .iter()
        .map(|held| held.metadata().as_str())
        .collect();
    assert_eq!(metadata, [text]);
}
