//! A connection of the participant's own, as one for branches.

use crate::future::BoxFuture;
use crate::transaction::participant::SqlConnection;

use super::failure::{Source, Trouble};
use super::session::Kept;

pub(in crate::transaction::participant) use crate::transaction::postgres::{ANSWER_MAX, Link};

/// All that a session has of its user's, but for prepared statements: the client keeps some.
const CLEAN: &str =
    "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; UNLISTEN *;
    SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

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
