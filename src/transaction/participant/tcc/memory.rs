//! A barrier in memory.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::{Opening, ParticipantError, ParticipantOpenError, StaleLog};
use super::barrier::{Barrier, BarrierError, Entry, Sight, Standing, check_note, check_repeat};
use crate::future::BoxFuture;
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::log::Persistence;

/// A barrier for services in memory: for examples, tests and simulations. Cheap to clone: clones
/// share the rows.
///
/// The work is done while the rows are locked, so each verb is one atomic step as a transaction
/// would be: keep it short, and let it not use the barrier. If it fails, there is no row of it.
///
/// *It does not outlive the process.*
#[derive(Clone, Default)]
pub struct MemoryBarrier(Arc<Mutex<Rows>>);

#[derive(Default)]
struct Rows {
    branches: BTreeMap<BranchId, Row>,
    coordinators: HashMap<CoordinatorId, Seen>,
}

struct Row {
    /// The note of the try, if there was one.
    tried: Option<Vec<u8>>,
    is_prepared: bool,
    /// Confirmed, or else cancelled.
    confirmed: Option<bool>,
}

struct Seen {
    epoch: Epoch,
    opening: u128,
    watermark: Option<(Epoch, u64)>,
}

impl MemoryBarrier {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a try through, which does this work, and leaves a note for whoever confirms or cancels
    /// it: at most [`NOTE_MAX`](super::NOTE_MAX) bytes. A repeat does nothing, and gets the note.
    ///
    /// # Errors
    /// [`BarrierError::Cancelled`], [`BarrierError::Over`] or [`BarrierError::Fenced`] for a late
    /// one, [`BarrierError::Different`] for one that was made before with another note,
    /// [`BarrierError::NoteTooLong`], or what the work says. Nothing was tried now.
    pub fn try_<E: From<BarrierError>>(
        &self,
        branch: BranchId,
        note: &[u8],
        work: impl FnOnce() -> Result<(), E>,
    ) -> Result<Entry, E> {
        check_note(note)?;
        let mut rows = self.0.lock();
        let sight = rows.look(branch);
        if let Some(row) = rows.branches.get(&branch) {
            return match (&row.tried, row.confirmed) {
                (Some(before), None | Some(true)) => {
                    let entry = Entry::Again(before.clone());
                    Ok(check_repeat(entry, branch, note)?)
                }
                (None, None | Some(true)) => Err(BarrierError::Over(branch).into()),
                (Some(_) | None, Some(false)) => Err(BarrierError::Cancelled(branch).into()),
            };
        }
        if sight.is_over {
            return Err(BarrierError::Over(branch).into());
        }
        if sight.is_fenced {
            return Err(BarrierError::Fenced(branch).into());
        }
        work()?;
        rows.branches.insert(branch, Row::tried(note));
        Ok(Entry::First(note.to_owned()))
    }

