//! What every log must go through: the power goes, or the disk fails, at every call of a script in
//! turn; and somebody else opens it.

use std::io::ErrorKind;
use std::task::{Context, Waker};

use tripod::transaction::log::{AppendError, Durability, Record, TransactionLog};

use super::disk::{Disk, Fault, Lie, Loss};
use super::model::Model;
use super::script::{self, Script, Step, play};
use super::world::{World, drive};

/// How many calls the script makes of the disk.
pub(super) fn calls(script: &Script, lie: Option<Lie>) -> Result<u64, String> {
    let mut world = World::new(Disk::new(1).lying(lie), Model::default());
    play(&mut world, script)?;
    Ok(world.disk.calls())
}

/// The log opens, holds what it must, and goes on.
pub(super) fn goes_on(mut world: World) -> Result<(), String> {
    for round in 0..2 {
        world
            .open(0)?
            .map_err(|error| format!("does not open: {error:?}"))?;
        let next = script::create().into_iter().skip(1);
        let answers: Vec<_> = next.collect();
        play(&mut world, &answers)?;
        if round == 0 {
            world = world.restart(Loss::Everything);
        }
    }
    let closed = world.close();
    if !matches!(closed, Some(Ok(()))) {
        return Err(format!("does not close: {closed:?}"));
    }
    let mut world = world.restart(Loss::Everything);
    world
        .open(0)?
        .map_err(|error| format!("does not open: {error:?}"))?;
    Ok(())
}

/// Crashes at every call of recovery, and recovers.
fn recovers_from_every_crash(disk: &Disk, model: &Model, lie: Option<Lie>) -> Result<u64, String> {
    let mut runs = 0;
    for call in 0.. {
        let mut world = World::fork(disk, model);
        world.disk.fail_at(call, Fault::Crash);
        let opened = world.open(0)?;
        if !world.disk.is_crashed() {
            opened.map_err(|error| format!("does not open: {error:?}"))?;
            world.disk.heal();
            break;
        }
        let loss = [Loss::Nothing, Loss::Everything][usize::from(call.is_multiple_of(2))];
        for loss in [loss, Loss::Some(call)] {
            let again = World::new(world.disk.fork().lying(lie), world.model.clone());
            goes_on(again.restart(loss))
                .map_err(|what| format!("recovery crashed at call {call} with {loss:?}: {what}"))?;
            runs += 1;
        }
    }
    goes_on(World::fork(disk, model))?;
    Ok(runs + 1)
}

/// Crashes at every call of a script, and at every call of each recovery. Answers how often.
pub(super) fn survives_every_crash(
    name: &str,
    script: &Script,
    lie: Option<Lie>,
) -> Result<u64, String> {
    let mut runs = 0;
    for call in 0..calls(script, lie)? {
        for loss in [Loss::Nothing, Loss::Everything, Loss::Some(call)] {
            let mut world = World::new(Disk::new(call).lying(lie), Model::default());
            world.disk.fail_at(call, Fault::Crash);
            let told = play(&mut world, script).and_then(|()| {
                let world = world.restart(loss);
                recovers_from_every_crash(&world.disk, &world.model, lie)
            });
            runs += told.map_err(|what| format!("{name}, call {call}, {loss:?}: {what}"))?;
        }
    }
    Ok(runs)
}

const FAULTS: [Fault; 4] = [
    Fault::Once(ErrorKind::Other),
    Fault::From(ErrorKind::Other),
    Fault::Once(ErrorKind::StorageFull),
    Fault::From(ErrorKind::StorageFull),
];

/// After the script the log is opened again while the machine still runs, and used.
fn with_another_opening(script: &Script) -> Script {
    let mut script = script.clone();
    script.push(Step::Open(0));
    script.extend(script::create().into_iter().skip(1));
    script
}

/// Every call of a script fails in turn, once or for good. Answers how often.
pub(super) fn survives_every_fault(
    name: &str,
    script: &Script,
    lie: Option<Lie>,
) -> Result<u64, String> {
    let script = with_another_opening(script);
    let mut runs = 0;
    for fault in FAULTS {
        for call in 0.. {
            let mut met = 0;
            for loss in [Loss::Nothing, Loss::Everything, Loss::Some(7)] {
                let mut world = World::new(Disk::new(call).lying(lie), Model::default());
                world.disk.fail_at(call, fault);
                let told = play(&mut world, &script).and_then(|()| {
                    met = world.disk.faults_met();
                    world.disk.heal();
                    goes_on(world.restart(loss))
                });
                told.map_err(|what| format!("{name}, {fault:?}, call {call}, {loss:?}: {what}"))?;
                runs += 1;
            }
            if met == 0 {
                break;
            }
        }
    }
    Ok(runs)
}

/// An append that is queued behind the next opening comes too late.
pub(super) fn refuses_the_superseded() -> Result<(), String> {
    let mut world = World::new(Disk::new(1), Model::default());
    let epoch = world.open(0)?.map_err(|error| error.to_string())?.epoch();
    let mut context = Context::from_waker(Waker::noop());
    let mut opening = world.log.open(0);
    assert!(opening.as_mut().poll(&mut context).is_pending());
    let records = vec![Record::new(script::saga(2), "late").unwrap()];
    let mut late = world.log.append(epoch, records, Durability::Forced, None);
    assert!(late.as_mut().poll(&mut context).is_pending());
    while world.writer.step() {}
    let opened = drive(&mut world.writer, opening).map_err(|error| error.to_string())?;
    match drive(&mut world.writer, late) {
        Err(AppendError::Superseded { .. }) if opened.epoch() > epoch => Ok(()),
        other => Err(format!(
            "epoch {epoch} appends after {}: {other:?}",
            opened.epoch()
        )),
    }
}
