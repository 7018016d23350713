//! In how the coordinator decides, and in what it makes of answers.

use tripod::transaction::TransactionId;
use tripod::transaction::two_phase::{
    AbortReason, Action, Answer, Book, Decision, Event, Outcome, Phase, Record, Report, Request,
    Vote,
};

use super::super::rules::{REAL, Rules};
use super::super::systems::{TWO, config};
use super::super::world::{Faults, NO_FAULTS, subject};
use super::super::{AGREE, ANSWER, DURABLE, END, IMPOSSIBLE, PROGRESS, VOTES};
use super::{Flaw, crash, impatience, mischief};

type Stepped = Option<Vec<Action>>;

pub(super) fn flaws_in_deciding() -> Vec<Flaw> {
    vec![
        flaw(
            "answers before the record is durable",
            ANSWER,
            crash(),
            answers_early,
        ),
        flaw(
            "tells before the record is durable",
            DURABLE,
            crash(),
            tells_early,
        ),
        flaw("the record leaves a branch out", AGREE, crash(), leaves_out),
        flaw(
            "ends when the first has acknowledged",
            END,
            crash(),
            ends_early,
        ),
        flaw(
            "a missing vote is a yes",
            VOTES,
            mischief(),
            takes_silence_for_yes,
        ),
        flaw(
            "a deadline stops the record",
            ANSWER,
            impatience(),
            stops_in_time,
        ),
        flaw(
            "to drop it stops the record",
            AGREE,
            impatience(),
            stops_when_dropped,
        ),
        flaw(
            "a late no changes the decision",
            AGREE,
            mischief(),
            heeds_late_votes,
        ),
    ]
}

pub(super) fn flaws_in_hearing() -> Vec<Flaw> {
    let failures = Faults {
        failures: 1,
        ..NO_FAULTS
    };
    let forces = || Faults {
        forces: 1,
        ..NO_FAULTS
    };
    let silence = "no answer in one phase is an abort";
    let mut one_phase = flaw(silence, ANSWER, mischief(), takes_silence_for_abort);
    one_phase.config.read_only = vec![false];
    vec![
        one_phase,
        flaw(
            "a failed append was not written",
            ANSWER,
            failures,
            takes_failure_for_abort,
        ),
        flaw(
            "what is not found is done",
            END,
            forces(),
            takes_absence_for_done,
        ),
        flaw(
            "what was done otherwise is done",
            END,
            forces(),
            takes_anything_for_done,
        ),
        flaw(
            "who gave no vote is not told",
            PROGRESS,
            mischief(),
            leaves_the_silent_alone,
        ),
        flaw("nobody asks again", PROGRESS, mischief(), never_retries),
        flaw(
            "a fate is told twice",
            IMPOSSIBLE,
            NO_FAULTS,
            tells_fates_twice,
        ),
    ]
}

fn flaw(
    what: &'static str,
    law: &'static str,
    faults: Faults,
    step: fn(&mut Book, TransactionId, Event) -> Stepped,
) -> Flaw {
    Flaw {
        what,
        law,
        rules: Rules { step, ..REAL },
        config: config(&TWO, faults),
    }
}

fn answers_early(book: &mut Book, id: TransactionId, event: Event) -> Stepped {
    let mut actions = (REAL.step)(book, id, event)?;
    let pending = Vec::new();
    let answer = commits(&actions).then_some(Action::Answer(Answer::Committed { pending }));
    actions.extend(answer);
    Some(actions)
}

fn tells_early(book: &mut Book, id: TransactionId, event: Event) -> Stepped {
    let mut actions = (REAL.step)(book, id, event)?;
    if commits(&actions) {
        actions.extend(to_all(Request::Commit));
    }
    Some(actions)
}

fn leaves_out(book: &mut Book, id: TransactionId, event: Event) -> Stepped {
    let mut actions = (REAL.step)(book, id, event)?;
    for action in &mut actions {
        if let Action::Append(Record::Committed { branches }) = action {
            *branches = branches[..1].into();
        }
    }
    Some(actions)
}

