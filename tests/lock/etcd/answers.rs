//! Requests whose answer is lost, or that are late.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use etcd_client::PutOptions;
use futures_util::FutureExt;
use tokio::time::timeout;
use tripod::lock::{
    BackendErrorKind, Claimed, Enqueued, EtcdBackend, LockBackend, Mode, Renewed, Request,
};

use super::{backend, claims, granted, lasting, of, request, until, waits, wired};
use crate::server::etcd::EtcdServer;

fn key(kind: &str, request: &Request) -> String {
    format!("tripod/:{kind}/{}", request.entry().holder())
}

/// Makes the lease that requests stand under: they are one transaction from now on.
async fn with_a_lease(backend: &EtcdBackend) {
    let other = of("other", 1_000, 30);
    granted(backend, &other).await;
    assert!(backend.release(other.entry()).await.unwrap());
}

async fn is_held(server: &EtcdServer, request: &Request) -> bool {
    let held = format!("tripod/:lock/a/h/x/{}", request.entry().holder());
    server.keys().await.contains(&held)
}

/// Enters, and drops the future when that was done whose answer is lost.
async fn enters_unheard(server: &EtcdServer, backend: &EtcdBackend, request: &Request) {
    let id = request.entry().holder().to_string();
    let entered = until("it entered", async || {
        let keys = server.keys().await;
        keys.iter().any(|key| key.contains(&id))
    });
    tokio::select! {
        answer = backend.enqueue(request) => panic!("{answer:?}, which was to be lost"),
        () = entered => {}
    }
}

#[tokio::test]
async fn an_entry_whose_answer_was_lost_is_found_again_or_removed() {
    let server = EtcdServer::start().await;
    let (wire, backend) = wired(&server).await;
    with_a_lease(&backend).await;
    for (id, leaves) in [(1, false), (2, true)] {
        let lost = request(id);
        wire.swallow_answers(true);
        let error = backend.enqueue(&lost).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Indeterminate);
        assert!(is_held(&server, &lost).await, "what was lost was a grant");
        wire.swallow_answers(false);
        if leaves {
            backend.leave(lost.entry()).await.unwrap();
            assert_eq!(backend.claim(lost.entry()).await.unwrap(), Claimed::Gone);
            assert!(server.keys().await.contains(&key("left", &lost)));
        } else {
            granted(&backend, &lost).await;
            assert!(backend.release(lost.entry()).await.unwrap());
        }
        assert!(!is_held(&server, &lost).await);
    }
}

#[tokio::test]
async fn an_id_that_left_in_doubt_is_kept_out_for_its_ttl_and_forgotten_then() {
    let server = EtcdServer::start().await;
    let ((wire, near), far) = (wired(&server).await, backend(&server).await);
    let reader = lasting(0, 8).with_mode(Mode::Shared);
    granted(&near, &reader).await;
    let lost = lasting(1, 8);
    let alone = lasting(9, 8);
    wire.swallow_answers(true);
    // The first poll sends it.
    let unheard = timeout(Duration::from_millis(300), near.enqueue(&lost)).await;
    unheard.expect_err("an answer that was to be lost");
    wire.swallow_answers(false);
    near.leave(lost.entry()).await.unwrap();
    // As a request would that was under way all the while.
    let error = far.enqueue(&lost).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Indeterminate);
    let error = far
        .enqueue(&lost.clone().without_waiting())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Indeterminate);
    waits(&far, &alone).await;
    until("the bar goes", async || {
        drop(near.renew(&[reader.entry().clone()]).await);
        drop(far.claim(alone.entry()).await);
        server
            .keys()
            .await
            .iter()
            .all(|key| !key.contains("/:left/"))
    })
    .await;
}

