//! Inbox and outbox on `PostgreSQL`.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tripod::transaction::message::tokio_postgres::{Client, NoTls, connect};
use tripod::transaction::message::{
    Entered, Inbox, InboxError, MemoryTransport, Message, Outbox, Relay, TablesError, Terms,
    Transport,
};

use super::{message, queue};
use crate::server::postgres::PostgresServer;

const LONG: Duration = Duration::from_secs(20);

pub(crate) async fn client(server: &PostgresServer) -> Client {
    let (client, driver) = connect(&server.url(), NoTls).await.unwrap();
    tokio::spawn(driver);
    client
}

pub(crate) async fn server() -> PostgresServer {
    let server = PostgresServer::start();
    Outbox::migrate(server.url()).await.unwrap();
    // Again, it does nothing.
    Inbox::migrate(server.url()).await.unwrap();
    server
}

#[tokio::test]
async fn a_message_comes_in_once_and_its_reply_again() {
    let server = server().await;
    let mut client = client(&server).await;
    let inbox = Inbox::new(queue("q"));
    let (asked, other) = (message("k", "one"), message("k", "another"));
    let transaction = client.transaction().await.unwrap();
    assert_eq!(
        inbox.enter(&transaction, &asked).await.unwrap(),
        Entered::First
    );
    transaction.rollback().await.unwrap();
    for reply in [None, Some(b"reply".to_vec()), Some(b"reply".to_vec())] {
        let transaction = client.transaction().await.unwrap();
        let entered = inbox.enter(&transaction, &asked).await.unwrap();
        assert_eq!(entered, reply.map_or(Entered::First, Entered::Again));
        if entered == Entered::First {
            inbox.keep(&transaction, &asked, b"reply").await.unwrap();
        }
        transaction.commit().await.unwrap();
    }
    let transaction = client.transaction().await.unwrap();
    let conflict = inbox.enter(&transaction, &other).await.unwrap_err();
    assert!(matches!(conflict, InboxError::Conflict));
    let elsewhere = Inbox::new(queue("Q"));
    assert_eq!(
        elsewhere.enter(&transaction, &other).await.unwrap(),
        Entered::First
    );
    let unknown = message("never let in", "");
    elsewhere
        .keep(&transaction, &unknown, b"")
        .await
        .unwrap_err();
}

