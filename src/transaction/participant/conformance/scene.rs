//! What a case works with: coordinators of its own, and processes on the store, one after the
//! other.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::conformance::{Failure, Outcome, ensure};
use crate::transaction::id::{BranchId, CoordinatorId, Epoch, TransactionId};
use crate::transaction::participant::{
    Opening, Outcome as Did, Participant, ParticipantError, ParticipantOpenError, Report, Vote,
};

use super::stage::{Hand, Party, Stage};

pub(super) const COMMITTED: Report = Report::Did(Did::Committed);
pub(super) const ABORTED: Report = Report::Did(Did::Aborted);

pub(super) struct Scene<'a> {
    stage: &'a dyn Stage<'a>,
    coordinator: CoordinatorId,
    seed: u64,
    marks: AtomicU64,
}

/// A process that uses the store.
pub(super) struct Process<'a> {
    party: Box<dyn Party + 'a>,
    stage: &'a dyn Stage<'a>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(stage: &'a dyn Stage<'a>) -> Self {
        // Nobody knows the keys, so neither ids nor marks come twice.
        let random = RandomState::new();
        let half = |number: u8| u128::from(random.hash_one(number));
        Self {
            stage,
            coordinator: CoordinatorId::from_u128(half(0) << 64 | half(1)),
            seed: random.hash_one(2_u8),
            marks: AtomicU64::new(random.hash_one(3_u8) >> 2),
        }
    }

    /// A number that no other scene has, for a history.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// How often one branch may write.
    pub(super) fn writes_max(&self) -> usize {
        self.stage.writes_max()
    }

    /// The coordinator that the case is about.
    pub(super) fn coordinator(&self) -> CoordinatorId {
        self.coordinator
    }

    /// Another one.
    pub(super) fn foreigner(&self) -> CoordinatorId {
        CoordinatorId::from_u128(!self.coordinator.as_u128())
    }

    pub(super) fn mark(&self) -> u64 {
        self.marks.fetch_add(1, Ordering::Relaxed)
    }

    /// A branch of this epoch of the case's coordinator, alone in its transaction.
    pub(super) fn branch(&self, epoch: u64, sequence: u64) -> Result<BranchId, Failure> {
        branch(self.coordinator, epoch, sequence, 0)
    }

    /// Starts a process, after any before has died.
    pub(super) async fn start(&self) -> Result<Process<'a>, Failure> {
        let party = self.stage.start().await?;
        Ok(Process {
            party,
            stage: self.stage,
        })
    }

    /// Starts a process, and opens the log in its first epoch.
    pub(super) async fn open(&self) -> Result<Process<'a>, Failure> {
        let process = self.start().await?;
        process.opens(self.coordinator, 1, 1).await?;
        Ok(process)
    }

    /// The process dies, and the next starts.
    pub(super) async fn restart(&self, process: Process<'a>) -> Result<Process<'a>, Failure> {
        drop(process);
        self.start().await
    }
}

impl Process<'_> {
    /// The participant behind pointers.
    pub(super) fn boxed(&self) -> Box<dyn Participant> {
        self.party.boxed()
    }

    /// Opens a coordinator's log in this epoch, by the call of this number.
    pub(super) async fn opens(
        &self,
        coordinator: CoordinatorId,
        number: u64,
        nonce: u128,
    ) -> Outcome {
        let opening = opening(coordinator, number, nonce)?;
        Ok(self.open(opening).await?)
    }

    pub(super) async fn work(
        &self,
        branch: BranchId,
    ) -> Result<Box<dyn Hand + '_>, ParticipantError> {
        self.party.work(branch).await
    }

    /// Lets a branch work, and write.
    pub(super) async fn works(
        &self,
        branch: BranchId,
        mark: u64,
    ) -> Result<Box<dyn Hand + '_>, Failure> {
        let mut hand = self.party.work(branch).await?;
        hand.write(mark).await?;
        Ok(hand)
    }

    /// Lets a branch write, and prepares it.
    pub(super) async fn prepares(&self, branch: BranchId, mark: u64) -> Outcome {
        let _hand = self.works(branch, mark).await?;
        is(self.prepare(branch).await?, Vote::Prepared)
    }

    /// Lets a branch write, and commits it.
    pub(super) async fn commits(&self, branch: BranchId, mark: u64) -> Outcome {
        self.prepares(branch, mark).await?;
        is(self.commit(branch).await?, COMMITTED)
    }

    /// Whether what wrote this has committed.
    pub(super) async fn holds(&self, mark: u64) -> Result<bool, Failure> {
        Ok(self.stage.holds(mark).await?)
    }

    /// The prepared branches of epochs before this one, in order.
    pub(super) async fn doubts(
        &self,
        coordinator: CoordinatorId,
        before: u64,
    ) -> Result<Vec<BranchId>, Failure> {
        let mut found = self.in_doubt(coordinator, epoch(before)?).await?;
        found.sort_unstable();
        Ok(found)
    }
}

impl Deref for Process<'_> {
    type Target = dyn Participant;

    fn deref(&self) -> &Self::Target {
        self.party.participant()
    }
}

pub(super) fn epoch(number: u64) -> Result<Epoch, Failure> {
    Epoch::new(number).ok_or_else(|| Failure::new("there is no epoch 0"))
}

/// An opening in this epoch, by the call of this number.
pub(super) fn opening(
    coordinator: CoordinatorId,
    number: u64,
    nonce: u128,
) -> Result<Opening, Failure> {
    Ok(Opening::new(coordinator, epoch(number)?, nonce))
}

pub(super) fn branch(
    coordinator: CoordinatorId,
    begun_in: u64,
    sequence: u64,
    number: u16,
) -> Result<BranchId, Failure> {
    let transaction = TransactionId::new(coordinator, epoch(begun_in)?, sequence);
    Ok(BranchId::new(transaction, number))
}

/// Ends a case unless this is as it had to be.
#[track_caller]
#[expect(
    clippy::needless_pass_by_value,
    reason = "cases name what they expect on the spot"
)]
pub(super) fn is<T: PartialEq + fmt::Debug>(found: T, expected: T) -> Outcome {
    ensure!(found == expected, "{found:?} instead of {expected:?}");
    Ok(())
}

/// Ends a case unless the vote is no.
#[track_caller]
pub(super) fn is_no(vote: &Vote) -> Outcome {
    ensure!(matches!(vote, Vote::No(_)), "{vote:?} instead of a no");
    Ok(())
}

/// Ends a case unless the log was refused as stale.
#[track_caller]
pub(super) fn is_stale(opened: &Result<(), ParticipantOpenError>) -> Outcome {
    let stale = matches!(opened, Err(ParticipantOpenError::Stale(_)));
    ensure!(stale, "{opened:?} instead of a stale log");
    Ok(())
}
