//! Which event can happen when: one table, without a gap.
//!
//! A pair of state and event is *taken* (it changes something), *absorbed* (it comes late, twice
//! or out of order, and changes nothing), *refused* (somebody asked for what cannot be any more) or
//! *impossible* (nobody can have caused it but a bug, or a damaged log).

use super::branch::{Branch, ParkReason, Progress};
use super::event::{Event, Reception, Refusal, Resolution};
use super::phase::{Decision, Phase};
use super::record::{Record, RecordKind};
use super::state::{Caller, Transaction};
use crate::transaction::participant::Report;

use Reception::{Absorbed, Refused, Taken};

impl Transaction {
    /// How it takes the event.
    pub(super) fn reception(&self, event: &Event) -> Reception {
        if self.live {
            live(self, event)
        } else {
            in_replay(self, event)
        }
    }
}

fn live(to: &Transaction, event: &Event) -> Reception {
    match event {
        Event::Enlist { .. } => enlist(to),
        Event::Commit => commit(to),
        Event::Rollback => rollback(to),
        Event::Dropped => dropped(to),
        Event::Deadline => deadline(to),
        Event::Voted { branch, .. } => voted(to, *branch),
        Event::Reported { branch, report } => reported(to, *branch, *report),
        Event::Retry { branch } => retry(to, *branch),
        Event::Park { branch, reason } => park(to, *branch, *reason),
        Event::Resolve(Resolution::Abort) => resolve_abort(to),
        Event::Resolve(Resolution::Did { branch, .. }) => resolve_deed(to, *branch),
        Event::Durable(record) => appended(to, record.kind()),
        Event::NotWritten(kind) | Event::Failed(kind) => appended(to, *kind),
        Event::Recover => Reception::Impossible,
    }
}

fn in_replay(to: &Transaction, event: &Event) -> Reception {
    match event {
        Event::Durable(record) => replayed(to, record),
        Event::Recover => Taken,
        Event::Enlist { .. }
        | Event::Commit
        | Event::Rollback
        | Event::Dropped
        | Event::Deadline
        | Event::Voted { .. }
        | Event::Reported { .. }
        | Event::Retry { .. }
        | Event::Park { .. }
        | Event::Resolve(_)
        | Event::NotWritten(_)
        | Event::Failed(_) => Reception::Impossible,
    }
}

/// Records may come again, since the log carries live ones forward. They never contradict.
fn replayed(to: &Transaction, record: &Record) -> Reception {
    let decision = match &to.phase {
        Phase::Working => None,
        Phase::Settling(decision) => Some(decision),
        Phase::Ended(_) => return Absorbed,
        Phase::Preparing | Phase::OnePhase | Phase::Logging | Phase::InDoubt | Phase::Ending(_) => {
            return Reception::Impossible;
        }
    };
    match (record, decision) {
        (Record::Enlisted { branch, .. }, Some(_)) if to.branch(*branch).is_some() => Absorbed,
        (Record::Committed { .. }, Some(Decision::Commit))
        | (Record::Aborted { .. }, Some(Decision::Abort(_))) => Absorbed,
        (Record::Enlisted { .. } | Record::Aborted { .. }, Some(Decision::Commit))
        | (Record::Committed { .. }, Some(Decision::Abort(_)))
        // What a branch did stands after what was decided.
        | (Record::Heuristic(_), None) => Reception::Impossible,
        (Record::Heuristic(deed) | Record::Resolved(deed), Some(decision))
            if deed.decided != decision.outcome() =>
        {
            Reception::Impossible
        }
        (
            Record::Enlisted { .. }
            | Record::Committed { .. }
            | Record::Aborted { .. }
            | Record::Heuristic(_)
            | Record::Resolved(_)
            | Record::Ended,
            _,
        ) => Taken,
    }
}

fn enlist(to: &Transaction) -> Reception {
    match &to.phase {
        Phase::Working => Taken,
        phase if aborts(phase) => Refused(Refusal::Aborted),
        // The handle is gone once the commit has been asked for.
        Phase::Preparing
        | Phase::OnePhase
        | Phase::Logging
        | Phase::InDoubt
        | Phase::Settling(_)
        | Phase::Ending(_)
        | Phase::Ended(_) => Reception::Impossible,
    }
}

fn commit(to: &Transaction) -> Reception {
    if to.caller == Caller::Working {
        Taken
    } else {
        Reception::Impossible
    }
}

fn rollback(to: &Transaction) -> Reception {
    commit(to)
}

fn dropped(to: &Transaction) -> Reception {
    match to.caller {
        Caller::Working | Caller::Waiting => Taken,
        Caller::Answered | Caller::Gone => Absorbed,
    }
}

fn deadline(to: &Transaction) -> Reception {
    match to.phase {
        Phase::Working | Phase::Preparing => Taken,
        Phase::OnePhase | Phase::Settling(_) if to.caller == Caller::Waiting => Taken,
        Phase::OnePhase
        | Phase::Logging
        | Phase::InDoubt
        | Phase::Settling(_)
        | Phase::Ending(_)
        | Phase::Ended(_) => Absorbed,
    }
}

fn voted(to: &Transaction, branch: u16) -> Reception {
    match to.phase {
        Phase::Preparing => given(to.branch(branch), |_| Taken),
        Phase::Working | Phase::OnePhase => Reception::Impossible,
        Phase::Logging | Phase::InDoubt | Phase::Settling(_) => {
            given(to.branch(branch), |_| Absorbed)
        }
        Phase::Ending(_) | Phase::Ended(_) => Absorbed,
    }
}

