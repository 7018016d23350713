//! Every state that any order of events leads to, and every event in each of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use tripod::transaction::two_phase::{
    Action, Answer, Decision, Deed, Event, NamedBranch, Outcome, ParkReason, Phase, Record,
    RecordKind, Report, Request, Resolution, Transaction, Vote,
};

use super::{participant, transaction};

/// How each event is received in each phase: `+` it changes something, `.` it is absorbed, `!` it
/// is refused, `x` it is impossible.
const TABLE: &str = "
               replay  working  prepare onephase  logging  indoubt settling   ending    ended
enlist              x        +        x        x        x        x       !x       !x       !x
commit              x        +        x        x        x        x       +x       +x       +x
rollback            x        +        x        x        x        x       +x       +x       +x
dropped             x        +        +       +.       +.        .       +.       +.       +.
deadline            x        +        +       +.        .        .       +.        .        .
voted               x        x      +.x        x       .x       .x       .x        .        .
did                 x        x        x      +.x        x        x      +.x        .        .
reported            x        x        x      +.x        x        x      +.x        .        .
retry               x       .x       .x      +.x       .x       .x      +.x        .        .
park                x       .x       .x      +.x       .x       .x      +.x       .x       .x
abort               x        +        +        !        !        !        !        !        !
resolve             x        !        !       !+        !        !       !+        !        !
enlisted          +.x       +x        x        x        x        x       +x       +x        .
committed         +.x        x        x        x        +        x        x        x        x
aborted           +.x        x        x        x        x        x       +x       +x        x
heuristic         +.x        x        x        x        x        x       +x       +x        x
resolved          +.x        x        x       +x        x        x       +x        x        x
end                +.        x        x        x        x        x        x       +x        x
missed              x       +x        x       +x       +x        x       +x       +x       .x
recover             +        x        x        x        x        x        x        x        x
";

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn every_pair_of_state_and_event_is_received_as_the_table_says() {
    let mut table = Table::new();
    let states = explore(|before, event, stepped| {
        table.enter(before, event, stepped);
        refuses_the_impossible(before, event, stepped);
        keeps_its_decision(before, stepped);
        follows_its_decision(stepped);
    });
    println!("{states} states");
    let lines = table.lines();
    assert_eq!(lines.trim_end(), TABLE.trim_matches('\n'), "\n{lines}\n");
}

#[derive(Default)]
struct Table(BTreeMap<(&'static str, &'static str), BTreeSet<char>>);

impl Table {
    fn new() -> Self {
        Self::default()
    }

    fn enter(&mut self, before: &Transaction, event: &Event, stepped: &Stepped<'_>) {
        let cell = self.0.entry((event_name(event), phase_name(before)));
        cell.or_default().insert(match stepped {
            Err(_) => 'x',
            Ok((_, [Action::Refuse(_)])) => '!',
            Ok((after, [])) if *after == before => '.',
            Ok(_) => '+',
        });
    }

    fn lines(&self) -> String {
        let heading = PHASES.map(|phase| format!("{phase:>9}")).concat();
        let mut lines = vec![format!("{:12}{heading}", "")];
        for event in EVENTS {
            let cells = PHASES.map(|phase| {
                let cell: String = self.0.get(&(event, phase)).into_iter().flatten().collect();
                format!("{cell:>9}")
            });
            lines.push(format!("{event:12}{}", cells.concat()));
        }
        lines.join("\n")
    }
}

/// Nothing changes, and the error names both.
fn refuses_the_impossible(before: &Transaction, event: &Event, stepped: &Stepped<'_>) {
    if let Err((impossible, after)) = stepped {
        assert_eq!(before, *after);
        let (id, phase) = (before.id(), before.phase());
        let expected = format!("{event} cannot happen to transaction {id}, which is {phase}");
        assert_eq!(*impossible, expected);
    }
}

fn keeps_its_decision(before: &Transaction, stepped: &Stepped<'_>) {
    let (Ok((after, _)) | Err((_, after))) = stepped;
    let outcome = |it: &Transaction| it.decision().map(Decision::outcome);
    assert!(outcome(before).is_none() || outcome(before) == outcome(after));
    let may_be_logged = matches!(before.phase(), Phase::Logging | Phase::InDoubt);
    assert!(!may_be_logged || !matches!(after.phase(), Phase::Working | Phase::Preparing));
}

/// So do its requests, answers and records.
fn follows_its_decision(stepped: &Stepped<'_>) {
    let Ok((after, actions)) = stepped else {
        return;
    };
    let outcome = after.decision().map(Decision::outcome);
    for action in *actions {
        let fits = match action {
            Action::Send { request, .. } => match request {
                Request::Commit => outcome == Some(Outcome::Committed),
                Request::Abort => outcome == Some(Outcome::Aborted),
                Request::Prepare => *after.phase() == Phase::Preparing,
                Request::CommitOnePhase => *after.phase() == Phase::OnePhase,
                Request::Settle => *after.phase() == Phase::OnePhase || outcome.is_some(),
            },
            Action::Answer(Answer::Committed { .. }) => outcome == Some(Outcome::Committed),
            Action::Answer(Answer::Aborted(_)) => outcome == Some(Outcome::Aborted),
            Action::Answer(Answer::Unknown) => outcome.is_none(),
            Action::Append(Record::Committed { .. }) => *after.phase() == Phase::Logging,
            Action::Append(Record::Ended) => matches!(after.phase(), Phase::Ending(_)),
            Action::Work { .. } => *after.phase() == Phase::Working,
            Action::Append(_)
            | Action::BackOff { .. }
            | Action::Parked { .. }
            | Action::Refuse(_)
            | Action::Forget => true,
        };
        assert!(fits, "{action:?} in {}", after.phase());
    }
}

