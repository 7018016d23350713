//! Branches on `PostgreSQL`, against a real server.

mod bring;
mod crash;
mod dropped;
mod fence;
mod law;
mod open;
mod prepare;
mod secrets;
mod settle;

use std::time::Duration;

use tokio::time::sleep;
use tripod::transaction::participant::{
    Enlist, Opening, Outcome, Participant, PostgresBranch, PostgresParticipant, Report, Vote,
};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, TransactionId};

use crate::server::postgres::PostgresServer;

const COMMITTED: Report = Report::Did(Outcome::Committed);
const ABORTED: Report = Report::Did(Outcome::Aborted);

/// Makes the end of each transaction that pays take a second.
const SLOW: &str = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON account DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slow()";

/// A server with tables, and one of the user's: an account with nothing in it.
async fn server() -> PostgresServer {
    server_with(&["fsync=off"]).await
}

async fn server_with(settings: &[&str]) -> PostgresServer {
    let settings = [settings, &["max_prepared_transactions=4"]].concat();
    let server = PostgresServer::start_with(&settings);
    PostgresParticipant::migrate(server.url()).await.unwrap();
    server.query("CREATE TABLE account (id integer PRIMARY KEY, balance integer NOT NULL)");
    server.query("INSERT INTO account VALUES (1, 0), (2, 0)");
    server
}

/// A participant that the coordinator has opened in epoch 1.
async fn opened(server: &PostgresServer) -> PostgresParticipant {
    let shop = connected(server).await;
    shop.open(opening(1)).await.unwrap();
    shop
}

async fn connected(server: &PostgresServer) -> PostgresParticipant {
    let connect = PostgresParticipant::connect("shop", server.url());
    connect.await.unwrap()
}

fn epoch(number: u64) -> Epoch {
    Epoch::new(number).unwrap()
}

fn coordinator() -> CoordinatorId {
    CoordinatorId::from_u128(0xc0)
}

fn opening(number: u64) -> Opening {
    Opening::new(coordinator(), epoch(number), u128::from(number))
}

/// Branch 0 of a transaction of that epoch.
fn id_of(number: u64, sequence: u64) -> BranchId {
    BranchId::new(
        TransactionId::new(coordinator(), epoch(number), sequence),
        0,
    )
}

fn id(sequence: u64) -> BranchId {
    id_of(1, sequence)
}

fn gid(branch: BranchId) -> String {
    format!("tripod_{branch}")
}

/// Puts 1 into the account in this branch.
async fn pay(shop: &PostgresParticipant, branch: BranchId) -> PostgresBranch {
    let mut work = shop.work(branch).await.unwrap();
    let update = "UPDATE account SET balance = balance + $1 WHERE id = $2";
    assert_eq!(work.execute(update, &[&1, &1]).await.unwrap(), 1);
    work
}

async fn prepared(shop: &PostgresParticipant, branch: BranchId) -> PostgresBranch {
    let work = pay(shop, branch).await;
    assert_eq!(shop.prepare(branch).await.unwrap(), Vote::Prepared);
    work
}

fn balance(server: &PostgresServer) -> String {
    server
        .query("SELECT balance FROM account WHERE id = 1")
        .concat()
}

fn gids(server: &PostgresServer) -> Vec<String> {
    server.query("SELECT gid FROM pg_prepared_xacts ORDER BY gid")
}

/// Outcomes of branches, in their order.
fn rows(server: &PostgresServer) -> Vec<String> {
    server.query("SELECT committed FROM tripod.branch ORDER BY coordinator, at, number")
}

fn is_no(vote: &Vote) -> bool {
    matches!(vote, Vote::No(_))
}

/// Waits until the server answers yes.
async fn until(server: &PostgresServer, question: &str) {
    for _ in 0..500 {
        if server.query(question) == ["t"] {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("{question}");
}

/// Waits until no session is in the middle of a transaction.
async fn until_nobody_works(server: &PostgresServer) {
    let question = "SELECT count(*) = 0 FROM pg_stat_activity
        WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND application_name = 'tripod'";
    until(server, question).await;
}
