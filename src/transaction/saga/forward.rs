//! The way to the end: actions are run, and tried again.

use super::event::{Action, Transition, Verdict};
use super::fact::{End, Fact, ParkReason, Reason};
use super::kind::Kind;
use super::state::{Execution, Progress};

impl Execution {
    pub(super) fn go_on(&mut self, out: &mut Transition) {
        let mut over = true;
        for step in self.numbers() {
            if self.progress(step) == Some(Progress::Waiting) && self.is_ready(step) {
                self.run(step, out);
            }
            over &= self.has_succeeded(step);
        }
        if over {
            self.end(End::Completed, out);
        }
    }

    /// Whether all has been taken that this step comes after.
    fn is_ready(&self, step: u16) -> bool {
        let node = self.shape().node(step);
        node.is_some_and(|node| node.after.iter().all(|it| self.has_succeeded(*it)))
    }

    fn has_succeeded(&self, step: u16) -> bool {
        self.progress(step) == Some(Progress::Succeeded)
    }

    pub(super) fn run(&mut self, step: u16, out: &mut Transition) {
        let attempt = self.next_attempt(step);
        self.note(Fact::Began { step, attempt }, out);
        out.actions.push(Action::Run { step, attempt });
    }

    pub(super) fn ran(&mut self, step: u16, verdict: Verdict, out: &mut Transition) {
        if self.progress(step) != Some(Progress::Running) {
            return;
        }
        let last = match verdict {
            Verdict::Done(output) => return self.note(Fact::Succeeded { step, output }, out),
            Verdict::Failed => return self.fail(step, ParkReason::Refused, out),
            Verdict::Again { last } => last,
            Verdict::Unknown { last } => {
                self.set(step, |it| it.doubtful = true);
                last
            }
        };
        if last || !self.is_forward() {
            return self.fail(step, ParkReason::Exhausted, out);
        }
        self.set(step, |it| it.progress = Progress::Resting);
        let attempt = self.next_attempt(step).saturating_sub(1);
        out.actions.push(Action::Rest { step, attempt });
    }

    /// The action of this step is not tried any more.
    fn fail(&mut self, step: u16, why: ParkReason, out: &mut Transition) {
        let found = self.steps.get(usize::from(step));
        let doubtful = found.is_some_and(|it| it.doubtful);
        match self.kind(step) {
            // It must be done: somebody has to see to it.
            Some(Kind::Retriable) => self.note(Fact::Parked { step, reason: why }, out),
            // A refusal under the same key is its last word; without one, nobody knows.
            Some(Kind::Pivot) if doubtful && why == ParkReason::Exhausted => {
                let reason = ParkReason::Unknown;
                self.note(Fact::Parked { step, reason }, out);
            }
            Some(Kind::Compensatable) if doubtful => {
                self.note(Fact::Doubtful { step }, out);
                self.turn(Reason::Doubtful { step }, out);
            }
            Some(Kind::Compensatable | Kind::Pivot) => {
                self.note(Fact::Failed { step }, out);
                self.turn(Reason::Failed { step }, out);
            }
            None => {}
        }
    }
}
