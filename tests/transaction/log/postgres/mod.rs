//! Logs on `PostgreSQL`, against a real server.

mod crash;
mod law;
mod open;
mod race;
mod together;

use std::time::Duration;

use tokio::time::sleep;
use tripod::transaction::Epoch;
use tripod::transaction::log::{
    AppendError, Durability, LiveRecord, Opened, PostgresLog, Record, Subject, SubjectKey,
    TransactionLog,
};

use crate::server::postgres::PostgresServer;

/// Makes the end of each transaction that appends a record take a second.
const SLOW: &str = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON tripod.log_record DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slow()";

async fn server() -> PostgresServer {
    server_with(&["fsync=off"]).await
}

async fn server_with(settings: &[&str]) -> PostgresServer {
    let server = PostgresServer::start_with(settings);
    PostgresLog::migrate(server.url()).await.unwrap();
    server
}

async fn connected(url: String) -> PostgresLog {
    PostgresLog::connect("orders", url).await.unwrap()
}

async fn opened(server: &PostgresServer) -> (PostgresLog, Epoch) {
    let log = connected(server.url()).await;
    let epoch = log.open(0).await.unwrap().epoch();
    (log, epoch)
}

fn saga(key: &str) -> Subject {
    Subject::Saga(SubjectKey::new(key).unwrap())
}

fn says(key: &str) -> Record {
    Record::new(saga(key), key).unwrap()
}

async fn forced(log: &PostgresLog, epoch: Epoch, key: &str) -> Result<(), AppendError> {
    let records = vec![says(key)];
    log.append(epoch, records, Durability::Forced, None).await
}

/// The keys of all that lives, in order.
fn keys(opened: &Opened) -> Vec<String> {
    let live = opened.live().iter().map(LiveRecord::record);
    live.map(|record| String::from_utf8(record.payload().to_vec()).unwrap())
        .collect()
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

/// Waits until this many sessions wait for a lock that another has.
async fn until_waits(server: &PostgresServer, sessions: u32) {
    let question = format!(
        "SELECT count(*) = {sessions} FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND application_name = 'tripod'"
    );
    until(server, &question).await;
}
