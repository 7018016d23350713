//! Users, passwords and certificates.

use std::fs::read;
use std::sync::LazyLock;

use tripod::lock::{BackendError, BackendErrorKind, Locks, RedisBackend, Tls};

use crate::scenario::{acquire_at_last, acquire_contend_lose_release};
use crate::server::certificates::Certificates;
use crate::server::redis::RedisServer;
use crate::server::redis_cluster::RedisCluster;
use crate::server::redis_sentinel::{DATA_PASSWORD, MASTER, RedisSentinels, WATCH_PASSWORD};
use crate::told::{Ear, told};

/// Hears all that this program tells, on every thread, and remembers what held a password.
static LEAKS: LazyLock<Ear> = LazyLock::new(|| Ear::that_heeds("canary"));

fn listen() {
    LazyLock::force(&LEAKS);
}

fn nothing_leaked() {
    let heard = LEAKS.heard();
    // The test's own runtime has one thread, and this is it.
    assert!(heard.is_told_here("lock.granted"), "{:?}", heard.names);
    assert!(heard.values.is_empty(), "{}", heard.values);
}

fn trusting(certificates: &Certificates) -> Tls {
    Tls::new().with_roots(read(certificates.authority()).unwrap())
}

fn identified(certificates: &Certificates) -> Tls {
    let (chain, key) = (certificates.certificate(), certificates.key());
    trusting(certificates).with_identity(read(chain).unwrap(), read(key).unwrap())
}

fn is_rejected(result: Result<RedisBackend, BackendError>) -> String {
    let error = result.unwrap_err();
    let told = told(&error);
    assert_eq!(error.kind(), BackendErrorKind::Rejected, "{told}");
    assert!(!told.contains("canary"), "{told}");
    told
}

#[tokio::test]
async fn tls_works_with_an_authority_of_ones_own_and_no_other() {
    let certificates = Certificates::new();
    let server = RedisServer::start_tls(&certificates, &["--tls-auth-clients", "no"]).await;
    let tls = trusting(&certificates);
    let one = RedisBackend::connect(server.url()).tls(tls.clone()).await;
    let other = RedisBackend::connect(server.url()).tls(tls.clone()).await;
    acquire_contend_lose_release(&Locks::new(one.unwrap()), &Locks::new(other.unwrap())).await;
    // The system does not know the authority.
    is_rejected(RedisBackend::connect(server.url()).await);
    let stranger = trusting(&Certificates::new());
    is_rejected(RedisBackend::connect(server.url()).tls(stranger).await);
    let rubbish = Tls::new().with_roots("no certificate");
    is_rejected(RedisBackend::connect(server.url()).tls(rubbish).await);
    // What was to be secret is not sent in the clear.
    let plain = server.url().replace("rediss", "redis");
    is_rejected(RedisBackend::connect(plain).tls(tls).await);
}

#[tokio::test]
async fn a_server_that_asks_for_certificates_is_shown_one() {
    let certificates = Certificates::new();
    let mut server = RedisServer::start_tls(&certificates, &[]).await;
    let connect = async || {
        let store = RedisBackend::connect(server.url()).tls(identified(&certificates));
        Locks::new(store.await.unwrap())
    };
    let (one, other) = (connect().await, connect().await);
    acquire_contend_lose_release(&one, &other).await;
    let trusts = trusting(&certificates);
    is_rejected(RedisBackend::connect(server.url()).tls(trusts).await);
    let rubbish = identified(&certificates).with_identity("canary", "canary");
    is_rejected(RedisBackend::connect(server.url()).tls(rubbish).await);
    server.restart().await;
    drop(acquire_at_last(|| one.acquire("again")).await);
}

#[tokio::test]
async fn a_cluster_works_over_tls_with_a_password() {
    listen();
    let certificates = Certificates::new();
    let options = [
        "--tls-cluster",
        "yes",
        "--requirepass",
        "canary",
        "--masterauth",
        "canary",
    ];
    let client = ["--no-auth-warning", "-a", "canary"];
    let cluster = RedisCluster::start_with(&options, Some(&certificates), &client).await;
    let connect = async |urls| {
        let store = RedisBackend::connect_cluster(urls).tls(identified(&certificates));
        store.await
    };
    let urls = || {
        cluster
            .servers
            .iter()
            .map(|server| server.url_of_user("canary"))
    };
    let (one, other) = (
        connect(urls().collect()).await,
        connect(urls().collect()).await,
    );
    acquire_contend_lose_release(&Locks::new(one.unwrap()), &Locks::new(other.unwrap())).await;
    // The password may come apart from the URLs.
    let bare = RedisBackend::connect_cluster(cluster.urls()).tls(identified(&certificates));
    let locks = Locks::new(bare.credentials("default", "canary").await.unwrap());
    drop(locks.acquire("a").await.unwrap());
    is_rejected(connect(cluster.urls()).await);
    let mut wrong: Vec<String> = urls().collect();
    wrong.push(cluster.servers[0].url_of_user("canary-other"));
    is_rejected(connect(wrong).await);
    let wrong = cluster
        .servers
        .iter()
        .map(|server| server.url_of_user("canary-wrong"));
    is_rejected(connect(wrong.collect()).await);
    let mixed = [cluster.servers[0].url(), "redis://127.0.0.1".to_owned()];
    is_rejected(RedisBackend::connect_cluster(mixed).await);
    is_rejected(RedisBackend::connect_cluster(Vec::<String>::new()).await);
    nothing_leaked();
}

