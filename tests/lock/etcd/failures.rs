//! Servers that end, and wires that are cut.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tripod::lock::{BackendErrorKind, EtcdBackend, LockBackend, Locks};

use super::{backend, granted, lasting, locks, request, until, waits, wired};
use crate::scenario::{
    HANGS, acquire_at_last, is_down, is_lost_at_its_deadline, until_renewed, until_waiting,
};
use crate::server::etcd::EtcdServer;
use crate::server::free_port;

#[tokio::test]
async fn a_lease_is_lost_at_its_deadline_while_the_server_is_down_and_not_before() {
    let mut server = EtcdServer::start().await;
    let locks = locks(&server).await;
    let acquire = |name, secs| locks.acquire(name).ttl(Duration::from_secs(secs));
    let (long, short) = (
        acquire("long", 300).await.unwrap(),
        acquire("short", 6).await.unwrap(),
    );
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
    assert!(
        acquire_at_last(|| locks.acquire("long"))
            .await
            .fencing_token()
            > first
    );
}

#[tokio::test]
async fn a_server_that_is_started_anew_in_time_loses_nothing() {
    let mut server = EtcdServer::start().await;
    let (one, other) = (locks(&server).await, locks(&server).await);
    let ttl = Duration::from_secs(30);
    let guard = one.acquire("a").ttl(ttl).await.unwrap();
    let waiter = tokio::spawn(other.acquire("a").ttl(ttl).into_future());
    until_waiting(&one, "a", 1).await;
    server.kill();
    sleep(Duration::from_secs(1)).await;
    server.restart().await;
    until_renewed(&one, 1).await;
    guard.check().unwrap();
    let token = guard.fencing_token();
    assert!(guard.release().await.unwrap());
    let next = timeout(HANGS, waiter).await.unwrap().unwrap().unwrap();
    assert!(next.fencing_token() > token);
}

#[tokio::test]
async fn leases_of_the_dead_begin_anew_with_the_server_and_end_then() {
    let mut server = EtcdServer::start().await;
    let (wire, near) = wired(&server).await;
    granted(&near, &lasting(1, 6)).await;
    wire.cut();
    sleep(Duration::from_secs(3)).await;
    let began = Instant::now();
    server.restart().await;
    until("it is free", async || server.keys().await.is_empty()).await;
    // Without the restart it would have been after three seconds.
    assert!(began.elapsed() > Duration::from_secs(5));
}

#[tokio::test]
async fn connections_that_are_cut_are_made_anew_and_no_lease_is_lost() {
    let server = EtcdServer::start().await;
    let (wire, backend) = wired(&server).await;
    let locks = Locks::new(backend);
    let guard = locks
        .acquire("a")
        .ttl(Duration::from_secs(9))
        .await
        .unwrap();
    // More of them than fit within one lease.
    for _ in 0..4 {
        wire.reset();
        until_renewed(&locks, 1).await;
        guard.check().unwrap();
    }
    assert!(guard.release().await.unwrap());
}

#[tokio::test]
async fn what_a_severed_client_held_is_lost_to_it_before_it_is_free() {
    let server = EtcdServer::start().await;
    let ((wire, near), far) = (wired(&server).await, locks(&server).await);
    let near = Locks::new(near);
    let ttl = Duration::from_secs(5);
    let guard = near.acquire("a").ttl(ttl).await.unwrap();
    wire.swallow(true);
    let freed = async {
        let next = timeout(HANGS, far.acquire("a").ttl(ttl).into_future()).await;
        let freed = Instant::now();
        drop(next.unwrap().unwrap());
        freed
    };
    let (believed, freed) = tokio::join!(is_lost_at_its_deadline(&guard), freed);
    assert!(believed <= Some(freed), "it was free before it was lost");
}

#[tokio::test]
async fn every_call_ends_though_nothing_comes_through() {
    let server = EtcdServer::start().await;
    let (wire, backend) = wired(&server).await;
    let (holder, waiter, new) = (request(1), request(2), request(3));
    let token = granted(&backend, &holder).await.pass().token();
    waits(&backend, &waiter).await;
    wire.swallow(true);
    let calls = async {
        let name = holder.entry().name();
        let entries = [holder.entry().clone()];
        let (enqueued, claimed, renewed, left, seen, forced) = tokio::join!(
            backend.enqueue(&new),
            backend.claim(waiter.entry()),
            backend.renew(&entries),
            backend.leave(waiter.entry()),
            backend.inspect(name),
            backend.force_release(name, token),
        );
        assert!(enqueued.is_err() && claimed.is_err() && left.is_err());
        assert!(seen.is_err() && forced.is_err() && renewed.iter().all(Result::is_err));
        backend.release(holder.entry()).await.unwrap_err();
    };
    timeout(HANGS, calls).await.unwrap();
}

#[tokio::test]
async fn of_several_servers_one_that_answers_is_found() {
    let server = EtcdServer::start().await;
    let dead = format!("http://127.0.0.1:{}", free_port());
    for urls in [
        format!("{dead},{}", server.url()),
        format!("{}, {dead}", server.url()),
    ] {
        let backend = EtcdBackend::connect(&urls).await.unwrap();
        let locks = Locks::new(backend);
        locks.acquire("a").await.unwrap().release().await.unwrap();
    }
}

#[tokio::test]
async fn a_store_that_is_not_there_is_unavailable_and_nonsense_is_rejected() {
    let dead = format!("http://127.0.0.1:{}", free_port());
    let error = EtcdBackend::connect(&dead).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable);
    for wrong in [
        "",
        "nonsense",
        "redis://127.0.0.1",
        "http://",
        "http://a b",
        "http://u:p@h",
    ] {
        let error = EtcdBackend::connect(wrong).await.unwrap_err();
        assert_eq!(
            error.kind(),
            BackendErrorKind::Rejected,
            "{wrong}: {error:?}"
        );
    }
    let error = EtcdBackend::connect(&dead).prefix("a:b").await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Rejected);
    let error = EtcdBackend::connect(&dead)
        .tls(tripod::lock::Tls::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Rejected);
}

#[tokio::test]
async fn locks_of_different_prefixes_never_meet() {
    let server = EtcdServer::start().await;
    let one = backend(&server).await;
    let other = EtcdBackend::connect(server.url())
        .prefix("tripod/a")
        .await
        .unwrap();
    granted(&one, &request(1)).await;
    granted(&other, &request(2)).await;
    let seen = one.inspect(request(1).entry().name()).await.unwrap();
    assert_eq!(seen.holders().len(), 1);
}

#[tokio::test]
async fn a_backend_outlives_the_runtime_that_it_was_made_in() {
    let server = EtcdServer::start().await;
    let url = server.url();
    let made = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let backend = EtcdBackend::connect(&url).await.unwrap();
            granted(&backend, &request(1)).await;
            backend
        })
    });
    let backend = made.join().unwrap();
    until("it renews here", async || {
        let renewed = backend.renew(&[request(1).entry().clone()]).await;
        matches!(renewed.as_slice(), [Ok(tripod::lock::Renewed::Alive(_))])
    })
    .await;
    assert!(backend.release(request(1).entry()).await.unwrap());
}
