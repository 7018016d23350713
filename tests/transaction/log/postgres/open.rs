//! What does not do as a place for logs, and what a user of one needs.

use tripod::transaction::log::{
    AppendError, Durability, LogError, LogName, PostgresLog, Record, TransactionLog,
};

use crate::server::certificates::Certificates;
use crate::server::postgres::PostgresServer;
use crate::told::{Ear, told};

use super::{connected, forced, keys, opened, saga, says, server};

fn unfit(error: &LogError) -> String {
    assert!(matches!(error, LogError::Unfit(_)), "{error:?}");
    told(error)
}

#[tokio::test]
async fn tables_that_are_missing_or_newer_are_refused() {
    let server = PostgresServer::start();
    let log = connected(server.url()).await;
    assert!(unfit(&log.open(0).await.unwrap_err()).contains("migrate"));
    let migrations = (0..4).map(|_| {
        let migrate = PostgresLog::migrate(server.url());
        tokio::spawn(async move { migrate.await })
    });
    for migration in migrations.collect::<Vec<_>>() {
        migration.await.unwrap().unwrap();
    }
    log.open(0).await.unwrap();
    PostgresLog::migrate(server.url()).await.unwrap();
    log.open(0).await.unwrap();
    server.query("INSERT INTO tripod.log_migration VALUES (7)");
    assert!(unfit(&log.open(0).await.unwrap_err()).contains("version 7"));
    let error = PostgresLog::migrate(server.url()).await.unwrap_err();
    assert!(unfit(&error).contains("version 7"));
}

#[tokio::test]
async fn a_user_with_the_privileges_that_are_named_opens_a_log_and_no_other() {
    let server = server().await;
    server.query(
        "CREATE ROLE bank LOGIN;
        GRANT USAGE ON SCHEMA tripod TO bank;
        GRANT SELECT ON tripod.log_migration TO bank;
        GRANT SELECT, INSERT, UPDATE ON tripod.log TO bank;
        GRANT SELECT, INSERT, DELETE ON tripod.log_tail, tripod.log_record TO bank;",
    );
    let log = connected(server.url_of_user("bank", "")).await;
    let epoch = log.open(0).await.unwrap().epoch();
    forced(&log, epoch, "a").await.unwrap();
    let both = vec![says("b"), Record::end(saga("a"))];
    log.append(epoch, both, Durability::Forced, None)
        .await
        .unwrap();
    assert_eq!(keys(&log.open(0).await.unwrap()), ["b"]);
    // Without any of them, none, and it is known before anything is written.
    for (what, table) in [
        ("SELECT", "log_migration"),
        ("UPDATE", "log"),
        ("INSERT", "log_tail"),
        ("DELETE", "log_tail"),
        ("INSERT", "log_record"),
        ("DELETE", "log_record"),
    ] {
        server.query(&format!("REVOKE {what} ON tripod.{table} FROM bank"));
        unfit(&log.open(0).await.unwrap_err());
        server.query(&format!("GRANT {what} ON tripod.{table} TO bank"));
        log.open(0).await.unwrap();
    }
}

