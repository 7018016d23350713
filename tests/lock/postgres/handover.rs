//! Who waits is told; and what is left afterwards.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tripod::lock::{Claimed, LockBackend, Locks, PostgresBackend};

use crate::scenario::{FAR, HANGS};
use crate::server::postgres::PostgresServer;

use super::{entry, locks, request, server, store, until};

fn entries(server: &PostgresServer) -> Vec<String> {
    server.query("SELECT count(*) FROM tripod.entry")
}

/// Who waits is told of a release, long before it would look by itself.
async fn is_handed_over(server: &PostgresServer, between: impl AsyncFnOnce()) {
    let (one, other) = (locks(server).await, locks(server).await);
    let acquire = |locks: &Locks| locks.acquire("a/{b} c").ttl(FAR);
    let guard = acquire(&one).metadata("me").await.unwrap();
    let waiter = tokio::spawn(acquire(&other).into_future());
    until(server, "SELECT count(*) = 2 FROM tripod.entry").await;
    between().await;
    assert!(guard.release().await.unwrap());
    let told = timeout(HANGS, waiter).await;
    let guard = told.expect("it is told").unwrap().unwrap();
    assert!(guard.release().await.unwrap());
}

/// Nobody has looked for seconds, so nobody polls.
async fn nobody_looks(server: &PostgresServer) {
    let quiet = "SELECT bool_and(query_start < clock_timestamp() - interval '3 seconds')
        FROM pg_stat_activity WHERE application_name = 'tripod' AND query ~ 'peek|claim|enqueue'";
    until(server, quiet).await;
}

#[tokio::test]
async fn a_lock_is_handed_over_by_a_notification_and_leaves_nothing() {
    let server = server(&["fsync=off"]).await;
    is_handed_over(&server, async || nobody_looks(&server).await).await;
    assert_eq!(entries(&server), ["0"]);
    let advisory = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    assert_eq!(server.query(advisory), ["0"]);
}

#[tokio::test]
async fn severed_connections_are_made_anew_and_listen() {
    let server = server(&["fsync=off"]).await;
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE application_name = 'tripod'";
    is_handed_over(&server, async || {
        let cut: usize = server.query(cut).concat().parse().unwrap();
        assert!(cut >= 4, "{cut}");
        let listen = "SELECT count(*) = 2 FROM pg_stat_activity WHERE query ~ '^LISTEN'
            AND application_name = 'tripod'";
        until(&server, listen).await;
        nobody_looks(&server).await;
    })
    .await;
}

#[tokio::test]
async fn who_cannot_listen_looks_and_goes_on_waiting() {
    let server = server(&["fsync=off"]).await;
    let connect = PostgresBackend::connect(server.url()).without_listening();
    let store = connect.await.unwrap();
    let ttl = Duration::from_secs(60);
    for count in [1, 2] {
        let _ = store.enqueue(&request("a", count, ttl)).await.unwrap();
    }
    let waiter = entry("a", 2);
    let mut changed = store.changed(&waiter);
    let looking = timeout(Duration::from_secs(3), &mut changed).await;
    assert!(looking.is_err(), "nothing has changed");
    assert!(store.release(&entry("a", 1)).await.unwrap());
    timeout(HANGS, changed).await.unwrap().unwrap();
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
async fn a_claim_sweeps_too() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    let ttl = Duration::from_secs(60);
    for (name, count) in [("a", 1), ("a", 2), ("once", 3)] {
        let _ = store.enqueue(&request(name, count, ttl)).await.unwrap();
    }
    server.query("UPDATE tripod.entry SET expires = now() WHERE name = 'once'");
    store.release(&entry("a", 1)).await.unwrap();
    server.query("SELECT setval('tripod.fencing_token', 1023)");
    let claimed = store.claim(&entry("a", 2)).await.unwrap();
    assert!(matches!(claimed, Claimed::Granted(_)));
    assert_eq!(entries(&server), ["1"]);
}

#[tokio::test]
async fn the_sweep_spares_what_is_renewed() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    let ttl = Duration::from_secs(60);
    let _ = store.enqueue(&request("kept", 1, ttl)).await.unwrap();
    let end = server.query("SELECT expires FROM tripod.entry").concat();
    let renew = "BEGIN; SELECT tripod.renew(ARRAY['kept'::bytea],
            ARRAY['\\x00000000000000010000000000000001'::bytea]);
        SELECT pg_sleep(3); COMMIT";
    let _renewed = server.meanwhile(renew);
    let sleeps = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until(&server, sleeps).await;
    // As it was before, it is over.
    let sweep = format!("SELECT tripod.sweep('{end}')");
    server.query(&sweep);
    assert_eq!(entries(&server), ["1"]);
    until(
        &server,
        &format!("SELECT expires > '{end}' FROM tripod.entry"),
    )
    .await;
    server.query(&sweep);
    assert_eq!(entries(&server), ["1"]);
    server.query("SELECT tripod.sweep('infinity')");
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
    let updates = "SELECT n_tup_upd = 1000 AND n_tup_upd - n_tup_hot_upd < 50
        FROM pg_stat_user_tables WHERE relname = 'entry'";
    until(&server, updates).await;
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
