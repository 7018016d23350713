//! What a branch's own connection is told, whichever it is. All that comes back is how many rows
//! there were.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::transaction::id::BranchId;
use crate::transaction::participant::SqlConnection;

use super::failure::Source;
use super::link::ANSWER_MAX;
use super::text;

/// How long a branch may hold what it holds: settings of its session, for its transaction alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) idle: Duration,
    pub(super) lock: Duration,
    pub(super) statement: Duration,
}

/// How a prepare ended.
pub(super) enum Prepared {
    /// It changed nothing, and is over.
    ReadOnly,
    /// It is prepared.
    Yes,
    /// It was not asked to prepare, and is over. The connection is in no transaction.
    No(Arc<str>),
    /// It was not asked to prepare, and never will be. The connection is broken.
    Broken(Arc<str>),
    /// The session has done what it was asked for; whether it prepared is to be looked up.
    Look(Arc<str>),
    /// It may be prepared, or may yet.
    Unknown(Source),
}

/// How a commit in one phase ended.
pub(super) enum Alone {
    Committed,
    /// It is over, as its row says. The connection is in no transaction.
    Look,
    /// It may have committed, or may yet.
    Unknown,
}

impl Limits {
    /// How long the answer to a statement of the user's is waited for.
    pub(super) fn answer(self) -> Duration {
        self.statement.saturating_add(ANSWER_MAX)
    }
}

/// What begins a branch. None of it reads, so that the user may still set the isolation.
pub(super) fn beginning(branch: BranchId, limits: Limits) -> [String; 5] {
    let set = |name, time: Duration| {
        // What is not set is not 0, which would be no limit.
        let millis = time.as_millis().clamp(1, i32::MAX as u128);
        format!("SET LOCAL {name} = {millis}")
    };
    [
        "BEGIN READ WRITE".to_owned(),
        set("idle_in_transaction_session_timeout", limits.idle),
        set("lock_timeout", limits.lock),
        set("statement_timeout", limits.statement),
        // It is gone when the transaction ends, by whatever means.
        format!("SET LOCAL tripod.branch = '{}'", text::gid(branch)),
    ]
}

/// Prepares a branch, and votes. What its user has deferred until then may take its time.
pub(super) async fn prepare(
    connection: &mut dyn SqlConnection,
    branch: BranchId,
    role: &str,
    time_max: Duration,
) -> Prepared {
    match execute(connection, &recording(branch, role, false)).await {
        Ok(0) => return end_read_only(connection).await,
        Ok(_) => {}
        Err(error) => return rolled_back(connection, no(&error)).await,
    }
    // Until here it is certain that nothing is prepared.
    let prepared = format!("PREPARE TRANSACTION '{}'", text::gid(branch));
    if let Err(error) = execute_within(time_max, connection, &prepared).await {
        return done(connection, no(&error)).await;
    }
    // In a block that has failed, and outside of one, the server answers as if it had prepared. And
    // a coordinator that took over may have raised the watermark above us meanwhile.
    let (coordinator, at) = text::place(branch);
    let gid = text::gid(branch);
    let stands = format!("SELECT 1 FROM tripod.standing_branch('{gid}', {coordinator}, {at})");
    match execute(connection, &stands).await {
        Ok(1) => Prepared::Yes,
        Ok(_) => Prepared::Look("the server did not prepare it".into()),
        Err(error) => done(connection, no(&error)).await,
    }
}

/// Commits a branch together with its row, unless its coordinator has a successor.
pub(super) async fn commit_alone(
    connection: &mut dyn SqlConnection,
    branch: BranchId,
    role: &str,
    time_max: Duration,
) -> Alone {
    let recorded = execute(connection, &recording(branch, role, true)).await;
    if recorded.is_ok_and(|rows| rows == 1) {
        let committed = execute_within(time_max, connection, "COMMIT").await;
        if committed.is_ok() {
            return Alone::Committed;
        }
    }
    match roll_back(connection).await {
        Ok(()) => Alone::Look,
        Err(_) => Alone::Unknown,
    }
}

/// Sees to it that the connection is in no transaction. What it was asked for before is then done,
/// or not: a session does one thing after the other.
pub(super) async fn roll_back(connection: &mut dyn SqlConnection) -> Result<(), Source> {
    execute(connection, "ROLLBACK").await.map(|_| ())
}

/// Whatever the driver's own time-outs are.
pub(super) async fn execute(connection: &mut dyn SqlConnection, sql: &str) -> Result<u64, Source> {
    execute_within(ANSWER_MAX, connection, sql).await
}

async fn execute_within(
    time_max: Duration,
    connection: &mut dyn SqlConnection,
    sql: &str,
) -> Result<u64, Source> {
    let answer = timeout(time_max, connection.execute(sql)).await;
    answer.map_err(|_| "no answer in time")?
}

fn recording(branch: BranchId, role: &str, alone: bool) -> String {
    let (arguments, role) = (text::arguments(branch), text::bytes(role.as_bytes()));
    format!("SELECT 1 FROM tripod.record_branch({arguments}, {role}, {alone})")
}

/// Commits, so that what was read is good, where the isolation is such that this is to be proved.
async fn end_read_only(connection: &mut dyn SqlConnection) -> Prepared {
    match execute(connection, "COMMIT").await {
        Ok(_) => Prepared::ReadOnly,
        Err(error) => rolled_back(connection, no(&error)).await,
    }
}

async fn rolled_back(connection: &mut dyn SqlConnection, why: Arc<str>) -> Prepared {
    match roll_back(connection).await {
        Ok(()) => Prepared::No(why),
        Err(_) => Prepared::Broken(why),
    }
}

async fn done(connection: &mut dyn SqlConnection, why: Arc<str>) -> Prepared {
    match roll_back(connection).await {
        Ok(()) => Prepared::Look(why),
        Err(error) => Prepared::Unknown(error),
    }
}

fn no(error: &Source) -> Arc<str> {
    error.to_string().into()
}
