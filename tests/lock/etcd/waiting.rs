//! Who waits is told, and nobody else.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tripod::lock::{Claimed, Enqueued, Held, LockBackend, Mode};

use super::{backend, claims, granted, lasting, locks, permits, request, until, waits};
use crate::scenario::{FAR, HANGS, until_waiting};
use crate::server::etcd::EtcdServer;

#[tokio::test]
async fn a_lock_is_handed_over_by_notification_and_leaves_nothing() {
    let server = EtcdServer::start().await;
    let (one, other) = (locks(&server).await, locks(&server).await);
    let guard = one
        .acquire("a/{b} c")
        .ttl(FAR)
        .metadata("me")
        .await
        .unwrap();
    let waiter = tokio::spawn(other.acquire("a/{b} c").ttl(FAR).into_future());
    until_waiting(&one, "a/{b} c", 1).await;
    assert!(guard.release().await.unwrap());
    let told = timeout(HANGS, waiter).await;
    let guard = told.expect("it is told").unwrap().unwrap();
    assert!(guard.release().await.unwrap());
    assert_eq!(server.keys().await, [""; 0]);
    drop((one, other));
    let leases = async || server.client(None).await.leases().await.unwrap();
    until("leases are revoked", async || {
        leases().await.leases().is_empty()
    })
    .await;
}

#[tokio::test]
async fn an_uncontended_acquisition_is_one_transaction_and_its_release_another() {
    let server = EtcdServer::start().await;
    let locks = locks(&server).await;
    // The lease is there from now on.
    locks.acquire("a").await.unwrap().release().await.unwrap();
    let requests = async || server.counted("grpc_server_started_total", "").await;
    let renewals = async || {
        server
            .counted("grpc_server_started_total", "LeaseKeepAlive")
            .await
    };
    let before = requests().await - renewals().await;
    for _ in 0..10 {
        let guard = locks.acquire("a").await.unwrap();
        assert!(guard.release().await.unwrap());
    }
    let taken = requests().await - renewals().await - before;
    assert!(
        (20.0..21.0).contains(&taken),
        "{taken} requests for 10 times two"
    );
}

