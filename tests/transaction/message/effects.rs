//! One effect for each key, on real servers, whatever dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};
use tripod::transaction::message::tokio_postgres::{NoTls, connect};
use tripod::transaction::message::{
    Caller, CallerOptions, Entered, HandlerError, Inbox, Message, Outbox, RedisTransport, Server,
    ServerOptions, Terms,
};

use super::faulty::{Faulty, seed};
use super::stores::{client, server};
use super::{message, queue};
use crate::server::redis::RedisServer;

const PATIENCE: Duration = Duration::from_secs(120);

fn terms() -> Terms {
    Terms::new()
        .with_lease(Duration::from_millis(300))
        .with_deliveries_max(1000)
}

/// Counts a payment, by the inbox or without.
async fn pay(url: String, inbox: Option<Inbox>, request: Message) -> Result<Vec<u8>, HandlerError> {
    let (mut client, driver) = connect(&url, NoTls).await?;
    tokio::spawn(driver);
    let transaction = client.transaction().await?;
    if let Some(inbox) = &inbox
        && let Entered::Again(reply) = inbox.enter(&transaction, &request).await?
    {
        return Ok(reply);
    }
    let pays = "INSERT INTO payment (key, number) VALUES ($1, DEFAULT) RETURNING number";
    let row = transaction.query_one(pays, &[&request.key()]).await?;
    let number: i64 = row.get(0);
    let reply = number.to_string().into_bytes();
    if let Some(inbox) = &inbox {
        inbox.keep(&transaction, &request, &reply).await?;
    }
    transaction.commit().await?;
    // Killed here, the effect is there and nothing is acknowledged.
    sleep(Duration::from_millis(20)).await;
    Ok(reply)
}

/// Requests over Redis, which is killed, restarted and flushed; what serves them is killed as well.
/// Answers how many requests were answered with the number of a payment of their key, and how many
/// keys have more payments than one.
async fn payments(inbox: Option<Inbox>) -> (usize, usize, usize) {
    let seed = seed();
    let postgres = server().await;
    postgres.query("CREATE TABLE payment (key text, number bigserial)");
    let mut redis = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let transport = RedisTransport::connect(redis.url())
        .terms(terms())
        .await
        .unwrap();
    let transport = Faulty::new(transport, seed);
    let url = postgres.url();
    let killed = tokio::spawn({
        let transport = transport.clone();
        async move {
            loop {
                let (url, inbox) = (url.clone(), inbox.clone());
                let pays = move |request| pay(url.clone(), inbox.clone(), request);
                let options = ServerOptions::new().with_concurrency(8);
                let server = Server::start(transport.clone(), queue("pay"), pays, options);
                sleep(Duration::from_millis(400)).await;
                drop(server);
            }
        }
    });
    let options = CallerOptions::new().with_resend(Duration::from_millis(200));
    let caller = Caller::start(transport.clone(), queue("replies"), options);
    let done = Arc::new(AtomicU32::new(0));
    let calls = (0..150).map(|number| {
        let (caller, done) = (caller.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            sleep(Duration::from_millis(number * 10)).await;
            let asked = message(&format!("key-{number}"), "30 EUR");
            let reply = caller.call(&queue("pay"), asked.clone(), PATIENCE).await;
            let reply = reply.unwrap_or_else(|error| panic!("seed {seed}: {number}: {error}"));
            done.fetch_add(1, Ordering::Relaxed);
            (asked.key().to_owned(), reply.payload().to_vec())
        })
    });
    let calls: Vec<_> = calls.collect();
    sleep(Duration::from_millis(500)).await;
    redis.ask("FLUSHALL");
    sleep(Duration::from_millis(300)).await;
    redis.kill();
    sleep(Duration::from_millis(200)).await;
    redis.restart().await;
    sleep(Duration::from_millis(200)).await;
    redis.ask("XGROUP DESTROY tripod:queue:{pay} tripod");
    let replies: Vec<_> = join_all(calls)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    killed.abort();
    let client = client(&postgres).await;
    let mut right = 0;
    for (key, number) in &replies {
        let number: i64 = std::str::from_utf8(number).unwrap().parse().unwrap();
        let count = "SELECT count(*) FROM payment WHERE key = $1 AND number = $2";
        let row = client.query_one(count, &[key, &number]).await.unwrap();
        right += usize::try_from(row.get::<_, i64>(0)).unwrap();
    }
    let doubles =
        "SELECT count(*) FROM (SELECT 1 FROM payment GROUP BY key HAVING count(*) > 1) AS d";
    let doubles = postgres.query(doubles)[0].parse().unwrap();
    println!("{right} right of {}, {doubles} doubles", replies.len());
    (replies.len(), right, doubles)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_answered_and_paid_once_whatever_dies() {
    let inbox = Inbox::new(queue("pay"));
    assert_eq!(payments(Some(inbox)).await, (150, 150, 0));
}

/// That the test above can fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_inbox_some_are_paid_twice() {
    let (answered, _, doubles) = payments(None).await;
    assert_eq!(answered, 150);
    assert!(doubles > 0, "nothing came twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_commits_with_a_message_has_its_effect_once_whatever_dies() {
    let seed = seed();
    let postgres = server().await;
    postgres.query("CREATE TABLE payment (key text, number bigserial)");
    let mut redis = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let transport = RedisTransport::connect(redis.url())
        .terms(terms())
        .await
        .unwrap();
    let url = postgres.url();
    let killed = tokio::spawn({
        let transport = transport.clone();
        async move {
            loop {
                let relay = Outbox::relay(url.clone(), transport.clone()).await.unwrap();
                let of = url.clone();
                let pays = move |asked| pay(of.clone(), Some(Inbox::new(queue("pay"))), asked);
                let options = ServerOptions::new().with_concurrency(8);
                let server = Server::start(transport.clone(), queue("pay"), pays, options);
                // Time for a round, on a busy machine.
                sleep(Duration::from_millis(700)).await;
                drop((relay, server));
            }
        }
    });
    let mut client = client(&postgres).await;
    for number in 0..200 {
        let transaction = client.transaction().await.unwrap();
        let sent = message(&format!("key-{number}"), "30 EUR");
        Outbox::new()
            .send(&transaction, &queue("pay"), &sent)
            .await
            .unwrap();
        if number % 10 == 0 {
            transaction.rollback().await.unwrap();
        } else {
            transaction.commit().await.unwrap();
        }
        if number == 100 {
            redis.kill();
            sleep(Duration::from_millis(300)).await;
            redis.restart().await;
        }
        sleep(Duration::from_millis(15)).await;
    }
    let all_paid = async {
        while postgres.query("SELECT count(DISTINCT key) FROM payment") != ["180"] {
            sleep(Duration::from_millis(100)).await;
        }
        // What came twice has time to show.
        sleep(Duration::from_secs(1)).await;
    };
    timeout(PATIENCE, all_paid)
        .await
        .unwrap_or_else(|_| panic!("seed {seed}"));
    killed.abort();
    assert_eq!(postgres.query("SELECT count(*) FROM payment"), ["180"]);
    assert_eq!(postgres.query("SELECT count(*) FROM tripod.outbox"), ["0"]);
}
