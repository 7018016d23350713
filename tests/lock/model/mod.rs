//! Every reachable state of a small lock: clients come, claim, go and die in any order.
//!
//! The rule under check is the real [`judge`] and [`heirs`]. Around it stands the least that a
//! store must do: keep the entries, grant those who are admitted, and tell the heirs after a step
//! that ended an entry, or granted permits to one who waited. The laws are said in words of their
//! own, and each is shown to catch a rule that breaks it.
//!
//! Runs have no end, but their states are few: clients are alike and come back again and again,
//! and of arrivals only the order counts, so they are numbered anew after each step.

mod flaws;
mod state;

use stateright::{Checker, HasDiscoveries, Model, Property};
use tripod::lock::{Family, Mode, Verdict, Waiter, heirs, judge};

use state::{Action, State, Step, Waiting};

use super::queue::{READER_WRITER, permits, semaphore, together};

/// So nobody who holds has to be displaced.
const BESIDE: &str = "those who hold may hold together";
const FAMILIES: &str = "a name is used as one thing, and is foreign to any other use";
/// So nobody is starved by those who come later with no larger priority.
const OVERTAKING: &str = "nobody is granted past one ahead, but a reader past readers";
const NO_WAIT: &str = "one that does not wait is granted only where nobody waits";
const NEEDLESS: &str = "whoever has to wait has a reason";
const WAKE_UP: &str = "a waiter that would be admitted was told, and has not claimed since";
const HEIRS: &str = "the heirs are the waiters that would be admitted, and stand first";
/// A ranking: since every fair step leaves less [`State::work`], every fair run ends, whichever
/// way it goes; since it cannot end while somebody waits, everybody was granted by then.
const PROGRESS: &str = "without arrivals, releases and claims of the told grant everybody";

#[test]
fn readers_and_writers_are_served_in_order_whatever_happens() {
    check(&READER_WRITER, 700);
}

#[test]
fn permits_are_served_in_order_whatever_happens() {
    check(&semaphore(), 3_000);
}

#[test]
fn families_never_meet_whatever_happens() {
    check(&mixed(), 1_400);
}

/// Each one more is ten times the steps; five take minutes without optimization.
const CLIENTS_MAX: usize = if cfg!(debug_assertions) { 4 } else { 5 };

/// Visits all that can happen, to few clients first for the sake of a short counterexample, and
/// insists that it was not little.
fn check(modes: &[Mode], states_min: usize) {
    let mut states = 0;
    for clients in 2..=CLIENTS_MAX {
        let checker = Lock::new(REAL, clients, modes).checker();
        let checker = checker.finish_when(HasDiscoveries::AnyFailures);
        let checker = checker.spawn_bfs().join();
        states = checker.unique_state_count();
        let steps = checker.state_count();
        println!("{clients} clients of {modes:?}: {states} states, {steps} steps");
        checker.assert_properties();
    }
    assert!(states >= states_min, "only {states} states");
}

fn mixed() -> Vec<Mode> {
    let permits = [permits(1, 2), permits(2, 2), permits(1, 3)];
    [READER_WRITER.as_slice(), &permits].concat()
}

/// What is checked: the real rule, or one with a flaw.
#[derive(Clone, Copy)]
struct Rule {
    judge: fn(Case<'_>) -> Verdict,
    heirs: fn(&[Mode], &[Waiter]) -> usize,
    /// Whether the heirs are told after a step in which all this happened.
    tells: fn(&[Event]) -> bool,
}

#[derive(Clone, Copy)]
struct Case<'a> {
    candidate: Waiter,
    waits: bool,
    holders: &'a [Mode],
    waiters: &'a [Waiter],
}

#[derive(Clone, Copy, PartialEq)]
enum Event {
    /// Leases ended.
    Lapsed,
    Released,
    /// Released by an operator.
    Forced,
    /// A waiter gave up.
    Left,
    /// A waiter was granted this.
    Claimed(Mode),
    /// A waiter claimed and waits on.
    Refused,
}

