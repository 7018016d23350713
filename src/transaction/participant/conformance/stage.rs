//! A fixture of any type as one type, so that cases are plain functions.

use std::sync::Arc;

use crate::future::BoxFuture;
use crate::transaction::id::BranchId;
use crate::transaction::participant::{Enlist, Participant, ParticipantError};

use super::Fixture;

type Answer<'a, T> = BoxFuture<'a, Result<T, ParticipantError>>;

/// A [`Fixture`].
pub(super) trait Stage<'f>: Send + Sync {
    fn start(&self) -> Answer<'_, Box<dyn Party + 'f>>;
    fn writes_max(&self) -> usize;
    fn holds(&self, mark: u64) -> Answer<'_, bool>;
}

/// A participant of a fixture.
pub(super) trait Party: Send + Sync {
    fn participant(&self) -> &dyn Participant;
    fn boxed(&self) -> Box<dyn Participant>;
    fn work<'a>(&'a self, branch: BranchId) -> Answer<'a, Box<dyn Hand + 'a>>;
}

/// A branch's handle.
pub(super) trait Hand: Send {
    fn write(&mut self, mark: u64) -> Answer<'_, ()>;
}

struct Player<'f, F: Fixture> {
    fixture: &'f F,
    participant: Arc<F::Participant>,
}

struct Held<'f, F: Fixture> {
    fixture: &'f F,
    branch: <F::Participant as Enlist>::Branch,
}

impl<'f, F: Fixture> Stage<'f> for &'f F {
    fn start(&self) -> Answer<'_, Box<dyn Party + 'f>> {
        Box::pin(async {
            let player = Player {
                fixture: *self,
                participant: Arc::new(Fixture::start(*self).await?),
            };
            Ok(Box::new(player) as Box<dyn Party + 'f>)
        })
    }

    fn writes_max(&self) -> usize {
        Fixture::writes_max(*self)
    }

    fn holds(&self, mark: u64) -> Answer<'_, bool> {
        Fixture::holds(*self, mark)
    }
}

impl<F: Fixture> Party for Player<'_, F> {
    fn participant(&self) -> &dyn Participant {
        &*self.participant
    }

    fn boxed(&self) -> Box<dyn Participant> {
        Box::new(Arc::clone(&self.participant))
    }

    fn work<'a>(&'a self, branch: BranchId) -> Answer<'a, Box<dyn Hand + 'a>> {
        Box::pin(async move {
            let held = Held {
                fixture: self.fixture,
                branch: self.participant.work(branch).await?,
            };
            Ok(Box::new(held) as Box<dyn Hand + 'a>)
        })
    }
}

impl<F: Fixture> Hand for Held<'_, F> {
    fn write(&mut self, mark: u64) -> Answer<'_, ()> {
        self.fixture.write(&mut self.branch, mark)
    }
}