#[tokio::test]
async fn a_release_wakes_one_exclusive_waiter_of_many() {
    let server = EtcdServer::start().await;
    let backend = Arc::new(backend(&server).await);
    let holder = lasting(1, 60);
    granted(&backend, &holder).await;
    let (woken, mut listening) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for id in 2..12 {
        let waiter = lasting(id, 60);
        waits(&backend, &waiter).await;
        let (backend, woken) = (Arc::clone(&backend), Arc::clone(&woken));
        listening.spawn(async move {
            backend.changed(waiter.entry()).await.unwrap();
            woken.fetch_add(1, Ordering::Relaxed);
        });
    }
    sleep(Duration::from_millis(500)).await;
    assert_eq!(woken.load(Ordering::Relaxed), 0);
    assert!(backend.release(holder.entry()).await.unwrap());
    until("one is woken", async || woken.load(Ordering::Relaxed) > 0).await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(woken.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_watch_ends_with_the_future_that_asked_for_it() {
    let server = EtcdServer::start().await;
    let backend = backend(&server).await;
    let watches = async || {
        server
            .counted("etcd_debugging_mvcc_watcher_total ", "")
            .await
    };
    granted(&backend, &request(1)).await;
    for id in 2..7 {
        let waiter = request(id);
        waits(&backend, &waiter).await;
        let pause = Duration::from_millis(200);
        assert!(
            timeout(pause, backend.changed(waiter.entry()))
                .await
                .is_err()
        );
    }
    until("watches end", async || watches().await < 0.5).await;
}

#[tokio::test]
async fn a_waiter_is_told_though_the_store_forgot_its_history() {
    let server = EtcdServer::start().await;
    let backend = Arc::new(backend(&server).await);
    let (holder, waiter) = (lasting(1, 60), lasting(2, 60));
    granted(&backend, &holder).await;
    waits(&backend, &waiter).await;
    let mut client = server.client(None).await;
    let put = client.put("other", "", None).await.unwrap();
    let now = put.header().unwrap().revision();
    client.put("other", "", None).await.unwrap();
    client.compact(now + 1, None).await.unwrap();
    let told = tokio::spawn({
        let (backend, waiter) = (Arc::clone(&backend), waiter.clone());
        async move { backend.changed(waiter.entry()).await }
    });
    sleep(Duration::from_millis(300)).await;
    assert!(!told.is_finished());
    assert!(backend.release(holder.entry()).await.unwrap());
    let told = timeout(HANGS, told).await;
    told.expect("it is told").unwrap().unwrap();
    claims(&backend, &waiter).await;
}

#[tokio::test]
async fn the_first_in_line_for_permits_is_told_of_each_that_ends() {
    let server = EtcdServer::start().await;
    let backend = backend(&server).await;
    let all: Vec<_> = (0..4)
        .map(|id| lasting(id, 60).with_mode(permits(1, 4)))
        .collect();
    for one in &all {
        granted(&backend, one).await;
    }
    let first = lasting(4, 60).with_mode(permits(2, 4));
    let second = lasting(5, 60).with_mode(permits(1, 4));
    waits(&backend, &first).await;
    waits(&backend, &second).await;
    let mut last = None;
    for one in all.iter().take(2) {
        let mut told = pin!(backend.changed(first.entry()));
        let early = timeout(Duration::from_millis(500), &mut told).await;
        early.expect_err("nothing ended yet");
        assert!(backend.release(one.entry()).await.unwrap());
        let told = timeout(HANGS, told).await;
        told.expect("it is told").unwrap();
        // Never the one behind before the first.
        let behind = backend.claim(second.entry()).await.unwrap();
        assert!(matches!(behind, Claimed::Waiting(_)), "{behind:?}");
        last = Some(backend.claim(first.entry()).await.unwrap());
    }
    assert!(matches!(last, Some(Claimed::Granted(_))), "{last:?}");
    let seen = backend.inspect(first.entry().name()).await.unwrap();
    let ids: Vec<_> = seen.holders().iter().map(Held::holder).collect();
    assert!(
        ids.contains(&first.entry().holder()) && seen.waiters().len() == 1,
        "{seen:?}"
    );
}

#[tokio::test]
async fn whoever_waits_for_more_holders_than_are_compared_is_granted_when_some_end() {
    let server = EtcdServer::start().await;
    let (backend, all) = (backend(&server).await, 104);
    let one = |id| lasting(id, 60).with_mode(permits(1, all));
    for id in 0..all.into() {
        granted(&backend, &one(id)).await;
    }
    let waiter = one(1_000);
    waits(&backend, &waiter).await;
    // The first come is compared last.
    assert!(backend.release(one(0).entry()).await.unwrap());
    timeout(HANGS, backend.changed(waiter.entry()))
        .await
        .expect("it is told")
        .unwrap();
    claims(&backend, &waiter).await;
}

#[tokio::test]
async fn readers_who_come_at_once_all_hold_with_the_floor_of_the_first() {
    let server = EtcdServer::start().await;
    let backend = Arc::new(backend(&server).await);
    let first = granted(&backend, &request(0).with_mode(Mode::Shared)).await;
    let mut readers = JoinSet::new();
    for id in 1..33 {
        let backend = Arc::clone(&backend);
        readers.spawn(async move {
            let request = request(id).with_mode(Mode::Shared).without_waiting();
            granted(&backend, &request).await.pass().floor()
        });
    }
    while let Some(floor) = readers.join_next().await {
        assert_eq!(floor.unwrap(), first.pass().token());
    }
}

#[tokio::test]
async fn permits_that_suffice_are_had_by_all_who_come_at_once() {
    let server = EtcdServer::start().await;
    let backend = Arc::new(backend(&server).await);
    let mut crowd = JoinSet::new();
    for id in 0..40 {
        let backend = Arc::clone(&backend);
        crowd.spawn(async move {
            let request = lasting(id, 60).with_mode(permits(1, 40));
            while !matches!(
                backend.enqueue(&request).await.unwrap(),
                Enqueued::Granted(_)
            ) {
                backend.changed(request.entry()).await.unwrap();
            }
        });
    }
    let all = timeout(HANGS, crowd.join_all()).await;
    assert_eq!(all.unwrap().len(), 40);
}

#[tokio::test]
async fn permits_that_are_free_are_had_at_once_by_all_who_do_not_wait() {
    let server = EtcdServer::start().await;
    let backend = Arc::new(backend(&server).await);
    let mut crowd = JoinSet::new();
    for id in 0..64 {
        let backend = Arc::clone(&backend);
        crowd.spawn(async move {
            let request = lasting(id, 60).with_mode(permits(1, 64)).without_waiting();
            granted(&backend, &request).await;
        });
    }
    assert_eq!(crowd.join_all().await.len(), 64);
}
