//! The way back: what was done is compensated, the last first.

use super::event::{Action, Transition, Verdict};
use super::fact::{End, Fact, ParkReason, Reason};
use super::shape::{Node, Shape};
use super::state::{Execution, Progress};

impl Execution {
    /// From here on it goes back. What rests is not tried again; what runs is waited for.
    pub(super) fn turn(&mut self, reason: Reason, out: &mut Transition) {
        if !self.is_forward() {
            return;
        }
        self.note(Fact::Turned(reason), out);
        let resting = self.steps.iter().zip(0..);
        let resting = resting.filter(|(step, _)| step.progress == Progress::Resting);
        let resting: Vec<(bool, u16)> = resting.map(|(it, step)| (it.doubtful, step)).collect();
        for (doubtful, step) in resting {
            let fact = if doubtful {
                Fact::Doubtful { step }
            } else {
                Fact::Failed { step }
            };
            self.note(fact, out);
        }
    }

    /// Compensates what nothing that is left has come after. Nothing, while an action is run.
    pub(super) fn go_back(&mut self, shape: &Shape, reason: Reason, out: &mut Transition) {
        if self
            .steps
            .iter()
            .any(|step| step.progress == Progress::Running)
        {
            return;
        }
        let mut over = true;
        for (step, node) in shape.numbered().rev() {
            if self.is_taken(step) && node.before.iter().all(|later| self.is_gone(*later)) {
                self.begin_undoing(step, node, out);
            }
            over &= self.is_gone(step);
        }
        if over {
            self.end(End::Compensated(reason), out);
        }
    }

    fn begin_undoing(&mut self, step: u16, node: &Node, out: &mut Transition) {
        if node.undone {
            self.set(step, |it| it.attempts = 0);
            self.undo(step, out);
        } else {
            self.note(Fact::Compensated { step }, out);
        }
    }

    /// Whether something of it may be left, and nothing is being done about that yet.
    fn is_taken(&self, step: u16) -> bool {
        matches!(
            self.progress(step),
            Some(Progress::Succeeded | Progress::Doubtful)
        )
    }

    /// Whether nothing of it is left.
    fn is_gone(&self, step: u16) -> bool {
        matches!(
            self.progress(step),
            Some(Progress::Waiting | Progress::Failed | Progress::Compensated)
        )
    }

    pub(super) fn undo(&mut self, step: u16, out: &mut Transition) {
        let attempt = self.next_attempt(step);
        self.note(Fact::Undoing { step, attempt }, out);
        let found = self.steps.get(usize::from(step));
        let doubtful = found.is_some_and(|it| it.doubtful);
        out.actions.push(Action::Undo {
            step,
            attempt,
            doubtful,
        });
    }

    pub(super) fn undone(&mut self, step: u16, verdict: &Verdict, out: &mut Transition) {
        if self.progress(step) != Some(Progress::Compensating) {
            return;
        }
        match verdict {
            Verdict::Done(_) => self.note(Fact::Compensated { step }, out),
            Verdict::Failed => {
                let reason = ParkReason::Refused;
                self.note(Fact::Parked { step, reason }, out);
            }
            Verdict::Again { last: true } | Verdict::Unknown { last: true } => {
                let reason = ParkReason::Exhausted;
                self.note(Fact::Parked { step, reason }, out);
            }
            Verdict::Again { last: false } | Verdict::Unknown { last: false } => {
                self.set(step, |it| it.progress = Progress::CompensationResting);
                let attempt = self.next_attempt(step).saturating_sub(1);
                out.actions.push(Action::Rest { step, attempt });
            }
        }
    }
}