    /// Lets a confirm through, which does this work with the note of its try. A repeat does
    /// nothing.
    ///
    /// # Errors
    /// [`BarrierError::Cancelled`], [`BarrierError::NotTried`], [`BarrierError::Fenced`] of one
    /// that is not prepared, or what the work says. Nothing was confirmed.
    pub fn confirm<E: From<BarrierError>>(
        &self,
        branch: BranchId,
        work: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<Entry, E> {
        let mut rows = self.0.lock();
        let sight = rows.look(branch);
        let Some(row) = rows.branches.get_mut(&branch) else {
            if sight.is_over {
                return Ok(Entry::Again(Vec::new()));
            }
            return Err(BarrierError::NotTried(branch).into());
        };
        let note = row.tried.clone().unwrap_or_default();
        match row.confirmed {
            Some(true) => Ok(Entry::Again(note)),
            Some(false) => Err(BarrierError::Cancelled(branch).into()),
            None if sight.is_fenced && !row.is_prepared => Err(BarrierError::Fenced(branch).into()),
            None => {
                work(&note)?;
                row.confirmed = Some(true);
                Ok(Entry::First(note))
            }
        }
    }

    /// Lets a cancel through, which does this work with the note of its try. A repeat does nothing;
    /// nor does one of a branch that was not tried, and can never be tried from here on.
    ///
    /// # Errors
    /// [`BarrierError::Confirmed`], or what the work says. Nothing was cancelled.
    pub fn cancel<E: From<BarrierError>>(
        &self,
        branch: BranchId,
        work: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<Entry, E> {
        self.end(branch, work, |entry| entry)
    }

    /// As [`cancel`](Self::cancel), for a branch whose try has effects outside of what the barrier
    /// guards: the work is done also if nothing was tried as far as the barrier knows, with an
    /// empty note. It has to bear that those effects never were.
    ///
    /// # Errors
    /// As there.
    pub fn cancel_always<E: From<BarrierError>>(
        &self,
        branch: BranchId,
        work: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<Entry, E> {
        self.end(branch, work, Entry::always)
    }

    fn end<E: From<BarrierError>>(
        &self,
        branch: BranchId,
        work: impl FnOnce(&[u8]) -> Result<(), E>,
        as_it_is: impl FnOnce(Entry) -> Entry,
    ) -> Result<Entry, E> {
        let mut rows = self.0.lock();
        let is_over = rows.look(branch).is_over;
        let entry = match rows.branches.get(&branch) {
            None if is_over => Entry::Again(Vec::new()),
            None => Entry::Empty,
            Some(row) => {
                let note = row.tried.clone().unwrap_or_default();
                match row.confirmed {
                    Some(true) => return Err(BarrierError::Confirmed(branch).into()),
                    Some(false) => Entry::Again(note),
                    None => Entry::First(note),
                }
            }
        };
        let again = matches!(entry, Entry::Again(_));
        let entry = as_it_is(entry);
        if let Entry::First(note) = &entry {
            work(note)?;
        }
        if !again {
            let row = rows.branches.entry(branch).or_insert(Row::NEVER);
            row.confirmed = Some(false);
        }
        Ok(entry)
    }
}

impl Row {
    const NEVER: Self = Self {
        tried: None,
        is_prepared: false,
        confirmed: None,
    };

    fn tried(note: &[u8]) -> Self {
        Self {
            tried: Some(note.to_owned()),
            ..Self::NEVER
        }
    }

    fn standing(&self) -> Standing {
        match (self.confirmed, &self.tried) {
            (Some(true), _) => Standing::Confirmed,
            (Some(false), _) => Standing::Cancelled,
            (None, Some(_)) if self.is_prepared => Standing::Prepared,
            (None, Some(_)) => Standing::Tried,
            (None, None) => Standing::Nothing,
        }
    }
}

impl Rows {
    fn look(&self, branch: BranchId) -> Sight {
        let id = branch.transaction();
        let seen = self.coordinators.get(&id.coordinator());
        let watermark = seen.and_then(|seen| seen.watermark);
        let row = self.branches.get(&branch);
        Sight {
            standing: row.map_or(Standing::Nothing, Row::standing),
            is_over: watermark.is_some_and(|over| (id.epoch(), id.sequence()) < over),
            is_fenced: seen.is_some_and(|seen| id.epoch() < seen.epoch),
        }
    }

    fn open(&mut self, opening: Opening) -> Result<(), StaleLog> {
        let (coordinator, opened) = (opening.coordinator(), opening.epoch());
        let before = self.coordinators.get(&coordinator);
        let watermark = before.and_then(|seen| seen.watermark);
        if let Some(Seen {
            epoch,
            opening: nonce,
            ..
        }) = before
            && (opened < *epoch || opened == *epoch && opening.nonce() != *nonce)
        {
            return Err(StaleLog {
                coordinator,
                seen: *epoch,
                opened,
            });
        }
        let seen = Seen {
            epoch: opened,
            opening: opening.nonce(),
            watermark,
        };
        self.coordinators.insert(coordinator, seen);
        Ok(())
    }

    fn promise(&mut self, branch: BranchId) -> Sight {
        if let Some(row) = self.branches.get_mut(&branch) {
            row.is_prepared = true;
        }
        self.look(branch)
    }

    fn confirm_empty(&mut self, branch: BranchId) -> Sight {
        let is_fenced = self.look(branch).is_fenced;
        let row = self.branches.entry(branch).or_insert(Row::NEVER);
        if row.tried.is_none() && row.confirmed.is_none() {
            row.confirmed = Some(!is_fenced);
        }
        self.look(branch)
    }

    fn in_doubt(&self, coordinator: CoordinatorId, before: Epoch) -> Vec<BranchId> {
        let prepared = self.branches.iter().filter(|(branch, row)| {
            let id = branch.transaction();
            let ours = id.coordinator() == coordinator && id.epoch() < before;
            ours && row.standing() == Standing::Prepared
        });
        prepared.map(|(branch, _)| *branch).collect()
    }

    fn forget(&mut self, coordinator: CoordinatorId, watermark: (Epoch, u64)) {
        let Some(seen) = self.coordinators.get_mut(&coordinator) else {
            return;
        };
        seen.watermark = seen.watermark.max(Some(watermark));
        self.branches.retain(|branch, row| {
            let id = branch.transaction();
            let over = (id.epoch(), id.sequence()) < watermark;
            row.confirmed.is_none() || id.coordinator() != coordinator || !over
        });
    }
}

impl Barrier for MemoryBarrier {
    fn persistence(&self) -> Persistence {
        Persistence::Process
    }

    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<(), ParticipantOpenError>> {
        Box::pin(async move { Ok(self.0.lock().open(opening)?) })
    }

    fn look(&self, branch: BranchId) -> BoxFuture<'_, Result<Sight, ParticipantError>> {
        Box::pin(async move { Ok(self.0.lock().look(branch)) })
    }

    fn promise(&self, branch: BranchId) -> BoxFuture<'_, Result<Sight, ParticipantError>> {
        Box::pin(async move { Ok(self.0.lock().promise(branch)) })
    }

    fn confirm_empty(&self, branch: BranchId) -> BoxFuture<'_, Result<Sight, ParticipantError>> {
        Box::pin(async move { Ok(self.0.lock().confirm_empty(branch)) })
    }

    fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> BoxFuture<'_, Result<Vec<BranchId>, ParticipantError>> {
        Box::pin(async move { Ok(self.0.lock().in_doubt(coordinator, before)) })
    }

    fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> BoxFuture<'_, Result<(), ParticipantError>> {
        Box::pin(async move {
            self.0.lock().forget(coordinator, watermark);
            Ok(())
        })
    }
}

impl fmt::Debug for MemoryBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBarrier").finish_non_exhaustive()
    }
}
