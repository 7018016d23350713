//! What a branch votes.

use std::time::Duration;

use tripod::transaction::participant::{
    BranchError, Enlist, Participant, PostgresParticipant, Vote,
};

use super::{
    ABORTED, COMMITTED, balance, gid, gids, id, is_no, opened, pay, prepared, rows, server, until,
    until_nobody_works,
};

#[tokio::test]
async fn a_branch_is_prepared_and_commits() {
    let server = server().await;
    let shop = opened(&server).await;
    let mut work = prepared(&shop, id(1)).await;
    assert_eq!(balance(&server), "0");
    assert_eq!(gids(&server), [gid(id(1))]);
    assert_eq!(shop.prepare(id(1)).await.unwrap(), Vote::Prepared, "again");
    let late = work.execute("SELECT 1", &[]).await.unwrap_err();
    assert!(matches!(late, BranchError::Over), "{late:?}");
    assert_eq!(shop.commit(id(1)).await.unwrap(), COMMITTED);
    assert_eq!(shop.commit(id(1)).await.unwrap(), COMMITTED, "again");
    assert_eq!(shop.abort(id(1)).await.unwrap(), COMMITTED);
    assert_eq!(shop.settle(id(1)).await.unwrap(), COMMITTED);
    assert!(is_no(&shop.prepare(id(1)).await.unwrap()));
    assert_eq!((balance(&server).as_str(), gids(&server).len()), ("1", 0));
}

#[tokio::test]
async fn a_branch_is_prepared_and_aborts() {
    let server = server().await;
    let shop = opened(&server).await;
    prepared(&shop, id(1)).await;
    assert_eq!(shop.abort(id(1)).await.unwrap(), ABORTED);
    assert_eq!(shop.abort(id(1)).await.unwrap(), ABORTED, "again");
    assert_eq!(shop.commit(id(1)).await.unwrap(), ABORTED);
    assert_eq!((balance(&server).as_str(), gids(&server).len()), ("0", 0));
    assert_eq!(rows(&server), ["f"]);
}

#[tokio::test]
async fn a_branch_whose_statement_failed_votes_no() {
    let server = server().await;
    let shop = opened(&server).await;
    let mut work = pay(&shop, id(1)).await;
    let error = work.execute("SELECT 1/0", &[]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "22012", "{error:?}");
    let vote = shop.prepare(id(1)).await.unwrap();
    assert!(is_no(&vote), "{vote:?}");
    assert_eq!((balance(&server).as_str(), gids(&server).len()), ("0", 0));
    // Rolled back to a savepoint, it may go on.
    let mut work = pay(&shop, id(2)).await;
    work.batch_execute("SAVEPOINT a").await.unwrap();
    assert!(work.query("SELECT 1/0", &[]).await.is_err());
    work.batch_execute("ROLLBACK TO a").await.unwrap();
    assert_eq!(shop.prepare(id(2)).await.unwrap(), Vote::Prepared);
}

#[tokio::test]
async fn a_branch_that_its_user_ended_votes_no() {
    let server = server().await;
    let shop = opened(&server).await;
    let ends = [
        "COMMIT",
        "ROLLBACK",
        "COMMIT AND CHAIN",
        "ROLLBACK; BEGIN; UPDATE account SET balance = 7 WHERE id = 2",
        "PREPARE TRANSACTION 'mine'",
    ];
    for (number, end) in (1..).zip(ends) {
        let mut work = pay(&shop, id(number)).await;
        work.batch_execute(end).await.unwrap();
        let vote = shop.prepare(id(number)).await.unwrap();
        assert!(is_no(&vote), "{end}: {vote:?}");
        server.allows("ROLLBACK PREPARED 'mine'");
        let mut work = shop.work(id(number + 100)).await.unwrap();
        work.batch_execute(end).await.unwrap();
        let report = shop.commit_one_phase(id(number + 100)).await.unwrap();
        assert_eq!(report, ABORTED, "{end}");
        server.allows("ROLLBACK PREPARED 'mine'");
    }
}

#[tokio::test]
async fn a_branch_that_changed_nothing_votes_read_only_and_holds_nothing() {
    let server = server().await;
    let shop = opened(&server).await;
    let mut work = shop.work(id(1)).await.unwrap();
    work.batch_execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        .await
        .unwrap();
    let row = work.query_one("SELECT balance FROM account WHERE id = 1", &[]);
    assert_eq!(row.await.unwrap().get::<_, i32>(0), 0);
    assert_eq!(shop.prepare(id(1)).await.unwrap(), Vote::ReadOnly);
    assert_eq!((gids(&server).len(), rows(&server).len()), (0, 0));
    assert!(is_no(&shop.prepare(id(1)).await.unwrap()), "it is over");
    until_nobody_works(&server).await;
    // Who locks rows is no reader only.
    let mut work = shop.work(id(2)).await.unwrap();
    let lock = "SELECT FROM account WHERE id = 1 FOR UPDATE";
    work.query(lock, &[]).await.unwrap();
    assert_eq!(shop.prepare(id(2)).await.unwrap(), Vote::Prepared);
}

