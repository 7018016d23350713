//! Redis, restarted, flushed, paused.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tripod::transaction::message::{RedisTransport, Terms, Transport, TransportError};

use super::{message, queue};
use crate::server::redis::RedisServer;

const LONG: Duration = Duration::from_secs(10);

fn terms() -> Terms {
    Terms::new().with_lease(Duration::from_millis(500))
}

async fn connected(server: &RedisServer) -> RedisTransport {
    let connect = RedisTransport::connect(server.url()).terms(terms());
    connect.await.unwrap()
}

/// The keys that come within a time, acknowledged, until so many came.
async fn drained(redis: &RedisTransport, name: &str, count: usize) -> Vec<String> {
    let mut keys = Vec::new();
    let until = Instant::now() + LONG;
    while keys.len() < count && Instant::now() < until {
        let Ok(all) = redis.receive(&queue(name), 99, LONG / 10).await else {
            continue;
        };
        let receipts: Vec<_> = all.iter().map(|one| one.receipt().clone()).collect();
        redis.acknowledge(&queue(name), &receipts).await.unwrap();
        keys.extend(all.iter().map(|one| one.message().key().to_owned()));
    }
    keys.sort();
    keys.dedup();
    keys
}

#[tokio::test]
async fn a_group_that_is_lost_skips_nothing() {
    let server = RedisServer::start(&[]).await;
    let redis = connected(&server).await;
    for key in ["a", "b", "c"] {
        redis.send(&queue("q"), &message(key, key)).await.unwrap();
    }
    // One is delivered, one acknowledged, one not yet read.
    let two = redis.receive(&queue("q"), 2, LONG).await.unwrap();
    let done = two[1].receipt().clone();
    redis.acknowledge(&queue("q"), &[done]).await.unwrap();
    assert_eq!(server.ask("XGROUP DESTROY tripod:queue:{q} tripod"), "1");
    let open: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .filter(|key| *key != two[1].message().key())
        .collect();
    assert_eq!(drained(&redis, "q", 2).await, open);
}

#[tokio::test]
async fn who_waits_outlives_a_flush() {
    let server = RedisServer::start(&[]).await;
    let redis = connected(&server).await;
    let waits = tokio::spawn({
        let redis = redis.clone();
        async move { redis.receive(&queue("q"), 9, LONG).await }
    });
    sleep(Duration::from_millis(200)).await;
    server.ask("FLUSHALL");
    sleep(Duration::from_millis(50)).await;
    redis.send(&queue("q"), &message("a", "")).await.unwrap();
    let came = timeout(LONG / 2, waits).await.unwrap().unwrap().unwrap();
    assert_eq!(came.len(), 1);
}

#[tokio::test]
async fn a_server_that_was_killed_and_restarted_gives_back_what_was_not_acknowledged() {
    let durable = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut server = RedisServer::start(&durable).await;
    let redis = connected(&server).await;
    let keys: Vec<_> = (10..30).map(|number| number.to_string()).collect();
    for key in &keys {
        redis.send(&queue("q"), &message(key, "")).await.unwrap();
    }
    let taken = redis.receive(&queue("q"), 10, LONG).await.unwrap();
    let done: Vec<_> = taken[..5].iter().map(|one| one.receipt().clone()).collect();
    redis.acknowledge(&queue("q"), &done).await.unwrap();
    server.kill();
    redis
        .send(&queue("q"), &message("lost", ""))
        .await
        .unwrap_err();
    server.restart().await;
    let left = drained(&redis, "q", 15).await;
    assert_eq!(left, keys[5..]);
    assert_eq!(server.ask("XLEN tripod:queue:{q}"), "0");
    assert!(
        server
            .ask("XPENDING tripod:queue:{q} tripod")
            .starts_with('0')
    );
}

#[tokio::test]
async fn a_server_that_hangs_is_unknown_in_time() {
    let server = RedisServer::start(&[]).await;
    let redis = connected(&server).await;
    server.pause();
    let sent = timeout(LONG, redis.send(&queue("q"), &message("a", ""))).await;
    server.resume();
    let error = sent.unwrap().unwrap_err();
    assert!(matches!(error, TransportError::Unknown(_)), "{error:?}");
}

#[tokio::test]
async fn neither_stream_nor_pending_list_nor_consumers_grow() {
    let server = RedisServer::start(&[]).await;
    for _ in 0..3 {
        let redis = connected(&server).await;
        for number in 0..100 {
            let sent = message(&number.to_string(), "");
            redis.send(&queue("q"), &sent).await.unwrap();
        }
        assert_eq!(drained(&redis, "q", 100).await.len(), 100);
    }
    assert_eq!(server.ask("XLEN tripod:queue:{q}"), "0");
    let consumers = server.ask("XINFO CONSUMERS tripod:queue:{q} tripod");
    assert_eq!(consumers.matches("name").count(), 1, "{consumers}");
    assert!(
        server
            .ask("XPENDING tripod:queue:{q} tripod")
            .starts_with('0')
    );
}

