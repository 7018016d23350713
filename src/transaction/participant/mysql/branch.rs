//! What users hold of a branch.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::Params;
use mysql_async::prelude::FromRow;
use tokio::time::timeout;

use super::failure::MysqlError;
use super::live::{Lent, Slot};

/// A branch on `MariaDB` or `MySQL` that works: an XA transaction on a connection of its own.
///
/// Statements are prepared and run one at a time; parameters and rows are those of the crate
/// `mysql_async`. What would commit by itself, `COMMIT` or `CREATE TABLE` for two, the server
/// refuses. The handle ends when its transaction is to commit or to abort.
///
/// # Cancel safety
/// A statement whose future is dropped may still run on the server, so the branch is lost with it:
/// its connection is closed, and it cannot commit any more.
pub struct MysqlBranch {
    slot: Arc<Slot>,
    /// How long a statement may take, with the way there and back.
    limit: Duration,
    last_insert_id: Option<u64>,
}

impl MysqlBranch {
    pub(super) fn new(slot: Arc<Slot>, limit: Duration) -> Self {
        Self {
            slot,
            limit,
            last_insert_id: None,
        }
    }

    /// Runs a statement, and counts the rows that it changed.
    ///
    /// # Errors
    /// [`MysqlError`]: where [the branch is over](MysqlError::is_of_the_branch), nothing of it
    /// happens; else the statement did nothing, and the branch works on.
    ///
    /// # Cancel safety
    /// The branch is lost.
    pub async fn execute(
        &mut self,
        sql: &str,
        params: impl Into<Params>,
    ) -> Result<u64, MysqlError> {
        let params = params.into();
        let mut lent = self.slot.lend().ok_or_else(MysqlError::ended)?;
        let session = lent.session().ok_or_else(MysqlError::ended)?;
        let asked = timeout(self.limit, session.execute(sql, params)).await;
        let done = asked.unwrap_or_else(|_| Err(MysqlError::late()));
        let (rows, id) = (session.affected_rows(), session.last_insert_id());
        give_back(lent, &done);
        done?;
        self.last_insert_id = id;
        Ok(rows)
    }

    /// Runs a statement, and collects its rows: tuples, or whatever else `mysql_async` makes of
    /// rows.
    ///
    /// # Errors
    /// As [`execute`](Self::execute). Rows of other types are an error too, and whatever the
    /// statement did is done.
    ///
    /// # Cancel safety
    /// The branch is lost.
    pub async fn query<T: FromRow + Send + 'static>(
        &mut self,
        sql: &str,
        params: impl Into<Params>,
    ) -> Result<Vec<T>, MysqlError> {
        let params = params.into();
        let mut lent = self.slot.lend().ok_or_else(MysqlError::ended)?;
        let session = lent.session().ok_or_else(MysqlError::ended)?;
        let asked = timeout(self.limit, session.query(sql, params)).await;
        let rows = asked.unwrap_or_else(|_| Err(MysqlError::late()));
        give_back(lent, &rows);
        rows
    }

    /// Runs a statement, and takes its first row, if there is one. The others are read all the
    /// same: say `LIMIT 1`.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    ///
    /// # Cancel safety
    /// The branch is lost.
    pub async fn query_first<T: FromRow + Send + 'static>(
        &mut self,
        sql: &str,
        params: impl Into<Params>,
    ) -> Result<Option<T>, MysqlError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// The `AUTO_INCREMENT` value that the last [`execute`](Self::execute) drew.
    #[must_use]
    pub fn last_insert_id(&self) -> Option<u64> {
        self.last_insert_id
    }
}

fn give_back<T>(lent: Lent<'_>, answer: &Result<T, MysqlError>) {
    let lost = |error: &MysqlError| error.is_of_the_branch();
    if !answer.as_ref().is_err_and(lost) {
        lent.give_back();
    }
}

impl fmt::Debug for MysqlBranch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlBranch").finish_non_exhaustive()
    }
}
