//! Participants whose calls block a thread.

use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::{Enlist, Opening, Participant, ParticipantError, ParticipantOpenError, Report, Vote};
use crate::future::BoxFuture;
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::log::Persistence;
use crate::transaction::name::ParticipantName;

/// Why a call has no answer.
type Source = Box<dyn Error + Send + Sync>;

/// A [`Participant`] whose calls block: the same verbs under the same law, for clients that know
/// no futures. [`Blocking`] makes a participant of it.
///
/// Every call has to end by itself, so give sockets and statements time-outs. Calls come from many
/// threads at once. Each method is what the one of the same name is at [`Participant`].
#[expect(
    clippy::missing_errors_doc,
    reason = "what an error means stands at the trait whose law this is"
)]
pub trait BlockingParticipant: fmt::Debug + Send + Sync + 'static {
    /// As [`Participant::name`]. Does not block.
    fn name(&self) -> &ParticipantName;

    /// As [`Participant::persistence`]. Does not block.
    fn persistence(&self) -> Persistence;

    /// As [`Participant::lists`]. Does not block.
    fn lists(&self) -> bool;

    /// As [`Participant::open`].
    fn open(&self, opening: Opening) -> Result<(), ParticipantOpenError>;

    /// As [`Participant::prepare`].
    fn prepare(&self, branch: BranchId) -> Result<Vote, ParticipantError>;

    /// As [`Participant::commit_one_phase`].
    fn commit_one_phase(&self, branch: BranchId) -> Result<Report, ParticipantError>;

    /// As [`Participant::commit`].
    fn commit(&self, branch: BranchId) -> Result<Report, ParticipantError>;

    /// As [`Participant::abort`].
    fn abort(&self, branch: BranchId) -> Result<Report, ParticipantError>;

    /// As [`Participant::settle`].
    fn settle(&self, branch: BranchId) -> Result<Report, ParticipantError>;

    /// As [`Participant::in_doubt`].
    fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> Result<Vec<BranchId>, ParticipantError>;

    /// As [`Participant::forget`].
    fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> Result<(), ParticipantError>;
}

/// A [`BlockingParticipant`] whose branches do work for the caller: [`Enlist`], with a call that
/// blocks.
pub trait BlockingEnlist: BlockingParticipant {
    /// As [`Enlist::Branch`]. Whether its own calls block is between it and its caller.
    type Branch: Send + 'static;

    /// As [`Enlist::work`].
    ///
    /// # Errors
    /// As there.
    fn work(&self, branch: BranchId) -> Result<Self::Branch, ParticipantError>;
}

/// Makes a [`Participant`] of one that blocks.
///
/// Each call runs on a thread that `tokio` keeps for what blocks, so it needs a runtime of
/// `tokio`; without one, or while that shuts down, the answer is unknown. So it is where the call
/// panics. A future that is dropped before its turn has no effect; later, its call goes on to its
/// end. Clones share one participant and one limit.
pub struct Blocking<P> {
    participant: Arc<P>,
    calls: Arc<Semaphore>,
}

impl<P> Blocking<P> {
    /// This participant, with at most this many calls at a time; what is more waits for its turn.
    /// As many as it has connections is a good number. More than `tokio` has threads for this
    /// (512 unless the runtime is told otherwise) makes no difference.
    #[must_use]
    pub fn new(participant: P, calls_max: NonZeroUsize) -> Self {
        let calls = calls_max.get().min(Semaphore::MAX_PERMITS);
        Self {
            participant: Arc::new(participant),
            calls: Arc::new(Semaphore::new(calls)),
        }
    }

    /// The participant, for other calls than the coordinator's.
    #[must_use]
    pub fn get(&self) -> &P {
        &self.participant
    }
}

impl<P: Send + Sync + 'static> Blocking<P> {
    /// Runs a call where it may block. `unknown` is the answer if there is none.
    async fn call<T: Send + 'static, E: Send + 'static>(
        &self,
        call: impl FnOnce(&P) -> Result<T, E> + Send + 'static,
        unknown: fn(Source) -> E,
    ) -> Result<T, E> {
        let runtime = Handle::try_current().map_err(|error| unknown(error.into()))?;
        let turn = Arc::clone(&self.calls).acquire_owned().await;
        let turn = turn.map_err(|error| unknown(error.into()))?;
        let participant = Arc::clone(&self.participant);
        let called = runtime.spawn_blocking(move || {
            // Given back when the call has ended, whoever still awaits it.
            let _turn = turn;
            call(&participant)
        });
        called
            .await
            .unwrap_or_else(|error| Err(unknown(error.into())))
    }

    async fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&P) -> Result<T, ParticipantError> + Send + 'static,
    ) -> Result<T, ParticipantError> {
        self.call(call, ParticipantError::Unknown).await
    }
}

impl<P: BlockingParticipant> Participant for Blocking<P> {
    fn name(&self) -> &ParticipantName {
        self.participant.name()
    }

    fn persistence(&self) -> Persistence {
        self.participant.persistence()
    }

    fn lists(&self) -> bool {
        self.participant.lists()
    }

    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<(), ParticipantOpenError>> {
        let call = move |participant: &P| participant.open(opening);
        Box::pin(self.call(call, ParticipantOpenError::Unknown))
    }

    fn prepare(&self, branch: BranchId) -> BoxFuture<'_, Result<Vote, ParticipantError>> {
        Box::pin(self.ask(move |participant| participant.prepare(branch)))
    }

    fn commit_one_phase(
        &self,
        branch: BranchId,
    ) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(self.ask(move |participant| participant.commit_one_phase(branch)))
    }

    fn commit(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(self.ask(move |participant| participant.commit(branch)))
    }

    fn abort(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(self.ask(move |participant| participant.abort(branch)))
    }

    fn settle(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(self.ask(move |participant| participant.settle(branch)))
    }

    fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> BoxFuture<'_, Result<Vec<BranchId>, ParticipantError>> {
        Box::pin(self.ask(move |participant| participant.in_doubt(coordinator, before)))
    }

    fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> BoxFuture<'_, Result<(), ParticipantError>> {
        Box::pin(self.ask(move |participant| participant.forget(coordinator, watermark)))
    }
}

impl<P: BlockingEnlist> Enlist for Blocking<P> {
    type Branch = P::Branch;

    fn work(&self, branch: BranchId) -> BoxFuture<'_, Result<Self::Branch, ParticipantError>> {
        Box::pin(self.ask(move |participant| participant.work(branch)))
    }
}

impl<P> Clone for Blocking<P> {
    fn clone(&self) -> Self {
        Self {
            participant: Arc::clone(&self.participant),
            calls: Arc::clone(&self.calls),
        }
    }
}

impl<P: fmt::Debug> fmt::Debug for Blocking<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Blocking").field(&self.participant).finish()
    }
}
