//! The user's handle of a branch.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::link::Link;
use super::session::{Session, State};

/// Parameters of a statement, as `tokio-postgres` takes them.
type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A branch that works on a `PostgreSQL` server.
///
/// It is a transaction there, on a connection of its own. Do not end it by `COMMIT` or `ROLLBACK`:
/// it then votes no. Savepoints are yours, and so is the isolation, by
/// `SET TRANSACTION ISOLATION LEVEL` as the first statement. `NOTIFY`, temporary tables, `SET ROLE`
/// and cursors that outlive the transaction keep it from being prepared. A branch that has only
/// notified is taken to be read-only: who listens hears it, whatever becomes of the transaction.
///
/// # Cancel safety
/// Of all methods: a statement that is dropped before it is answered ends the branch, for nobody
/// knows whether it was done. It then votes no.
pub struct PostgresBranch {
    session: Arc<Mutex<Session<Link>>>,
    time_max: Duration,
}

/// Why a branch did not do what was asked.
#[non_exhaustive]
pub enum BranchError {
    /// The branch is prepared or over, or was lost. Nothing was done.
    Over,
    /// The statement failed. If the server said so ([`code`](Self::code)), the branch can only be
    /// rolled back, as a whole or to a savepoint; else it may be lost.
    ///
    /// Neither `Debug` nor `Display` tell what the client's error says, and it is no source of this
    /// one: it may quote values that the statement was about.
    Failed(tokio_postgres::Error),
    /// No answer in time. The branch is lost, and votes no.
    Silent,
}

impl PostgresBranch {
    pub(super) fn new(session: Arc<Mutex<Session<Link>>>, time_max: Duration) -> Self {
        Self { session, time_max }
    }

    /// Executes a statement, and answers how many rows it changed.
    ///
    /// # Errors
    /// [`BranchError`].
    pub async fn execute(
        &mut self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<u64, BranchError> {
        let ask = async |client: &Client| client.execute(statement, parameters).await;
        self.ask(ask).await
    }

    /// Executes a statement, and answers its rows.
    ///
    /// # Errors
    /// [`BranchError`].
    pub async fn query(
        &mut self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, BranchError> {
        let ask = async |client: &Client| client.query(statement, parameters).await;
        self.ask(ask).await
    }

    /// Executes a statement that has one row to answer.
    ///
    /// # Errors
    /// [`BranchError`]; *failed*, without a code, if it was another number of rows. It was executed
    /// then.
    pub async fn query_one(
        &mut self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Row, BranchError> {
        let ask = async |client: &Client| client.query_one(statement, parameters).await;
        self.ask(ask).await
    }

    /// Executes a statement that has one row to answer, or none.
    ///
    /// # Errors
    /// [`BranchError`]; *failed*, without a code, if there were more rows. It was executed then.
    pub async fn query_opt(
        &mut self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Option<Row>, BranchError> {
        let ask = async |client: &Client| client.query_opt(statement, parameters).await;
        self.ask(ask).await
    }

    /// Executes statements, separated by semicolons, without parameters. The time limit of a
    /// statement is that of all of them.
    ///
    /// # Errors
    /// [`BranchError`].
    pub async fn batch_execute(&mut self, statements: &str) -> Result<(), BranchError> {
        let ask = async |client: &Client| client.batch_execute(statements).await;
        self.ask(ask).await
    }

    async fn ask<T>(
        &mut self,
        ask: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, BranchError> {
        let mut session = self.session.lock().await;
        if session.state != State::Working {
            return Err(BranchError::Over);
        }
        // Put back when it is answered: dropped before, it closes, and that ends the branch.
        let link = session.connection.take().ok_or(BranchError::Over)?;
        let client = link.client().ok_or(BranchError::Over)?;
        let answer = timeout(self.time_max, ask(client)).await;
        let answer = answer.map_err(|_| BranchError::Silent)?;
        session.connection = Some(link);
        answer.map_err(BranchError::Failed)
    }
}

impl BranchError {
    /// What the server calls it, where it was the server that refused.
    #[must_use]
    pub fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Failed(error) => error.code(),
            Self::Over | Self::Silent => None,
        }
    }
}

impl fmt::Debug for PostgresBranch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBranch").finish_non_exhaustive()
    }
}

impl fmt::Debug for BranchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for BranchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.code()) {
            (Self::Over, _) => f.write_str("the branch is over"),
            (Self::Silent, _) => f.write_str("no answer in time"),
            (Self::Failed(_), Some(code)) => {
                write!(f, "the statement failed (SQLSTATE {})", code.code())
            }
            (Self::Failed(_), None) => f.write_str("the statement failed"),
        }
    }
}

impl std::error::Error for BranchError {}
