//! Participants that pass their requests on.

use std::convert::identity;
use std::sync::Arc;

use super::{Enlist, Opening, Participant, ParticipantError, ParticipantOpenError, Report, Vote};
use crate::future::BoxFuture;
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::log::Persistence;
use crate::transaction::name::ParticipantName;

/// All requests of a [`Participant`], each passed on to the method of the same name, and what that
/// returns through `by`. Where it is used, the types of [`Participant`] are to be imported.
macro_rules! requests {
    ($self:ident, $to:expr, $($by:tt)+) => {
        fn open(&$self, opening: Opening) -> BoxFuture<'_, Result<(), ParticipantOpenError>> {
            $($by)+($to.open(opening))
        }

        fn prepare(&$self, branch: BranchId) -> BoxFuture<'_, Result<Vote, ParticipantError>> {
            $($by)+($to.prepare(branch))
        }

        fn commit_one_phase(
            &$self,
            branch: BranchId,
        ) -> BoxFuture<'_, Result<Report, ParticipantError>> {
            $($by)+($to.commit_one_phase(branch))
        }

        fn commit(&$self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
            $($by)+($to.commit(branch))
        }

        fn abort(&$self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
            $($by)+($to.abort(branch))
        }

        fn settle(&$self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
            $($by)+($to.settle(branch))
        }

        fn in_doubt(
            &$self,
            coordinator: CoordinatorId,
            before: Epoch,
        ) -> BoxFuture<'_, Result<Vec<BranchId>, ParticipantError>> {
            $($by)+($to.in_doubt(coordinator, before))
        }

        fn forget(
            &$self,
            coordinator: CoordinatorId,
            watermark: (Epoch, u64),
        ) -> BoxFuture<'_, Result<(), ParticipantError>> {
            $($by)+($to.forget(coordinator, watermark))
        }
    };
}
pub(in crate::transaction) use requests;

macro_rules! forward {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods)]
        impl<P: Participant + ?Sized> Participant for $pointer<P> {
            fn name(&self) -> &ParticipantName {
                (**self).name()
            }

            fn persistence(&self) -> Persistence {
                (**self).persistence()
            }

            fn lists(&self) -> bool {
                (**self).lists()
            }

            requests!(self, (**self), identity);
        }

        #[deny(clippy::missing_trait_methods)]
        impl<P: Enlist + ?Sized> Enlist for $pointer<P> {
            type Branch = P::Branch;

            fn work(
                &self,
                branch: BranchId,
            ) -> BoxFuture<'_, Result<Self::Branch, ParticipantError>> {
                (**self).work(branch)
            }
        }
    };
}

forward!(Arc);
forward!(Box);
