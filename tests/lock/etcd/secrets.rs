//! TLS, users, and what is told of either.

use std::time::Duration;

use tokio::time::timeout;
use tripod::lock::{BackendErrorKind, EtcdBackend, Locks, Loss, Tls};

use super::until;
use crate::scenario::{HANGS, connected, settled, until_waiting};
use crate::server::certificates::Certificates;
use crate::server::etcd::EtcdServer;
use crate::told::{Ear, told};

/// Acquires, contends, hands over, loses and releases.
async fn works(one: &Locks, other: &Locks) {
    let guard = one.acquire("a").await.unwrap();
    assert!(other.try_acquire("a").await.unwrap().is_none());
    let waiter = tokio::spawn(other.acquire("a").into_future());
    until_waiting(one, "a", 1).await;
    assert!(guard.release().await.unwrap());
    let next = timeout(HANGS, waiter).await;
    let next = next.unwrap().unwrap().unwrap();
    let unrenewed = one.acquire("b").ttl(Duration::from_secs(4)).renew(false);
    let unrenewed = unrenewed.await.unwrap();
    let lost = timeout(HANGS, unrenewed.lost()).await;
    assert_eq!(lost.unwrap(), Loss::Expired);
    let next_of_lost = timeout(HANGS, other.acquire("b").into_future()).await;
    drop(next_of_lost.unwrap().unwrap());
    assert!(next.release().await.unwrap());
}

fn tls(certificates: &Certificates) -> Tls {
    Tls::new().with_roots(std::fs::read(certificates.authority()).unwrap())
}

#[tokio::test]
async fn tls_keeps_out_whom_the_authority_does_not_vouch_for() {
    let server = EtcdServer::start_tls(false).await;
    let tls = tls(server.certificates());
    let connect = || EtcdBackend::connect(server.url());
    let trusting = || connect().tls(tls.clone());
    let (one, other) = (connected(trusting).await, connected(trusting).await);
    works(&Locks::new(one), &Locks::new(other)).await;
    // The system's authorities do not know it, nor do others.
    let stranger = self::tls(&Certificates::new());
    for tls in [None, Some(Tls::new()), Some(stranger)] {
        let refused = settled(|| match tls.clone() {
            None => connect(),
            Some(tls) => connect().tls(tls),
        });
        let error = refused.await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Rejected, "{}", told(&error));
    }
    let error = connect()
        .tls(Tls::new().with_roots("nonsense"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Rejected, "{}", told(&error));
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_is_shown_ours() {
    let server = EtcdServer::start_tls(true).await;
    let certificates = server.certificates();
    let read = |path| std::fs::read(path).unwrap();
    let tls = tls(certificates);
    let ours = tls
        .clone()
        .with_identity(read(certificates.certificate()), read(certificates.key()));
    let connect = |tls| EtcdBackend::connect(server.url()).tls(tls);
    let identified = || connect(ours.clone());
    let (one, other) = (connected(identified).await, connected(identified).await);
    works(&Locks::new(one), &Locks::new(other)).await;
    let error = connect(tls).await.unwrap_err();
    assert!(error.kind().is_definite(), "{}", told(&error));
}

#[tokio::test]
async fn users_are_asked_for_their_password_and_go_on_when_the_server_forgot_them() {
    let mut server = EtcdServer::start().await;
    server.ask_for_passwords("r", "printer", "canary").await;
    let connect = || {
        EtcdBackend::connect(server.url())
            .user("printer", "canary")
            .into_future()
    };
    let (one, other) = (connected(connect).await, connected(connect).await);
    let (one, other) = (Locks::new(one), Locks::new(other));
    works(&one, &other).await;
    let url = server.url();
    let anybody = || EtcdBackend::connect(&url);
    let wrong = || anybody().user("printer", "wrong");
    let elsewhere = || anybody().user("printer", "canary").prefix("other");
    for refused in [
        settled(anybody).await,
        settled(wrong).await,
        settled(elsewhere).await,
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Rejected, "{}", told(&error));
    }
    // Who we are is proved anew: the server keeps it in memory only.
    let guard = one
        .acquire("c")
        .ttl(Duration::from_secs(300))
        .await
        .unwrap();
    server.restart().await;
    until("it is let in again", async || {
        one.acquire("d").await.is_ok() && other.acquire("e").await.is_ok()
    })
    .await;
    works(&one, &other).await;
    assert!(guard.release().await.unwrap());
}

#[tokio::test]
async fn passwords_are_told_to_nobody() {
    let server = EtcdServer::start().await;
    server
        .ask_for_passwords("r", "printer", "canary-right")
        .await;
    let ear = Ear::of_this_thread();
    let connect = || EtcdBackend::connect(server.url()).user("printer", "canary-right");
    assert!(!format!("{:?}", connect()).contains("canary"));
    let store = connected(connect).await;
    assert!(!format!("{store:?}").contains("canary"));
    let locks = Locks::new(store);
    let guard = locks.acquire("a").await.unwrap();
    assert!(!format!("{locks:?} {guard:?}").contains("canary"));
    for connect in [
        EtcdBackend::connect(server.url()).user("printer", "canary-wrong"),
        EtcdBackend::connect("http://printer:canary@127.0.0.1:1"),
        EtcdBackend::connect("nonsense://canary@"),
        EtcdBackend::connect("http://127.0.0.1:1").user("printer", "canary"),
    ] {
        let told = told(&connect.await.unwrap_err());
        assert!(!told.contains("canary"), "{told}");
    }
    let heard = ear.heard();
    assert!(heard.names.contains("lock.granted"), "nothing is heard");
    assert!(!heard.values.contains("canary"));
}
