//! Connections, and what is asked on them.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_postgres::Row;

use crate::lock::backend::{BackendError, BackendErrorKind, Verb};
use crate::postgres::{self, Argument, Borrowed, NoConnection, Way, is_undone, takes_no_writes};

use super::failure::{unanswered, unreached};

/// How long a call may wait for a connection, one that is free or a new one.
const CONNECTION_MAX: Duration = Duration::from_secs(2);

/// How long the server may take to answer. It waits for locks for half of that.
const ANSWER_MAX: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(super) struct Pool(postgres::Pool);

impl Pool {
    pub(super) fn new(way: Way, size: usize) -> Option<Self> {
        postgres::Pool::new(way, size).map(Self)
    }

    /// Asks, and answers the rows and when the statement was sent. It is one transaction.
    pub(super) async fn ask(
        &self,
        verb: Verb,
        statement: &str,
        arguments: &[Argument<'_>],
    ) -> Result<(Vec<Row>, Instant), BackendError> {
        let silent = || {
            BackendError::new(BackendErrorKind::Indeterminate, verb)
                .with_source("no answer in time")
        };
        let client = self.connection(verb).await?;
        let sent = Instant::now();
        let connection = client.client().ok_or_else(silent)?;
        // Unnamed, so that a pooler may send each to another server connection.
        let asked = connection.query_typed(statement, arguments);
        match timeout(ANSWER_MAX, asked).await {
            Ok(Ok(rows)) => {
                client.give_back();
                Ok((rows, sent))
            }
            Ok(Err(error)) => {
                if takes_no_writes(&error) {
                    // Another server may take them now, under the same address.
                    self.0.forget_idle();
                } else if is_undone(&error) {
                    client.give_back();
                }
                Err(unanswered(error, verb))
            }
            Err(_) => {
                self.0.forget_since(sent);
                Err(silent())
            }
        }
    }

    async fn connection(&self, verb: Verb) -> Result<Borrowed, BackendError> {
        let unavailable = |why: NoConnection| {
            BackendError::new(BackendErrorKind::Unavailable, verb).with_source(why)
        };
        match self.0.connection(CONNECTION_MAX).await {
            Ok(client) => Ok(client),
            Err(NoConnection::Unreached(error)) => Err(unreached(error, verb)),
            Err(why @ (NoConnection::Closed | NoConnection::Late)) => Err(unavailable(why)),
        }
    }
}
