//! The verbs of the barrier, in the user's transaction.
//!
//! Rows are inserted without having been looked for: two that found nothing would lock the gap
//! against each other. Whoever meets a row there has waited for its writer and shares a lock on it,
//! which nobody here ever tries to raise: two that did would wait for each other. What an effect
//! depends on is read under a lock, by the whole of its key: that is the present, whatever the
//! transaction saw before.

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Row, Transaction, from_row_opt};

use super::super::barrier::{BarrierError, Entry};
use super::text::{BEGUN, ENDED, LOCK, Mark, Text};
use crate::transaction::id::BranchId;
use crate::transaction::participant::mysql::failure::{DUPLICATE_KEY, MysqlError};
use crate::transaction::participant::mysql::fence::{FenceRow, is_below};

type Passed = Result<Entry, BarrierError>;

pub(super) async fn tries(
    text: &Text,
    transaction: &mut Transaction<'_>,
    branch: BranchId,
    note: &[u8],
) -> Passed {
    let mut session = Session { text, transaction };
    if !session.insert(branch, Mark::Tried, note).await? {
        return session.tried_before(branch).await;
    }
    // Looked at after the insertion, for rows go after the watermark has risen.
    let (epoch, watermark_epoch, watermark) = session.fence(branch).await?;
    let late = if is_below(branch, watermark_epoch, watermark) {
        BarrierError::Over(branch)
    } else if branch.transaction().epoch().as_u64() < epoch {
        BarrierError::Fenced(branch)
    } else {
        return Ok(Entry::First(note.to_owned()));
    };
    session.run(&text.delete(branch, BEGUN)).await?;
    Err(late)
}

pub(super) async fn confirms(
    text: &Text,
    transaction: &mut Transaction<'_>,
    branch: BranchId,
) -> Passed {
    let mut session = Session { text, transaction };
    // From here on its rows stay.
    let Some((begun, note)) = session.row(branch, BEGUN, LOCK).await? else {
        let (_, epoch, sequence) = session.fence(branch).await?;
        // Only a repeat can ask.
        return if is_below(branch, epoch, sequence) {
            Ok(Entry::Again(Vec::new()))
        } else {
            Err(BarrierError::NotTried(branch))
        };
    };
    if begun == Mark::Tried
        && session.may_confirm(branch).await?
        && session.insert(branch, Mark::Confirmed, &[]).await?
    {
        return Ok(Entry::First(note));
    }
    match session.end(branch).await? {
        Some(Mark::Confirmed) => Ok(Entry::Again(note)),
        Some(Mark::Cancelled) => Err(BarrierError::Cancelled(branch)),
        Some(Mark::Tried | Mark::Never | Mark::Promised) | None => {
            Err(BarrierError::Fenced(branch))
        }
    }
}

pub(super) async fn cancels(
    text: &Text,
    transaction: &mut Transaction<'_>,
    branch: BranchId,
) -> Passed {
    let mut session = Session { text, transaction };
    // It waits for a try in flight, and keeps out whichever comes later.
    if session.insert(branch, Mark::Never, &[]).await? {
        let (_, epoch, sequence) = session.fence(branch).await?;
        if is_below(branch, epoch, sequence) {
            session.run(&text.delete(branch, BEGUN)).await?;
            return Ok(Entry::Again(Vec::new()));
        }
        if !session.insert(branch, Mark::Cancelled, &[]).await? {
            return Err(garbled("an end without a beginning"));
        }
        return Ok(Entry::Empty);
    }
    // From here on its rows stay.
    let Some((begun, note)) = session.row(branch, BEGUN, LOCK).await? else {
        // It was forgotten meanwhile.
        return Ok(Entry::Again(Vec::new()));
    };
    if session.insert(branch, Mark::Cancelled, &[]).await? {
        let tried = begun == Mark::Tried;
        return Ok(if tried {
            Entry::First(note)
        } else {
            Entry::Empty
        });
    }
    match session.end(branch).await? {
        Some(Mark::Confirmed) => Err(BarrierError::Confirmed(branch)),
        Some(Mark::Tried | Mark::Never | Mark::Promised | Mark::Cancelled) | None => {
            Ok(Entry::Again(note))
        }
    }
}