fn reported(to: &Transaction, branch: u16, report: Report) -> Reception {
    match to.phase {
        // The operator's word stands while it is being written.
        Phase::OnePhase | Phase::Settling(_) if is_resolving(to, branch) => Absorbed,
        Phase::OnePhase | Phase::Settling(_) => given(to.branch(branch), |progress| {
            let certain = matches!(report, Report::Did(_));
            match progress {
                Progress::Told | Progress::Proving => Taken,
                Progress::Parked(ParkReason::Heuristic(_)) => Absorbed,
                Progress::Waiting | Progress::Parked(_) if certain => Taken,
                Progress::Waiting | Progress::Parked(_) | Progress::ReadOnly | Progress::Did(_) => {
                    Absorbed
                }
                Progress::Enlisting
                | Progress::Working
                | Progress::Preparing
                | Progress::Prepared => Reception::Impossible,
            }
        }),
        Phase::Ending(_) | Phase::Ended(_) => Absorbed,
        Phase::Working | Phase::Preparing | Phase::Logging | Phase::InDoubt => {
            Reception::Impossible
        }
    }
}

fn retry(to: &Transaction, branch: u16) -> Reception {
    told(to, branch, |progress| match progress {
        Progress::Waiting => Taken,
        Progress::Parked(reason) => unless_heuristic(reason),
        Progress::Enlisting
        | Progress::Working
        | Progress::Preparing
        | Progress::Prepared
        | Progress::ReadOnly
        | Progress::Told
        | Progress::Proving
        | Progress::Did(_) => Absorbed,
    })
}

fn park(to: &Transaction, branch: u16, reason: ParkReason) -> Reception {
    if matches!(reason, ParkReason::Heuristic(_)) {
        // Only a report makes it so.
        return Reception::Impossible;
    }
    told(to, branch, |progress| match progress {
        Progress::Told | Progress::Proving | Progress::Waiting => Taken,
        Progress::Parked(reason) => unless_heuristic(reason),
        Progress::Enlisting
        | Progress::Working
        | Progress::Preparing
        | Progress::Prepared
        | Progress::ReadOnly
        | Progress::Did(_) => Absorbed,
    })
}

/// What a branch did is known, and asking again tells no more.
fn unless_heuristic(reason: ParkReason) -> Reception {
    match reason {
        ParkReason::Heuristic(_) => Absorbed,
        ParkReason::Unregistered | ParkReason::Unanswered | ParkReason::Refused => Taken,
    }
}

/// What concerns a branch that was told to commit or to abort.
fn told(to: &Transaction, branch: u16, taken: impl FnOnce(Progress) -> Reception) -> Reception {
    match to.phase {
        Phase::OnePhase | Phase::Settling(_) if is_resolving(to, branch) => Absorbed,
        Phase::OnePhase | Phase::Settling(_) => given(to.branch(branch), taken),
        Phase::Working | Phase::Preparing | Phase::Logging | Phase::InDoubt => {
            given(to.branch(branch), |_| Absorbed)
        }
        Phase::Ending(_) | Phase::Ended(_) => Absorbed,
    }
}

fn resolve_abort(to: &Transaction) -> Reception {
    match to.phase {
        Phase::Working | Phase::Preparing => Taken,
        Phase::OnePhase
        | Phase::Logging
        | Phase::InDoubt
        | Phase::Settling(_)
        | Phase::Ending(_)
        | Phase::Ended(_) => Refused(Refusal::TooLate),
    }
}

fn resolve_deed(to: &Transaction, branch: u16) -> Reception {
    match to.phase {
        Phase::Working | Phase::Preparing | Phase::Logging | Phase::InDoubt => {
            Refused(Refusal::Undecided)
        }
        Phase::OnePhase | Phase::Settling(_) => {
            let open = to.branch(branch).is_some_and(|branch| !branch.is_done());
            if open && !is_resolving(to, branch) {
                Taken
            } else {
                Refused(Refusal::Done)
            }
        }
        Phase::Ending(_) | Phase::Ended(_) => Refused(Refusal::Done),
    }
}

/// The fate of a record is told once, after it was appended; that of an enlisting branch perhaps
/// after the end, which does not wait for it.
fn appended(to: &Transaction, kind: RecordKind) -> Reception {
    if to.appended.contains(&kind) {
        Taken
    } else if matches!(
        (kind, &to.phase),
        (RecordKind::Enlisted(_), Phase::Ended(_))
    ) {
        Absorbed
    } else {
        Reception::Impossible
    }
}

fn is_resolving(to: &Transaction, branch: u16) -> bool {
    to.appended.contains(&RecordKind::Resolved(branch))
}

fn given(branch: Option<&Branch>, taken: impl FnOnce(Progress) -> Reception) -> Reception {
    branch.map_or(Reception::Impossible, |branch| taken(branch.progress))
}

fn aborts(phase: &Phase) -> bool {
    match phase {
        Phase::Settling(decision) | Phase::Ending(decision) | Phase::Ended(decision) => {
            matches!(decision, Decision::Abort(_))
        }
        Phase::Working | Phase::Preparing | Phase::OnePhase | Phase::Logging | Phase::InDoubt => {
            false
        }
    }
}
