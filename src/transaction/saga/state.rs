//! A saga under way: what happens leads to what is noted, and to what is to be done.

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use super::event::{Action, Event, Refusal, Transition};
use super::fact::{End, Fact, Json, ParkReason, Reason};
use super::kind::Kind;
use super::shape::Shape;

/// A saga under way.
///
/// Pure: no I/O, no clock, no randomness. What happens is taken by [`step`](Self::step), which
/// notes facts and says what follows from them. Whoever runs it first makes the facts durable that
/// have to be, and only then does what follows. Facts that a log gave back are taken by
/// [`apply`](Self::apply), which is also how they are taken when they are noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    shape: Arc<Shape>,
    pub(super) direction: Direction,
    /// By number.
    pub(super) steps: Vec<StepState>,
}

/// Where a saga goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To its end.
    Forward,
    /// Back: everything is compensated.
    Backward(Reason),
    /// It is over.
    Ended(End),
}

/// How far a step is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StepState {
    pub(super) progress: Progress,
    /// How often the present action or compensation has been tried.
    pub(super) attempts: u32,
    /// Whether a try of its action may have happened unnoticed.
    pub(super) doubtful: bool,
    pub(super) output: Option<Json>,
}

impl StepState {
    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Progress {
    /// Its turn has not come.
    Waiting,
    /// Its action is being run.
    Running,
    /// Its action will be tried again.
    Resting,
    /// Its action has succeeded.
    Succeeded,
    /// Its action has not happened, and will not.
    Failed,
    /// Its action may have happened.
    Doubtful,
    /// Its compensation is being run.
    Compensating,
    /// Its compensation will be tried again.
    CompensationResting,
    /// Nothing of it is left.
    Compensated,
    /// It waits for an operator.
    Parked(ParkReason),
}

impl Progress {
    /// Why it waits for an operator, if it does.
    #[must_use]
    pub fn parked(self) -> Option<ParkReason> {
        match self {
            Self::Parked(reason) => Some(reason),
            Self::Waiting
            | Self::Running
            | Self::Resting
            | Self::Succeeded
            | Self::Failed
            | Self::Doubtful
            | Self::Compensating
            | Self::CompensationResting
            | Self::Compensated => None,
        }
    }
}

impl Execution {
    /// One of which nothing is noted yet.
    pub(super) fn new(shape: Arc<Shape>) -> Self {
        let step = StepState {
            progress: Progress::Waiting,
            attempts: 0,
            doubtful: false,
            output: None,
        };
        Self {
            steps: vec![step; shape.nodes().len()],
            direction: Direction::Forward,
            shape,
        }
    }

    /// Where it goes.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Its steps by number.
    #[must_use]
    pub fn steps(&self) -> &[StepState] {
        &self.steps
    }

    /// Whether nothing goes on until an operator says something.
    pub(super) fn is_stuck(&self) -> bool {
        let mut parked = false;
        for step in &self.steps {
            match step.progress {
                Progress::Running
                | Progress::Resting
                | Progress::Compensating
                | Progress::CompensationResting => return false,
                Progress::Parked(_) => parked = true,
                Progress::Waiting
                | Progress::Succeeded
                | Progress::Failed
                | Progress::Doubtful
                | Progress::Compensated => {}
            }
        }
        parked
    }

    /// What the action of this step gave.
    pub(super) fn output(&self, step: u16) -> Option<&Json> {
        self.steps.get(usize::from(step))?.output.as_ref()
    }

    pub(super) fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// Takes what happened, and says what follows. What comes late is absorbed. O(steps²).
    ///
    /// # Errors
    /// [`Refusal`] of what somebody asked for. Nothing changes.
    pub fn step(&mut self, event: Event) -> Result<Transition, Refusal> {
        let mut out = Transition::default();
        self.take(event, &mut out).map(|()| out)
    }

    /// Takes what happened, and says what follows in what is there for it, and empty.
    pub(super) fn take(&mut self, event: Event, out: &mut Transition) -> Result<(), Refusal> {
        match event {
            Event::Resume => self.resume(out),
            Event::Ran { step, verdict } => self.ran(step, verdict, out),
            Event::Undone { step, verdict } => self.undone(step, &verdict, out),
            Event::Rested { step } => self.rested(step, out),
            Event::Cancel(reason) => self.cancel(reason, out)?,
            Event::Retry { step } => self.retry(step, out)?,
            Event::Skip { step, output } => self.skip(step, output, out)?,
            Event::Abandon => {
                self.refuse_over()?;
                self.end(End::Abandoned, out);
            }
        }
        self.advance(out);
        Ok(())
    }