/// The user's transaction.
struct Session<'a, 'b> {
    text: &'a Text,
    transaction: &'a mut Transaction<'b>,
}

impl Session<'_, '_> {
    /// Answers whether the row was not there.
    async fn insert(
        &mut self,
        branch: BranchId,
        mark: Mark,
        note: &[u8],
    ) -> Result<bool, BarrierError> {
        let sql = self.text.insert(branch, mark, note);
        match self.transaction.query_drop(&sql).await {
            Ok(()) => Ok(true),
            Err(mysql_async::Error::Server(error)) if error.code == DUPLICATE_KEY => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Of a try that met a row.
    async fn tried_before(&mut self, branch: BranchId) -> Passed {
        // It shares a lock on the row, if that has not been forgotten meanwhile.
        let begun = self.row(branch, BEGUN, LOCK).await?;
        // Nothing but the answer depends on this, and a lock would be one on a gap.
        let end = self.row(branch, ENDED, "").await?;
        match (begun, end) {
            (_, Some((Mark::Cancelled, _))) => Err(BarrierError::Cancelled(branch)),
            (Some((Mark::Tried, note)), _) => Ok(Entry::Again(note)),
            (Some((Mark::Never | Mark::Promised | Mark::Confirmed | Mark::Cancelled, _)), None) => {
                // An older snapshot does not show the end of what was never tried.
                Err(BarrierError::Cancelled(branch))
            }
            (Some(_) | None, _) => Err(BarrierError::Over(branch)),
        }
    }

    /// Whether it is prepared, or no successor has taken over: which then waits.
    async fn may_confirm(&mut self, branch: BranchId) -> Result<bool, BarrierError> {
        let sql = self.text.promises(branch);
        if self.all::<(u64,)>(&sql).await?.first() == Some(&(1,)) {
            return Ok(true);
        }
        let (epoch, ..) = self.fence(branch).await?;
        Ok(epoch <= branch.transaction().epoch().as_u64())
    }

    /// What the branch's end says. Whoever asks has met it, or changes nothing.
    async fn end(&mut self, branch: BranchId) -> Result<Option<Mark>, BarrierError> {
        let row = self.row(branch, ENDED, LOCK).await?;
        Ok(row.map(|(mark, _)| mark))
    }

    async fn row(
        &mut self,
        branch: BranchId,
        place: u8,
        lock: &str,
    ) -> Result<Option<(Mark, Vec<u8>)>, BarrierError> {
        let sql = self.text.row(branch, place, lock);
        let rows = self.all::<(u8, Vec<u8>)>(&sql).await?;
        let Some((code, note)) = rows.into_iter().next() else {
            return Ok(None);
        };
        let mark = Mark::of(code).ok_or_else(|| garbled("no such mark"))?;
        Ok(Some((mark, note)))
    }

    /// Zeros, if the coordinator is not known.
    async fn fence(&mut self, branch: BranchId) -> Result<FenceRow, BarrierError> {
        let coordinator = branch.transaction().coordinator();
        let sql = self.text.fence.query(coordinator, LOCK);
        let rows = self.all::<FenceRow>(&sql).await?;
        Ok(rows.first().copied().unwrap_or_default())
    }

    async fn all<T: FromRow>(&mut self, sql: &str) -> Result<Vec<T>, BarrierError> {
        let rows: Vec<Row> = self.transaction.query(sql).await.map_err(failed)?;
        let rows = rows.into_iter().map(from_row_opt::<T>);
        let unexpected = |_| garbled("the rows are not of the expected types");
        rows.collect::<Result<_, _>>().map_err(unexpected)
    }

    async fn run(&mut self, sql: &str) -> Result<(), BarrierError> {
        self.transaction.query_drop(sql).await.map_err(failed)
    }
}

fn failed(error: mysql_async::Error) -> BarrierError {
    BarrierError::Database(MysqlError::from(error).into())
}

fn garbled(what: &'static str) -> BarrierError {
    BarrierError::Database(MysqlError::garbled(what).into())
}
