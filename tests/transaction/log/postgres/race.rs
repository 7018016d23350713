//! An append and a take-over never cross.

use std::time::Duration;

use tokio::time::sleep;
use tripod::transaction::log::{AppendError, LogError, PostgresLog, TransactionLog};

use crate::server::postgres::PostgresServer;
use crate::server::wire::Wire;

use super::{SLOW, connected, forced, keys, opened, server, until, until_waits};

const COMMITS: &str = "SELECT count(*) = 1 FROM pg_stat_activity
    WHERE query ~ 'log_append' AND state = 'active' AND wait_event = 'PgSleep'";

#[tokio::test]
async fn a_take_over_waits_for_an_append_that_is_under_way_and_finds_it() {
    let server = server().await;
    let (first, epoch) = opened(&server).await;
    server.query(SLOW);
    let append = tokio::spawn({
        let first = first.clone();
        async move { forced(&first, epoch, "under way").await }
    });
    until(&server, COMMITS).await;
    let second = connected(server.url()).await;
    let (opened, ()) = tokio::join!(second.open(0), until_waits(&server, 1));
    append.await.unwrap().unwrap();
    let opened = opened.unwrap();
    assert_eq!(keys(&opened), ["under way"]);
    let refused = forced(&first, epoch, "late").await.unwrap_err();
    assert!(
        matches!(refused, AppendError::Superseded { .. }),
        "{refused:?}"
    );
    assert!(refused.is_definite());
    let third = connected(server.url()).await;
    assert_eq!(keys(&third.open(0).await.unwrap()), ["under way"]);
}

/// Where a function says this, it says that instead.
type Break = (&'static str, &'static str, &'static str);

/// Whether an append and a take-over that meet leave the successor without what was confirmed, or
/// with what comes later.
async fn crosses(server: &PostgresServer, breaks: &[Break]) -> bool {
    let (first, epoch) = opened(server).await;
    for (function, what, instead) in breaks {
        let definition = format!("pg_get_functiondef('tripod.{function}'::regproc)");
        let says = format!("SELECT strpos({definition}, '{what}') > 0");
        assert_eq!(server.query(&says), ["t"], "{what}");
        server.query(&format!(
            "DO $do$ BEGIN EXECUTE replace({definition}, '{what}', '{instead}'); END $do$"
        ));
    }
    server.query(SLOW);
    let append = tokio::spawn({
        let first = first.clone();
        async move { forced(&first, epoch, "under way").await }
    });
    until(server, COMMITS).await;
    let second = connected(server.url()).await;
    let found = keys(&second.open(0).await.unwrap());
    let confirmed = append.await.unwrap().is_ok();
    let late = forced(&first, epoch, "late").await;
    (confirmed && found.is_empty()) || late.is_ok()
}

#[tokio::test]
async fn without_the_lock_or_the_epoch_they_would_cross() {
    // That the log ends where it did would keep them apart as well.
    let no_tail: [Break; 2] = [
        (
            "log_raise",
            "DELETE FROM tripod.log_tail AS tail WHERE tail.log = v_log",
            "PERFORM 1",
        ),
        (
            "log_raise",
            "INSERT INTO tripod.log_tail (log, lsn) VALUES (v_log, v_lsn)",
            "PERFORM 1",
        ),
    ];
    let no_lock = [("log_append", "FOR SHARE", "")];
    // What the epoch's update does not touch is no key.
    let key_lock = [("log_append", "FOR SHARE", "FOR KEY SHARE")];
    let no_epoch = [("log_append", "AND it.epoch = p_epoch", "")];
    for breaks in [
        [&no_tail[..], &no_lock].concat(),
        [&no_tail[..], &key_lock].concat(),
        no_epoch.to_vec(),
    ] {
        assert!(crosses(&server().await, &breaks).await, "{breaks:?}");
    }
    for breaks in [&no_tail[..], &no_lock, &[]] {
        assert!(!crosses(&server().await, breaks).await, "{breaks:?}");
    }
}

#[tokio::test]
async fn an_append_waits_for_a_take_over_that_is_under_way_and_is_refused() {
    let server = server().await;
    let (first, epoch) = opened(&server).await;
    // As an opening does, and then its process is stopped for a while.
    let _raises = server.meanwhile(
        "BEGIN; SELECT tripod.log_raise('orders', epoch, decode('0000000000000009', 'hex'), NULL)
            FROM tripod.log; SELECT pg_sleep(2); COMMIT",
    );
    let holds = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until(&server, holds).await;
    let (refused, ()) = tokio::join!(forced(&first, epoch, "late"), until_waits(&server, 1));
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, AppendError::Superseded { .. }),
        "{refused:?}"
    );
    let again = first.reopen(epoch).await.unwrap_err();
    assert!(matches!(again, LogError::Superseded { .. }), "{again:?}");
    let second = connected(server.url()).await;
    let opened = second.open(0).await.unwrap();
    assert_eq!((opened.epoch().as_u64(), keys(&opened).len()), (10, 0));
}

