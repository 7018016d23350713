//! Calls of the functions in the schema, each a transaction of its own.

use tokio::time::timeout;

use crate::postgres::{Pool, Schema};
use crate::transaction::id::{CoordinatorId, Epoch};
use crate::transaction::participant::{Opening, ParticipantOpenError, StaleLog};

use super::failure::{Trouble, unfit};
use super::link::{ANSWER_MAX, Link};
use super::text;

/// How often rows are dropped in one call, so that it ends by itself. What is left goes in the next
/// call.
const FORGOTTEN_TIMES: u32 = 100;

/// By these connections.
#[derive(Clone)]
pub(in crate::transaction::participant) struct Calls(Pool);

impl Calls {
    pub(in crate::transaction::participant) fn new(pool: Pool) -> Self {
        Self(pool)
    }

    pub(in crate::transaction::participant) async fn link(&self) -> Result<Link, Trouble> {
        Link::new(&self.0).await
    }

    /// Refuses a server, tables or a role that do not do. `misfits` knows of the role; `migrate` is
    /// what the tables are migrated by.
    pub(in crate::transaction::participant) async fn check(
        &self,
        schema: &Schema,
        misfits: &str,
        migrate: &str,
    ) -> Result<(), ParticipantOpenError> {
        let link = self.link().await?;
        let client = link.client().ok_or_else(Trouble::silent)?;
        let checked = timeout(ANSWER_MAX, schema.check(client)).await;
        let checked = checked.map_err(|_| Trouble::silent())?;
        checked.map_err(|error| unfit(error, migrate))?;
        let misfits = format!("SELECT * FROM tripod.{misfits}()");
        let (misfits, _) = link.ask(&misfits).await?;
        link.give_back();
        match misfits.into_iter().flatten().next() {
            None => Ok(()),
            Some(misfit) => Err(ParticipantOpenError::Unfit(misfit.into())),
        }
    }

    /// Has this function take note of an opening, unless it is a stale one.
    pub(in crate::transaction::participant) async fn open(
        &self,
        function: &str,
        opening: Opening,
    ) -> Result<(), ParticipantOpenError> {
        let id = text::coordinator(opening.coordinator());
        let epoch = text::bytes(&opening.epoch().as_u64().to_be_bytes());
        let nonce = text::bytes(&opening.nonce().to_be_bytes());
        let open = format!("tripod.{function}({id}, {epoch}, {nonce})");
        let Some(seen) = self.one(&open).await? else {
            return Ok(());
        };
        let seen = u64::from_str_radix(&seen, 16).ok().and_then(Epoch::new);
        Err(ParticipantOpenError::Stale(StaleLog {
            coordinator: opening.coordinator(),
            seen: seen.ok_or_else(Trouble::garbled)?,
            opened: opening.epoch(),
        }))
    }

    /// Has these functions raise the watermark, and drop what is over: so much in one transaction.
    pub(in crate::transaction::participant) async fn forget(
        &self,
        (raise, forget): (&str, &str),
        together: u32,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> Result<(), Trouble> {
        let (id, at) = (text::coordinator(coordinator), text::position(watermark));
        self.one(&format!("tripod.{raise}({id}, {at})")).await?;
        let forget = format!("tripod.{forget}({id}, {together})");
        for _ in 0..FORGOTTEN_TIMES {
            let dropped = self.one(&forget).await?;
            let dropped: Option<u32> = dropped.and_then(|dropped| dropped.parse().ok());
            if dropped.ok_or_else(Trouble::garbled)? < together {
                break;
            }
        }
        Ok(())
    }

    /// What a function answers.
    pub(in crate::transaction::participant) async fn one(
        &self,
        call: &str,
    ) -> Result<Option<String>, Trouble> {
        let cells = self.all(&format!("SELECT {call}")).await?;
        cells.into_iter().next().ok_or_else(Trouble::garbled)
    }

    /// The rows of a statement.
    pub(in crate::transaction::participant) async fn all(
        &self,
        statement: &str,
    ) -> Result<Vec<Option<String>>, Trouble> {
        let link = self.link().await?;
        // Whatever the role's defaults are. A connection on which this fails is closed: it is in
        // the middle of the transaction.
        let whole = format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {statement}; COMMIT");
        let (cells, _) = link.ask(&whole).await?;
        link.give_back();
        Ok(cells)
    }
}
