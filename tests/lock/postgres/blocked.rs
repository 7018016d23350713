//! Others that stand in the way, in the database.

use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::time::{sleep, timeout};
use tokio_postgres::SimpleQueryMessage;
use tripod::lock::{
    BackendError, BackendErrorKind, Claimed, Enqueued, LockBackend, Locks, Renewed,
};

use crate::scenario::is_lost_at_its_deadline;
use crate::server::Process;
use crate::server::postgres::PostgresServer;

use super::{entry, request, server, store, until};

const TTL: Duration = Duration::from_secs(60);

/// Does this, and keeps the locks that it took.
async fn block(server: &PostgresServer, sql: &str) -> Process {
    let block = server.meanwhile(&format!("BEGIN; {sql}; SELECT pg_sleep(600)"));
    let sleeps = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until(server, sleeps).await;
    block
}

async fn block_row(server: &PostgresServer, count: u64) -> Process {
    let row = format!(
        "SELECT * FROM tripod.entry WHERE holder = '\\x{:016x}{count:016x}' FOR UPDATE",
        1
    );
    block(server, &row).await
}

/// Ends what blocks.
const UNBLOCK: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";

fn unblock(server: &PostgresServer) {
    server.query(UNBLOCK);
}

fn are_unavailable(answers: Vec<Result<Enqueued, BackendError>>) {
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error:?}");
    }
}

#[tokio::test]
async fn a_name_that_is_blocked_is_unavailable_and_blocks_no_other() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    let _blocked = block(&server, "SELECT tripod.enter('blocked')").await;
    let blocked: Vec<_> = (0..3).map(|id| request("blocked", id, TTL)).collect();
    let blocked = join_all(blocked.iter().map(|request| store.enqueue(request)));
    let free = request("free", 9, TTL);
    let (blocked, free) = join(blocked, store.enqueue(&free)).await;
    assert!(matches!(free.unwrap(), Enqueued::Granted(_)));
    are_unavailable(blocked);
}

#[tokio::test]
async fn calls_for_a_name_that_is_blocked_keep_no_lease_from_being_renewed() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    let _ = store.enqueue(&request("free", 99, TTL)).await.unwrap();
    let _blocked = block(&server, "SELECT tripod.enter('blocked')").await;
    let blocked: Vec<_> = (0..40).map(|id| request("blocked", id, TTL)).collect();
    let blocked = join_all(blocked.iter().map(|request| store.enqueue(request)));
    let renewing = async {
        for _ in 0..20 {
            sleep(Duration::from_millis(50)).await;
            let renewed = store.renew(&[entry("free", 99)]).await;
            assert!(
                matches!(renewed[..], [Ok(Renewed::Alive(_))]),
                "{renewed:?}"
            );
        }
    };
    let (blocked, ()) = join(blocked, renewing).await;
    are_unavailable(blocked);
}

#[tokio::test]
async fn a_row_that_is_blocked_keeps_no_other_from_being_renewed() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    for count in 0..3 {
        let _ = store.enqueue(&request("a", count, TTL)).await.unwrap();
    }
    let _blocked = block_row(&server, 1).await;
    let entries = [2, 1, 7, 0].map(|count| entry("a", count));
    let renewed = store.renew(&entries).await;
    let [
        Ok(Renewed::Alive(_)),
        Err(error),
        Ok(Renewed::Gone),
        Ok(Renewed::Alive(_)),
    ] = &renewed[..]
    else {
        panic!("{renewed:?}")
    };
    assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error:?}");
}

#[tokio::test]
async fn a_row_that_is_blocked_costs_its_own_lease_only_however_short_the_others() {
    let server = server(&["fsync=off"]).await;
    let locks = Locks::new(store(&server).await);
    let ttl = Duration::from_secs(6);
    let free = locks.acquire("free").ttl(ttl).await.unwrap();
    let blocked = locks.acquire("blocked").ttl(ttl).await.unwrap();
    let row = "SELECT * FROM tripod.entry WHERE name = 'blocked' FOR UPDATE";
    let _blocked = block(&server, row).await;
    // It was granted later than the other, which has lived on renewals since.
    is_lost_at_its_deadline(&blocked).await;
    free.check().unwrap();
    assert!(free.release().await.unwrap());
}