#[tokio::test]
async fn an_append_that_was_held_up_on_its_way_is_refused_when_it_arrives() {
    let server = server().await;
    let wire = Wire::to(server.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", wire.port());
    let first = connected(url).await;
    let epoch = first.open(0).await.unwrap().epoch();
    forced(&first, epoch, "before").await.unwrap();
    wire.swallow(true);
    let append = tokio::spawn({
        let first = first.clone();
        async move { forced(&first, epoch, "late").await }
    });
    sleep(Duration::from_millis(100)).await;
    assert!(!append.is_finished());
    let (second, later) = opened(&server).await;
    forced(&second, later, "after").await.unwrap();
    wire.swallow(false);
    let refused = append.await.unwrap().unwrap_err();
    assert!(
        matches!(refused, AppendError::Superseded { .. }),
        "{refused:?}"
    );
    let (third, _) = opened(&server).await;
    assert_eq!(keys(&third.open(0).await.unwrap()), ["before", "after"]);
}

#[tokio::test]
async fn whoever_holds_the_row_for_ever_does_not_hold_up_others_for_ever() {
    let server = server().await;
    let log = PostgresLog::connect("orders", server.url()).lease(Duration::from_millis(300));
    let log = log.await.unwrap();
    let epoch = log.open(0).await.unwrap().epoch();
    let _holds =
        server.meanwhile("BEGIN; SELECT 1 FROM tripod.log FOR UPDATE; SELECT pg_sleep(60)");
    let holds = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until(&server, holds).await;
    let refused = forced(&log, epoch, "a").await.unwrap_err();
    assert!(refused.is_definite(), "{refused:?}");
    // Nor is anything appended before it is opened again.
    let refused = forced(&log, epoch, "b").await.unwrap_err();
    assert!(matches!(refused, AppendError::Poisoned), "{refused:?}");
    assert!(matches!(log.reopen(epoch).await, Err(LogError::Io { .. })));
    server.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
    );
    let opened = log.reopen(epoch).await.unwrap();
    assert_eq!(keys(&opened).len(), 0);
    forced(&log, opened.epoch(), "c").await.unwrap();
}

#[tokio::test]
async fn take_overs_get_through_while_one_appends_without_a_pause() {
    let server = server().await;
    let (mut holder, mut epoch) = opened(&server).await;
    let mut confirmed = Vec::new();
    for round in 0..10 {
        let appends = tokio::spawn({
            let holder = holder.clone();
            async move {
                let mut confirmed = Vec::new();
                for number in 0.. {
                    let key = format!("{round}.{number}");
                    match forced(&holder, epoch, &key).await {
                        Ok(()) => confirmed.push(key),
                        Err(AppendError::Superseded { .. }) => break,
                        Err(error) => panic!("{error:?}"),
                    }
                }
                confirmed
            }
        });
        sleep(Duration::from_millis(50)).await;
        let next = connected(server.url()).await;
        let opened = next.open(0).await.unwrap();
        confirmed.extend(appends.await.unwrap());
        assert_eq!(
            keys(&opened),
            confirmed,
            "what was confirmed is there, and no more"
        );
        (holder, epoch) = (next, opened.epoch());
    }
    assert!(confirmed.len() > 100, "{}", confirmed.len());
}