const REAL: Rule = Rule {
    judge: |case| {
        let (holders, waiters) = (case.holders.iter(), case.waiters.iter());
        judge(
            &case.candidate,
            case.waits,
            holders.copied(),
            waiters.copied(),
        )
    },
    heirs: |holders, waiters| heirs(&holders.iter().copied(), waiters.iter().copied()),
    // An arrival that is granted at once leaves no more to others than there was.
    tells: |events| {
        events.iter().any(|event| match event {
            Event::Lapsed | Event::Released | Event::Forced | Event::Left => true,
            Event::Claimed(mode) => matches!(mode, Mode::Permits(_)),
            Event::Refused => false,
        })
    },
};

/// One lock and its clients, each of which holds, waits or does neither.
struct Lock {
    rule: Rule,
    clients: usize,
    modes: Vec<Mode>,
}

impl Lock {
    fn new(rule: Rule, clients: usize, modes: &[Mode]) -> Self {
        let modes = modes.to_vec();
        Self {
            rule,
            clients,
            modes,
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let (holders, waiters) = (0..state.holders.len(), 0..state.waiters.len());
        let arrival = state.next_arrival();
        let mut steps = Vec::new();
        if holders.len() + waiters.len() < self.clients {
            for (&mode, priority) in self.modes.iter().flat_map(|mode| [(mode, 0), (mode, 1)]) {
                let newcomer = Waiting {
                    mode,
                    priority,
                    arrival,
                    told: false,
                };
                steps.extend([Step::Enqueue(newcomer), Step::Try(newcomer)]);
            }
        }
        steps.extend(holders.flat_map(|at| [Step::Release(at), Step::Force(at)]));
        steps.extend(waiters.flat_map(|at| [Step::Claim(at), Step::Leave(at)]));
        steps
    }

    fn after(&self, state: &State, action: &Action) -> State {
        let mut after = state.without(action.lapsed);
        let lapsed = (action.lapsed != 0).then_some(Event::Lapsed);
        let taken = action.step.and_then(|step| self.take(&mut after, step));
        let events: Vec<Event> = lapsed.into_iter().chain(taken).collect();
        if (self.rule.tells)(&events) {
            let heirs = self.heirs(&after);
            let heirs = after.waiters.iter_mut().take(heirs);
            heirs.for_each(|heir| heir.told = true);
        }
        after.renumber();
        after
    }

    fn take(&self, state: &mut State, step: Step) -> Option<Event> {
        match step {
            Step::Enqueue(newcomer) => {
                match self.judge(state, &newcomer, true) {
                    Verdict::Admit => state.holders.push(newcomer.mode),
                    Verdict::Wait => state.waiters.push(newcomer),
                    Verdict::Foreign(_) => {}
                }
                state.waiters.sort_by_key(|w| w.waiter().order());
                None
            }
            Step::Try(newcomer) => {
                if self.judge(state, &newcomer, false) == Verdict::Admit {
                    state.holders.push(newcomer.mode);
                }
                None
            }
            Step::Claim(at) => {
                state.waiters[at].told = false;
                let waiting = state.waiters[at];
                if self.judge(state, &waiting, true) != Verdict::Admit {
                    return Some(Event::Refused);
                }
                state.holders.push(waiting.mode);
                state.waiters.remove(at);
                Some(Event::Claimed(waiting.mode))
            }
            Step::Leave(at) => {
                state.waiters.remove(at);
                Some(Event::Left)
            }
            Step::Release(at) => {
                state.holders.remove(at);
                Some(Event::Released)
            }
            Step::Force(at) => {
                state.holders.remove(at);
                Some(Event::Forced)
            }
        }
    }

    /// Asks the rule, and holds its answer against the laws.
    fn judge(&self, state: &mut State, candidate: &Waiting, waits: bool) -> Verdict {
        let verdict = self.ask(state, candidate, waits);
        let Waiting { mode, .. } = *candidate;
        let fits = together(&[state.holders.as_slice(), &[mode]].concat());
        let passes = state.waiters.iter().any(|other| {
            let readers = [other.mode, mode] == [Mode::Shared; 2];
            !waits || other.is_ahead_of(candidate) && !readers
        });
        let other = |family: &Family| *family != mode.family();
        let foreign = state.modes().map(Mode::family).find(other);
        state.broken = match (verdict, foreign) {
            (Verdict::Foreign(said), Some(family)) if said == family => None,
            (Verdict::Foreign(_), _) | (_, Some(_)) => Some(FAMILIES),
            (Verdict::Admit, None) if passes && waits => Some(OVERTAKING),
            (Verdict::Admit, None) if passes => Some(NO_WAIT),
            (Verdict::Wait, None) if fits && !passes => Some(NEEDLESS),
            (Verdict::Admit | Verdict::Wait, None) => None,
        };
        verdict
    }

    fn ask(&self, state: &State, candidate: &Waiting, waits: bool) -> Verdict {
        (self.rule.judge)(Case {
            candidate: candidate.waiter(),
            waits,
            holders: &state.holders,
            waiters: &state.waiters(),
        })
    }

    fn admits(&self, state: &State, waiting: &Waiting) -> bool {
        self.ask(state, waiting, true) == Verdict::Admit
    }

    fn heirs(&self, state: &State) -> usize {
        (self.rule.heirs)(&state.holders, &state.waiters())
    }

    fn progresses(&self, state: &State) -> bool {
        let fair = state.fair_steps();
        let mut left = fair.iter().map(|step| {
            let step = Some(*step);
            self.after(state, &Action { lapsed: 0, step }).work()
        });
        (state.waiters.is_empty() || !fair.is_empty()) && left.all(|left| left < state.work())
    }
}

impl Model for Lock {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        for lapsed in 0..1 << state.modes().count() {
            let steps = self.steps(&state.without(lapsed));
            let lapse_only = (lapsed != 0).then_some(None);
            let steps = lapse_only.into_iter().chain(steps.into_iter().map(Some));
            actions.extend(steps.map(|step| Action { lapsed, step }));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        Some(self.after(state, &action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(BESIDE, |_, state: &State| together(&state.holders)),
            Property::always(FAMILIES, |_, state: &State| {
                let families: Vec<_> = state.modes().map(Mode::family).collect();
                let one = families.windows(2).all(|pair| pair[0] == pair[1]);
                one && state.broken != Some(FAMILIES)
            }),
            Property::always(OVERTAKING, |_, state: &State| {
                state.broken != Some(OVERTAKING)
            }),
            Property::always(NO_WAIT, |_, state: &State| state.broken != Some(NO_WAIT)),
            Property::always(NEEDLESS, |_, state: &State| state.broken != Some(NEEDLESS)),
            Property::always(WAKE_UP, |lock: &Self, state: &State| {
                let mut untold = state.waiters.iter().filter(|waiting| !waiting.told);
                !untold.any(|waiting| lock.admits(state, waiting))
            }),
            Property::always(HEIRS, |lock: &Self, state: &State| {
                let heirs = lock.heirs(state);
                let mut places = state.waiters.iter().zip(0..);
                places.all(|(waiting, at)| lock.admits(state, waiting) == (at < heirs))
            }),
            Property::always(PROGRESS, Self::progresses),
            // No empty world, in which all this would hold too.
            Property::sometimes("two hold", |_, state: &State| state.holders.len() == 2),
            Property::sometimes("everybody waits", |lock: &Self, state: &State| {
                state.waiters.len() == lock.clients
            }),
            Property::sometimes("one who was told waits", |lock: &Self, state: &State| {
                let mut told = state.waiters.iter().filter(|waiting| waiting.told);
                told.any(|waiting| !lock.admits(state, waiting))
            }),
        ]
    }
}
