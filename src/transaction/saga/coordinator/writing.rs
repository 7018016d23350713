//! What is told of a saga to its log.

use std::sync::Arc;

use tokio::time::sleep;

use super::batch::{Appended, Batch};
use super::case::Case;
use super::codec::{Finished, encode_facts, encode_finished};
use super::engine::Engine;
use crate::transaction::log::{AppendError, Durability, RESERVATION_MAX, Record, RecordError};
use crate::transaction::saga::blueprint::Blueprint;
use crate::transaction::saga::fact::{End, Fact, Reason};
use crate::transaction::saga::retry::Retry;
use crate::transaction::saga::state::StepState;

/// Tries after these are written down only now and then, so that one that is tried for ever does
/// not fill the log.
const ATTEMPTS_TOLD: u32 = 16;

/// So many bytes of outputs are kept of a saga that is over: they have to fit into one record.
const OUTPUTS_KEPT: usize = 512 * 1024;

/// What is remembered of a saga that is over takes no more bytes than this, names and outputs left
/// aside, but for the name of one step.
const FINISHED_LEN: usize = 256;

/// A few facts without outputs take no more bytes than this.
const FACTS_LEN: usize = 64;

/// An output of so many bytes is long.
const LONG: usize = 1024;

/// So many facts with short outputs go into one record: less than a record may have.
const FACTS_AT_ONCE: usize = 256;

/// So many records go into one append: less than an append may have, whatever their length.
const RECORDS_AT_ONCE: usize = 3;

/// The longest pause before the log is asked again whether it has room.
const ROOM: Retry = Retry::forever();

/// Whether it is written down.
pub(super) fn is_told(fact: &Fact) -> bool {
    match fact {
        Fact::Began { attempt, .. } | Fact::Undoing { attempt, .. } => {
            *attempt <= ATTEMPTS_TOLD || attempt.is_power_of_two()
        }
        Fact::Succeeded { .. }
        | Fact::Failed { .. }
        | Fact::Doubtful { .. }
        | Fact::Turned(_)
        | Fact::Compensated { .. }
        | Fact::Parked { .. }
        | Fact::Retried { .. }
        | Fact::Skipped { .. }
        | Fact::Ended(_) => true,
    }
}

/// Appends what is told, until there is room.
pub(super) async fn append(
    engine: Arc<Engine>,
    case: Arc<Case>,
    created: Option<Vec<u8>>,
    batch: Batch,
) -> Appended {
    let appended = write(&engine, &case, created, &batch).await;
    (batch, appended)
}

/// It is durable: whoever looks sees it, and whoever listens is told.
pub(super) fn tell(engine: &Engine, case: &Case, blueprint: &Blueprint, batch: &Batch) {
    if case.is_pressed() {
        case.press(false);
    }
    // Of what is over there is no history.
    if batch.finished.is_none() {
        case.remember(batch.at, &batch.facts);
    }
    engine.tell(case, blueprint, batch.at, &batch.facts);
    #[cfg(feature = "metrics")]
    measure(&batch.facts);
    for fact in &batch.facts {
        if let Fact::Parked { step, reason } = fact {
            let step = blueprint.shape.name(*step);
            tracing::warn!(saga = %case.key, %step, ?reason, "a step waits for an operator");
        }
    }
}

#[cfg(feature = "metrics")]
fn measure(facts: &[Fact]) {
    use crate::metrics;
    for fact in facts {
        if matches!(fact, Fact::Parked { .. }) {
            metrics::SAGA_PARKED.add(1);
        }
        match fact.end() {
            Some(End::Completed) => metrics::SAGA_COMPLETED.add(1),
            Some(End::Compensated(_)) => metrics::SAGA_COMPENSATED.add(1),
            Some(End::Abandoned) => metrics::SAGA_ABANDONED.add(1),
            None => {}
        }
    }
}

