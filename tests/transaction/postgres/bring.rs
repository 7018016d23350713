//! Branches on connections of another driver.

use std::error::Error;

use sqlx::{Connection, Executor, PgConnection, Row};
use tripod::BoxFuture;
use tripod::transaction::participant::{
    BranchError, Enlist, Participant, ParticipantError, PostgresParticipant, SqlConnection, Vote,
};

use super::{
    ABORTED, COMMITTED, balance, gid, gids, id, is_no, opened, rows, server, until_nobody_works,
};
use crate::server::postgres::PostgresServer;

/// A connection by `sqlx`.
struct BySqlx(PgConnection);

impl SqlConnection for BySqlx {
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<u64, Box<dyn Error + Send + Sync>>> {
        Box::pin(async move { Ok(self.0.execute(sql).await?.rows_affected()) })
    }
}

const PAY: &str = "UPDATE account SET balance = balance + $1 WHERE id = 1";

async fn connection(server: &PostgresServer) -> BySqlx {
    BySqlx(PgConnection::connect(&server.url()).await.unwrap())
}

#[tokio::test]
async fn a_branch_works_on_a_connection_of_its_user_which_is_given_back() {
    let server = server().await;
    let shop = opened(&server).await;
    let with = shop.with(connection(&server).await);
    let mut branch = with.work(id(1)).await.unwrap();
    let mut own = branch.connection().await.unwrap();
    sqlx::query(PAY).bind(1).execute(&mut own.0).await.unwrap();
    drop(own);
    assert!(branch.take_connection().await.is_none(), "it works");
    assert_eq!(shop.prepare(id(1)).await.unwrap(), Vote::Prepared);
    assert_eq!(gids(&server), [gid(id(1))]);
    let error = branch.connection().await.unwrap_err();
    assert!(matches!(error, BranchError::Over), "{error:?}");
    let mut own = branch.take_connection().await.unwrap();
    // It is in no transaction, and good for whatever comes next, another branch too.
    let row = own.0.fetch_one("SELECT balance FROM account WHERE id = 1");
    assert_eq!(row.await.unwrap().get::<i32, _>(0), 0);
    assert_eq!(shop.commit(id(1)).await.unwrap(), COMMITTED);
    let with = shop.with(own);
    let mut branch = with.work(id(2)).await.unwrap();
    let mut own = branch.connection().await.unwrap();
    sqlx::query(PAY).bind(2).execute(&mut own.0).await.unwrap();
    drop(own);
    assert_eq!(with.commit_one_phase(id(2)).await.unwrap(), COMMITTED);
    assert!(branch.take_connection().await.is_some());
    assert_eq!(balance(&server), "3");
    let with = shop.with(connection(&server).await);
    let mut branch = with.work(id(3)).await.unwrap();
    assert_eq!(with.prepare(id(3)).await.unwrap(), Vote::ReadOnly);
    assert!(branch.take_connection().await.is_some());
}

#[tokio::test]
async fn a_branch_of_another_driver_that_failed_or_was_ended_votes_no() {
    let server = server().await;
    let shop = opened(&server).await;
    for (number, bad) in [
        (1, "SELECT 1/0"),
        (2, "COMMIT"),
        (3, "ROLLBACK"),
        (4, "NOTIFY a"),
    ] {
        let with = shop.with(connection(&server).await);
        let mut branch = with.work(id(number)).await.unwrap();
        let mut own = branch.connection().await.unwrap();
        let pay = "INSERT INTO account VALUES (100, 1)";
        own.0.execute(pay).await.unwrap();
        let _ = own.0.execute(bad).await;
        drop(own);
        let vote = shop.prepare(id(number)).await.unwrap();
        assert!(is_no(&vote), "{bad}: {vote:?}");
        let mut own = branch.take_connection().await.unwrap();
        own.0
            .execute("DELETE FROM account WHERE id = 100")
            .await
            .unwrap();
        assert_eq!(shop.abort(id(number)).await.unwrap(), ABORTED);
    }
    assert_eq!(gids(&server).len(), 0);
}

#[tokio::test]
async fn a_branch_of_another_driver_is_aborted_and_dropped() {
    let server = server().await;
    let shop = opened(&server).await;
    let with = shop.with(connection(&server).await);
    let mut branch = with.work(id(1)).await.unwrap();
    assert_eq!(shop.abort(id(1)).await.unwrap(), ABORTED);
    assert!(branch.take_connection().await.is_some());
    let with = shop.with(connection(&server).await);
    drop(with.work(id(2)).await.unwrap());
    assert_eq!(shop.settle(id(2)).await.unwrap(), ABORTED);
    until_nobody_works(&server).await;
    assert_eq!(rows(&server), ["f", "f"]);
}

#[tokio::test]
async fn a_connection_that_does_not_do_is_refused_and_given_back() {
    let server = server().await;
    let shop = opened(&server).await;
    let mut busy = connection(&server).await;
    busy.0.execute("BEGIN").await.unwrap();
    server.query("CREATE DATABASE other");
    let other = server.url_of_database("other");
    PostgresParticipant::migrate(other).await.unwrap();
    server.query("CREATE ROLE other LOGIN SUPERUSER");
    let elsewhere = PgConnection::connect(&server.url_of_database("other")).await;
    let another = PgConnection::connect(&server.url_of_user("other", "")).await;
    let copy = super::server().await;
    opened(&copy).await;
    let copy = connection(&copy).await;
    for bad in [
        busy,
        BySqlx(elsewhere.unwrap()),
        BySqlx(another.unwrap()),
        copy,
    ] {
        let with = shop.with(bad);
        let error = with.work(id(1)).await.unwrap_err();
        assert!(matches!(error, ParticipantError::Refused(_)), "{error:?}");
        assert!(with.into_connection().is_some());
    }
    let with = shop.with(connection(&server).await);
    with.work(id(2)).await.unwrap();
    let error = with.work(id(3)).await.unwrap_err();
    assert!(matches!(error, ParticipantError::Refused(_)), "{error:?}");
}
