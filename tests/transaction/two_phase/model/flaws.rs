//! Wrong rules, each caught by the law that it breaks.

use tripod::transaction::two_phase::{
    AbortReason, Action, Answer, Book, Decision, Entry, Event, Inquirer, Ledger, Phase, Recovered,
    Reply, Report, Standing, Vote,
};
use tripod::transaction::{BranchId, Epoch, TransactionId};

use super::world::subject;
use super::*;
use crate::two_phase::coordinator;

#[test]
fn each_flaw_is_caught_by_its_law() {
    for Flaw {
        what,
        law,
        rules,
        config,
    } in flaws()
    {
        let caught = HasDiscoveries::AnyOf([law].into());
        let checker = Commit::new(rules, &config).checker().finish_when(caught);
        let checker = checker.spawn_bfs().join();
        println!(
            "{what}: {} states until {law}",
            checker.unique_state_count()
        );
        assert!(checker.discovery(law).is_some(), "{what}, and yet {law}");
    }
}

#[test]
fn each_law_catches_a_flaw() {
    let laws = [AGREE, ANSWER, VOTES, DURABLE, ZOMBIE, FOREIGN, OWN, END];
    for law in laws.into_iter().chain([IMPOSSIBLE, PROGRESS]) {
        assert!(flaws().iter().any(|flaw| flaw.law == law), "{law}");
    }
}

/// A wrong rule, the law that must catch it, and the faults that it takes.
struct Flaw {
    what: &'static str,
    law: &'static str,
    rules: Rules,
    config: Config,
}

type Doing = fn(&mut Book, TransactionId, Event) -> Option<Vec<Action>>;

fn flaws() -> Vec<Flaw> {
    let mut flaws = flaws_in_deciding();
    flaws.extend(flaws_in_hearing());
    flaws.extend(flaws_in_recovery());
    flaws.extend(flaws_in_answers());
    flaws.extend(flaws_in_participants());
    flaws
}

fn crash() -> Faults {
    Faults {
        crashes: 1,
        ..NO_FAULTS
    }
}

fn mischief() -> Faults {
    Faults {
        mischief: 1,
        ..NO_FAULTS
    }
}

fn impatience() -> Faults {
    Faults {
        impatience: 1,
        ..NO_FAULTS
    }
}

fn flaws_in_deciding() -> Vec<Flaw> {
    let flaw = |what, law, faults, step: Doing| Flaw {
        what,
        law,
        rules: Rules { step, ..REAL },
        config: config(&TWO, faults),
    };
    vec![
        flaw(
            "answers before the record is durable",
            ANSWER,
            crash(),
            |book, id, event| {
                let mut actions = (REAL.step)(book, id, event)?;
                let answer = Answer::Committed {
                    pending: Vec::new(),
                };
                if commits(&actions) {
                    actions.push(Action::Answer(answer));
                }
                Some(actions)
            },
        ),
        flaw(
            "tells before the record is durable",
            DURABLE,
            crash(),
            |book, id, event| {
                let mut actions = (REAL.step)(book, id, event)?;
                if commits(&actions) {
                    actions.extend(to_all(Request::Commit));
                }
                Some(actions)
            },
        ),
        flaw(
            "the record leaves a branch out",
            AGREE,
            crash(),
            |book, id, event| {
                let mut actions = (REAL.step)(book, id, event)?;
                for action in &mut actions {
                    if let Action::Append(Record::Committed { branches }) = action {
                        *branches = branches[..1].into();
                    }
                }
                Some(actions)
            },
        ),
        flaw(
            "ends when the first has acknowledged",
            END,
            crash(),
            |book, id, event| {
                let acknowledged = matches!(
                    event,
                    Event::Reported {
                        report: Report::Did(_),
                        ..
                    }
                );
                let mut actions = (REAL.step)(book, id, event)?;
                if acknowledged {
                    actions.push(Action::Append(Record::Ended));
                }
                Some(actions)
            },
        ),
        flaw(
            "a missing vote is a yes",
            VOTES,
            mischief(),
            |book, id, event| {
                let event = match event {
                    Event::Voted {
                        branch,
                        vote: Vote::Unknown,
                    } => Event::Voted {
                        branch,
                        vote: Vote::Prepared,
                    },
                    event => event,
                };
                (REAL.step)(book, id, event)
            },
        ),
        flaw(
            "a deadline stops the record",
            ANSWER,
            impatience(),
            |book, id, event| {
                if event == Event::Deadline && is_logging(book) {
                    return Some(vec![Action::Answer(Answer::Aborted(AbortReason::Deadline))]);
                }
                (REAL.step)(book, id, event)
            },
        ),
        flaw(
            "to drop it stops the record",
            AGREE,
            impatience(),
            |book, id, event| {
                if event == Event::Dropped && is_logging(book) {
                    return Some(to_all(Request::Abort));
                }
                (REAL.step)(book, id, event)
            },
        ),
    ]
}

