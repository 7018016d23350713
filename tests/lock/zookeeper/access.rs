//! Who may connect, and what is told of them.

use std::time::Duration;

use tokio::time::timeout;
use tripod::lock::{
    AcquireError, BackendError, BackendErrorKind, LockBackend, Locks, Tls, ZooKeeperBackend,
};

use super::{name, raw};
use crate::scenario::{HANGS, acquire_at_last, is_lost_at_its_deadline, until_waiting};
use crate::server::certificates::Certificates;
use crate::server::free_port;
use crate::server::zookeeper::ZooKeeperServer;
use crate::told::{Ear, told};

const TTL: Duration = Duration::from_secs(6);

/// Acquires, contends, loses and releases.
async fn serves(mut server: ZooKeeperServer, connect: impl AsyncFn() -> ZooKeeperBackend) {
    let (one, other) = (Locks::new(connect().await), Locks::new(connect().await));
    let guard = one.acquire("a").ttl(TTL).await.unwrap();
    assert!(other.try_acquire("a").ttl(TTL).await.unwrap().is_none());
    let waiter = tokio::spawn(other.acquire("a").ttl(TTL).into_future());
    until_waiting(&one, "a", 1).await;
    assert!(guard.release().await.unwrap());
    let heard = timeout(HANGS, waiter).await;
    let guard = heard.unwrap().unwrap().unwrap();
    let token = guard.fencing_token();
    server.kill();
    is_lost_at_its_deadline(&guard).await;
    server.restart().await;
    let guard = acquire_at_last(|| one.acquire("a").ttl(TTL)).await;
    assert!(guard.fencing_token() > token);
    assert!(guard.release().await.unwrap());
}

/// It fails in this way; and what it says.
fn fails(connected: Result<ZooKeeperBackend, BackendError>, kind: BackendErrorKind) -> String {
    let error = connected.unwrap_err();
    let told = told(&error);
    assert_eq!(error.kind(), kind, "{told}");
    told
}

