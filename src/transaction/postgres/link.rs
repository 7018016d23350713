//! A connection of our own.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::postgres::{Borrowed, NoConnection, Pool};

use super::trouble::{Trouble, trouble};

/// How long a call may wait for a connection, one that is free or a new one.
const CONNECTION_MAX: Duration = Duration::from_secs(5);

/// How long the server may take to answer what is not the user's. It waits for locks for less than
/// half of that.
pub(in crate::transaction) const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A connection that is closed, and with it whatever it was in the middle of, unless it is given
/// back.
pub(in crate::transaction) struct Link(Borrowed);

impl Link {
    pub(in crate::transaction) async fn new(pool: &Pool) -> Result<Self, Trouble> {
        let connection = pool.connection(CONNECTION_MAX).await;
        connection.map(Self).map_err(Trouble::Unsent)
    }

    pub(in crate::transaction) fn client(&self) -> Option<&Client> {
        self.0.client().map(|client| &**client)
    }

    /// Sends these statements at once, and answers the first column of all rows, and how many the
    /// last statement counted.
    pub(in crate::transaction) async fn ask(
        &self,
        sql: &str,
    ) -> Result<(Vec<Option<String>>, u64), Trouble> {
        self.ask_within(ANSWER_MAX, sql).await
    }

    /// As [`ask`](Self::ask), where the server may take so long to answer.
    pub(in crate::transaction) async fn ask_within(
        &self,
        time_max: Duration,
        sql: &str,
    ) -> Result<(Vec<Option<String>>, u64), Trouble> {
        let answer = timeout(time_max, self.ask_for_long(sql)).await;
        answer.map_err(|_| Trouble::silent())?
    }

    /// As [`ask`](Self::ask), for as long as the server takes.
    pub(in crate::transaction) async fn ask_for_long(
        &self,
        sql: &str,
    ) -> Result<(Vec<Option<String>>, u64), Trouble> {
        let client = self.client().ok_or(Trouble::Unsent(NoConnection::Closed))?;
        let messages = client.simple_query(sql).await.map_err(trouble)?;
        let (mut cells, mut count) = (Vec::new(), 0);
        for message in messages {
            match message {
                SimpleQueryMessage::Row(row) => {
                    let cell = row.try_get(0).map_err(|_| Trouble::garbled())?;
                    cells.push(cell.map(str::to_owned));
                }
                SimpleQueryMessage::CommandComplete(rows) => count = rows,
                // The client may learn to tell more.
                SimpleQueryMessage::RowDescription(_) | _ => {}
            }
        }
        Ok((cells, count))
    }

    pub(in crate::transaction) fn give_back(self) {
        self.0.give_back();
    }
}
