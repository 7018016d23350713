//! The laws, and what has to happen so that they mean something.

use tripod::transaction::two_phase::{
    Outcome, ParkReason, Phase, Progress, Record, RecordKind, Request, Row,
};

use super::world::{Coordinator, Message, World, subject};

pub(super) fn agrees(world: &World) -> bool {
    world.forced || !(world.any(Row::Committed) && world.any(Row::Excluded))
}

pub(super) fn answers(world: &World) -> bool {
    let told = |outcome| world.told.contains(&outcome);
    let flips = told(Outcome::Committed) && told(Outcome::Aborted);
    let contrary = told(Outcome::Committed) && world.any(Row::Excluded)
        || told(Outcome::Aborted) && world.any(Row::Committed);
    !flips && (!contrary || world.forced)
}

pub(super) fn votes(world: &World) -> bool {
    let all = (1 << world.ledgers.len()) - 1;
    let one_phase = world.ledgers.len() == 1;
    one_phase || world.forced || !world.any(Row::Committed) || world.voted == all
}

pub(super) fn logs_first(world: &World) -> bool {
    let told = |message: &Message| match message {
        Message::Request(_, of, request) => {
            *request == Request::Commit && of.transaction() == subject()
        }
        Message::Reply(..) | Message::Inquiry(..) | Message::Verdict(..) => false,
    };
    world.has(RecordKind::Committed) || !world.post.iter().any(told)
}

pub(super) fn ends(world: &World) -> bool {
    let commits = world.has(RecordKind::Committed);
    let excused = |number: u16| {
        world.records().any(|record| {
            let named = if let Record::Committed { branches } = record {
                branches.iter().find(|it| it.number == number)
            } else {
                None
            };
            let heuristic = record.kind() == RecordKind::Heuristic(number);
            heuristic || named.is_some_and(|named| named.read_only)
        })
    };
    let mut rows = (0..).zip(world.rows());
    !world.has(RecordKind::Ended)
        || rows.all(|(number, row)| match row {
            Some(Row::Committed) => commits || excused(number),
            Some(Row::Excluded) | None => !commits || excused(number),
            Some(Row::Working { .. } | Row::Prepared) => false,
        })
}

/// What is the case, of what has to be met.
pub(super) fn situations(world: &World) -> impl Iterator<Item = &'static str> {
    let committed = world.any(Row::Committed);
    let excluded = world.any(Row::Excluded);
    let zombie = world.coordinators.len() > 1;
    let prepared = world.any(Row::Prepared);
    let idle = world
        .newest()
        .is_some_and(|at| world.coordinators[at].subject().is_none());
    let phases = |phase: fn(&Phase) -> bool| {
        let mut coordinators = world.coordinators.iter().filter_map(Coordinator::subject);
        coordinators.any(|subject| phase(subject.phase()))
    };
    let parked = |progress| matches!(progress, Progress::Parked(ParkReason::Heuristic(_)));
    let mut coordinators = world.coordinators.iter().filter_map(Coordinator::subject);
    let parked = coordinators.any(|it| it.branches().iter().any(|it| parked(it.progress())));
    let situations = [
        ("all committed", committed && !excluded && !prepared),
        ("all aborted", excluded && !committed && !prepared),
        ("a zombie", zombie),
        ("a second take-over", world.epoch > 2),
        ("an orphan", prepared && idle && world.epoch > 1),
        (
            "an append too late",
            world.late.iter().any(|(by, _)| *by < world.epoch),
        ),
        ("a commit half done", committed && prepared),
        (
            "a zombie in one phase",
            zombie && phases(|it| *it == Phase::OnePhase),
        ),
        ("a doubtful record", phases(|it| *it == Phase::InDoubt)),
        ("a heuristic outcome", parked),
        ("an end", world.has(RecordKind::Ended)),
    ];
    let met = situations.into_iter().filter(|(_, is)| *is);
    met.map(|(situation, _)| situation)
}
