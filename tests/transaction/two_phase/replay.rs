//! What was logged, read again.

use proptest::prelude::*;
use tripod::transaction::TransactionId;
use tripod::transaction::two_phase::{
    Action, Book, Decision, Entry, Event, Outcome, ParkReason, Phase, Record, RecordKind,
    Recovered, Report, Resolution, Transaction, Vote,
};

use super::{coordinator, epoch, participant, transaction};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn replaying_twice_is_replaying_once(run in runs()) {
        let once = replayed(&run.log);
        let twice = replayed(&[run.log.clone(), run.log].concat());
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn every_prefix_of_the_log_replays_to_what_it_says(run in runs()) {
        for length in 0..=run.log.len() {
            let log = &run.log[..length];
            let commits = log.iter().any(|record| record.kind() == RecordKind::Committed);
            let mut replayed = replayed(log);
            let undecided = replayed.decision().is_none();
            let actions = replayed.step(Event::Recover).unwrap();
            let outcome = replayed.decision().map(Decision::outcome);
            let resolved = log.iter().find_map(|record| if let Record::Resolved(deed) = record { Some(deed.decided) } else { None });
            let presumed = resolved.unwrap_or(Outcome::Aborted);
            let expected = if commits { Outcome::Committed } else { presumed };
            let ended = log.last() == Some(&Record::Ended);
            prop_assert_eq!(outcome, Some(expected));
            prop_assert_eq!(replayed.is_over(), ended || log.is_empty());
            prop_assert!(!undecided || !commits);
            // Nobody waits for an answer any more.
            prop_assert!(!actions.iter().any(|action| matches!(action, Action::Answer(_))));
        }
    }

    #[test]
    fn replay_agrees_with_whoever_wrote_the_log(run in runs()) {
        let live = run.live.decision().map(Decision::outcome);
        let ended = run.live.is_over();
        let mut replayed = replayed(&run.log);
        replayed.step(Event::Recover).unwrap();
        let after = replayed.decision().map(Decision::outcome);
        // What was written and not yet told, and what needs no record, are not to be compared.
        let waits = matches!(run.live.phase(), Phase::Logging | Phase::InDoubt | Phase::OnePhase);
        let unlogged = !run.log.iter().any(|record| record.kind() == RecordKind::Committed);
        let unwritten = unlogged && (ended || run.one_phase);
        prop_assert!(waits || unwritten || live.is_none_or(|live| Some(live) == after));
    }
}

/// Whether a broken transaction is told of, and the other one goes on.
fn goes_on_past_a_broken_one(recover: impl Fn(Vec<Entry>) -> Recovered) -> bool {
    let (broken, other) = (id(0), id(1));
    let aborted = Record::Aborted {
        branches: [].into(),
    };
    let committed = Record::Committed {
        branches: [].into(),
    };
    let recovered = recover(vec![
        Entry::Of(broken, committed.clone()),
        Entry::Of(broken, aborted),
        Entry::Of(other, enlisted()),
        Entry::Of(broken, Record::Ended),
    ]);
    let told = recovered.broken.iter().map(|broken| broken.transaction);
    let alive = recovered.actions.iter().map(|(id, _)| *id);
    // It is not taken for one that is over.
    let open = recovered.book.watermark() == (epoch(1), 0);
    told.eq([broken]) && alive.eq([other]) && open
}

fn recover(log: Vec<Entry>) -> Recovered {
    Book::recover(coordinator(), epoch(2), log)
}

#[test]
fn one_that_cannot_be_replayed_stops_no_other() {
    assert!(goes_on_past_a_broken_one(recover));
}

#[test]
fn a_recovery_that_stops_at_the_first_broken_one_is_caught() {
    let stops = |mut log: Vec<Entry>| {
        let broken = |len: &usize| !recover(log[..*len].to_vec()).broken.is_empty();
        let first = (0..=log.len()).find(broken).unwrap();
        log.truncate(first);
        recover(log)
    };
    assert!(!goes_on_past_a_broken_one(stops));
}

