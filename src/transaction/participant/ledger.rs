//! What a participant must remember: a reference for those that are made of tables.

use std::collections::BTreeMap;

use super::vote::{Outcome, Report, Request, Vote};
use crate::transaction::id::{BranchId, CoordinatorId, Epoch, TransactionId};

/// A participant's memory of its branches and of their coordinators.
///
/// Pure, and a reference: participants over databases keep the same with rows, and every method
/// is one atomic step there too. A unique key over the branch's id makes it so: a branch writes its
/// outcome row in its own transaction before it is prepared or committed in one phase; whoever
/// inserts a tombstone in that row's place waits for a writer in flight, and then loses to it or
/// excludes it for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    rows: BTreeMap<BranchId, Row>,
    coordinators: BTreeMap<CoordinatorId, Seen>,
}

/// What is known of a branch. Nothing may mean anything: it never was, it was lost in a crash, it
/// was read-only, or it is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Row {
    /// It works, and is lost in a crash.
    Working {
        /// Whether it has changed nothing.
        read_only: bool,
    },
    /// It is prepared.
    Prepared,
    /// It committed: the outcome row.
    Committed,
    /// It aborted, or never was, and can never be: the tombstone.
    Excluded,
}

/// What is known of a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Seen {
    epoch: Epoch,
    /// Drawn at random by whoever opened the log: tells a repeat from a copy of the log.
    opening: u128,
    watermark: Option<(Epoch, u64)>,
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply {
    /// To [`Request::Prepare`].
    Vote(Vote),
    /// To the others.
    Report(Report),
}

/// The log was opened at an epoch that this participant has already seen: it is a stale copy, or
/// was restored from a backup. Nothing may be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("coordinator {coordinator} was seen in epoch {seen}, and is now opened in {opened}")]
#[non_exhaustive]
pub struct StaleLog {
    /// Whose log it is.
    pub coordinator: CoordinatorId,
    /// The highest epoch seen.
    pub seen: Epoch,
    /// The epoch that is refused.
    pub opened: Epoch,
}

impl StaleLog {
    /// A log of this coordinator, `opened` at an epoch not above the highest `seen`.
    #[must_use]
    pub fn new(coordinator: CoordinatorId, seen: Epoch, opened: Epoch) -> Self {
        Self {
            coordinator,
            seen,
            opened,
        }
    }
}

/// The branch can never work: it is settled, below the watermark, or of an epoch before the highest
/// seen. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("branch {0} is settled, or of an epoch that is over")]
pub struct Settled(pub BranchId);

impl Ledger {
    /// Takes note that a coordinator's log was opened. From here on, one-phase commits of earlier
    /// epochs are fenced off, and no branch of theirs begins. The same `opening` may say so again.
    ///
    /// # Errors
    /// [`StaleLog`] at an epoch not above all that were seen. Nothing changes.
    pub fn open(
        &mut self,
        coordinator: CoordinatorId,
        epoch: Epoch,
        opening: u128,
    ) -> Result<(), StaleLog> {
        let before = self.coordinators.get(&coordinator);
        let watermark = before.and_then(|seen| seen.watermark);
        if let Some(seen) = before
            && (epoch < seen.epoch || epoch == seen.epoch && opening != seen.opening)
        {
            return Err(StaleLog {
                coordinator,
                seen: seen.epoch,
                opened: epoch,
            });
        }
        let seen = Seen {
            epoch,
            opening,
            watermark,
        };
        self.coordinators.insert(coordinator, seen);
        Ok(())
    }

    /// Begins a branch.
    ///
    /// # Errors
    /// [`Settled`] where it can never be.
    pub fn work(&mut self, branch: BranchId, read_only: bool) -> Result<(), Settled> {
        match self.rows.get(&branch) {
            None | Some(Row::Working { .. })
                if !self.is_over(branch) && !self.is_fenced(branch) =>
            {
                self.rows.insert(branch, Row::Working { read_only });
                Ok(())
            }
            None | Some(Row::Working { .. } | Row::Prepared | Row::Committed | Row::Excluded) => {
                Err(Settled(branch))
            }
        }
    }

    /// Takes note that a branch has changed something, if it works.
    pub(super) fn change(&mut self, branch: BranchId) {
        if let Some(Row::Working { read_only }) = self.rows.get_mut(&branch) {
            *read_only = false;
        }
    }

    /// Does what a coordinator asks for, durably, and answers.
    pub fn answer(&mut self, branch: BranchId, request: Request) -> Reply {
        match request {
            Request::Prepare => Reply::Vote(self.prepare(branch)),
            Request::CommitOnePhase => Reply::Report(self.commit_one_phase(branch)),
            Request::Commit => Reply::Report(self.commit(branch)),
            Request::Abort => Reply::Report(self.abort(branch)),
            Request::Settle => Reply::Report(self.settle(branch)),
        }
    }

    fn prepare(&mut self, branch: BranchId) -> Vote {
        match self.rows.get(&branch) {
            Some(Row::Working { read_only: true }) => {
                self.rows.remove(&branch);
                Vote::ReadOnly
            }
            Some(Row::Working { read_only: false }) => {
                self.rows.insert(branch, Row::Prepared);
                Vote::Prepared
            }
            Some(Row::Prepared) => Vote::Prepared,
            Some(Row::Committed | Row::Excluded) => Vote::No("it is settled".into()),
            None => Vote::No("there is no such branch".into()),
        }
    }

    fn commit_one_phase(&mut self, branch: BranchId) -> Report {
        match self.rows.get(&branch) {
            Some(Row::Working { .. } | Row::Prepared) if self.is_fenced(branch) => {
                self.exclude(branch)
            }
            Some(Row::Working { .. } | Row::Prepared) => self.keep(branch),
            Some(Row::Committed) => Report::Did(Outcome::Committed),
            Some(Row::Excluded) => Report::Did(Outcome::Aborted),
            None => Report::Missing,
        }
    }

