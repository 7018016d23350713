//! Wrong rules, each caught by the law that it breaks.

use super::*;

#[test]
fn each_flaw_is_caught_by_its_law() {
    for Flaw { what, law, rule } in flaws() {
        let caught = HasDiscoveries::AnyOf([law].into());
        let checker = Lock::new(rule, 3, &mixed()).checker().finish_when(caught);
        let found = checker.spawn_bfs().join().discovery(law).is_some();
        assert!(found, "{what}, and yet {law}");
    }
}

#[test]
fn each_law_catches_a_flaw() {
    let on_verdicts = [BESIDE, FAMILIES, OVERTAKING, NO_WAIT, NEEDLESS];
    for law in on_verdicts.into_iter().chain([WAKE_UP, HEIRS, PROGRESS]) {
        assert!(flaws().iter().any(|flaw| flaw.law == law), "{law}");
    }
}

/// A wrong rule, and the law that must catch it.
#[derive(Clone)]
struct Flaw {
    what: &'static str,
    law: &'static str,
    rule: Rule,
}

fn flaws() -> Vec<Flaw> {
    let (admission, telling) = (flaws_in_admission(), flaws_in_telling());
    [admission, flaws_in_inheritance(), telling].concat()
}

fn flaws_in_admission() -> Vec<Flaw> {
    let flaw = |what, law, judge: fn(Case<'_>) -> Verdict| {
        let rule = Rule { judge, ..REAL };
        Flaw { what, law, rule }
    };
    vec![
        flaw("a reader joins a writer", BESIDE, |case| {
            let reader = case.candidate.mode() == Mode::Shared;
            case.had_held(|mode| !reader || mode != Mode::Exclusive)
        }),
        flaw("permits are not counted", BESIDE, |case| {
            let permits = matches!(case.candidate.mode(), Mode::Permits(_));
            case.had_held(|_| !permits)
        }),
        flaw("holders in other use go unseen", FAMILIES, |case| {
            let family = case.candidate.mode().family();
            case.had_held(|mode| mode.family() == family)
        }),
        flaw("a reader passes writers", OVERTAKING, |case| {
            let reader = case.candidate.mode() == Mode::Shared;
            case.had_waited(|mode| !reader || mode != Mode::Exclusive)
        }),
        flaw("few permits pass many", OVERTAKING, |case| {
            let few = case.candidate.mode() == permits(1, 2);
            case.had_waited(|mode| !few || mode != permits(2, 2))
        }),
        flaw("priority does not count", OVERTAKING, |case| {
            case.had_come(|_, arrival| (0, arrival))
        }),
        flaw("the last to come is first", OVERTAKING, |case| {
            case.had_come(|priority, arrival| (priority, u64::MAX - arrival))
        }),
        flaw("a try passes those behind it", NO_WAIT, |mut case| {
            case.waits = true;
            case.judge()
        }),
        flaw("readers hold one by one", NEEDLESS, |case| {
            match case.holders {
                [] => case.judge(),
                _ => Verdict::Wait,
            }
        }),
        flaw("two wait for each other", PROGRESS, |case| {
            match case.waiters {
                [] | [_] => case.judge(),
                _ => Verdict::Wait,
            }
        }),
    ]
}

impl Case<'_> {
    fn judge(self) -> Verdict {
        (REAL.judge)(self)
    }

    /// The answer, had only these held.
    fn had_held(self, these: impl Fn(Mode) -> bool) -> Verdict {
        let mut holders = self.holders.to_vec();
        holders.retain(|mode| these(*mode));
        Case {
            holders: &holders,
            ..self
        }
        .judge()
    }

    /// The answer, had only these waited.
    fn had_waited(self, these: impl Fn(Mode) -> bool) -> Verdict {
        let mut waiters = self.waiters.to_vec();
        waiters.retain(|waiter| these(waiter.mode()));
        Case {
            waiters: &waiters,
            ..self
        }
        .judge()
    }

    /// The answer, had everybody come with this priority and arrival.
    fn had_come(self, order: fn(u8, u64) -> (u8, u64)) -> Verdict {
        let reorder = |waiter: &Waiter| {
            let (priority, arrival) = order(waiter.order().0.0, waiter.order().1);
            Waiter::new(waiter.holder(), waiter.mode(), priority, arrival)
        };
        let waiters: Vec<Waiter> = self.waiters.iter().map(reorder).collect();
        let candidate = reorder(&self.candidate);
        Case {
            candidate,
            waiters: &waiters,
            ..self
        }
        .judge()
    }
}

fn flaws_in_inheritance() -> Vec<Flaw> {
    let flaw = |what, law, heirs: fn(&[Mode], &[Waiter]) -> usize| {
        let rule = Rule { heirs, ..REAL };
        Flaw { what, law, rule }
    };
    vec![
        flaw("one heir at a time", WAKE_UP, |holders, waiters| {
            (REAL.heirs)(holders, waiters).min(1)
        }),
        flaw("no heirs beside a holder", WAKE_UP, |holders, waiters| {
            let heirs = (REAL.heirs)(holders, waiters);
            if holders.is_empty() { heirs } else { 0 }
        }),
        flaw("everybody is an heir", HEIRS, |_, waiters| waiters.len()),
    ]
}

fn flaws_in_telling() -> Vec<Flaw> {
    fn but(about: Event, events: &[Event]) -> bool {
        let others = events.iter().filter(|event| **event != about);
        (REAL.tells)(&others.copied().collect::<Vec<_>>())
    }
    let flaw = |what, law, tells: fn(&[Event]) -> bool| {
        let rule = Rule { tells, ..REAL };
        Flaw { what, law, rule }
    };
    let mut told_anew = flaw("told without end", PROGRESS, |_| true);
    told_anew.rule.heirs = |_, waiters| waiters.len();
    vec![
        told_anew,
        flaw("no word of a lapse", WAKE_UP, |events| {
            but(Event::Lapsed, events)
        }),
        flaw("no word of one who left", WAKE_UP, |events| {
            but(Event::Left, events)
        }),
        flaw("no word of force", WAKE_UP, |events| {
            but(Event::Forced, events)
        }),
        flaw("no word of a release", PROGRESS, |events| {
            but(Event::Released, events)
        }),
        flaw("no word of granted permits", WAKE_UP, |events| {
            but(Event::Claimed(permits(1, 2)), events)
        }),
        flaw("a grant hides a lapse before it", WAKE_UP, |events| {
            let last = events.last();
            last.is_some_and(|last| (REAL.tells)(&[*last]))
        }),
    ]
}