#[tokio::test]
async fn what_is_stuck_behind_many_that_are_worked_on_is_found() {
    let server = RedisServer::start(&[]).await;
    let terms = Terms::new().with_lease(Duration::from_secs(3));
    let redis = RedisTransport::connect(server.url())
        .terms(terms)
        .await
        .unwrap();
    for number in 0..200 {
        let sent = message(&number.to_string(), "");
        redis.send(&queue("q"), &sent).await.unwrap();
    }
    let mut held = redis.receive(&queue("q"), 200, LONG).await.unwrap();
    let stuck = held.pop().unwrap();
    // All but the last are extended for longer than their lease.
    let extends = async {
        loop {
            let each = held.iter().map(|one| async {
                let q = queue("q");
                redis
                    .postpone(&q, one.receipt(), terms.lease())
                    .await
                    .unwrap()
            });
            let all = futures_util::future::join_all(each).await;
            assert!(all.into_iter().all(|held| held));
            sleep(Duration::from_millis(300)).await;
        }
    };
    let q = queue("q");
    let found = redis.receive(&q, 1, LONG);
    tokio::select! {
        () = extends => {}
        found = found => assert_eq!(found.unwrap()[0].message(), stuck.message()),
    }
}

#[tokio::test]
async fn what_is_no_message_is_a_dead_letter() {
    let server = RedisServer::start(&[]).await;
    let redis = connected(&server).await;
    server.ask("XADD tripod:queue:{q} * m nonsense other field");
    server.ask("XADD tripod:queue:{q} * alone x");
    redis.send(&queue("q"), &message("a", "")).await.unwrap();
    assert_eq!(drained(&redis, "q", 1).await, ["a"]);
    let letters = redis.dead_letters(&queue("q"), 9).await.unwrap();
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().all(|one| one.message().is_none()));
    let kept = server.ask("XRANGE tripod:queue:{q}:dead - +");
    assert!(
        kept.contains("nonsense") && kept.contains("field"),
        "{kept}"
    );
}

#[tokio::test]
async fn a_server_that_may_evict_or_asks_for_a_password_is_refused() {
    let server = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]).await;
    let refused = RedisTransport::connect(server.url()).await.unwrap_err();
    assert!(matches!(refused, TransportError::Refused(_)), "{refused:?}");
    let server = RedisServer::start(&["--requirepass", "canary"]).await;
    let refused = RedisTransport::connect(server.url_of_user("wrong")).await;
    let refused = format!("{:?}", refused.unwrap_err());
    assert!(
        refused.starts_with("Refused") && !refused.contains("wrong\""),
        "{refused}"
    );
    let redis = RedisTransport::connect(server.url_of_user("canary"))
        .await
        .unwrap();
    redis.send(&queue("q"), &message("a", "")).await.unwrap();
    assert!(!format!("{redis:?}").contains("canary"));
    let given = RedisTransport::connect(server.url()).credentials("default", "canary");
    assert!(!format!("{given:?}").contains("canary"));
    given.await.unwrap();
}

#[tokio::test]
async fn a_user_needs_no_more_rights_than_the_documentation_says() {
    let server = RedisServer::start(&[]).await;
    let documented = include_str!("../../../src/transaction/message/transport/redis/mod.rs");
    let rights = documented.split_once("ACL SETUSER queues ").unwrap().1;
    let rights = rights.split_once("```").unwrap().0.replace("///", "");
    let words: Vec<_> = ["ACL", "SETUSER", "queues"]
        .into_iter()
        .chain(rights.split_whitespace())
        .collect();
    assert_eq!(server.ask_words(&words), "OK");
    let connect = RedisTransport::connect(server.url_with("queues:password"));
    let terms = terms().with_deliveries_max(1);
    let redis = connect.terms(terms).await.unwrap();
    let q = queue("q");
    redis.send(&q, &message("a", "")).await.unwrap();
    let one = redis.receive(&q, 1, LONG).await.unwrap().remove(0);
    assert!(
        redis
            .postpone(&q, one.receipt(), Duration::ZERO)
            .await
            .unwrap()
    );
    assert!(redis.receive(&q, 1, LONG / 20).await.unwrap().is_empty());
    server.ask("XADD tripod:queue:{q} * m nonsense");
    assert!(redis.receive(&q, 1, LONG / 20).await.unwrap().is_empty());
    let letters = redis.dead_letters(&q, 9).await.unwrap();
    assert!(redis.redrive(&q, letters[0].id()).await.unwrap());
    assert!(redis.discard(&q, letters[1].id()).await.unwrap());
    let one = redis.receive(&q, 1, LONG).await.unwrap().remove(0);
    redis
        .acknowledge(&q, &[one.receipt().clone()])
        .await
        .unwrap();
}

#[tokio::test]
async fn tls_is_spoken_and_certificates_are_checked() {
    let certificates = crate::server::certificates::Certificates::new();
    let options = ["--tls-auth-clients", "no"];
    let server = RedisServer::start_tls(&certificates, &options).await;
    let untrusted = RedisTransport::connect(server.url()).await.unwrap_err();
    assert!(
        matches!(untrusted, TransportError::Refused(_)),
        "{untrusted:?}"
    );
    let roots = std::fs::read(certificates.authority()).unwrap();
    let tls = tripod::transaction::message::Tls::new().with_roots(roots);
    let redis = RedisTransport::connect(server.url())
        .tls(tls)
        .await
        .unwrap();
    redis.send(&queue("q"), &message("a", "")).await.unwrap();
    assert_eq!(redis.receive(&queue("q"), 1, LONG).await.unwrap().len(), 1);
}