#[tokio::test]
async fn logs_of_several_names_are_apart() {
    let server = server().await;
    let mut ids = Vec::new();
    for name in ["a", "A", "a-1", "a.1"] {
        let log = PostgresLog::connect(name, server.url()).await.unwrap();
        assert_eq!(log.name().as_str(), name);
        let opened = log.open(0).await.unwrap();
        assert_eq!((opened.epoch().as_u64(), opened.live().len()), (1, 0));
        ids.push(opened.coordinator());
        // Of the same subject in each.
        let text = Record::new(saga("s"), name).unwrap();
        let append = log.append(opened.epoch(), vec![text], Durability::Forced, None);
        append.await.unwrap();
        if name == "a-1" {
            let end = vec![Record::end(saga("s"))];
            log.append(opened.epoch(), end, Durability::Forced, None)
                .await
                .unwrap();
        }
    }
    for (name, live) in [("a", 1), ("A", 1), ("a-1", 0), ("a.1", 1)] {
        let log = PostgresLog::connect(name, server.url()).await.unwrap();
        let opened = log.open(0).await.unwrap();
        assert_eq!(opened.coordinator(), ids.remove(0));
        assert_eq!(keys(&opened), vec![name; live]);
    }
    for name in ["", "a b", "a'b", "ä", &"a".repeat(65)] {
        assert!(LogName::new(name).is_err(), "{name}");
        unfit(&PostgresLog::connect(name, server.url()).await.unwrap_err());
    }
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_told_and_nothing_is_left_out_in_silence() {
    let server = server().await;
    let (log, epoch) = opened(&server).await;
    for key in ["a", "b", "c"] {
        forced(&log, epoch, key).await.unwrap();
    }
    for (spoil, mend) in [
        ("subject = '\\x09'", "subject = '\\x02000162'"),
        ("subject = '\\x0200016262'", "subject = '\\x02000162'"),
        (
            "epoch = '\\x0000000000000000'",
            "epoch = '\\x0000000000000001'",
        ),
    ] {
        server.query(&format!(
            "UPDATE tripod.log_record SET {spoil} WHERE lsn = 2"
        ));
        let error = log.open(0).await.unwrap_err();
        assert!(
            matches!(error, LogError::Unreadable { lsn: 2 }),
            "{error:?}"
        );
        server.query(&format!(
            "UPDATE tripod.log_record SET {mend} WHERE lsn = 2"
        ));
        assert_eq!(keys(&log.open(0).await.unwrap()), ["a", "b", "c"]);
    }
}

#[tokio::test]
async fn a_refusal_after_the_epoch_was_raised_does_not_say_that_nothing_was_changed() {
    let server = server().await;
    let (log, epoch) = opened(&server).await;
    server.query("ALTER TABLE tripod.log_record RENAME COLUMN payload TO cargo");
    let error = log.reopen(epoch).await.unwrap_err();
    assert!(matches!(error, LogError::Io { .. }), "{error:?}");
    let raised = "SELECT epoch = '\\x0000000000000002' FROM tripod.log";
    assert_eq!(server.query(raised), ["t"]);
    server.query("ALTER TABLE tripod.log_record RENAME COLUMN cargo TO payload");
    log.reopen(epoch).await.unwrap();
}

#[tokio::test]
async fn a_replay_may_take_longer_than_the_role_allows() {
    let server = server().await;
    let (log, epoch) = opened(&server).await;
    forced(&log, epoch, "a").await.unwrap();
    // As if very much lived.
    server.query(
        "CREATE ROLE hasty LOGIN SUPERUSER;
        ALTER ROLE hasty SET statement_timeout = '1s';
        ALTER TABLE tripod.log_record RENAME TO much;
        CREATE VIEW tripod.log_record AS SELECT much.* FROM tripod.much, pg_sleep(1.5)",
    );
    let log = connected(server.url_of_user("hasty", "")).await;
    assert_eq!(keys(&log.open(0).await.unwrap()), ["a"]);
}

#[tokio::test]
async fn what_is_forced_is_committed_as_surely_as_the_role_prefers_and_more_if_that_is_little() {
    let server = server().await;
    for (preferred, committed) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("on", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        let found = server.query(&format!(
            "BEGIN; SET LOCAL synchronous_commit = {preferred}; SELECT tripod.log_durable();
            SELECT current_setting('synchronous_commit')"
        ));
        assert_eq!(found.last().unwrap(), committed, "{preferred}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_may_be_there_later() {
    let log = connected("postgres://postgres@127.0.0.1:1/postgres".into()).await;
    let error = log.open(0).await.unwrap_err();
    assert!(matches!(error, LogError::Io { .. }), "{error:?}");
    unfit(&PostgresLog::connect("a", "nonsense").await.unwrap_err());
    let epoch = tripod::transaction::Epoch::new(1).unwrap();
    let closed = forced(&log, epoch, "a").await.unwrap_err();
    assert!(matches!(closed, AppendError::Closed), "{closed:?}");
}

#[tokio::test]
async fn passwords_and_payloads_are_told_to_nobody() {
    let server = PostgresServer::start_with_passwords();
    server.query("CREATE ROLE bank LOGIN SUPERUSER PASSWORD 'canary-right'");
    let ear = Ear::of_this_thread();
    let right = server.url_of_user("bank", "canary-right");
    let connecting = PostgresLog::connect("orders", &right);
    let migrating = PostgresLog::migrate(&right);
    assert!(!format!("{connecting:?} {migrating:?}").contains("canary"));
    migrating.await.unwrap();
    let log = connecting.await.unwrap();
    let epoch = log.open(0).await.unwrap().epoch();
    let record = || vec![Record::new(saga("a"), "canary-payload").unwrap()];
    log.append(epoch, record(), Durability::Forced, None)
        .await
        .unwrap();
    assert!(!format!("{log:?}").contains("canary"));
    server.query("ALTER TABLE tripod.log_record ADD CHECK (octet_length(payload) = 0) NOT VALID");
    let error = log.append(epoch, record(), Durability::Forced, None);
    let error = error.await.unwrap_err();
    assert!(!told(&error).contains("canary"), "{}", told(&error));
    for url in [
        server.url_of_user("bank", "canary-wrong"),
        "nonsense://canary:canary=canary@canary/".into(),
        "postgres://canary:canary@".into(),
    ] {
        let error = match PostgresLog::connect("orders", &url).await {
            Ok(log) => log.open(0).await.unwrap_err(),
            Err(error) => error,
        };
        assert!(!unfit(&error).contains("canary"), "{}", told(&error));
        let error = PostgresLog::migrate(&url).await.unwrap_err();
        assert!(!unfit(&error).contains("canary"), "{}", told(&error));
    }
    let heard = &ear.heard().values;
    assert!(!heard.contains("canary"), "{heard}");
}

#[tokio::test]
async fn a_log_is_reached_by_tls() {
    use tripod::transaction::participant::Tls;
    let certificates = Certificates::new();
    let server = PostgresServer::start_with_tls(&certificates);
    let required = format!("{}?sslmode=require", server.url());
    let log = PostgresLog::connect("orders", required).await.unwrap();
    unfit(&log.open(0).await.unwrap_err());
    let authority = std::fs::read(certificates.authority()).unwrap();
    let tls = Tls::new().with_roots(authority);
    let migrate = PostgresLog::migrate(server.url()).tls(tls.clone());
    migrate.await.unwrap();
    let log = PostgresLog::connect("orders", server.url()).tls(tls);
    log.await.unwrap().open(0).await.unwrap();
}
