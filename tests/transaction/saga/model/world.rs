//! A saga, the log that it writes, and the world outside.

use std::collections::BTreeSet;

use tripod::transaction::saga::{
    Action, Definition, Direction, End, Event, Execution, Fact, Json, Kind, Verdict,
};

/// What may go wrong, and what is got wrong on purpose.
#[derive(Clone, Debug)]
pub(super) struct Trip {
    pub(super) fresh: Execution,
    /// By step: its kind, and the steps right before it.
    pub(super) nodes: Vec<(Kind, Vec<u16>)>,
    pub(super) faults: u8,
    pub(super) crashes: u8,
    pub(super) flaw: Option<Flaw>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    ActsBeforeItIsDurable,
    ForgetsThatItBegan,
    TakesNoAnswerForARefusal,
    LeavesWhatIsDoubtful,
    DoesNotWaitForSiblings,
    CompensatesAllAtOnce,
    EndsBeforeTheLastCompensation,
    ReplaysWithoutTheTurn,
    CompensatesPastThePivot,
}

pub(super) const FLAWS: [Flaw; 9] = [
    Flaw::ActsBeforeItIsDurable,
    Flaw::ForgetsThatItBegan,
    Flaw::TakesNoAnswerForARefusal,
    Flaw::LeavesWhatIsDoubtful,
    Flaw::DoesNotWaitForSiblings,
    Flaw::CompensatesAllAtOnce,
    Flaw::EndsBeforeTheLastCompensation,
    Flaw::ReplaysWithoutTheTurn,
    Flaw::CompensatesPastThePivot,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) execution: Execution,
    /// What is durable.
    pub(super) log: Vec<Fact>,
    /// What is being written, and what follows then.
    pub(super) writing: Vec<(Vec<Fact>, Vec<Action>)>,
    pub(super) running: BTreeSet<u16>,
    pub(super) undoing: BTreeSet<u16>,
    pub(super) resting: BTreeSet<u16>,
    /// By step.
    pub(super) outside: Vec<Outside>,
    pub(super) faults: u8,
    pub(super) crashes: u8,
    pub(super) cancelled: bool,
    pub(super) broken: Option<&'static str>,
    pub(super) over: Option<End>,
}