type Stepped<'a> = Result<(&'a Transaction, &'a [Action]), (String, &'a Transaction)>;

/// Shows every step that can be taken from every state there is; returns how many states.
fn explore(mut show: impl FnMut(&Transaction, &Event, &Stepped<'_>)) -> usize {
    let id = transaction(1);
    let mut left = vec![Transaction::begin(id), Transaction::replay(id)];
    let mut seen: HashSet<Transaction> = left.iter().cloned().collect();
    while let Some(before) = left.pop() {
        for event in events(&before) {
            let mut after = before.clone();
            match after.step(event.clone()) {
                Err(impossible) => show(&before, &event, &Err((impossible.to_string(), &after))),
                Ok(actions) => {
                    show(&before, &event, &Ok((&after, &actions)));
                    if seen.insert(after.clone()) {
                        left.push(after);
                    }
                }
            }
        }
    }
    seen.len()
}

/// Every kind of event, about two branches and one that does not exist.
fn events(before: &Transaction) -> Vec<Event> {
    let mut events = vec![
        Event::Commit,
        Event::Rollback,
        Event::Dropped,
        Event::Deadline,
    ];
    let numbered = u16::try_from(before.branches().len()).unwrap();
    if numbered < 2 || *before.phase() != Phase::Working {
        // The second cannot be listed.
        let (participant, lists) = (participant(numbered), numbered == 0);
        events.push(Event::Enlist { participant, lists });
    }
    events.extend([Event::Recover, Event::Resolve(Resolution::Abort)]);
    for branch in 0..3 {
        let votes = [
            Vote::ReadOnly,
            Vote::Prepared,
            Vote::Unknown,
            Vote::No("no".into()),
        ];
        events.extend(votes.map(|vote| Event::Voted { branch, vote }));
        let did = [Outcome::Committed, Outcome::Aborted];
        let reports = [Report::Prepared, Report::Missing, Report::Unknown];
        let reports = did.map(Report::Did).into_iter().chain(reports);
        events.extend(reports.map(|report| Event::Reported { branch, report }));
        events.push(Event::Retry { branch });
        let reasons = [
            ParkReason::Unregistered,
            ParkReason::Heuristic(Outcome::Aborted),
        ];
        events.extend(reasons.map(|reason| Event::Park { branch, reason }));
        events.extend(did.map(|did| Event::Resolve(Resolution::Did { branch, did })));
    }
    for record in records() {
        events.extend([
            Event::NotWritten(record.kind()),
            Event::Failed(record.kind()),
        ]);
        events.push(Event::Durable(record));
    }
    events
}

fn records() -> Vec<Record> {
    let names = (0..2).map(|number| NamedBranch {
        number,
        participant: participant(number),
        read_only: false,
    });
    let branches: Arc<[NamedBranch]> = names.collect();
    let mut records = vec![
        Record::Ended,
        Record::Committed {
            branches: branches.clone(),
        },
        Record::Aborted { branches },
        Record::Enlisted {
            branch: 1,
            participant: participant(1),
        },
    ];
    let both = [Outcome::Committed, Outcome::Aborted];
    for (decided, did) in both
        .into_iter()
        .flat_map(|decided| both.map(|did| (decided, did)))
    {
        let deed = Deed {
            branch: 0,
            participant: participant(0),
            decided,
            did,
        };
        records.extend([Record::Heuristic(deed.clone()), Record::Resolved(deed)]);
    }
    records
}

const PHASES: [&str; 9] = [
    "replay", "working", "prepare", "onephase", "logging", "indoubt", "settling", "ending", "ended",
];

const EVENTS: [&str; 20] = [
    "enlist",
    "commit",
    "rollback",
    "dropped",
    "deadline",
    "voted",
    "did",
    "reported",
    "retry",
    "park",
    "abort",
    "resolve",
    "enlisted",
    "committed",
    "aborted",
    "heuristic",
    "resolved",
    "end",
    "missed",
    "recover",
];

fn phase_name(before: &Transaction) -> &'static str {
    // Only a replay takes another recovery.
    if before.clone().step(Event::Recover).is_ok() {
        return "replay";
    }
    match before.phase() {
        Phase::Working => "working",
        Phase::Preparing => "prepare",
        Phase::OnePhase => "onephase",
        Phase::Logging => "logging",
        Phase::InDoubt => "indoubt",
        Phase::Settling(_) => "settling",
        Phase::Ending(_) => "ending",
        Phase::Ended(_) => "ended",
        other => unreachable!("no row for {other:?}"),
    }
}

fn event_name(event: &Event) -> &'static str {
    match event {
        Event::Enlist { .. } => "enlist",
        Event::Commit => "commit",
        Event::Rollback => "rollback",
        Event::Dropped => "dropped",
        Event::Deadline => "deadline",
        Event::Voted { .. } => "voted",
        Event::Reported { report, .. } => match report {
            Report::Did(_) => "did",
            Report::Prepared | Report::Missing | Report::Unknown => "reported",
        },
        Event::Retry { .. } => "retry",
        Event::Park { .. } => "park",
        Event::Resolve(Resolution::Abort) => "abort",
        Event::Resolve(Resolution::Did { .. }) => "resolve",
        Event::Resolve(other) => unreachable!("no column for {other:?}"),
        Event::Durable(record) => match record.kind() {
            RecordKind::Enlisted(_) => "enlisted",
            RecordKind::Committed => "committed",
            RecordKind::Aborted => "aborted",
            RecordKind::Heuristic(_) => "heuristic",
            RecordKind::Resolved(_) => "resolved",
            RecordKind::Ended => "end",
            other => unreachable!("no column for {other:?}"),
        },
        Event::NotWritten(_) | Event::Failed(_) => "missed",
        Event::Recover => "recover",
    }
}