#[tokio::test]
async fn a_claim_that_waited_takes_nothing_from_what_was_renewed_meanwhile() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    let end = "SELECT expires FROM tripod.entry WHERE holder = decode(
        '00000000000000010000000000000001', 'hex')";
    let waits = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    // A claim waits for a second at most, so there is no time to start a client.
    let client = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await;
    let (client, connection) = client.unwrap();
    tokio::spawn(connection);
    let ask = async |question: &str| {
        let rows = client.simple_query(question).await.unwrap();
        let mut told = String::new();
        for message in &rows {
            if let SimpleQueryMessage::Row(row) = message {
                row.get(0).unwrap_or_default().clone_into(&mut told);
            }
        }
        told
    };
    for _ in 0..20 {
        for count in [1, 2] {
            let _ = store.enqueue(&request("a", count, TTL)).await.unwrap();
        }
        server.query("UPDATE tripod.entry SET expires = now() WHERE token IS NULL");
        let _blocked = block_row(&server, 2).await;
        let mine = entry("a", 1);
        let renewing = async {
            let waiting = async {
                while ask(waits).await != "t" {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            // It may have given up already.
            if timeout(Duration::from_secs(2), waiting).await.is_err() {
                unblock(&server);
                return None;
            }
            let renewed = store.renew(&[entry("a", 1)]).await;
            assert!(
                matches!(renewed[..], [Ok(Renewed::Alive(_))]),
                "{renewed:?}"
            );
            let renewed = ask(end).await;
            ask(UNBLOCK).await;
            Some(renewed)
        };
        let (claimed, renewed) = join(store.claim(&mine), renewing).await;
        if let (Ok(claimed), Some(renewed)) = (claimed, renewed) {
            assert!(matches!(claimed, Claimed::Granted(_)));
            let claimed = server.query(end).concat();
            let kept = format!("SELECT '{claimed}'::timestamptz >= '{renewed}'::timestamptz");
            assert_eq!(server.query(&kept), ["t"], "{claimed} {renewed}");
            return;
        }
    }
    panic!("no claim came through");
}

#[tokio::test]
async fn an_entry_that_is_renewed_while_another_finds_it_over_stays() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    let brief = Duration::from_secs(10);
    let _ = store.enqueue(&request("a", 1, brief)).await.unwrap();
    let end = server.query("SELECT expires FROM tripod.entry").concat();
    sleep(Duration::from_secs(5)).await;
    // A renewal in time, whose commit comes when the lease would have been over.
    let renew = format!(
        "BEGIN; SELECT tripod.renew(ARRAY['a'::bytea],
            ARRAY['\\x00000000000000010000000000000001'::bytea]);
        SELECT pg_sleep(extract(epoch FROM '{end}'::timestamptz - clock_timestamp()) + 0.5);
        COMMIT"
    );
    let _renewed = server.meanwhile(&renew);
    until(&server, &format!("SELECT clock_timestamp() > '{end}'")).await;
    let enqueued = store.enqueue(&request("a", 2, TTL).without_waiting()).await;
    assert!(matches!(enqueued.unwrap(), Enqueued::Held));
    let renewed = store.renew(&[entry("a", 1)]).await;
    assert!(!matches!(renewed[..], [Ok(Renewed::Gone)]), "{renewed:?}");
}

#[tokio::test]
async fn dropped_calls_leave_no_connection_behind() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    for count in 0..100 {
        let request = request("dropped", count, Duration::from_secs(1));
        let time = Duration::from_micros(count * 30);
        let _ = timeout(time, store.enqueue(&request)).await;
    }
    let _ = store.enqueue(&request("a", 1, TTL)).await.unwrap();
    // Eight, one that listens, and one that renews.
    let open = "SELECT count(*) <= 10 FROM pg_stat_activity WHERE application_name = 'tripod'";
    until(&server, open).await;
}