/// What the world outside knows of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Outside {
    pub(super) happened: bool,
    /// Under way still, though nobody waits for it.
    pub(super) late: bool,
    /// Nothing of it can happen any more.
    pub(super) refused: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Move {
    Write,
    /// An answer to an action.
    Ran(u16, Answer),
    Undone(u16, Answer),
    Arrive(u16),
    Rest(u16),
    Cancel,
    Crash,
    /// An operator has whatever is parked tried again.
    Retry(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Done,
    Failed,
    Again,
    /// It has happened.
    Lost,
    /// It has not happened yet.
    Late,
}

impl Trip {
    pub(super) fn new(definition: &Definition<u32>, nodes: Vec<(Kind, Vec<u16>)>) -> Self {
        Self {
            fresh: definition.execution(),
            nodes,
            // The larger systems are for optimised tests.
            faults: if cfg!(debug_assertions) { 1 } else { 2 },
            crashes: 1,
            flaw: None,
        }
    }

    pub(super) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    pub(super) fn take(&self, world: &mut World, event: Event) {
        let event = self.tamper(event);
        let Ok(transition) = world.execution.step(event) else {
            return;
        };
        let (mut facts, actions) = (transition.facts, transition.actions);
        if self.has(Flaw::ForgetsThatItBegan) {
            facts.retain(|fact| !matches!(fact, Fact::Began { .. }));
        }
        if self.has(Flaw::ActsBeforeItIsDurable) {
            world.writing.push((facts, Vec::new()));
            return self.act(world, actions);
        }
        if !facts.is_empty() || !actions.is_empty() {
            world.writing.push((facts, actions));
        }
    }

    /// What is got wrong about what happened.
    pub(super) fn tamper(&self, event: Event) -> Event {
        let Event::Ran { step, verdict } = &event else {
            return event;
        };
        let kind = self.nodes[usize::from(*step)].0;
        let unknown = matches!(verdict, Verdict::Unknown { .. });
        let refuses = unknown && self.has(Flaw::TakesNoAnswerForARefusal)
            || unknown && kind == Kind::Pivot && self.has(Flaw::CompensatesPastThePivot);
        if refuses {
            return Event::Ran {
                step: *step,
                verdict: Verdict::Failed,
            };
        }
        event
    }

    pub(super) fn write(&self, world: &mut World) {
        let (facts, actions) = world.writing.remove(0);
        for fact in facts {
            if self.has(Flaw::ReplaysWithoutTheTurn) && matches!(fact, Fact::Turned(_)) {
                continue;
            }
            world.log.push(fact);
        }
        self.act(world, actions);
    }

    pub(super) fn act(&self, world: &mut World, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Run { step, .. } => {
                    for earlier in &self.nodes[usize::from(step)].1 {
                        let durable = world.log.iter().any(
                            |fact| matches!(fact, Fact::Succeeded { step, .. } if step == earlier),
                        );
                        if !durable {
                            world.broken =
                                Some("a step ran before what it comes after was durable");
                        }
                    }
                    world.running.insert(step);
                }
                Action::Undo {
                    step,
                    doubtful: true,
                    ..
                } if self.has(Flaw::LeavesWhatIsDoubtful) => {
                    let verdict = Verdict::Done(Json::new("null"));
                    self.take(world, Event::Undone { step, verdict });
                }
                Action::Undo { step, .. } => {
                    let later = self.nodes.iter().zip(0_u16..);
                    let later = later.filter(|((_, after), _)| after.contains(&step));
                    for (_, later) in later {
                        let outside = &world.outside[usize::from(later)];
                        let may = outside.late || world.running.contains(&later);
                        if outside.happened || may && !outside.refused {
                            world.broken = Some("compensated before what came after it");
                        }
                    }
                    world.undoing.insert(step);
                    if self.has(Flaw::CompensatesAllAtOnce) {
                        let earlier = self.nodes[usize::from(step)].1.clone();
                        self.act(world, earlier.into_iter().map(undo).collect());
                    }
                }
                Action::Rest { step, .. } => {
                    world.resting.insert(step);
                }
                Action::Finish(end) => world.over = Some(end),
            }
            let siblings = matches!(world.execution.direction(), Direction::Backward(_));
            if siblings && self.has(Flaw::DoesNotWaitForSiblings) {
                for step in std::mem::take(&mut world.running) {
                    world.outside[usize::from(step)].late = true;
                    let verdict = Verdict::Failed;
                    self.take(world, Event::Ran { step, verdict });
                }
            }
        }
    }

    pub(super) fn answer(&self, world: &mut World, step: u16, answer: Answer) {
        world.running.remove(&step);
        let outside = &mut world.outside[usize::from(step)];
        let answer = if outside.refused {
            Answer::Failed
        } else {
            answer
        };
        let verdict = match answer {
            Answer::Done => {
                outside.happened = true;
                Verdict::Done(Json::new("1"))
            }
            // What it has done under this key before it would say again.
            Answer::Failed if outside.happened => Verdict::Done(Json::new("1")),
            Answer::Failed => {
                outside.refused = true;
                Verdict::Failed
            }
            Answer::Again => Verdict::Again { last: true },
            Answer::Lost => {
                outside.happened = true;
                Verdict::Unknown { last: true }
            }
            Answer::Late => {
                outside.late = true;
                Verdict::Unknown { last: false }
            }
        };
        self.take(world, Event::Ran { step, verdict });
    }

    pub(super) fn answer_undo(&self, world: &mut World, step: u16, answer: Answer) {
        if self.has(Flaw::EndsBeforeTheLastCompensation) {
            let verdict = Verdict::Done(Json::new("null"));
            world.undoing.remove(&step);
            return self.take(world, Event::Undone { step, verdict });
        }
        world.undoing.remove(&step);
        let outside = &mut world.outside[usize::from(step)];
        let verdict = match answer {
            Answer::Done => Verdict::Done(Json::new("null")),
            Answer::Failed => Verdict::Failed,
            Answer::Again => Verdict::Again { last: false },
            Answer::Lost | Answer::Late => Verdict::Unknown { last: true },
        };
        if matches!(answer, Answer::Done | Answer::Lost) {
            outside.happened = false;
            outside.refused = true;
        }
        self.take(world, Event::Undone { step, verdict });
    }

    pub(super) fn crash(&self, world: &mut World) {
        world.crashes -= 1;
        for step in std::mem::take(&mut world.running) {
            world.outside[usize::from(step)].late = true;
        }
        world.undoing.clear();
        world.resting.clear();
        world.writing.clear();
        world.execution = self.fresh.clone();
        for fact in &world.log {
            if !world.execution.apply(fact) {
                world.broken = Some("a log that it wrote makes no sense");
            }
        }
        self.take(world, Event::Resume);
    }
}

pub(super) fn undo(step: u16) -> Action {
    Action::Undo {
        step,
        attempt: 1,
        doubtful: false,
    }
}
