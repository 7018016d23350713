//! Connections, and what is asked on them.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_postgres::Row;

use crate::lock::backend::{BackendError, BackendErrorKind, Verb};
use crate::postgres::{
    self, Argument, Borrowed, Connected, NoConnection, Way, is_undone, takes_no_writes,
};

use super::failure::{is_stale, unanswered, unreached};

/// How long a call may wait for a connection, one that is free or a new one.
const CONNECTION_MAX: Duration = Duration::from_secs(2);

/// How long the server may take to answer. It waits for locks for half of that.
const ANSWER_MAX: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(super) struct Pool {
    connections: postgres::Pool,
    named: bool,
}

impl Pool {
    pub(super) fn new(way: Way, size: usize) -> Option<Self> {
        let connections = postgres::Pool::new(way, size)?;
        let named = false;
        Some(Self { connections, named })
    }

    /// The same connections, where what is asked has a name there: the server parses and plans it
    /// once. A pooler may send each to another server connection, where the name means nothing.
    pub(super) fn naming(self) -> Self {
        Self {
            named: true,
            ..self
        }
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
        let asked = async {
            if self.named {
                match named(connection, statement, arguments).await {
                    Err(error) if is_stale(&error) => {}
                    answer => return answer,
                }
            }
            connection.query_typed(statement, arguments).await
        };
        match timeout(ANSWER_MAX, asked).await {
            Ok(Ok(rows)) => {
                client.give_back();
                Ok((rows, sent))
            }
            Ok(Err(error)) => {
                if takes_no_writes(&error) {
                    // Another server may take them now, under the same address.
                    self.connections.forget_idle();
                } else if is_undone(&error) {
                    client.give_back();
                }
                Err(unanswered(error, verb))
            }
            Err(_) => {
                self.connections.forget_since(sent);
                Err(silent())
            }
        }
    }

    async fn connection(&self, verb: Verb) -> Result<Borrowed, BackendError> {
        let unavailable = |why: NoConnection| {
            BackendError::new(BackendErrorKind::Unavailable, verb).with_source(why)
        };
        match self.connections.connection(CONNECTION_MAX).await {
            Ok(client) => Ok(client),
            Err(NoConnection::Unreached(error)) => Err(unreached(error, verb)),
            Err(why @ (NoConnection::Closed | NoConnection::Late)) => Err(unavailable(why)),
        }
    }
}

/// Asks by the statement's name, which the server is told before if it does not know it yet.
async fn named(
    connection: &Connected,
    statement: &str,
    arguments: &[Argument<'_>],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let types: Vec<_> = arguments.iter().map(|(_, of)| of.clone()).collect();
    let prepared = connection.prepare_typed_cached(statement, &types).await?;
    let values: Vec<_> = arguments.iter().map(|(value, _)| *value).collect();
    let answer = connection.query(&prepared, &values).await;
    if answer.as_ref().is_err_and(is_stale) {
        connection.statement_cache.remove(statement, &types);
    }
    answer
}