    /// Takes a fact, as a log gives it back. One that makes no sense here changes nothing: false.
    pub fn apply(&mut self, fact: &Fact) -> bool {
        if let Direction::Ended(_) = self.direction {
            return false;
        }
        match fact {
            Fact::Turned(reason) => self.direction = Direction::Backward(*reason),
            Fact::Ended(end) => self.direction = Direction::Ended(*end),
            Fact::Began { step, attempt } => {
                return self.set(*step, |it| {
                    // What an earlier try may have done is not known, unless it said so.
                    it.doubtful |= it.progress == Progress::Running;
                    (it.progress, it.attempts) = (Progress::Running, *attempt);
                });
            }
            Fact::Undoing { step, attempt } => {
                return self.set(*step, |it| {
                    (it.progress, it.attempts) = (Progress::Compensating, *attempt);
                });
            }
            Fact::Succeeded { step, output } => {
                return self.set(*step, |it| {
                    (it.progress, it.doubtful) = (Progress::Succeeded, false);
                    it.output = Some(output.clone());
                });
            }
            Fact::Failed { step } => return self.set(*step, |it| it.progress = Progress::Failed),
            Fact::Doubtful { step } => {
                return self.set(*step, |it| {
                    (it.progress, it.doubtful) = (Progress::Doubtful, true);
                });
            }
            Fact::Compensated { step } => {
                return self.set(*step, |it| it.progress = Progress::Compensated);
            }
            Fact::Parked { step, reason } => {
                return self.set(*step, |it| {
                    // What its last try may have done is not known.
                    it.doubtful |= it.progress == Progress::Running;
                    it.progress = Progress::Parked(*reason);
                });
            }
            Fact::Retried { step } => return self.set(*step, |it| it.attempts = 0),
            Fact::Skipped { step, output } => {
                return self.set(*step, |it| match output {
                    Some(output) => {
                        (it.progress, it.doubtful) = (Progress::Succeeded, false);
                        it.output = Some(output.clone());
                    }
                    None => it.progress = Progress::Compensated,
                });
            }
        }
        true
    }

    pub(super) fn set(&mut self, step: u16, change: impl FnOnce(&mut StepState)) -> bool {
        let found = self.steps.get_mut(usize::from(step));
        found.map(change).is_some()
    }

    pub(super) fn note(&mut self, fact: Fact, out: &mut Transition) {
        self.apply(&fact);
        out.facts.push(fact);
    }

    pub(super) fn end(&mut self, end: End, out: &mut Transition) {
        self.note(Fact::Ended(end), out);
        out.actions.clear();
        out.actions.push(Action::Finish(end));
    }

    pub(super) fn progress(&self, step: u16) -> Option<Progress> {
        let step = self.steps.get(usize::from(step));
        step.map(|step| step.progress)
    }

    pub(super) fn numbers(&self) -> Range<u16> {
        0..u16::try_from(self.steps.len()).unwrap_or(u16::MAX)
    }

    pub(super) fn kind(&self, step: u16) -> Option<Kind> {
        self.shape.node(step).map(|node| node.kind)
    }

    pub(super) fn is_forward(&self) -> bool {
        self.direction == Direction::Forward
    }

    /// Goes on where the log says that it was. What was being run may have happened.
    fn resume(&mut self, out: &mut Transition) {
        // The log may end between a failure and the turn that it brought about.
        let reasons = self.steps.iter().zip(0..);
        let reason = reasons.filter_map(|(it, step)| match it.progress {
            Progress::Failed => Some(Reason::Failed { step }),
            Progress::Doubtful => Some(Reason::Doubtful { step }),
            Progress::Waiting
            | Progress::Running
            | Progress::Resting
            | Progress::Succeeded
            | Progress::Compensating
            | Progress::CompensationResting
            | Progress::Compensated
            | Progress::Parked(_) => None,
        });
        if let Some(reason) = reason.last() {
            self.turn(reason, out);
        }
        for step in self.numbers() {
            match self.progress(step) {
                Some(Progress::Running) if self.is_forward() => self.run(step, out),
                // Nobody is left who would say.
                Some(Progress::Running) => self.note(Fact::Doubtful { step }, out),
                Some(Progress::Compensating) => self.undo(step, out),
                Some(
                    Progress::Waiting
                    | Progress::Resting
                    | Progress::Succeeded
                    | Progress::Failed
                    | Progress::Doubtful
                    | Progress::CompensationResting
                    | Progress::Compensated
                    | Progress::Parked(_),
                )
                | None => {}
            }
        }
    }

    fn rested(&mut self, step: u16, out: &mut Transition) {
        match self.progress(step) {
            Some(Progress::Resting) => self.run(step, out),
            Some(Progress::CompensationResting) => self.undo(step, out),
            Some(
                Progress::Waiting
                | Progress::Running
                | Progress::Succeeded
                | Progress::Failed
                | Progress::Doubtful
                | Progress::Compensating
                | Progress::Compensated
                | Progress::Parked(_),
            )
            | None => {}
        }
    }

    pub(super) fn next_attempt(&self, step: u16) -> u32 {
        let step = self.steps.get(usize::from(step));
        step.map_or(1, |step| step.attempts.saturating_add(1))
    }

    /// Does what can be done now.
    fn advance(&mut self, out: &mut Transition) {
        match self.direction {
            Direction::Forward => self.go_on(out),
            Direction::Backward(reason) => self.go_back(&Arc::clone(&self.shape), reason, out),
            Direction::Ended(_) => {}
        }
    }
}

/// Of executions of one shape, mostly: it tells nothing.
impl Hash for Execution {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.direction.hash(state);
        self.steps.hash(state);
    }
}
