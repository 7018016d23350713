//! Servers and connections that break in the middle.

use tripod::transaction::log::{
    AppendError, Durability, LogError, PostgresLog, Record, TransactionLog,
};

use crate::server::pgbouncer::PgBouncer;
use crate::server::wire::Wire;

use super::{SLOW, connected, forced, keys, opened, saga, says, server, server_with, until};

#[tokio::test]
async fn what_is_forced_outlives_a_server_that_is_killed_whatever_the_role_prefers() {
    let settings = ["synchronous_commit=off", "wal_writer_delay=10s"];
    let mut server = server_with(&settings).await;
    let (log, epoch) = opened(&server).await;
    let unforced = vec![says("unforced")];
    log.append(epoch, unforced, Durability::Unforced, None)
        .await
        .unwrap();
    forced(&log, epoch, "forced").await.unwrap();
    server.kill();
    let error = forced(&log, epoch, "nowhere").await.unwrap_err();
    assert!(
        matches!(error, AppendError::Poisoned | AppendError::Unknown(_)),
        "{error:?}"
    );
    assert!(matches!(log.reopen(epoch).await, Err(LogError::Io { .. })));
    server.restart();
    let reopened = log.reopen(epoch).await.unwrap();
    assert_eq!(
        reopened.epoch().as_u64(),
        epoch.as_u64() + 1,
        "durable, and not raised in vain"
    );
    assert_eq!(keys(&reopened), ["unforced", "forced"]);
    forced(&log, reopened.epoch(), "after").await.unwrap();
}

#[tokio::test]
async fn a_server_that_was_restarted_between_two_appends_is_no_failure() {
    let mut server = server_with(&[]).await;
    let (log, epoch) = opened(&server).await;
    forced(&log, epoch, "before").await.unwrap();
    server.kill();
    server.restart();
    // The connection is found to be closed before anything is sent.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    forced(&log, epoch, "after").await.unwrap();
    assert_eq!(keys(&log.open(0).await.unwrap()), ["before", "after"]);
}

#[tokio::test]
async fn behind_a_pooler_a_server_that_lost_what_was_not_forced_is_noticed() {
    let mut server = server_with(&["wal_writer_delay=10s", "autovacuum=off"]).await;
    let pooler = PgBouncer::start(&server);
    let log = connected(pooler.url()).await;
    let epoch = log.open(0).await.unwrap().epoch();
    forced(&log, epoch, "forced").await.unwrap();
    let unforced = vec![says("unforced")];
    log.append(epoch, unforced, Durability::Unforced, None)
        .await
        .unwrap();
    until(&server, "SELECT count(*) = 2 FROM tripod.log_record").await;
    server.kill();
    server.restart();
    let there = server.query("SELECT count(*) FROM tripod.log_record");
    assert_eq!(
        there,
        ["1"],
        "the server lost it: else there is nothing to notice"
    );
    let error = forced(&log, epoch, "with a gap").await.unwrap_err();
    assert!(
        !matches!(error, AppendError::Superseded { .. }),
        "{error:?}"
    );
    let reopened = log.reopen(epoch).await;
    let reopened = match reopened {
        Ok(reopened) => reopened,
        // The pooler has told of the old connection by now.
        Err(_) => log.reopen(epoch).await.unwrap(),
    };
    assert_eq!(
        keys(&reopened),
        ["forced"],
        "from the end, and without a gap"
    );
}

#[tokio::test]
async fn a_server_that_took_back_what_it_had_confirmed_is_noticed() {
    let server = server().await;
    let (log, epoch) = opened(&server).await;
    forced(&log, epoch, "a").await.unwrap();
    forced(&log, epoch, "b").await.unwrap();
    // As a standby that had not all of it.
    server.query("DELETE FROM tripod.log_record WHERE lsn = 2; UPDATE tripod.log_tail SET lsn = 1");
    let error = forced(&log, epoch, "c").await.unwrap_err();
    assert!(matches!(error, AppendError::Poisoned), "{error:?}");
    let reopened = log.reopen(epoch).await.unwrap();
    assert_eq!(keys(&reopened), ["a"]);
    forced(&log, reopened.epoch(), "c").await.unwrap();
}