/// Appends a batch, a few records at a time.
async fn write(
    engine: &Engine,
    case: &Case,
    mut created: Option<Vec<u8>>,
    batch: &Batch,
) -> Result<(), AppendError> {
    if created.is_some() {
        set_aside(engine, case).await?;
    }
    let forced = batch.facts.iter().any(Fact::is_forced);
    let durability = if forced {
        Durability::Forced
    } else {
        Durability::Unforced
    };
    let mut rest = batch.facts.as_slice();
    let mut failures = 0;
    loop {
        let (starts, pressed) = (created.is_some(), case.is_pressed());
        let (records, left) = match &batch.finished {
            Some(finished) => (ending(engine, case, finished), [].as_slice()),
            None => records(case, created.take(), batch.at, rest),
        };
        match engine.append(case, records, pressed, durability).await {
            Err(AppendError::Full { .. }) if !starts && !pressed => case.press(true),
            // Nothing is lost, and nothing goes on, until there is room again.
            Err(AppendError::Full { .. }) if !starts && engine.serves() => {
                failures += 1;
                sleep(ROOM.pause(case.id, failures)).await;
            }
            Ok(()) => {
                if starts {
                    #[cfg(feature = "metrics")]
                    crate::metrics::SAGA_STARTED.add(1);
                    case.started();
                }
                if left.is_empty() {
                    return Ok(());
                }
                rest = left;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Sets aside what it takes to go back from anywhere and to end, outputs left aside: a full log
/// refuses new sagas, and those that are under way can be ended.
pub(super) async fn set_aside(engine: &Engine, case: &Case) -> Result<(), AppendError> {
    let Ok(subject) = case.key.subject() else {
        return Ok(());
    };
    let record = |len: usize| Record::space_for(&subject, len);
    let steps = case.look(|driven| driven.execution.steps().len());
    let steps = steps.unwrap_or_default();
    let ending = FINISHED_LEN + case.name.len() + steps;
    let back = u64::try_from(steps).unwrap_or(u64::MAX);
    let back = back.saturating_mul(record(FACTS_LEN).saturating_mul(3));
    let bytes = record(0).saturating_mul(2).saturating_add(record(ending));
    let bytes = bytes.saturating_add(back).min(RESERVATION_MAX);
    let space = engine.log.reserve(engine.epoch, bytes).await;
    let space = space.inspect_err(|error| engine.ail(error))?;
    case.set_space(Some(space));
    Ok(())
}

/// What ends it, and what is remembered of it.
pub(super) fn ending(
    engine: &Engine,
    case: &Case,
    finished: &Finished,
) -> Result<Vec<Record>, RecordError> {
    let subject = case.key.subject()?;
    if engine.options.retention.is_zero() {
        return Ok(vec![Record::end(subject)]);
    }
    let kept = Record::new(subject.clone(), encode_finished(finished))?;
    Ok(vec![Record::end(subject), kept])
}

/// What to append at a time, and what is left of it for the next.
fn records<'a>(
    case: &Case,
    mut created: Option<Vec<u8>>,
    at: u64,
    mut rest: &'a [Fact],
) -> (Result<Vec<Record>, RecordError>, &'a [Fact]) {
    let mut records = Vec::with_capacity(1);
    while records.len() < RECORDS_AT_ONCE && (created.is_some() || !rest.is_empty()) {
        // A long fact has a record of its own.
        let long = |fact: &Fact| fact.output().is_some_and(|it| it.len() > LONG);
        let short = rest.iter().take_while(|fact| !long(fact)).count();
        let least = usize::from(created.is_none());
        let count = short.max(least).min(FACTS_AT_ONCE);
        let (facts, more) = rest.split_at(count.min(rest.len()));
        let payload = encode_facts(created.take(), at, facts);
        let subject = case.key.subject();
        match subject.and_then(|subject| Record::new(subject, payload)) {
            Ok(record) => records.push(record),
            Err(error) => return (Err(error), rest),
        }
        rest = more;
    }
    (Ok(records), rest)
}

/// What is remembered of it: the outputs of its last steps, if it was completed.
pub(super) fn finish(case: &Case, blueprint: &Blueprint, end: End, at: u64) -> Finished {
    let last = blueprint.shape.numbered();
    let last = last.filter(|(_, node)| node.before.is_empty() && end == End::Completed);
    let seen = case.look(|driven| {
        let mut room = OUTPUTS_KEPT;
        let outputs = last.filter_map(|(step, node)| {
            let output = driven.execution.output(step)?;
            room = room.checked_sub(output.len() + node.name.len())?;
            Some((Arc::clone(&node.name), output.clone()))
        });
        let steps = driven.execution.steps().iter();
        (outputs.collect(), steps.map(StepState::progress).collect())
    });
    let (outputs, progress) = seen.unwrap_or_default();
    let step = match end {
        End::Compensated(Reason::Failed { step } | Reason::Doubtful { step }) => Some(step),
        End::Compensated(Reason::Cancelled | Reason::Deadline)
        | End::Completed
        | End::Abandoned => None,
    };
    Finished {
        id: case.id,
        name: Arc::clone(&case.name),
        version: case.version,
        digest: case.digest,
        created: case.created,
        ended: at,
        end,
        step: step.map(|step| blueprint.shape.name(step)),
        progress,
        outputs,
    }
}
