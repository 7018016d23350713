//! A server that fails.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use tokio::time::timeout;
use tripod::lock::{
    AcquireError, BackendError, BackendErrorKind, Enqueued, FencingToken, LockBackend,
    PostgresBackend,
};

use crate::scenario::{FAR, HANGS, acquire_at_last, is_lost_at_its_deadline};

use super::{locks, request, server, store};

#[tokio::test]
async fn a_lease_is_lost_at_its_deadline_while_the_server_is_down_and_not_before() {
    let mut server = server(&[]).await;
    let locks = locks(&server).await;
    let acquire = locks.acquire("long").ttl(FAR);
    let long = acquire.await.unwrap();
    let acquire = locks.acquire("short").ttl(Duration::from_secs(3));
    let short = acquire.await.unwrap();
    let (first, second) = (long.fencing_token(), short.fencing_token());
    server.kill();
    is_lost_at_its_deadline(&short).await;
    long.check().unwrap();
    let error = locks.try_acquire("other").await.unwrap_err();
    let AcquireError::Store(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error:?}");
    server.restart();
    // It connects again by itself, and what was acknowledged is there.
    let again = acquire_at_last(|| locks.acquire("short")).await;
    assert!(again.fencing_token() > second);
    assert!(long.release().await.unwrap(), "it was held throughout");
    assert!(locks.acquire("long").await.unwrap().fencing_token() > first);
}

#[tokio::test]
async fn a_grant_outlives_a_crash_where_commits_are_not_waited_for() {
    // What is not waited for is written ten seconds later.
    let mut server = server(&[
        "synchronous_commit=off",
        "wal_writer_delay=10s",
        "full_page_writes=off",
    ])
    .await;
    let store = store(&server).await;
    let ttl = Duration::from_secs(60);
    let first = granted(store.enqueue(&request("a", 1, ttl)).await);
    let second = granted(store.enqueue(&request("b", 2, ttl)).await);
    server.kill();
    server.restart();
    // The sequence might have been set back too, and the same fencing tokens be granted again.
    let store = super::store(&server).await;
    let third = granted(store.enqueue(&request("c", 3, ttl)).await);
    assert!(first < second && second < third);
    let held = "SELECT count(*) FROM tripod.entry";
    assert_eq!(server.query(held), ["3"]);
}

fn granted(enqueued: Result<Enqueued, BackendError>) -> FencingToken {
    let Enqueued::Granted(grant) = enqueued.unwrap() else {
        panic!("it is not granted")
    };
    grant.pass().token()
}

#[tokio::test]
async fn a_server_that_hangs_is_indeterminate_and_one_that_goes_on_is_used_again() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    let ttl = Duration::from_secs(60);
    let enqueued = store.enqueue(&request("a", 1, ttl)).await.unwrap();
    assert!(matches!(enqueued, Enqueued::Granted(_)));
    server.signal("-STOP");
    let request = request("b", 2, ttl);
    let ended = timeout(HANGS, store.enqueue(&request)).await;
    let error = ended.expect("it ends").unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Indeterminate, "{error:?}");
    // A new connection is accepted by the system, and answered by nobody.
    let error = store.enqueue(&request).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error:?}");
    server.signal("-CONT");
    let asking = async { while store.enqueue(&request).await.is_err() {} };
    timeout(HANGS, asking).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_full_is_unavailable() {
    let server = server(&["fsync=off", "max_connections=8"]).await;
    let store = store(&server).await;
    let mut others = Vec::new();
    while server.allows("SELECT 1") {
        others.push(server.meanwhile("SELECT pg_sleep(60)"));
    }
    let ttl = Duration::from_secs(60);
    let requests: Vec<_> = (0..4)
        .map(|count| request(&format!("{count}"), count, ttl))
        .collect();
    let asked = requests.iter().map(|request| store.enqueue(request));
    let answers = futures_util::future::join_all(asked).await;
    let refused = answers.into_iter().filter_map(Result::err);
    let kinds: Vec<_> = refused.map(|error| error.kind()).collect();
    assert!(!kinds.is_empty());
    assert!(
        kinds
            .iter()
            .all(|&kind| kind == BackendErrorKind::Unavailable)
    );
}

#[tokio::test]
async fn a_server_that_says_what_is_not_understood_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            // That it is ready, before it knows who asks.
            let _ = connection.unwrap().write_all(b"Z\0\0\0\x05I");
        }
    });
    let url = format!("postgres://a@127.0.0.1:{port}/a?sslmode=");
    let error = PostgresBackend::connect(format!("{url}disable")).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error:?}");
    let error = PostgresBackend::connect(format!("{url}require")).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Rejected, "{error:?}");
}
