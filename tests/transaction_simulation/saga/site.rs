//! What the code of a step does: it asks the service, under its key.

use std::future::pending;
use std::sync::Arc;

use tokio::time::sleep;
use tripod::transaction::saga::{Run, StepError};

use super::book::{Call, Under};
use super::draft::{Draft, Input};
use super::flaw::Flaw;
use super::service::{Order, Said, Wish};
use super::world::World;
use crate::chronicle::ms;
use crate::counts::Count;
use crate::network::send;
use crate::process::{Moment, Process};

/// How often whoever is asked is not there at all, per mille.
const BUSY: u64 = 40;

/// A step of a definition, in a process.
#[derive(Clone)]
pub struct Site {
    pub world: Arc<World>,
    pub process: Arc<Process>,
    pub draft: Arc<Draft>,
    pub part: usize,
}

/// While this lives, an action is under way.
struct Acting<'a> {
    world: &'a World,
    under: Under,
}

impl Drop for Acting<'_> {
    fn drop(&mut self) {
        self.world.book.lock().leaves(self.under);
    }
}

impl Site {
    pub async fn act(self, run: Run<Input>) -> Result<String, StepError> {
        self.alive().await;
        let call = self.call(&run);
        let under = call.under();
        self.world.acts(&self.draft, &call, &run);
        let _acting = Acting {
            world: &self.world,
            under,
        };
        self.reaches(Moment::Acting).await?;
        let turned = self.world.book.lock().sends(under);
        let asking = self.ask(&call, Wish::Act);
        let said = if self.world.has(Flaw::SiblingsAreLeft) {
            tokio::select! {
                biased;
                said = asking => said,
                () = turned.cancelled() => return Err(StepError::failed("a sibling failed")),
            }
        } else {
            asking.await
        };
        self.passes(Moment::Acted).await;
        match said {
            Some(Said::Done(output)) => Ok(output),
            Some(Said::Refused) => {
                self.world.fails(under);
                turned.cancel();
                Err(StepError::failed("refused"))
            }
            Some(Said::Undone) | None if self.world.has(Flaw::UnknownIsFailure) => {
                Err(StepError::failed("no answer"))
            }
            Some(Said::Undone) | None => Err(StepError::unknown("no answer")),
        }
    }

    pub async fn undo(self, run: Run<Input>, output: Option<String>) -> Result<(), StepError> {
        self.alive().await;
        let call = self.call(&run);
        self.world.undoes(&self.draft, &call, output.as_ref());
        if self.world.has(Flaw::SkipsWhatMayHaveRun) && output.is_none() {
            return Ok(());
        }
        self.reaches(Moment::Compensating).await?;
        if self.world.has(Flaw::CompensatesTheEarlierFirst) {
            self.undo_earlier(&run).await;
        }
        let said = self.ask(&call, Wish::Undo).await;
        self.passes(Moment::Compensated).await;
        match said {
            Some(Said::Undone) => Ok(()),
            Some(Said::Refused) => Err(StepError::failed("refused")),
            Some(Said::Done(_)) | None => Err(StepError::unknown("no answer")),
        }
    }

    fn call(&self, run: &Run<Input>) -> Call {
        let (key, action_key) = match self.world.flaw {
            Some(Flaw::KeysChangeByTry) => {
                let changed = |key: String| format!("{key}/{}", run.attempt());
                (changed(run.key()), changed(run.action_key()))
            }
            Some(Flaw::KeysChangeByRestart) => {
                let changed = |key: String| format!("{key}/{}", run.epoch());
                (changed(run.key()), changed(run.action_key()))
            }
            Some(Flaw::StepsShareAKey) => {
                let changed = |key: String| {
                    let id = key.split('/').next().unwrap_or_default();
                    format!("{id}{}", key.rsplit('/').next().unwrap_or_default())
                };
                (changed(run.key()), changed(run.action_key()))
            }
            _ => (run.key(), run.action_key()),
        };
        Call {
            tale: run.input().0,
            part: self.part,
            saga: run.saga().as_str().to_owned(),
            key,
            action_key,
            epoch: run.epoch().as_u64(),
            process: self.process.number,
        }
    }

    async fn ask(&self, call: &Call, wish: Wish) -> Option<Said> {
        let order = Order {
            world: Arc::clone(&self.world),
            process: Arc::clone(&self.process),
            of: (call.tale, call.part),
            key: call.action_key.clone(),
            wish,
        };
        send(&self.world, order).await
    }

    /// Compensates what it comes after, although that would be its turn later.
    async fn undo_earlier(&self, run: &Run<Input>) {
        let mut earlier = self.draft.parts[self.part].earlier.iter().copied();
        let earlier = earlier.rfind(|at| self.draft.parts[*at].undone);
        let Some(earlier) = earlier else { return };
        let other = Self {
            part: earlier,
            ..self.clone()
        };
        let key = self.world.book.lock().key_of(run.input().0, earlier);
        let Some(action_key) = key else { return };
        let call = Call {
            key: action_key.replace("/do", "/undo"),
            action_key,
            part: earlier,
            ..self.call(run)
        };
        let effect = self.world.service.find(&call.action_key);
        let output = effect.and_then(|effect| effect.output);
        other.world.undoes(&self.draft, &call, output.as_ref());
        other.ask(&call, Wish::Undo).await;
    }

    /// Goes there; nobody may be there at all.
    async fn reaches(&self, moment: Moment) -> Result<(), StepError> {
        if !self.world.is_calm() && self.world.chance(BUSY) {
            self.world.count(Count::Busy);
            sleep(ms(1)).await;
            return Err(StepError::again("nobody is there"));
        }
        self.passes(moment).await;
        Ok(())
    }

    async fn passes(&self, moment: Moment) {
        self.process.passes(&self.world, moment);
        self.alive().await;
    }

    /// The dead do not go on.
    async fn alive(&self) {
        if self.process.is_dead() {
            pending::<()>().await;
        }
    }
}