#[test]
fn replay_gives_back_what_has_not_ended_and_nothing_else() {
    let committed = Record::Committed {
        branches: [].into(),
    };
    let log = [
        Entry::Of(id(0), committed.clone()),
        Entry::Of(id(1), enlisted()),
        Entry::Of(id(2), enlisted()),
        Entry::Of(id(0), Record::Ended),
        Entry::Of(id(3), committed),
        Entry::Of(id(2), Record::Ended),
    ];
    let recovered = Book::recover(coordinator(), epoch(2), log);
    let open = recovered.book.transactions();
    let open: Vec<_> = open
        .map(|it| (it.id(), it.decision().map(Decision::outcome)))
        .collect();
    let expected = [
        (id(1), Some(Outcome::Aborted)),
        (id(3), Some(Outcome::Committed)),
    ];
    assert_eq!(open, expected);
}

fn id(sequence: u64) -> TransactionId {
    TransactionId::new(coordinator(), epoch(1), sequence)
}

fn enlisted() -> Record {
    Record::Enlisted {
        branch: 0,
        participant: participant(0),
    }
}

fn replayed(log: &[Record]) -> Transaction {
    let mut replayed = Transaction::replay(transaction(1));
    for record in log {
        let actions = replayed.step(Event::Durable(record.clone())).unwrap();
        assert!(actions.is_empty(), "replay does nothing");
    }
    replayed
}

/// A transaction, and what of it is durable.
#[derive(Debug)]
struct Run {
    live: Transaction,
    log: Vec<Record>,
    one_phase: bool,
}

/// Anything that can happen to up to three branches, in any order; records become durable one
/// after the other.
fn runs() -> impl Strategy<Value = Run> {
    let events = proptest::collection::vec(events(), 0..40);
    (0..3_u16, any::<bool>(), events).prop_map(|(branches, lists, events)| {
        let mut run = Run {
            live: Transaction::begin(transaction(1)),
            log: Vec::new(),
            one_phase: branches == 1,
        };
        let mut pending = Vec::new();
        for number in 0..branches {
            let participant = participant(number);
            run.take(Event::Enlist { participant, lists }, &mut pending);
            run.take_next(&mut pending);
        }
        for event in events {
            match event {
                Some(event) => run.take(event, &mut pending),
                None => run.take_next(&mut pending),
            }
        }
        run
    })
}

impl Run {
    fn take(&mut self, event: Event, pending: &mut Vec<Record>) {
        let actions = self.live.step(event).unwrap_or_default();
        pending.extend(actions.into_iter().filter_map(|action| {
            if let Action::Append(record) = action {
                Some(record)
            } else {
                None
            }
        }));
    }

    fn take_next(&mut self, pending: &mut Vec<Record>) {
        if !pending.is_empty() {
            let next = pending.remove(0);
            self.log.push(next.clone());
            self.take(Event::Durable(next), pending);
        }
    }
}

/// `None` makes the next record durable.
fn events() -> impl Strategy<Value = Option<Event>> {
    let outcome = prop_oneof![Just(Outcome::Committed), Just(Outcome::Aborted)];
    let vote = prop_oneof![
        6 => Just(Vote::Prepared),
        2 => Just(Vote::ReadOnly),
        1 => Just(Vote::Unknown),
        1 => Just(Vote::No("no".into())),
    ];
    let report = prop_oneof![
        4 => outcome.clone().prop_map(Report::Did),
        1 => Just(Report::Prepared),
        1 => Just(Report::Missing),
        1 => Just(Report::Unknown),
    ];
    let reason = ParkReason::Unanswered;
    let resolved = (0..3_u16, outcome).prop_map(|(branch, did)| Resolution::Did { branch, did });
    let event = prop_oneof![
        8 => Just(Event::Commit),
        1 => Just(Event::Rollback),
        1 => Just(Event::Dropped),
        1 => Just(Event::Deadline),
        8 => (0..3_u16, vote).prop_map(|(branch, vote)| Event::Voted { branch, vote }),
        8 => (0..3_u16, report).prop_map(|(branch, report)| Event::Reported { branch, report }),
        1 => (0..3_u16).prop_map(|branch| Event::Retry { branch }),
        1 => (0..3_u16).prop_map(move |branch| Event::Park { branch, reason }),
        1 => Just(Event::Resolve(Resolution::Abort)),
        1 => resolved.prop_map(Event::Resolve),
    ];
    prop_oneof![2 => event.prop_map(Some), 1 => Just(None)]
}
