//! What a coordinator might do with a log.

use tripod::transaction::log::{Durability, Record, Subject, SubjectKey};

use super::disk::Dice;
use super::world::World;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Open(u64),
    /// At the same time, in this order.
    Append(Vec<(Vec<Record>, Durability)>),
    Close,
    /// The writer does what is queued.
    Settle,
}

pub(super) type Script = Vec<Step>;

pub(super) fn saga(number: u64) -> Subject {
    Subject::Saga(SubjectKey::new(format!("saga {number}")).unwrap())
}

fn record(number: u64, len: usize) -> Record {
    let byte = u8::try_from(number % 251).unwrap() + 1;
    Record::new(saga(number), vec![byte; len]).unwrap()
}

/// A transaction: forced decision, end without.
fn decided(number: u64, len: usize) -> (Vec<Record>, Durability) {
    (vec![record(number, len)], Durability::Forced)
}

fn ended(number: u64) -> (Vec<Record>, Durability) {
    (vec![Record::end(saga(number))], Durability::Unforced)
}

/// Creates a log, and uses it once.
pub(super) fn create() -> Script {
    vec![Step::Open(0), Step::Append(vec![decided(1, 40)])]
}

/// Forced and unforced, several at once and several in one; closed, opened, closed.
pub(super) fn appends() -> Script {
    vec![
        Step::Open(5),
        Step::Append(vec![decided(1, 40)]),
        Step::Append(vec![decided(2, 700), ended(1), decided(3, 10), ended(2)]),
        Step::Append(vec![(
            vec![
                record(4, 30),
                record(5, 600),
                Record::end(saga(3)),
                record(3, 1),
            ],
            Durability::Forced,
        )]),
        Step::Append(vec![ended(5)]),
        Step::Settle,
        Step::Append(vec![(Vec::new(), Durability::Forced)]),
        Step::Append(vec![ended(4)]),
        Step::Close,
        Step::Open(0),
        Step::Append(vec![decided(6, 40)]),
        Step::Close,
    ]
}

/// More than a segment takes, so that it is followed by others.
pub(super) fn rolls() -> Script {
    let mut script = vec![Step::Open(0), Step::Append(vec![decided(1000, 100)])];
    for number in 0..8 {
        let three = number * 3;
        script.push(Step::Append(vec![
            decided(three, 300),
            decided(three + 1, 200),
            decided(three + 2, 250),
        ]));
        script.push(Step::Append(vec![
            ended(three),
            ended(three + 1),
            ended(three + 2),
        ]));
    }
    script.push(Step::Open(0));
    script.push(Step::Append(vec![decided(1001, 10)]));
    script
}

/// More lives than a segment takes, so that they grow; and shrink again.
pub(super) fn grows() -> Script {
    let mut script = vec![Step::Open(0)];
    for number in 0..4 {
        script.push(Step::Append(vec![decided(number, 1800)]));
    }
    script.push(Step::Append(vec![decided(9, 9000), ended(1)]));
    script.push(Step::Open(0));
    script.push(Step::Append((0..10).map(ended).collect()));
    script.push(Step::Append(vec![decided(10, 1500), decided(11, 1500)]));
    script.push(Step::Close);
    script.push(Step::Open(0));
    script.push(Step::Append(vec![decided(12, 1500), decided(13, 1500)]));
    script
}

pub(super) fn all() -> Vec<(&'static str, Script)> {
    vec![
        ("create", create()),
        ("appends", appends()),
        ("rolls", rolls()),
        ("grows", grows()),
    ]
}

/// A script of this seed.
pub(super) fn random(dice: &mut Dice) -> Script {
    let mut script = vec![Step::Open(0)];
    let mut number = 0;
    for _ in 0..=dice.below(24) {
        match dice.below(16) {
            0 => script.push(Step::Open(dice.below(40))),
            1 => script.extend([Step::Close, Step::Open(0)]),
            2 => script.push(Step::Settle),
            _ => {
                let appends = (0..=dice.below(5)).map(|_| random_append(dice, &mut number));
                script.push(Step::Append(appends.collect()));
            }
        }
    }
    if dice.below(3) == 0 {
        script.push(Step::Close);
    }
    script
}

fn random_append(dice: &mut Dice, number: &mut u64) -> (Vec<Record>, Durability) {
    let records = (0..dice.below(3)).map(|_| {
        if dice.below(5) < 2 {
            return Record::end(saga(dice.below(*number + 1)));
        }
        *number += 1;
        // Now and then more of one subject; now and then one that makes segments grow.
        let subject = if dice.below(8) == 0 {
            dice.below(*number)
        } else {
            *number
        };
        let bound = if dice.below(12) == 0 { 5000 } else { 500 };
        record(subject, usize::try_from(dice.below(bound)).unwrap())
    });
    let records = records.collect();
    if dice.below(3) == 0 {
        (records, Durability::Unforced)
    } else {
        (records, Durability::Forced)
    }
}

/// Does all of it, or as much as goes before the disk is gone.
pub(super) fn play(world: &mut World, script: &[Step]) -> Result<(), String> {
    for step in script {
        if world.disk.is_crashed() {
            return Ok(());
        }
        match step {
            Step::Open(hint) => drop(world.open(*hint)?),
            Step::Append(appends) => drop(world.append(appends.clone())),
            Step::Close => drop(world.close()),
            Step::Settle => while world.writer.step() {},
        }
    }
    Ok(())
}
