//! What users write.

use std::fmt;
use std::sync::Arc;

use super::super::ParticipantError;
use crate::future::BoxFuture;
use crate::transaction::id::BranchId;

/// A service that can be tried, and then confirmed or cancelled: seats to be held, money to be set
/// aside.
///
/// Each of the three is one transaction in the service's own database, of which the
/// [barrier](super::Barrier) is the first statement, by the verb of the same name. It sees to it
/// that each has its effect at most once, and in an order that makes sense; whatever it does not
/// let through does nothing, and commits all the same.
///
/// Confirm and cancel get the branch's id and nothing else: they may come from another process than
/// the try, days later. What they need to know of it is found by that id, in the service's own
/// tables, or in the [note](super::Entry::First) that the try has left with the barrier. The id
/// carries the [epoch](crate::transaction::TransactionId::epoch), and is never used again: it is
/// what services beyond this one take as key of idempotency.
///
/// # Errors
/// *Unknown* where it cannot be said whether it was done, a lost connection at the commit for one.
/// *Refused* where nothing was done, and somebody has to mend something. A confirm or cancel of
/// unknown outcome comes again, until the barrier's rows say that it was done; a refused one waits
/// for an operator. Which of them a failed try was makes no difference: it is cancelled.
///
/// # Dropped futures
/// Any may be dropped at any await. What is under way then may still have its effect: the barrier
/// knows.
pub trait TccService: fmt::Debug + Send + Sync + 'static {
    /// What is to be tried.
    type Request: Send + 'static;

    /// What the caller gets from a try. A repeat gives the same: it is in the
    /// [note](super::Entry::Again), or the service finds it by the branch's id.
    type Answer: Send + 'static;

    /// Reserves what is asked for, so that confirm cannot fail and cancel can take it back. Others
    /// see that it is reserved. An error is the branch's no.
    ///
    /// # Errors
    /// *Refused* where it cannot be had.
    fn try_(
        &self,
        branch: BranchId,
        request: Self::Request,
    ) -> BoxFuture<'_, Result<Self::Answer, ParticipantError>>;

    /// Makes what was tried final. It may come again, twice at once, and after its end. It has no
    /// way to say no: what could fail belongs into the try.
    ///
    /// # Errors
    /// It may be done.
    fn confirm(&self, branch: BranchId) -> BoxFuture<'_, Result<(), ParticipantError>>;

    /// Takes back what was tried, if anything was. It may come again, twice at once, while the try
    /// is still under way, before it, and without it.
    ///
    /// # Errors
    /// It may be done.
    fn cancel(&self, branch: BranchId) -> BoxFuture<'_, Result<(), ParticipantError>>;
}

/// Forwards.
#[deny(clippy::missing_trait_methods)]
impl<S: TccService + ?Sized> TccService for Arc<S> {
    type Request = S::Request;
    type Answer = S::Answer;

    fn try_(
        &self,
        branch: BranchId,
        request: Self::Request,
    ) -> BoxFuture<'_, Result<Self::Answer, ParticipantError>> {
        (**self).try_(branch, request)
    }

    fn confirm(&self, branch: BranchId) -> BoxFuture<'_, Result<(), ParticipantError>> {
        (**self).confirm(branch)
    }

    fn cancel(&self, branch: BranchId) -> BoxFuture<'_, Result<(), ParticipantError>> {
        (**self).cancel(branch)
    }
}
