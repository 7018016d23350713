//! What does not do as a participant, and what a user of it needs.

use std::time::Duration;

use tripod::transaction::participant::{
    Enlist, Participant, ParticipantError, ParticipantOpenError, PostgresParticipant, Vote,
};

use crate::server::pgbouncer::PgBouncer;
use crate::server::postgres::PostgresServer;

use super::{
    ABORTED, COMMITTED, balance, connected, coordinator, epoch, id, opened, opening, pay, prepared,
    server,
};
use crate::told::told;

fn unfit(error: &ParticipantOpenError) -> String {
    assert!(matches!(error, ParticipantOpenError::Unfit(_)), "{error:?}");
    told(error)
}

#[tokio::test]
async fn a_server_that_prepares_nothing_is_refused() {
    let server = PostgresServer::start();
    PostgresParticipant::migrate(server.url()).await.unwrap();
    let error = connected(&server).await.open(opening(1)).await.unwrap_err();
    assert!(
        unfit(&error).contains("max_prepared_transactions"),
        "{error:?}"
    );
}

#[tokio::test]
async fn tables_that_are_missing_or_newer_are_refused() {
    let server = PostgresServer::start_with(&["fsync=off", "max_prepared_transactions=4"]);
    let shop = connected(&server).await;
    let error = shop.open(opening(1)).await.unwrap_err();
    assert!(unfit(&error).contains("migrate"), "{error:?}");
    let migrations = (0..4).map(|_| {
        let migrate = PostgresParticipant::migrate(server.url());
        tokio::spawn(async move { migrate.await })
    });
    for migration in migrations.collect::<Vec<_>>() {
        migration.await.unwrap().unwrap();
    }
    shop.open(opening(1)).await.unwrap();
    PostgresParticipant::migrate(server.url()).await.unwrap();
    shop.open(opening(1)).await.unwrap();
    server.query("INSERT INTO tripod.transaction_migration VALUES (7)");
    let error = shop.open(opening(1)).await.unwrap_err();
    assert!(unfit(&error).contains("version 7"), "{error:?}");
    let error = PostgresParticipant::migrate(server.url())
        .await
        .unwrap_err();
    assert!(unfit(&error).contains("version 7"), "{error:?}");
}

