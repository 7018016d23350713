//! Connections, and what is asked on them.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, PoolError, RecyclingMethod};
use tokio::time::{Instant, timeout};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Config, Row};

use crate::lock::backend::{BackendError, BackendErrorKind, Verb};

use super::failure::{is_undone, takes_no_writes, unanswered, unreached};
use super::way::Way;

/// How long a call may wait for a connection, one that is free or a new one.
const CONNECTION_MAX: Duration = Duration::from_secs(2);

/// How long the server may take to answer. It waits for locks for half of that.
const ANSWER_MAX: Duration = Duration::from_secs(2);

pub(super) type Argument<'a> = (&'a (dyn ToSql + Sync), Type);

#[derive(Clone)]
pub(super) struct Pool(deadpool_postgres::Pool);

impl Pool {
    pub(super) fn new(way: Way, size: usize) -> Option<Self> {
        // A connection that was closed is known to be without asking, and one that went silent is
        // found by the call that it fails.
        let config = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        // The way has its own idea of where it leads.
        let manager = Manager::from_connect(Config::new(), way, config);
        // Timeouts are ours, around everything.
        let pool = deadpool_postgres::Pool::builder(manager).max_size(size);
        pool.build().ok().map(Self)
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
        // Nobody else gets a connection on which this statement may still be under way.
        let client = Borrowed(Some(client));
        let connection = client.0.as_ref().ok_or_else(silent)?;
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
                    drop(self.0.retain(|_, _| false));
                } else if is_undone(&error) {
                    client.give_back();
                }
                Err(unanswered(error, verb))
            }
            Err(_) => {
                self.forget_since(sent);
                Err(silent())
            }
        }
    }

    async fn connection(&self, verb: Verb) -> Result<Object, BackendError> {
        let unavailable = |why: &'static str| {
            BackendError::new(BackendErrorKind::Unavailable, verb).with_source(why)
        };
        match timeout(CONNECTION_MAX, self.0.get()).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(PoolError::Backend(error))) => Err(unreached(error, verb)),
            Ok(Err(
                PoolError::Timeout(_)
                | PoolError::Closed
                | PoolError::NoRuntimeSpecified
                | PoolError::PostCreateHook(_),
            )) => Err(unavailable("the pool is closed")),
            Err(_) => Err(unavailable("no connection in time")),
        }
    }

    /// Closes idle connections that nobody has used since: where one went silent, so may they
    /// have, and each would cost a caller its time.
    fn forget_since(&self, sent: Instant) {
        let used_since = sent.elapsed();
        let idle = self.0.retain(|_, metrics| metrics.last_used() < used_since);
        drop(idle);
    }
}

/// A connection that is closed unless it is given back.
struct Borrowed(Option<Object>);

impl Borrowed {
    fn give_back(mut self) {
        // Dropped, it returns to the pool.
        drop(self.0.take());
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}