    fn commit(&mut self, branch: BranchId) -> Report {
        match self.rows.get(&branch) {
            Some(Row::Prepared) => self.keep(branch),
            Some(Row::Committed) => Report::Did(Outcome::Committed),
            Some(Row::Excluded) => Report::Did(Outcome::Aborted),
            // A repeat: everybody has acknowledged.
            None if self.is_over(branch) => Report::Did(Outcome::Committed),
            Some(Row::Working { .. }) | None => Report::Missing,
        }
    }

    fn abort(&mut self, branch: BranchId) -> Report {
        match self.rows.get(&branch) {
            Some(Row::Committed) => Report::Did(Outcome::Committed),
            Some(Row::Excluded) => Report::Did(Outcome::Aborted),
            Some(Row::Working { .. } | Row::Prepared) | None => self.exclude(branch),
        }
    }

    fn settle(&mut self, branch: BranchId) -> Report {
        match self.rows.get(&branch) {
            Some(Row::Prepared) => Report::Prepared,
            Some(Row::Committed) => Report::Did(Outcome::Committed),
            Some(Row::Excluded) => Report::Did(Outcome::Aborted),
            None if self.is_over(branch) => Report::Unknown,
            Some(Row::Working { .. }) | None => self.exclude(branch),
        }
    }

    /// Takes the coordinator's answer to an inquiry for a branch. What is settled stays so: the
    /// answer may be late.
    pub fn told(&mut self, branch: BranchId, outcome: Outcome) {
        if self.rows.get(&branch) == Some(&Row::Prepared) {
            match outcome {
                Outcome::Committed => self.keep(branch),
                Outcome::Aborted => self.exclude(branch),
            };
        }
    }

    /// The prepared branches of this coordinator's epochs before `epoch`; of nobody else.
    #[must_use]
    pub fn in_doubt(&self, coordinator: CoordinatorId, epoch: Epoch) -> Vec<BranchId> {
        let end = BranchId::new(TransactionId::new(coordinator, epoch, 0), 0);
        let earlier = self.rows.range(..end).rev();
        let mut prepared: Vec<_> = earlier
            .take_while(|(branch, _)| branch.transaction().coordinator() == coordinator)
            .filter(|(_, row)| **row == Row::Prepared)
            .map(|(branch, _)| *branch)
            .collect();
        prepared.reverse();
        prepared
    }

    /// Drops what is settled below the coordinator's watermark. Never by age.
    pub fn forget(&mut self, coordinator: CoordinatorId, watermark: (Epoch, u64)) {
        let Some(seen) = self.coordinators.get_mut(&coordinator) else {
            return;
        };
        seen.watermark = seen.watermark.max(Some(watermark));
        let (epoch, sequence) = watermark;
        let end = BranchId::new(TransactionId::new(coordinator, epoch, sequence), 0);
        let below = self.rows.range(..end).rev();
        let over: Vec<_> = below
            .take_while(|(branch, _)| branch.transaction().coordinator() == coordinator)
            .filter(|(_, row)| matches!(row, Row::Committed | Row::Excluded))
            .map(|(branch, _)| *branch)
            .collect();
        for branch in over {
            self.rows.remove(&branch);
        }
    }

    /// Ends a branch that works, as a crash does, or the server when its coordinator is silent for
    /// too long. Others stand.
    pub fn lose(&mut self, branch: BranchId) {
        if let Some(Row::Working { .. }) = self.rows.get(&branch) {
            self.rows.remove(&branch);
        }
    }

    /// Ends a prepared branch by hand, as an administrator of the database may: no tombstone is
    /// left behind.
    pub fn force(&mut self, branch: BranchId, outcome: Outcome) {
        if self.rows.get(&branch) == Some(&Row::Prepared) {
            match outcome {
                Outcome::Committed => self.rows.insert(branch, Row::Committed),
                Outcome::Aborted => self.rows.remove(&branch),
            };
        }
    }

    /// What is known of a branch.
    #[must_use]
    pub fn row(&self, branch: BranchId) -> Option<Row> {
        self.rows.get(&branch).copied()
    }

    fn keep(&mut self, branch: BranchId) -> Report {
        self.rows.insert(branch, Row::Committed);
        Report::Did(Outcome::Committed)
    }

    /// Leaves a tombstone, but where the watermark excludes a late writer already.
    fn exclude(&mut self, branch: BranchId) -> Report {
        if self.is_over(branch) {
            self.rows.remove(&branch);
        } else {
            self.rows.insert(branch, Row::Excluded);
        }
        Report::Did(Outcome::Aborted)
    }

    /// Whether the branch's coordinator was opened in a later epoch.
    pub(super) fn is_fenced(&self, branch: BranchId) -> bool {
        let id = branch.transaction();
        let seen = self.coordinators.get(&id.coordinator());
        seen.is_some_and(|seen| id.epoch() < seen.epoch)
    }

    /// Whether the branch's transaction is below its coordinator's watermark.
    fn is_over(&self, branch: BranchId) -> bool {
        let coordinator = branch.transaction().coordinator();
        let seen = self.coordinators.get(&coordinator);
        let watermark = seen.and_then(|seen| seen.watermark);
        watermark.is_some_and(|watermark| below(branch, coordinator, watermark))
    }
}

fn below(branch: BranchId, coordinator: CoordinatorId, watermark: (Epoch, u64)) -> bool {
    let id = branch.transaction();
    id.coordinator() == coordinator && (id.epoch(), id.sequence()) < watermark
}