#[tokio::test]
async fn locks_are_had_over_tls_by_whom_both_sides_trust() {
    let certificates = Certificates::new();
    let server = ZooKeeperServer::start_secure(&certificates, "need").await;
    let read = |path| std::fs::read(path).unwrap();
    let roots = read(certificates.authority());
    let (chain, key) = (read(certificates.certificate()), read(certificates.key()));
    let url = server.secure_url();
    let connect = |tls: Tls| ZooKeeperBackend::connect(&url).tls(tls);
    let trusting = Tls::new().with_roots(roots.clone());
    // Without a certificate of our own, and without trust in the server's.
    let strangers = Certificates::new();
    let strange = Tls::new().with_roots(read(strangers.authority()));
    let strange = strange.with_identity(chain.clone(), key.clone());
    for tls in [trusting.clone(), strange, Tls::new()] {
        fails(connect(tls).await, BackendErrorKind::Unavailable);
    }
    // What is no certificate.
    for tls in [
        Tls::new().with_roots("canary"),
        trusting.clone().with_identity("canary", "canary"),
        trusting.clone().with_identity(chain.clone(), vec![0xff]),
    ] {
        let told = fails(connect(tls).await, BackendErrorKind::Rejected);
        assert!(!told.contains("canary"), "{told}");
    }
    let tls = trusting.with_identity(chain, key);
    serves(server, async || {
        let connect = ZooKeeperBackend::connect(&url).tls(tls.clone());
        connect.session_timeout(TTL).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_scheme_alone_asks_for_tls() {
    let certificates = Certificates::new();
    let server = ZooKeeperServer::start_secure(&certificates, "none").await;
    // The system does not trust it.
    let connect = ZooKeeperBackend::connect(server.secure_url());
    fails(connect.await, BackendErrorKind::Unavailable);
    let roots = std::fs::read(certificates.authority()).unwrap();
    let tls = Tls::new().with_roots(roots);
    ZooKeeperBackend::connect(server.secure_url())
        .tls(tls.clone())
        .await
        .unwrap();
    // Nor does one who asks for TLS get less for a URL that does not.
    let connect = ZooKeeperBackend::connect(server.url()).tls(tls);
    fails(connect.await, BackendErrorKind::Unavailable);
}

#[tokio::test]
async fn locks_of_a_user_are_nobody_elses() {
    let server = ZooKeeperServer::start().await;
    let url = format!("{}/deep/er", server.url());
    let user = |password: &str| ZooKeeperBackend::connect(&url).user("us", password);
    let store = user("canary-right").await.unwrap();
    let locks = Locks::new(store);
    let guard = locks.acquire("a").await.unwrap();
    for connect in [user("canary-wrong"), ZooKeeperBackend::connect(&url)] {
        fails(connect.await, BackendErrorKind::Rejected);
    }
    let raw = raw(&server).await;
    for path in ["/deep", "/deep/er", "/deep/er/ea"] {
        let listed = raw.list_children(path).await;
        assert_eq!(listed, Err(zookeeper_client::Error::NoAuth));
    }
    assert!(guard.release().await.unwrap());
    serves(server, async || {
        user("canary-right").session_timeout(TTL).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn what_others_own_is_refused_to_those_who_come_later() {
    let server = ZooKeeperServer::start().await;
    // Both are under a node that everybody may use.
    let everybody = Locks::new(ZooKeeperBackend::connect(server.url()).await.unwrap());
    let user = ZooKeeperBackend::connect(server.url()).user("us", "canary");
    let ours = Locks::new(user.await.unwrap());
    let guard = ours.acquire("a").await.unwrap();
    let refused = everybody.try_acquire("a").await;
    let Err(AcquireError::Store(error)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(error.kind(), BackendErrorKind::Rejected);
    let error = everybody
        .force_release(&name("a"), guard.fencing_token())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Rejected);
    guard.check().unwrap();
    assert!(guard.release().await.unwrap());
}

#[tokio::test]
async fn passwords_are_told_to_nobody() {
    let ear = Ear::of_this_thread();
    let server = ZooKeeperServer::start().await;
    let url = format!("{}/birds", server.url());
    let connect = |password| ZooKeeperBackend::connect(&url).user("us", password);
    assert!(!format!("{:?}", connect("canary-right")).contains("canary"));
    let store = connect("canary-right").await.unwrap();
    assert!(!format!("{store:?}").contains("canary"));
    let locks = Locks::new(store);
    let guard = locks.acquire("a").await.unwrap();
    assert!(!format!("{locks:?} {guard:?}").contains("canary"));
    let error = connect("canary-wrong").await.unwrap_err();
    assert!(!told(&error).contains("canary"), "{}", told(&error));
    for url in ["nonsense://canary@", "zookeeper://us:canary@127.0.0.1"] {
        let connect = ZooKeeperBackend::connect(url);
        assert!(!format!("{connect:?}").contains("canary"));
        let told = fails(connect.await, BackendErrorKind::Rejected);
        assert!(!told.contains("canary"), "{told}");
    }
    for name in ["", "canary:name"] {
        let connect = ZooKeeperBackend::connect(&url).user(name, "canary");
        let told = fails(connect.await, BackendErrorKind::Rejected);
        assert!(!told.contains("canary"), "{told}");
    }
    let heard = ear.heard();
    assert!(heard.names.contains("lock.granted"), "{:?}", heard.names);
    // The client's own words too.
    assert!(heard.values.contains("sending request"));
    assert!(!heard.values.contains("canary"), "{}", heard.values);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let url = format!("zookeeper://127.0.0.1:{}", free_port());
    let error = ZooKeeperBackend::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable);
    for (url, timeout) in [
        ("zookeeper://[::1", 30_000),
        (&*url, 0),
        (&*url, 86_400_001),
    ] {
        let connect = ZooKeeperBackend::connect(url);
        let connect = connect.session_timeout(Duration::from_millis(timeout));
        let error = connect.await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Rejected);
    }
}

#[test]
fn without_a_runtime_nothing_panics() {
    use std::task::{Context, Poll, Waker};
    let mut connect = ZooKeeperBackend::connect("zookeeper://127.0.0.1:1").into_future();
    let Poll::Ready(Err(error)) = connect
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("it is refused at once")
    };
    assert_eq!(error.kind(), BackendErrorKind::Rejected);
}

#[test]
fn handles_go_between_threads() {
    fn is<T: Send + Sync + 'static + LockBackend>() {}
    is::<ZooKeeperBackend>();
}