fn ends_early(book: &mut Book, id: TransactionId, event: Event) -> Stepped {
    let acknowledged = report(&event).is_some_and(|report| matches!(report, Report::Did(_)));
    let mut actions = (REAL.step)(book, id, event)?;
    actions.extend(acknowledged.then_some(Action::Append(Record::Ended)));
    Some(actions)
}

fn takes_silence_for_yes(book: &mut Book, id: TransactionId, mut event: Event) -> Stepped {
    if let Event::Voted { vote, .. } = &mut event
        && *vote == Vote::Unknown
    {
        *vote = Vote::Prepared;
    }
    (REAL.step)(book, id, event)
}

fn stops_in_time(book: &mut Book, id: TransactionId, event: Event) -> Stepped {
    if event == Event::Deadline && is_logging(book) {
        return Some(vec![Action::Answer(Answer::Aborted(AbortReason::Deadline))]);
    }
    (REAL.step)(book, id, event)
}

fn stops_when_dropped(book: &mut Book, id: TransactionId, event: Event) -> Stepped {
    if event == Event::Dropped && is_logging(book) {
        return Some(to_all(Request::Abort));
    }
    (REAL.step)(book, id, event)
}

fn heeds_late_votes(book: &mut Book, id: TransactionId, event: Event) -> Stepped {
    let no = matches!(
        &event,
        Event::Voted {
            vote: Vote::No(_),
            ..
        }
    );
    let decision = book.transaction(id).and_then(|subject| subject.decision());
    if no && decision == Some(&Decision::Commit) {
        return Some(to_all(Request::Abort));
    }
    (REAL.step)(book, id, event)
}

fn takes_silence_for_abort(book: &mut Book, id: TransactionId, event: Event) -> Stepped {
    hears(book, id, event, Report::Unknown, Outcome::Aborted)
}

fn takes_absence_for_done(book: &mut Book, id: TransactionId, event: Event) -> Stepped {
    hears(book, id, event, Report::Missing, Outcome::Committed)
}

fn takes_anything_for_done(book: &mut Book, id: TransactionId, event: Event) -> Stepped {
    hears(
        book,
        id,
        event,
        Report::Did(Outcome::Aborted),
        Outcome::Committed,
    )
}

fn takes_failure_for_abort(book: &mut Book, id: TransactionId, mut event: Event) -> Stepped {
    if let Event::Failed(kind) = event {
        event = Event::NotWritten(kind);
    }
    (REAL.step)(book, id, event)
}

fn leaves_the_silent_alone(book: &mut Book, id: TransactionId, event: Event) -> Stepped {
    let silent = if let Event::Voted {
        branch,
        vote: Vote::Unknown,
    } = &event
    {
        Some(*branch)
    } else {
        None
    };
    let mut actions = (REAL.step)(book, id, event)?;
    actions
        .retain(|action| !matches!(action, Action::Send { branch, .. } if Some(*branch) == silent));
    Some(actions)
}

fn never_retries(book: &mut Book, id: TransactionId, event: Event) -> Stepped {
    if report(&event) == Some(Report::Unknown) {
        return Some(Vec::new());
    }
    (REAL.step)(book, id, event)
}

fn tells_fates_twice(book: &mut Book, id: TransactionId, event: Event) -> Stepped {
    let again = matches!(event, Event::Durable(_)).then(|| event.clone());
    let actions = (REAL.step)(book, id, event)?;
    again.map_or(Some(actions), |again| (REAL.step)(book, id, again))
}

/// Takes this report for that deed.
fn hears(
    book: &mut Book,
    id: TransactionId,
    mut event: Event,
    this: Report,
    that: Outcome,
) -> Stepped {
    if let Event::Reported { report, .. } = &mut event
        && *report == this
    {
        *report = Report::Did(that);
    }
    (REAL.step)(book, id, event)
}

fn report(event: &Event) -> Option<Report> {
    if let Event::Reported { report, .. } = event {
        return Some(*report);
    }
    None
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
    let subject = book.transaction(subject());
    subject.is_some_and(|subject| *subject.phase() == Phase::Logging)
}