#[tokio::test]
async fn a_user_with_the_privileges_that_are_named_takes_part_and_no_other() {
    let server = server().await;
    server.query(
        "CREATE ROLE shop LOGIN; CREATE ROLE other LOGIN;
        GRANT SELECT, UPDATE ON account TO shop;
        GRANT USAGE ON SCHEMA tripod TO shop, other;
        GRANT SELECT ON tripod.transaction_migration TO shop, other;
        GRANT SELECT, INSERT, UPDATE ON tripod.coordinator TO shop, other;
        GRANT SELECT, INSERT, UPDATE, DELETE ON tripod.branch TO shop, other;",
    );
    let connect = async |user| {
        let url = server.url_of_user(user, "");
        PostgresParticipant::connect("shop", url).await.unwrap()
    };
    let shop = connect("shop").await;
    shop.open(opening(1)).await.unwrap();
    prepared(&shop, id(1)).await;
    // Only who prepared may finish.
    let other = connect("other").await;
    let error = other.commit(id(1)).await.unwrap_err();
    assert!(matches!(error, ParticipantError::Refused(_)), "{error:?}");
    let error = other.abort(id(1)).await.unwrap_err();
    assert!(matches!(error, ParticipantError::Refused(_)), "{error:?}");
    assert_eq!(shop.commit(id(1)).await.unwrap(), COMMITTED);
    prepared(&shop, id(2)).await;
    assert_eq!(
        shop.in_doubt(coordinator(), epoch(2)).await.unwrap(),
        [id(2)]
    );
    assert_eq!(shop.abort(id(2)).await.unwrap(), ABORTED);
    let _work = pay(&shop, id(3)).await;
    assert_eq!(shop.commit_one_phase(id(3)).await.unwrap(), COMMITTED);
    shop.forget(coordinator(), (epoch(1), 4)).await.unwrap();
    // Without any of them, none.
    for (what, table) in [
        ("DELETE", "branch"),
        ("INSERT", "branch"),
        ("UPDATE", "coordinator"),
        ("SELECT", "transaction_migration"),
    ] {
        server.query(&format!("REVOKE {what} ON tripod.{table} FROM shop"));
        let error = shop.open(opening(1)).await.unwrap_err();
        unfit(&error);
        server.query(&format!("GRANT {what} ON tripod.{table} TO shop"));
        shop.open(opening(1)).await.unwrap();
    }
    let nobody = server.url_of_user("other", "");
    server.query("REVOKE USAGE ON SCHEMA tripod FROM other");
    let nobody = PostgresParticipant::connect("shop", nobody).await.unwrap();
    unfit(&nobody.open(opening(1)).await.unwrap_err());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unknown() {
    let connect = PostgresParticipant::connect("shop", "postgres://postgres@127.0.0.1:1/postgres");
    let error = connect.await.unwrap_err();
    assert!(
        matches!(error, ParticipantOpenError::Unknown(_)),
        "{error:?}"
    );
    let connect = PostgresParticipant::connect("no name", "postgres://postgres@127.0.0.1:1/a");
    unfit(&connect.await.unwrap_err());
    let connect = PostgresParticipant::connect("shop", "nonsense");
    unfit(&connect.await.unwrap_err());
}

#[tokio::test]
async fn it_works_behind_a_pooler_that_gives_a_connection_for_a_transaction() {
    let server = server().await;
    let pooler = PgBouncer::start(&server);
    let shop = PostgresParticipant::connect("shop", pooler.url())
        .await
        .unwrap();
    shop.open(opening(1)).await.unwrap();
    let shop = &shop;
    let pay = async |number: u64| {
        let mut work = shop.work(id(number)).await.unwrap();
        let insert = "INSERT INTO account VALUES ($1, 1)";
        let row = i32::try_from(number).unwrap() + 10;
        work.execute(insert, &[&row]).await.unwrap();
        assert_eq!(shop.prepare(id(number)).await.unwrap(), Vote::Prepared);
        assert_eq!(shop.commit(id(number)).await.unwrap(), COMMITTED);
    };
    tokio::join!(pay(1), pay(2), pay(3));
    let _work = super::pay(shop, id(9)).await;
    assert_eq!(shop.commit_one_phase(id(9)).await.unwrap(), COMMITTED);
    assert_eq!(balance(&server), "1");
    let held = server.query("SELECT count(*) FROM account WHERE id > 10");
    assert_eq!(held, ["3"]);
}

#[tokio::test]
async fn a_pool_that_is_full_makes_nobody_wait_who_settles() {
    let server = server().await;
    let connect = PostgresParticipant::connect("shop", server.url()).pool_size(1);
    let shop = connect.await.unwrap();
    prepared(&shop, id(1)).await;
    let mut work = shop.work(id(2)).await.unwrap();
    work.execute("INSERT INTO account VALUES (9, 9)", &[])
        .await
        .unwrap();
    let error = shop.work(id(3)).await.unwrap_err();
    assert!(matches!(error, ParticipantError::Unknown(_)), "{error:?}");
    assert_eq!(shop.commit(id(1)).await.unwrap(), COMMITTED);
    assert_eq!(shop.abort(id(2)).await.unwrap(), ABORTED);
    tokio::time::sleep(Duration::from_millis(1)).await;
    pay(&shop, id(4)).await;
}

#[tokio::test]
async fn locks_and_participants_share_a_schema() {
    use tripod::lock::PostgresBackend;
    let server = server().await;
    PostgresBackend::migrate(server.url()).await.unwrap();
    PostgresParticipant::migrate(server.url()).await.unwrap();
    opened(&server).await;
    PostgresBackend::connect(server.url()).await.unwrap();
}

#[tokio::test]
async fn a_user_that_acts_as_another_role_by_default_stays_that_role() {
    let server = server().await;
    server.query(
        "CREATE ROLE owner SUPERUSER; CREATE ROLE shop LOGIN IN ROLE owner;
        ALTER ROLE shop SET role = owner",
    );
    let connect = PostgresParticipant::connect("shop", server.url_of_user("shop", ""));
    let shop = connect.pool_size(1).await.unwrap();
    shop.open(opening(1)).await.unwrap();
    for number in 1..=3 {
        prepared(&shop, id(number)).await;
        assert_eq!(shop.commit(id(number)).await.unwrap(), COMMITTED);
    }
}