fn flaws_in_hearing() -> Vec<Flaw> {
    let flaw = |what, law, faults, step: Doing| Flaw {
        what,
        law,
        rules: Rules { step, ..REAL },
        config: config(&TWO, faults),
    };
    let failures = Faults {
        failures: 1,
        ..NO_FAULTS
    };
    let forces = Faults {
        forces: 1,
        ..NO_FAULTS
    };
    let mut one_phase = flaw(
        "no answer in one phase is an abort",
        ANSWER,
        mischief(),
        |book, id, event| {
            let event = match event {
                Event::Reported {
                    branch,
                    report: Report::Unknown,
                } => Event::Reported {
                    branch,
                    report: Report::Did(Outcome::Aborted),
                },
                event => event,
            };
            (REAL.step)(book, id, event)
        },
    );
    one_phase.config.read_only = vec![false];
    vec![
        one_phase,
        flaw(
            "a late no changes the decision",
            AGREE,
            mischief(),
            |book, id, event| {
                let late = matches!(
                    event,
                    Event::Voted {
                        vote: Vote::No(_),
                        ..
                    }
                );
                if late && decides(book, Outcome::Committed) {
                    return Some(to_all(Request::Abort));
                }
                (REAL.step)(book, id, event)
            },
        ),
        flaw(
            "a failed append was not written",
            ANSWER,
            failures,
            |book, id, event| {
                let event = match event {
                    Event::Failed(kind) => Event::NotWritten(kind),
                    event => event,
                };
                (REAL.step)(book, id, event)
            },
        ),
        flaw(
            "what is not found is done",
            END,
            forces.clone(),
            |book, id, event| {
                let event = match event {
                    Event::Reported {
                        branch,
                        report: Report::Missing,
                    } => Event::Reported {
                        branch,
                        report: Report::Did(Outcome::Committed),
                    },
                    event => event,
                };
                (REAL.step)(book, id, event)
            },
        ),
        flaw(
            "what was done otherwise is done",
            END,
            forces,
            |book, id, event| {
                let event = match event {
                    Event::Reported {
                        branch,
                        report: Report::Did(Outcome::Aborted),
                    } => Event::Reported {
                        branch,
                        report: Report::Did(Outcome::Committed),
                    },
                    event => event,
                };
                (REAL.step)(book, id, event)
            },
        ),
        flaw(
            "who gave no vote is not told",
            PROGRESS,
            mischief(),
            |book, id, event| {
                let unknown = match event {
                    Event::Voted {
                        branch,
                        vote: Vote::Unknown,
                    } => Some(branch),
                    _ => None,
                };
                let mut actions = (REAL.step)(book, id, event)?;
                actions.retain(|action| match action {
                    Action::Send { branch, .. } => Some(*branch) != unknown,
                    _ => true,
                });
                Some(actions)
            },
        ),
        flaw(
            "nobody asks again",
            PROGRESS,
            mischief(),
            |book, id, event| {
                if matches!(
                    event,
                    Event::Reported {
                        report: Report::Unknown,
                        ..
                    }
                ) {
                    return Some(Vec::new());
                }
                (REAL.step)(book, id, event)
            },
        ),
        flaw(
            "a fate is told twice",
            IMPOSSIBLE,
            NO_FAULTS,
            |book, id, event| {
                let again = matches!(event, Event::Durable(_)).then(|| event.clone());
                let actions = (REAL.step)(book, id, event)?;
                again.map_or(Some(actions), |again| (REAL.step)(book, id, again))
            },
        ),
    ]
}

