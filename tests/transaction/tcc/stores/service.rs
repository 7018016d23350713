//! The service of the tests: a seat, held and booked, and what may go wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tripod::BoxFuture;
use tripod::transaction::BranchId;
use tripod::transaction::participant::ParticipantError;
use tripod::transaction::participant::tcc::{BarrierError, Tcc, TccService};

use super::{Isolation, Step, Store, Verb};

#[derive(Clone, Debug)]
pub(super) struct Hall<S> {
    pub(super) store: S,
    pub(super) faults: Arc<Faults>,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    /// A try is refused.
    pub(super) sold_out: AtomicBool,
    /// Confirms and cancels do not come through.
    pub(super) deaf: AtomicBool,
    /// So many ends are done, and their answers are lost.
    pub(super) lost: AtomicU32,
    pub(super) cancels: AtomicU32,
}

impl<S: Store> Hall<S> {
    pub(super) fn new(store: S) -> Self {
        Self {
            store,
            faults: Arc::default(),
        }
    }

    /// As a process that has just started has it.
    pub(super) async fn tcc(&self, name: &str) -> Tcc<Self> {
        Tcc::new(name, self.clone(), self.store.barrier().await).unwrap()
    }

    async fn pass(&self, verb: Verb, branch: BranchId, seat: u64) -> Result<(), ParticipantError> {
        // Any will do.
        let isolation = match branch.transaction().sequence() % 3 {
            0 => Isolation::ReadCommitted,
            1 => Isolation::RepeatableRead,
            _ => Isolation::Serializable,
        };
        let step = Step::new(verb, branch, seat).at(isolation);
        for _ in 0..50 {
            match self.store.pass(step).await {
                Ok(_) => return Ok(()),
                Err(BarrierError::Database(_)) => {}
                Err(refused) => return Err(refused.into()),
            }
        }
        Err(ParticipantError::unknown("it goes on failing"))
    }

    async fn end(&self, verb: Verb, branch: BranchId) -> Result<(), ParticipantError> {
        if self.faults.deaf.load(Ordering::SeqCst) {
            return Err(ParticipantError::unknown("nobody answers"));
        }
        self.pass(verb, branch, u64::MAX).await?;
        let lost = |left: u32| left.checked_sub(1);
        let answers = &self.faults.lost;
        match answers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lost) {
            Ok(_) => Err(ParticipantError::unknown("the answer is lost")),
            Err(_) => Ok(()),
        }
    }
}

impl<S: Store> TccService for Hall<S> {
    type Request = u64;
    type Answer = ();

    fn try_(&self, branch: BranchId, seat: u64) -> BoxFuture<'_, Result<(), ParticipantError>> {
        Box::pin(async move {
            if self.faults.sold_out.load(Ordering::SeqCst) {
                return Err(ParticipantError::refused("sold out"));
            }
            self.pass(Verb::Try, branch, seat).await
        })
    }

    fn confirm(&self, branch: BranchId) -> BoxFuture<'_, Result<(), ParticipantError>> {
        Box::pin(self.end(Verb::Confirm, branch))
    }

    fn cancel(&self, branch: BranchId) -> BoxFuture<'_, Result<(), ParticipantError>> {
        Box::pin(async move {
            self.faults.cancels.fetch_add(1, Ordering::SeqCst);
            self.end(Verb::Cancel, branch).await
        })
    }
}