#[tokio::test]
async fn an_append_whose_answer_is_lost_is_unknown_and_then_found() {
    let server = server().await;
    let wire = Wire::to(server.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", wire.port());
    let log = connected(url).await;
    let epoch = log.open(0).await.unwrap().epoch();
    server.query(SLOW);
    let asked = tokio::spawn({
        let log = log.clone();
        async move { forced(&log, epoch, "a").await }
    });
    let commits = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until(&server, commits).await;
    wire.reset();
    let error = asked.await.unwrap().unwrap_err();
    assert!(matches!(error, AppendError::Unknown(_)), "{error:?}");
    assert!(!error.is_definite());
    let error = forced(&log, epoch, "b").await.unwrap_err();
    assert!(matches!(error, AppendError::Poisoned), "{error:?}");
    assert!(error.is_definite());
    let refused = log.reserve(epoch, 1).await.unwrap_err();
    assert!(matches!(refused, AppendError::Poisoned), "{refused:?}");
    let reopened = log.reopen(epoch).await.unwrap();
    assert_eq!(keys(&reopened), ["a"]);
}

#[tokio::test]
async fn a_reopening_whose_answer_is_lost_is_ones_own_and_not_anothers() {
    let server = server().await;
    let wire = Wire::to(server.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", wire.port());
    let log = connected(url).await;
    let epoch = log.open(0).await.unwrap().epoch();
    server.query(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON tripod.log DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    let asked = tokio::spawn({
        let log = log.clone();
        async move { log.reopen(epoch).await }
    });
    let commits = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until(&server, commits).await;
    wire.reset();
    assert!(matches!(asked.await.unwrap(), Err(LogError::Io { .. })));
    let over = "SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until(&server, over).await;
    let raised = server.query("SELECT encode(epoch, 'hex') FROM tripod.log");
    assert_eq!(
        raised,
        ["0000000000000002"],
        "it was raised, and nobody was told"
    );
    let reopened = log.reopen(epoch).await.unwrap();
    assert_eq!(reopened.epoch().as_u64(), 3);
    // Nor does what the other had under way count, once another has opened it.
    let (other, _) = opened(&server).await;
    let refused = log.reopen(epoch).await.unwrap_err();
    assert!(
        matches!(refused, LogError::Superseded { .. }),
        "{refused:?}"
    );
    let raised = server.query("SELECT encode(epoch, 'hex') FROM tripod.log");
    assert_eq!(raised, ["0000000000000004"], "refused without raising it");
    drop(other);
}

#[tokio::test]
async fn a_server_without_room_refuses_definitely_and_the_log_goes_on() {
    let server = server().await;
    let (log, epoch) = opened(&server).await;
    forced(&log, epoch, "before").await.unwrap();
    server.query(
        "CREATE FUNCTION full() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN RAISE SQLSTATE '53100'; END$$;
        CREATE TRIGGER full BEFORE INSERT ON tripod.log_record
        FOR EACH ROW EXECUTE FUNCTION full()"
            .replace("full()", "no_room()")
            .replace("TRIGGER full", "TRIGGER no_room")
            .as_str(),
    );
    let error = forced(&log, epoch, "full").await.unwrap_err();
    assert!(matches!(error, AppendError::Full { .. }), "{error:?}");
    // What needs no room has some.
    let end = vec![Record::end(saga("before"))];
    log.append(epoch, end, Durability::Forced, None)
        .await
        .unwrap();
    // One that is not to wait is promised: then the log may not go on without it.
    let unforced = vec![says("promised")];
    log.append(epoch, unforced, Durability::Unforced, None)
        .await
        .unwrap();
    let error = forced(&log, epoch, "after").await.unwrap_err();
    assert!(matches!(error, AppendError::Poisoned), "{error:?}");
    server.query("DROP TRIGGER no_room ON tripod.log_record");
    let reopened = log.reopen(epoch).await.unwrap();
    assert_eq!(keys(&reopened).len(), 0);
}

#[tokio::test]
async fn a_bound_refuses_what_is_beyond_it_and_keeps_what_is_reserved() {
    let server = server().await;
    let log = PostgresLog::connect("orders", server.url()).space_max(1000);
    let log = log.await.unwrap();
    let epoch = log.open(0).await.unwrap().epoch();
    let room = log.reserve(epoch, 900).await.unwrap();
    let full = log.reserve(epoch, 200).await.unwrap_err();
    assert!(matches!(full, AppendError::Full { .. }), "{full:?}");
    let large = vec![Record::new(saga("large"), vec![0; 700]).unwrap()];
    let full = log.append(epoch, large.clone(), Durability::Forced, None);
    let full = full.await.unwrap_err();
    assert!(matches!(full, AppendError::Full { .. }), "{full:?}");
    let covered = log.append(epoch, large, Durability::Forced, Some(room));
    covered.await.unwrap();
    assert!(log.reserve(epoch, 400).await.is_err());
    let end = vec![Record::end(saga("large"))];
    log.append(epoch, end, Durability::Forced, None)
        .await
        .unwrap();
    drop(log.reserve(epoch, 1000).await.unwrap());
}