fn flaws_in_recovery() -> Vec<Flaw> {
    let flaw = |what, law, faults, rules: Rules| Flaw {
        what,
        law,
        rules,
        config: config(&TWO, faults),
    };
    let twice = Faults {
        crashes: 2,
        ..NO_FAULTS
    };
    let recover = |recover: fn(Epoch, Vec<Entry>) -> Recovered| Rules { recover, ..REAL };
    let adopt = |adopt: fn(&Book, BranchId) -> Option<Request>| Rules { adopt, ..REAL };
    let mut unlisted = flaw(
        "nobody knows whom to ask",
        PROGRESS,
        crash(),
        recover(|epoch, mut log| {
            log.retain(|entry| !is(entry, |kind| matches!(kind, RecordKind::Enlisted(_))));
            (REAL.recover)(epoch, log)
        }),
    );
    unlisted.config.lists = false;
    vec![
        unlisted,
        flaw(
            "commit records are dropped by age",
            AGREE,
            crash(),
            recover(|epoch, mut log| {
                log.retain(|entry| !is(entry, |kind| kind == RecordKind::Committed));
                (REAL.recover)(epoch, log)
            }),
        ),
        // What a zombie appended meanwhile.
        flaw(
            "the log is read before the epoch is raised",
            AGREE,
            ZOMBIES,
            recover(|epoch, mut log| {
                log.pop_if(|entry| is(entry, |kind| kind == RecordKind::Committed));
                (REAL.recover)(epoch, log)
            }),
        ),
        flaw(
            "a zombie's append is taken",
            ZOMBIE,
            ZOMBIES,
            Rules {
                accepts: |_, _| true,
                ..REAL
            },
        ),
        flaw(
            "foreign branches are aborted",
            FOREIGN,
            crash(),
            adopt(|book, of| {
                let foreign = of.transaction().coordinator() != coordinator();
                foreign.then_some(Request::Abort).or((REAL.adopt)(book, of))
            }),
        ),
        flaw(
            "branches of its own epoch are aborted",
            OWN,
            crash(),
            adopt(|book, of| {
                let known = book
                    .transaction(of.transaction())
                    .and_then(|it| it.decision());
                let own = of.transaction().coordinator() == coordinator() && known.is_none();
                own.then_some(Request::Abort).or((REAL.adopt)(book, of))
            }),
        ),
        flaw(
            "it scans only once",
            PROGRESS,
            twice,
            Rules {
                scans_again: false,
                ..REAL
            },
        ),
    ]
}

fn flaws_in_answers() -> Vec<Flaw> {
    let inquiries = Faults {
        inquiries: 1,
        ..NO_FAULTS
    };
    let flaw = |what, law, faults, rules: Rules| Flaw {
        what,
        law,
        rules,
        config: config(&TWO, faults),
    };
    vec![
        flaw(
            "what is undecided aborts on inquiry",
            AGREE,
            inquiries.clone(),
            Rules {
                inquire: |book, id, inquirer| match (REAL.inquire)(book, id, inquirer) {
                    Standing::Active => Standing::Decided(Outcome::Aborted),
                    standing => standing,
                },
                ..REAL
            },
        ),
        flaw(
            "absence is an abort to anyone",
            ANSWER,
            NO_FAULTS,
            Rules {
                inquire: |book, id, _| (REAL.inquire)(book, id, Inquirer::Prepared),
                ..REAL
            },
        ),
        flaw(
            "a late answer undoes what is settled",
            END,
            inquiries,
            Rules {
                told: |ledger, of, outcome| {
                    if outcome == Outcome::Aborted && ledger.row(of) == Some(Row::Committed) {
                        forget_all(ledger);
                    }
                    (REAL.told)(ledger, of, outcome);
                },
                ..REAL
            },
        ),
    ]
}

fn flaws_in_participants() -> Vec<Flaw> {
    let flaw = |what, law, faults, answer: fn(&mut Ledger, BranchId, Request) -> Reply| Flaw {
        what,
        law,
        rules: Rules { answer, ..REAL },
        config: config(&[false], faults),
    };
    vec![
        flaw(
            "a tombstone shuts nobody out",
            ANSWER,
            mischief(),
            |ledger, of, request| {
                let working = matches!(ledger.row(of), Some(Row::Working { .. }));
                if request == Request::Settle && working {
                    return Reply::Report(Report::Did(Outcome::Aborted));
                }
                (REAL.answer)(ledger, of, request)
            },
        ),
        flaw(
            "nobody is fenced off",
            ZOMBIE,
            ZOMBIES,
            |ledger, of, request| {
                if request == Request::CommitOnePhase {
                    ledger.answer(of, Request::Prepare);
                    ledger.told(of, Outcome::Committed);
                }
                (REAL.answer)(ledger, of, request)
            },
        ),
    ]
}

fn commits(actions: &[Action]) -> bool {
    let commits = |action: &Action| matches!(action, Action::Append(Record::Committed { .. }));
    actions.iter().any(commits)
}

fn to_all(request: Request) -> Vec<Action> {
    let sent = (0..2).map(|branch| Action::Send { branch, request });
    sent.collect()
}

fn is_logging(book: &Book) -> bool {
    let transaction = book.transaction(subject());
    transaction.is_some_and(|it| *it.phase() == Phase::Logging)
}

fn decides(book: &Book, outcome: Outcome) -> bool {
    let decision = book.transaction(subject()).and_then(|it| it.decision());
    decision.map(Decision::outcome) == Some(outcome)
}

fn is(entry: &Entry, this: impl Fn(RecordKind) -> bool) -> bool {
    match entry {
        Entry::Of(id, record) => *id == subject() && this(record.kind()),
        Entry::Named(_) => false,
    }
}

/// Puts an empty place where a row was.
fn forget_all(ledger: &mut Ledger) {
    ledger.forget(coordinator(), (subject().epoch(), u64::MAX));
}