#[tokio::test]
async fn what_cannot_be_prepared_votes_no() {
    let server = server().await;
    let shop = opened(&server).await;
    server.query("CREATE ROLE other; GRANT ALL ON account TO other");
    server.query(
        "GRANT USAGE ON SCHEMA tripod TO other; GRANT ALL ON ALL TABLES IN SCHEMA tripod TO other",
    );
    server.query("CREATE TABLE once (id integer UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    let odd = [
        "NOTIFY a",
        "CREATE TEMPORARY TABLE a (b integer)",
        "INSERT INTO once VALUES (1), (1)",
        "SET ROLE other; GRANT SELECT ON account TO other",
    ];
    for (number, odd) in (1..).zip(odd) {
        let mut work = pay(&shop, id(number)).await;
        work.batch_execute(odd).await.unwrap();
        let vote = shop.prepare(id(number)).await.unwrap();
        assert!(is_no(&vote), "{odd}: {vote:?}");
    }
    assert_eq!((balance(&server).as_str(), gids(&server).len()), ("0", 0));
    // Nothing of it is there for the next branch.
    let mut work = shop.work(id(9)).await.unwrap();
    let row = work.query_one("SELECT current_user::text, to_regclass('a') IS NULL", &[]);
    let row = row.await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("postgres", true));
}

#[tokio::test]
async fn when_slots_run_out_the_vote_is_no() {
    let server = server().await;
    let shop = opened(&server).await;
    for (number, row) in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)] {
        let mut work = shop.work(id(number)).await.unwrap();
        let insert = "INSERT INTO account VALUES ($1, 1)";
        work.execute(insert, &[&(row + 10)]).await.unwrap();
        let vote = shop.prepare(id(number)).await.unwrap();
        if number < 5 {
            assert_eq!(vote, Vote::Prepared);
        } else {
            assert!(is_no(&vote), "{vote:?}");
            let Vote::No(why) = vote else { panic!() };
            assert!(why.contains("prepared transactions"), "{why}");
        }
    }
    assert_eq!(shop.commit(id(4)).await.unwrap(), COMMITTED);
    assert_eq!(shop.abort(id(5)).await.unwrap(), ABORTED);
    prepared(&shop, id(6)).await;
}

#[tokio::test]
async fn a_branch_that_is_silent_for_too_long_is_ended_by_the_server() {
    let server = server().await;
    let limit = Duration::from_millis(100);
    let connect = PostgresParticipant::connect("shop", server.url()).idle_limit(limit);
    let shop = connect.await.unwrap();
    let _work = pay(&shop, id(1)).await;
    until_nobody_works(&server).await;
    let vote = shop.prepare(id(1)).await.unwrap();
    assert!(is_no(&vote), "{vote:?}");
    assert_eq!(shop.abort(id(1)).await.unwrap(), ABORTED);
}

#[tokio::test]
async fn statements_and_waits_for_locks_have_limits() {
    let server = server().await;
    let limit = Duration::from_millis(100);
    let connect = PostgresParticipant::connect("shop", server.url());
    let shop = connect.lock_limit(limit).await.unwrap();
    let _first = pay(&shop, id(1)).await;
    let mut second = shop.work(id(2)).await.unwrap();
    let update = "UPDATE account SET balance = 9";
    let error = second.execute(update, &[]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "55P03", "{error:?}");
    let connect = PostgresParticipant::connect("shop", server.url());
    let shop = connect.statement_limit(limit).await.unwrap();
    let mut work = shop.work(id(3)).await.unwrap();
    let error = work.query("SELECT pg_sleep(60)", &[]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "57014", "{error:?}");
    until(&server, "SELECT true").await;
}

#[tokio::test]
async fn a_hostile_search_path_changes_nothing() {
    let server = server().await;
    server.query(
        "CREATE SCHEMA evil;
        CREATE FUNCTION evil.decode(text, text) RETURNS bytea LANGUAGE sql AS 'SELECT NULL::bytea';
        CREATE FUNCTION evil.taken(bytea, bytea) RETURNS boolean LANGUAGE sql AS 'SELECT false';
        CREATE OPERATOR evil.= (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = evil.taken);
        CREATE VIEW evil.pg_prepared_xacts AS SELECT 1 AS gid;
        ALTER ROLE postgres SET search_path = evil, pg_catalog, public;
        ALTER ROLE postgres SET default_transaction_isolation = 'serializable';
        ALTER ROLE postgres SET standard_conforming_strings = off",
    );
    let shop = opened(&server).await;
    prepared(&shop, id(1)).await;
    assert_eq!(shop.commit(id(1)).await.unwrap(), COMMITTED);
    prepared(&shop, id(2)).await;
    assert_eq!(shop.abort(id(2)).await.unwrap(), ABORTED);
    let _work = pay(&shop, id(3)).await;
    assert_eq!(shop.commit_one_phase(id(3)).await.unwrap(), COMMITTED);
    assert_eq!(rows(&server), ["t", "f", "t"]);
}

#[tokio::test]
async fn branches_move_between_tasks() {
    let server = server().await;
    let shop = opened(&server).await;
    let worker = shop.clone();
    let work = tokio::spawn(async move {
        let mut work = pay(&worker, id(1)).await;
        let select = "SELECT balance FROM account WHERE id = $1";
        let row = work.query_opt(select, &[&1]).await.unwrap().unwrap();
        assert_eq!(row.get::<_, i32>(0), 1);
        assert_eq!(work.query(select, &[&7]).await.unwrap().len(), 0);
        work.batch_execute("SELECT 1; SELECT 2").await.unwrap();
        work
    });
    let _work = work.await.unwrap();
    assert_eq!(shop.prepare(id(1)).await.unwrap(), Vote::Prepared);
}