#[tokio::test]
async fn what_lands_after_it_was_forgotten_is_removed() {
    let server = EtcdServer::start().await;
    let (wire, backend) = wired(&server).await;
    let kept = of("kept", 0, 8);
    granted(&backend, &kept).await;
    let lost = lasting(1, 8);
    wire.swallow_answers(true);
    enters_unheard(&server, &backend, &lost).await;
    assert!(is_held(&server, &lost).await, "what was lost was a grant");
    wire.swallow_answers(false);
    backend.leave(lost.entry()).await.unwrap();
    assert!(!is_held(&server, &lost).await);
    let mut client = server.client(None).await;
    let leases = client.leases().await.unwrap();
    let lease = leases.leases().first().unwrap().id();
    let late = format!("tripod/:lock/b/h/x/{}", tripod::lock::HolderId::new(7, 7));
    let under = PutOptions::new().with_lease(lease);
    client
        .put(late.as_str(), "5|0|", Some(under))
        .await
        .unwrap();
    until("the stray goes", async || {
        drop(backend.renew(&[kept.entry().clone()]).await);
        !server.keys().await.contains(&late)
    })
    .await;
    claims(&backend, &kept).await;
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_keeps_its_token_and_floor() {
    let server = EtcdServer::start().await;
    let ((wire, near), far) = (wired(&server).await, backend(&server).await);
    let [first, second, writer, reader] = [1, 2, 3, 4].map(request);
    let [first, second, reader] = [first, second, reader].map(|r| r.with_mode(Mode::Shared));
    let lowest = granted(&far, &first).await.pass().token();
    granted(&far, &second).await;
    waits(&far, &writer).await;
    waits(&near, &reader).await;
    far.leave(writer.entry()).await.unwrap();
    // The look goes through, and the grant; its answer does not. When a claim was polled often
    // enough to have sent the one, the answer is not here yet: all this is one thread.
    for polls in 1.. {
        let (mut claim, mut polled) = (pin!(near.claim(reader.entry())), 0);
        let claim = poll_fn(|context| {
            let answer = claim.as_mut().poll(context);
            polled += 1;
            if polled == polls {
                wire.swallow_answers(true);
            }
            answer
        });
        // It gives up by itself.
        claim.await.expect_err("an answer that was to be lost");
        let seen = far.inspect(reader.entry().name()).await.unwrap();
        wire.swallow_answers(false);
        if seen.holders().len() == 3 {
            break;
        }
    }
    let seen = far.inspect(reader.entry().name()).await.unwrap();
    let held = seen
        .holders()
        .iter()
        .find(|held| held.holder() == reader.entry().holder());
    let pass = held.unwrap().pass();
    assert_eq!(pass.floor(), lowest);
    // The lowest goes, and another comes: what was granted stays.
    assert!(far.release(first.entry()).await.unwrap());
    granted(&far, &request(5).with_mode(Mode::Shared)).await;
    for _ in 0..2 {
        assert_eq!(claims(&near, &reader).await.pass(), pass);
        assert_eq!(granted(&near, &reader).await.pass(), pass);
    }
}

#[tokio::test]
async fn a_forced_release_and_a_revoked_lease_are_noticed_by_a_renewal() {
    let server = EtcdServer::start().await;
    let backend = backend(&server).await;
    let (forced, revoked) = (request(1), request(2));
    let token = granted(&backend, &forced).await.pass().token();
    assert!(
        backend
            .force_release(forced.entry().name(), token)
            .await
            .unwrap()
    );
    assert!(
        !backend
            .force_release(forced.entry().name(), token)
            .await
            .unwrap()
    );
    let renew = async |request: &Request| {
        let mut answers = backend.renew(&[request.entry().clone()]).await;
        answers.pop().unwrap().unwrap()
    };
    assert_eq!(renew(&forced).await, Renewed::Gone);
    let before = granted(&backend, &revoked).await.pass().token();
    let mut client = server.client(None).await;
    for lease in client.leases().await.unwrap().leases() {
        client.lease_revoke(lease.id()).await.unwrap();
    }
    assert_eq!(renew(&revoked).await, Renewed::Gone);
    assert_eq!(backend.claim(revoked.entry()).await.unwrap(), Claimed::Gone);
    // A new lease takes its place.
    assert!(granted(&backend, &request(3)).await.pass().token() > before);
}

#[tokio::test]
async fn a_lease_that_is_gone_is_replaced_within_the_request() {
    let server = EtcdServer::start().await;
    let backend = backend(&server).await;
    granted(&backend, &request(1)).await;
    let mut client = server.client(None).await;
    for lease in client.leases().await.unwrap().leases() {
        client.lease_revoke(lease.id()).await.unwrap();
    }
    granted(&backend, &request(2)).await;
}

#[tokio::test]
async fn a_ttl_is_whole_seconds_and_no_shorter_than_the_server_grants() {
    let server = EtcdServer::start().await;
    let backend = backend(&server).await;
    for (asked, in_force) in [(30, 2), (2_001, 3), (4_000, 4)] {
        let entry = request(asked).entry().clone();
        let request = Request::new(entry, Duration::from_millis(asked)).unwrap();
        let lease = granted(&backend, &request).await.lease();
        assert_eq!(lease.ttl(), Duration::from_secs(in_force));
        let seen = backend.inspect(request.entry().name()).await.unwrap();
        let remaining = seen.holders().first().unwrap().remaining();
        assert_eq!(remaining, Duration::from_secs(in_force));
        assert!(backend.release(request.entry()).await.unwrap());
    }
}

#[tokio::test]
async fn a_future_that_is_left_lying_blocks_nobody_beyond_its_ttl() {
    let server = EtcdServer::start().await;
    let backend = backend(&server).await;
    let brief = |id| lasting(id, 6);
    // The lease is there: the first poll sends the request.
    granted(&backend, &brief(1)).await;
    assert!(backend.release(brief(1).entry()).await.unwrap());
    let lying = brief(2);
    let mut enqueue = pin!(backend.enqueue(&lying));
    assert!(enqueue.as_mut().now_or_never().is_none());
    until("it holds", async || !server.keys().await.is_empty()).await;
    until("it is over", async || server.keys().await.is_empty()).await;
    let next = granted(&backend, &brief(3)).await;
    let late = enqueue.await;
    assert!(late.is_err(), "{late:?} beside {next:?}");
}

#[tokio::test]
async fn damaged_entries_are_told_and_no_panic() {
    let server = EtcdServer::start().await;
    let backend = backend(&server).await;
    let mut client = server.client(None).await;
    let id = request(7).entry().holder();
    for (key, value) in [
        ("tripod/:lock/a/h/x/nonsense".to_owned(), "5|0|"),
        (format!("tripod/:lock/a/h/y/{id}"), "5|0|"),
        (format!("tripod/:lock/a/w/1/x/{id}/more"), "5|0|"),
        (format!("tripod/:lock/a/h/p00000001-00000002/{id}"), "5|0|"),
        (format!("tripod/:lock/a/h/x/{id}"), "5|-1|"),
        (format!("tripod/:lock/a/h/x/{id}"), "5"),
    ] {
        client.put(key.as_str(), value, None).await.unwrap();
        let error = backend.enqueue(&request(1)).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Corrupt, "{key} {value}");
        let error = backend
            .inspect(request(1).entry().name())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Corrupt, "{key} {value}");
        client.delete(key.as_str(), None).await.unwrap();
        backend.leave(request(1).entry()).await.unwrap();
    }
    let other = backend.enqueue(&request(2)).await.unwrap();
    assert!(matches!(other, Enqueued::Granted(_)), "{other:?}");
}

#[tokio::test]
async fn entries_of_more_than_one_transaction_are_renewed_and_removed_each() {
    let server = EtcdServer::start().await;
    let backend = backend(&server).await;
    let mut entries = Vec::new();
    for id in 0..130 {
        let request = lasting(id, 20).with_mode(Mode::Shared);
        granted(&backend, &request).await;
        entries.push(request.entry().clone());
    }
    let ended = entries.get(100).unwrap();
    assert!(backend.release(ended).await.unwrap());
    let renewed = backend.renew(&entries).await;
    for (entry, renewed) in entries.iter().zip(&renewed) {
        let gone = matches!(renewed, Ok(Renewed::Gone));
        assert_eq!(gone, entry == ended, "{entry:?} {renewed:?}");
    }
    assert_eq!((renewed.len(), server.keys().await.len()), (130, 129));
    // Nobody names them any more.
    until("all are removed", async || server.keys().await.is_empty()).await;
}