/// What the documentation of `RedisBackend` says that a user needs.
const PRIVILEGES: [&str; 2] = [
    "~tripod:* &tripod:* +info +ping +subscribe +evalsha +script|load",
    "+time +hget +hgetall +hset +hdel +pexpireat +publish",
];

#[tokio::test]
async fn a_user_with_the_privileges_that_are_documented_and_no_others_is_enough() {
    listen();
    let server = RedisServer::start(&[]).await;
    let allow = |privileges: &str| {
        let user = "ACL SETUSER locks reset on >canary-right";
        assert_eq!(server.ask(&format!("{user} {privileges}")), "OK");
    };
    let privileges = PRIVILEGES.join(" ");
    allow(&privileges);
    let url = server.url_with("locks:canary-right");
    let connect = async || Locks::new(RedisBackend::connect(&url).await.unwrap());
    let (one, other) = (connect().await, connect().await);
    acquire_contend_lose_release(&one, &other).await;
    // Nothing of it was refused.
    assert_eq!(server.ask("ACL LOG"), "");
    // What is missing is told, and not when it is too late.
    allow(&privileges.replace("+subscribe", ""));
    is_rejected(RedisBackend::connect(&url).await);
    allow(&privileges.replace("+evalsha", ""));
    let error = connect().await.try_acquire("a").await.unwrap_err();
    let tripod::lock::AcquireError::Store(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.kind(), BackendErrorKind::Rejected, "{error:?}");
    nothing_leaked();
}

#[tokio::test]
async fn passwords_of_a_server_are_told_to_nobody() {
    listen();
    let server = RedisServer::start(&["--requirepass", "canary-right"]).await;
    let right = server.url_of_user("canary-right");
    let builder = RedisBackend::connect(&right).credentials("canary", "canary");
    assert!(!format!("{builder:?}").contains("canary"));
    let store = RedisBackend::connect(&right).await.unwrap();
    assert!(!format!("{store:?}").contains("canary"));
    let locks = Locks::new(store);
    let guard = locks.acquire("a").await.unwrap();
    assert!(!format!("{locks:?} {guard:?}").contains("canary"));
    let store = RedisBackend::connect(server.url()).credentials("default", "canary-right");
    store.await.unwrap();
    for url in [
        &server.url_of_user("canary-wrong"),
        &server.url(),
        "nonsense://canary@",
        "redis://:canary@127.0.0.1:port",
        "redis://:canary@127.0.0.1/canary",
        "redis://:canary@127.0.0.1/?protocol=canary",
        "rediss://:canary@127.0.0.1/#canary",
        "unix:///tmp/canary?pass=canary",
    ] {
        let error = RedisBackend::connect(url).await.unwrap_err();
        let told = told(&error);
        // The path of a socket is not secret, nor is what stands for a protocol.
        let told = if url.contains("protocol=") || url.starts_with("unix:") {
            told.replace(": canary", "")
        } else {
            told
        };
        assert!(!told.contains("canary"), "{url}: {told}");
    }
    nothing_leaked();
}

#[tokio::test]
async fn passwords_behind_sentinels_are_told_to_nobody() {
    listen();
    let all = RedisSentinels::start().await;
    let connect = || RedisBackend::connect_sentinel(all.urls(), MASTER);
    let right = connect().credentials("default", DATA_PASSWORD);
    assert!(!format!("{right:?}").contains("canary"));
    let locks = Locks::new(right.await.unwrap());
    let guard = locks.acquire("a").await.unwrap();
    assert!(!format!("{locks:?} {guard:?}").contains("canary"));
    is_rejected(connect().await);
    is_rejected(connect().credentials("default", WATCH_PASSWORD).await);
    is_rejected(connect().credentials("canary", DATA_PASSWORD).await);
    let wrong = all.urls().into_iter();
    let wrong = wrong.map(|url| url.replace(WATCH_PASSWORD, DATA_PASSWORD));
    is_rejected(RedisBackend::connect_sentinel(wrong, MASTER).await);
    let unknown = RedisBackend::connect_sentinel(all.urls(), "nobody");
    let told = is_rejected(unknown.credentials("default", DATA_PASSWORD).await);
    assert!(told.contains("do not know a master of this name"), "{told}");
    nothing_leaked();
}
