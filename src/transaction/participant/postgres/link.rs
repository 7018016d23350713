//! A connection of the participant's own.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::future::BoxFuture;
use crate::postgres::{Borrowed, NoConnection, Pool};
use crate::transaction::participant::SqlConnection;

use super::failure::{Source, Trouble, trouble};
use super::session::Kept;

/// How long a call may wait for a connection, one that is free or a new one.
pub(super) const CONNECTION_MAX: Duration = Duration::from_secs(5);

/// How long the server may take to answer what is not the user's. It waits for locks for less than
/// half of that.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(5);

/// All that a session has of its user's, but for prepared statements: the client keeps some.
const CLEAN: &str =
    "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; UNLISTEN *;
    SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

/// A connection that is closed, and with it whatever it was in the middle of, unless it is given
/// back.
pub(super) struct Link(Borrowed);

impl Link {
    pub(super) async fn new(pool: &Pool) -> Result<Self, Trouble> {
        let connection = pool.connection(CONNECTION_MAX).await;
        connection.map(Self).map_err(Trouble::Unsent)
    }

    pub(super) fn client(&self) -> Option<&Client> {
        self.0.client()
    }

    /// Sends these statements at once, and answers the first column of all rows, and how many the
    /// last statement counted.
    pub(super) async fn ask(&self, sql: &str) -> Result<(Vec<Option<String>>, u64), Trouble> {
        let answer = timeout(ANSWER_MAX, self.ask_for_long(sql)).await;
        answer.map_err(|_| Trouble::silent())?
    }

    async fn ask_for_long(&self, sql: &str) -> Result<(Vec<Option<String>>, u64), Trouble> {
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

    pub(super) fn give_back(self) {
        self.0.give_back();
    }
}

impl SqlConnection for Link {
    fn execute<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<u64, Source>> {
        Box::pin(async move {
            // Who asks sets the time.
            let asked = self.ask_for_long(sql).await;
            asked.map(|(_, count)| count).map_err(Trouble::into_source)
        })
    }
}

impl Kept for Link {
    /// Cleans it, in the background, and gives it back.
    fn keep(slot: &mut Option<Self>) {
        if let Some(link) = slot.take() {
            tokio::spawn(async move {
                if link.ask(CLEAN).await.is_ok() {
                    link.give_back();
                }
            });
        }
    }
}
