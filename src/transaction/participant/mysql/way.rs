//! How to reach the server, and connections to it.

use std::fmt::Write as _;
use std::time::Duration;

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, Opts, OptsBuilder, Params};

use crate::tls::{Tls, provide_cryptography};

use super::certificates;
use super::failure::MysqlError;

/// What the server allows a branch before it is prepared.
#[derive(Clone, Copy, Debug)]
pub(in crate::transaction::participant) struct Limits {
    pub(super) idle: Duration,
    pub(super) statement: Duration,
    pub(super) lock_wait: Duration,
}

/// What our own connections run with: each statement is a transaction unless it says otherwise,
/// sees what is committed, and waits for no lock for more than a second. They may be idle for a
/// minute.
const CONTROL: &str = "SET SESSION autocommit = 1, completion_type = NO_CHAIN, \
    sql_mode = 'STRICT_ALL_TABLES', sql_safe_updates = 0, innodb_lock_wait_timeout = 1, \
    lock_wait_timeout = 1, wait_timeout = 60; \
    SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE";

#[derive(Clone)]
pub(in crate::transaction::participant) struct Way {
    options: Opts,
    limits: Limits,
}

impl Way {
    pub(in crate::transaction::participant) async fn new(
        url: &str,
        tls: Option<&Tls>,
        limits: Limits,
    ) -> Result<Self, MysqlError> {
        let options = Opts::from_url(url).map_err(mysql_async::Error::Url)?;
        // A socket of the same machine knows its users by other names, and no TLS.
        let mut builder = OptsBuilder::from_opts(options).prefer_socket(false);
        if let Some(tls) = tls {
            builder = builder.ssl_opts(certificates::options(tls).await);
        }
        let options = Opts::from(builder);
        if options.ssl_opts().is_some() {
            provide_cryptography();
        }
        Ok(Self { options, limits })
    }

    /// A connection of our own.
    pub(in crate::transaction::participant) async fn control(&self) -> Result<Session, MysqlError> {
        self.open(CONTROL).await
    }

    /// A connection for a branch. Whatever the user's code does outside of the branch is not
    /// committed by itself, and nothing there can be switched while the branch works.
    pub(super) async fn branch(&self) -> Result<Session, MysqlError> {
        let Limits {
            idle,
            statement,
            lock_wait,
        } = self.limits;
        let (idle, lock_wait) = (seconds(idle), seconds(lock_wait));
        let (millis, seconds) = (statement.as_millis().max(1), seconds(statement));
        let mut setup = format!(
            "SET SESSION autocommit = 0, completion_type = NO_CHAIN, \
            innodb_lock_wait_timeout = {lock_wait}, lock_wait_timeout = {lock_wait}, \
            wait_timeout = {idle}"
        );
        // Either server passes over what is the other's.
        let _ = write!(
            setup,
            " /*M! , idle_transaction_timeout = {idle}, max_statement_time = {seconds} */ \
            /*!50708 , max_execution_time = {millis} */"
        );
        self.open(&setup).await
    }

    async fn open(&self, setup: &str) -> Result<Session, MysqlError> {
        let mut session = Session(Conn::new(self.options.clone()).await?);
        session.run(setup).await?;
        Ok(session)
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }
}

/// Whole seconds, as the server counts them, and no less; a year is the most it takes.
fn seconds(time: Duration) -> u64 {
    let up = u64::from(time.subsec_nanos() > 0);
    (time.as_secs().saturating_add(up)).clamp(1, 31_536_000)
}

/// A connection.
pub(in crate::transaction::participant) struct Session(Conn);

impl Session {
    /// Runs statements that answer with no rows.
    pub(in crate::transaction::participant) async fn run(
        &mut self,
        sql: &str,
    ) -> Result<(), MysqlError> {
        Ok(self.0.query_drop(sql).await?)
    }

    /// Runs a statement of ours that answers with rows.
    pub(in crate::transaction::participant) async fn rows<T: FromRow + Send + 'static>(
        &mut self,
        sql: &str,
    ) -> Result<Vec<T>, MysqlError> {
        let result = self.0.query_iter(sql).await?;
        let rows = result.try_collect_and_drop::<T>().await?;
        converted(rows)
    }

    /// Runs one statement of the user's.
    pub(super) async fn execute(&mut self, sql: &str, params: Params) -> Result<(), MysqlError> {
        Ok(self.0.exec_drop(sql, params).await?)
    }

    /// Runs one statement of the user's that answers with rows.
    pub(super) async fn query<T: FromRow + Send + 'static>(
        &mut self,
        sql: &str,
        params: Params,
    ) -> Result<Vec<T>, MysqlError> {
        let result = self.0.exec_iter(sql, params).await?;
        let rows = result.try_collect_and_drop::<T>().await?;
        converted(rows)
    }

    /// Of the last statement.
    pub(super) fn affected_rows(&self) -> u64 {
        self.0.affected_rows()
    }

    /// Of the last statement.
    pub(super) fn last_insert_id(&self) -> Option<u64> {
        self.0.last_insert_id()
    }

    pub(super) async fn ping(&mut self) -> bool {
        self.0.ping().await.is_ok()
    }

    /// Says good-bye, and closes. Dropped, it is closed as well, but later.
    pub(in crate::transaction::participant) async fn close(self) {
        let _ = self.0.disconnect().await;
    }
}

fn converted<T>(rows: Vec<Result<T, mysql_async::FromRowError>>) -> Result<Vec<T>, MysqlError> {
    let unexpected = |_| MysqlError::garbled("the rows are not of the expected types");
    rows.into_iter()
        .collect::<Result<_, _>>()
        .map_err(unexpected)
}
