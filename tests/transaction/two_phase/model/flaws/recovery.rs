//! In recovery, in answers to inquiries, and in what participants do.

use tripod::transaction::two_phase::{
    Book, Entry, Inquirer, Ledger, Outcome, RecordKind, Recovered, Reply, Report, Request, Row,
    Standing,
};
use tripod::transaction::{BranchId, Epoch};

use super::super::rules::{REAL, Rules};
use super::super::systems::{TWO, ZOMBIES, config};
use super::super::world::{Faults, NO_FAULTS, subject};
use super::super::{AGREE, ANSWER, END, FOREIGN, OWN, PROGRESS, ZOMBIE};
use super::{Flaw, crash, mischief};
use crate::two_phase::coordinator;

pub(super) fn flaws_in_recovery() -> Vec<Flaw> {
    let mut flaws = flaws_in_the_log();
    flaws.extend(flaws_in_scans());
    flaws
}

fn flaw(what: &'static str, law: &'static str, faults: Faults, rules: Rules) -> Flaw {
    Flaw {
        what,
        law,
        rules,
        config: config(&TWO, faults),
    }
}

fn flaws_in_the_log() -> Vec<Flaw> {
    let recover = |recover: fn(Epoch, Vec<Entry>) -> Recovered| Rules { recover, ..REAL };
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
                let committed = |entry| is(entry, |kind| kind == RecordKind::Committed);
                if log.last().is_some_and(committed) {
                    log.pop();
                }
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
    ]
}

fn flaws_in_scans() -> Vec<Flaw> {
    let twice = Faults {
        crashes: 2,
        ..NO_FAULTS
    };
    let adopt = |adopt: fn(&Book, BranchId) -> Option<Request>| Rules { adopt, ..REAL };
    vec![
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

pub(super) fn flaws_in_answers() -> Vec<Flaw> {
    let inquiries = Faults {
        inquiries: 1,
        ..NO_FAULTS
    };
    vec![
        flaw(
            "what is undecided aborts on inquiry",
            AGREE,
            inquiries.clone(),
            Rules {
                inquire: |book, id, inquirer| {
                    let standing = (REAL.inquire)(book, id, inquirer);
                    if standing == Standing::Active {
                        return Standing::Decided(Outcome::Aborted);
                    }
                    standing
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

pub(super) fn flaws_in_participants() -> Vec<Flaw> {
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

fn is(entry: &Entry, this: impl Fn(RecordKind) -> bool) -> bool {
    match entry {
        Entry::Of(id, record) => *id == subject() && this(record.kind()),
        Entry::Named(_) | Entry::Unreadable(_) => false,
    }
}

/// Puts an empty place where a row was.
fn forget_all(ledger: &mut Ledger) {
    ledger.forget(coordinator(), (subject().epoch(), u64::MAX));
}