#[tokio::test]
async fn two_that_come_at_once_wait_for_each_other() {
    let server = server().await;
    let (mut one, mut two) = (client(&server).await, client(&server).await);
    let inbox = Inbox::new(queue("q"));
    let asked = message("k", "");
    for commits in [false, true] {
        let first = one.transaction().await.unwrap();
        assert_eq!(inbox.enter(&first, &asked).await.unwrap(), Entered::First);
        inbox.keep(&first, &asked, b"by one").await.unwrap();
        let second = two.transaction().await.unwrap();
        let entered = {
            let enters = inbox.enter(&second, &asked);
            tokio::pin!(enters);
            let early = timeout(Duration::from_millis(100), &mut enters).await;
            assert!(early.is_err(), "{early:?} before the first has ended");
            if commits {
                first.commit().await.unwrap();
            } else {
                first.rollback().await.unwrap();
            }
            enters.await.unwrap()
        };
        let expected = Entered::Again(b"by one".to_vec());
        assert_eq!(entered, if commits { expected } else { Entered::First });
        second.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn rows_are_dropped_past_their_time_and_not_before() {
    let server = server().await;
    let mut client = client(&server).await;
    let inbox = Inbox::new(queue("q")).with_retention(Duration::from_secs(3600));
    for (first, ages) in [(0, 0), (10, 59), (20, 61)] {
        for number in first..first + 10 {
            let transaction = client.transaction().await.unwrap();
            let asked = message(&number.to_string(), "");
            assert_eq!(
                inbox.enter(&transaction, &asked).await.unwrap(),
                Entered::First
            );
            transaction.commit().await.unwrap();
        }
        let age = format!(
            "UPDATE tripod.inbox SET at = at - interval '{ages} minutes' \
             WHERE convert_from(key, 'UTF8')::int >= {first}"
        );
        server.query(&age);
    }
    let count = "SELECT count(*) FROM tripod.inbox";
    assert_eq!(server.query(count), ["30"]);
    let transaction = client.transaction().await.unwrap();
    let asked = message("new", "");
    assert_eq!(
        inbox.enter(&transaction, &asked).await.unwrap(),
        Entered::First
    );
    transaction.commit().await.unwrap();
    assert_eq!(server.query(count), ["29"], "two went along");
    assert_eq!(inbox.sweep(&client).await.unwrap(), 8);
    assert_eq!(inbox.sweep(&client).await.unwrap(), 0);
    assert_eq!(server.query(count), ["21"]);
}

/// Writes a message in a transaction, which commits if it is to.
async fn writes(client: &mut Client, to: &str, sent: &Message, commits: bool) {
    let transaction = client.transaction().await.unwrap();
    Outbox::new()
        .send(&transaction, &queue(to), sent)
        .await
        .unwrap();
    if commits {
        transaction.commit().await.unwrap();
    } else {
        transaction.rollback().await.unwrap();
    }
}

async fn relay(server: &PostgresServer, transport: impl Transport) -> Relay {
    Outbox::relay(server.url(), transport).await.unwrap()
}

/// The keys of the next so many, in the order in which they came.
async fn come(transport: &impl Transport, from: &str, count: usize) -> Vec<String> {
    let mut keys = Vec::new();
    while keys.len() < count {
        let all = transport.receive(&queue(from), count, LONG).await.unwrap();
        assert!(!all.is_empty(), "{keys:?} of {count}");
        keys.extend(all.iter().map(|one| one.message().key().to_owned()));
    }
    keys
}

#[tokio::test]
async fn what_commits_is_sent_and_what_does_not_is_not() {
    let server = server().await;
    let transport = MemoryTransport::new();
    let mut client = client(&server).await;
    let sent = message("k", "payload").with_header("a", "b").unwrap();
    writes(&mut client, "q", &sent, true).await;
    writes(&mut client, "q", &message("undone", ""), false).await;
    let relay = relay(&server, transport.clone()).await;
    let came = transport.receive(&queue("q"), 9, LONG).await.unwrap();
    assert_eq!((came.len(), came[0].message()), (1, &sent));
    // One that sleeps for an hour is woken.
    relay.stop(LONG).await;
    let slow = Outbox::relay(server.url(), transport.clone()).poll(Duration::from_secs(3600));
    let slow = slow.await.unwrap();
    sleep(Duration::from_millis(200)).await;
    for number in 0..5 {
        writes(&mut client, "q", &message(&number.to_string(), ""), true).await;
        assert_eq!(come(&transport, "q", 1).await, [number.to_string()]);
    }
    slow.stop(LONG).await;
    assert_eq!(server.query("SELECT count(*) FROM tripod.outbox"), ["0"]);
}

#[tokio::test]
async fn what_was_written_first_and_commits_last_is_not_skipped() {
    let server = server().await;
    let transport = MemoryTransport::new();
    let (mut one, mut two) = (client(&server).await, client(&server).await);
    let late = one.transaction().await.unwrap();
    let outbox = Outbox::new().without_notify();
    outbox
        .send(&late, &queue("q"), &message("early id", ""))
        .await
        .unwrap();
    let _relay = relay(&server, transport.clone()).await;
    writes(&mut two, "q", &message("late id", ""), true).await;
    assert_eq!(come(&transport, "q", 1).await, ["late id"]);
    late.commit().await.unwrap();
    assert_eq!(come(&transport, "q", 1).await, ["early id"]);
}

#[tokio::test]
async fn two_relays_share_the_work_and_send_all_of_it() {
    let server = server().await;
    let transport = MemoryTransport::new();
    let (one, two) = (
        relay(&server, transport.clone()).await,
        relay(&server, transport.clone()).await,
    );
    let mut client = client(&server).await;
    let keys: Vec<_> = (1000..1500).map(|number| number.to_string()).collect();
    for chunk in keys.chunks(50) {
        let transaction = client.transaction().await.unwrap();
        for key in chunk {
            let sent = message(key, "");
            Outbox::new()
                .send(&transaction, &queue("q"), &sent)
                .await
                .unwrap();
        }
        transaction.commit().await.unwrap();
    }
    let mut came = come(&transport, "q", 500).await;
    came.sort();
    assert_eq!(came, keys);
    one.stop(LONG).await;
    two.stop(LONG).await;
    assert!(
        transport
            .receive(&queue("q"), 9, Duration::ZERO)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_full_queue_keeps_nobody_else_waiting_and_is_tried_again() {
    let server = server().await;
    let transport = MemoryTransport::with_terms(Terms::new().with_length_max(1));
    let mut client = client(&server).await;
    for number in 0..200 {
        writes(&mut client, "full", &message(&number.to_string(), ""), true).await;
    }
    writes(&mut client, "other", &message("k", ""), true).await;
    let _relay = relay(&server, transport.clone()).await;
    assert_eq!(come(&transport, "other", 1).await, ["k"]);
    for number in 0..5 {
        let all = transport.receive(&queue("full"), 1, LONG).await.unwrap();
        assert_eq!(all[0].message().key(), number.to_string());
        let receipts = [all[0].receipt().clone()];
        transport
            .acknowledge(&queue("full"), &receipts)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_is_no_message_is_parked_with_its_reason() {
    let server = server().await;
    let transport = MemoryTransport::new();
    server.query("INSERT INTO tripod.outbox (queue, message) VALUES ('q', 'x'), ('no queue!', '')");
    let mut client = client(&server).await;
    writes(&mut client, "q", &message("k", ""), true).await;
    let _relay = relay(&server, transport.clone()).await;
    assert_eq!(come(&transport, "q", 1).await, ["k"]);
    let parked = "SELECT count(*) FROM tripod.outbox WHERE fault IS NOT NULL";
    while server.query(parked) != ["2"] {
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_relay_outlives_its_database() {
    let mut server = server().await;
    let transport = MemoryTransport::new();
    let _relay = relay(&server, transport.clone()).await;
    server.kill();
    sleep(Duration::from_millis(300)).await;
    server.restart();
    let mut client = client(&server).await;
    writes(&mut client, "q", &message("k", ""), true).await;
    assert_eq!(come(&transport, "q", 1).await, ["k"]);
}

#[tokio::test]
async fn a_relay_without_tables_or_server_does_not_start() {
    let server = PostgresServer::start();
    let missing = Outbox::relay(server.url(), MemoryTransport::new()).await;
    assert!(matches!(missing.unwrap_err(), TablesError::Unfit(_)));
    let nowhere = "postgres://postgres:canary@127.0.0.1:1/postgres";
    let start = Outbox::relay(nowhere, MemoryTransport::new());
    assert!(!format!("{start:?}").contains("canary"));
    let unreached = start.await.unwrap_err();
    assert!(
        matches!(unreached, TablesError::Unknown(_)),
        "{unreached:?}"
    );
    assert!(!format!("{unreached:?}").contains("canary"));
}

#[tokio::test]
async fn those_who_use_the_tables_need_no_more_than_documented() {
    let server = server().await;
    server.query("CREATE ROLE shop LOGIN");
    let source = include_str!("../../../src/transaction/message/outbox.rs");
    let grants = source.split_once("/// ```sql").unwrap().1;
    let grants = grants.split_once("/// ```").unwrap().0.replace("///", "");
    server.query(&grants);
    let url = server.url().replace("postgres@", "shop@");
    let (mut client, driver) = connect(&url, NoTls).await.unwrap();
    tokio::spawn(driver);
    let inbox = Inbox::new(queue("q"));
    let asked = message("k", "");
    let transaction = client.transaction().await.unwrap();
    assert_eq!(
        inbox.enter(&transaction, &asked).await.unwrap(),
        Entered::First
    );
    inbox.keep(&transaction, &asked, b"").await.unwrap();
    Outbox::new()
        .send(&transaction, &queue("q"), &asked)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(inbox.sweep(&client).await.unwrap(), 0);
    let transport = MemoryTransport::new();
    let _relay = Outbox::relay(url, transport.clone()).await.unwrap();
    assert_eq!(come(&transport, "q", 1).await, ["k"]);
}

/// As cargo has built it along with the tests.
fn example(urls: &[String]) -> std::process::Output {
    let mut path: std::path::PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.extend(["examples", "outbox"]);
    let output = std::process::Command::new(path).args(urls).output();
    output.expect("it is built: run `cargo build --all-features --examples` first")
}

#[tokio::test]
async fn the_example_bills_what_was_ordered_once_and_says_what_to_start() {
    let postgres = PostgresServer::start();
    let redis = crate::server::redis::RedisServer::start(&[]).await;
    let urls = [postgres.url(), redis.url()];
    for (urls, says) in [
        (&urls[..1], "2 orders, 2 bills"),
        (&urls, "4 orders, 4 bills"),
    ] {
        let output = example(urls);
        let printed = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.success() && printed.contains(says),
            "{printed}{errors}"
        );
        assert!(printed.contains("cancelled"), "{printed}");
    }
    let nowhere = "postgres://postgres@127.0.0.1:1/postgres".to_owned();
    let output = example(&[nowhere]);
    assert!(!output.status.success());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("start a server"), "{errors}");
}
