//! Passwords and certificates.

use tripod::lock::{BackendErrorKind, Locks, PostgresBackend, Tls};

use crate::scenario::acquire_contend_lose_release;
use crate::server::certificates::Certificates;
use crate::server::postgres::PostgresServer;
use crate::told::{Ear, told};

use super::until;

async fn with_passwords() -> PostgresServer {
    let server = PostgresServer::start_with_passwords();
    server.query("CREATE ROLE locks LOGIN SUPERUSER PASSWORD 'canary-right'");
    let url = server.url_of_user("locks", "canary-right");
    PostgresBackend::migrate(url).await.unwrap();
    server
}

async fn with_tls(certificates: &Certificates) -> (PostgresServer, Tls) {
    let server = PostgresServer::start_with_tls(certificates);
    let authority = std::fs::read(certificates.authority()).unwrap();
    let tls = Tls::new().with_roots(authority);
    let migrate = PostgresBackend::migrate(server.url()).tls(tls.clone());
    migrate.await.unwrap();
    (server, tls)
}

#[tokio::test]
async fn passwords_are_told_to_nobody() {
    let server = with_passwords().await;
    let ear = Ear::of_this_thread();
    let right = server.url_of_user("locks", "canary-right");
    let connecting = PostgresBackend::connect(&right).listen_url(&right);
    let migrating = PostgresBackend::migrate(&right);
    assert!(!format!("{connecting:?} {migrating:?}").contains("canary"));
    let store = connecting.await.unwrap();
    assert!(!format!("{store:?}").contains("canary"));
    let locks = Locks::new(store);
    let guard = locks.acquire("a").await.unwrap();
    assert!(!format!("{locks:?} {guard:?}").contains("canary"));
    let unknown = format!("{right}?canary=1");
    for url in [
        server.url_of_user("locks", "canary-wrong"),
        server.url_of_user("who", "canary"),
        unknown,
        "nonsense://canary:canary=canary@canary/".into(),
        "canary=canary".into(),
        "postgres://canary:canary@".into(),
    ] {
        let error = PostgresBackend::connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Rejected, "{url} {error:?}");
        let told = told(&error);
        assert!(!told.contains("canary"), "{url} {told}");
    }
    let error = PostgresBackend::connect("postgres://locks:canary@127.0.0.1:1/a").await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error:?}");
    assert!(!told(&error).contains("canary"), "{error:?}");
    // It connects anew, in vain at first.
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'locks'";
    server.query("ALTER ROLE locks PASSWORD 'canary-other'");
    server.query(cut);
    for _ in 0..5 {
        let _ = locks.try_acquire("b").await;
    }
    ear.hears("lock.not_listening").await;
    server.query("ALTER ROLE locks PASSWORD 'canary-right'");
    let listens = "SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^LISTEN'
        AND usename = 'locks'";
    until(&server, listens).await;
    let heard = ear.heard();
    assert!(heard.names.contains("lock.granted"), "{:?}", heard.names);
    assert!(!heard.values.contains("canary"), "{}", heard.values);
}

#[tokio::test]
async fn users_with_passwords_acquire_contend_lose_and_release() {
    let server = with_passwords().await;
    let url = server.url_of_user("locks", "canary-right");
    let connect = async || Locks::new(PostgresBackend::connect(&url).await.unwrap());
    acquire_contend_lose_release(&connect().await, &connect().await).await;
}

#[tokio::test]
async fn tls_is_spoken_with_whom_it_trusts() {
    let certificates = Certificates::new();
    let (server, tls) = with_tls(&certificates).await;
    let connect = async || {
        let store = PostgresBackend::connect(server.url())
            .tls(tls.clone())
            .await;
        Locks::new(store.unwrap())
    };
    acquire_contend_lose_release(&connect().await, &connect().await).await;
    let secure = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE application_name = 'tripod'";
    let _still_there = connect().await;
    assert_eq!(server.query(secure), ["t"]);
    for (url, tls) in [
        // The system does not trust an authority that was made a second ago.
        (server.url(), Tls::new()),
        (server.url(), Tls::new().with_roots("no certificate")),
        (format!("{}?sslmode=disable", server.url()), tls.clone()),
    ] {
        let error = PostgresBackend::connect(url).tls(tls).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Rejected, "{error:?}");
    }
    let required = format!("{}?sslmode=require", server.url());
    let error = PostgresBackend::connect(required).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Rejected, "{error:?}");
}

#[tokio::test]
async fn who_only_prefers_tls_takes_what_the_server_allows() {
    let certificates = Certificates::new();
    let server = PostgresServer::start_with_tls(&certificates);
    server.query("CREATE DATABASE plain");
    let plain = server.url_of_database("plain");
    PostgresBackend::migrate(&plain).await.unwrap();
    PostgresBackend::connect(&plain).await.unwrap();
    let required = format!("{plain}?sslmode=require");
    let error = PostgresBackend::connect(required).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Rejected, "{error:?}");
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let certificates = Certificates::new();
    let (server, tls) = with_tls(&certificates).await;
    server.require_certificates();
    let connect = PostgresBackend::connect(server.url()).tls(tls.clone());
    let error = connect.await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Rejected, "{error:?}");
    let chain = std::fs::read(certificates.certificate()).unwrap();
    let key = std::fs::read(certificates.key()).unwrap();
    let tls = tls.with_identity(chain, key);
    let connect = PostgresBackend::connect(server.url()).tls(tls);
    connect.await.unwrap();
}
