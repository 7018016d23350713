//! What somebody asks for: to turn back, to try again, to go on without, to give up.

use super::event::{Refusal, Transition};
use super::fact::{Fact, Json, Reason};
use super::state::{Direction, Execution, Progress};

impl Execution {
    pub(super) fn cancel(&mut self, reason: Reason, out: &mut Transition) -> Result<(), Refusal> {
        self.refuse_over()?;
        if !self.is_forward() {
            return Err(Refusal::Turned);
        }
        let pivot = self.shape().pivot().and_then(|pivot| self.progress(pivot));
        if pivot.is_some_and(|pivot| pivot != Progress::Waiting) {
            return Err(Refusal::TooLate);
        }
        self.turn(reason, out);
        Ok(())
    }

    pub(super) fn retry(&mut self, step: u16, out: &mut Transition) -> Result<(), Refusal> {
        self.refuse_unparked(step)?;
        self.note(Fact::Retried { step }, out);
        if self.is_forward() {
            self.run(step, out);
        } else {
            self.undo(step, out);
        }
        Ok(())
    }

    pub(super) fn skip(
        &mut self,
        step: u16,
        output: Option<Json>,
        out: &mut Transition,
    ) -> Result<(), Refusal> {
        self.refuse_unparked(step)?;
        if self.is_forward() != output.is_some() {
            return Err(Refusal::Output);
        }
        self.note(Fact::Skipped { step, output }, out);
        Ok(())
    }

    pub(super) fn refuse_over(&self) -> Result<(), Refusal> {
        match self.direction {
            Direction::Ended(_) => Err(Refusal::Over),
            Direction::Forward | Direction::Backward(_) => Ok(()),
        }
    }

    fn refuse_unparked(&self, step: u16) -> Result<(), Refusal> {
        self.refuse_over()?;
        match self.progress(step) {
            Some(Progress::Parked(_)) => Ok(()),
            Some(_) | None => Err(Refusal::NotParked),
        }
    }
}
