//! The disk fails at every call, once or for good.

use std::io::ErrorKind;

use super::crash::goes_on;
use super::disk::{Disk, Fault, Lie, Loss};
use super::model::Model;
use super::script::{self, Script, Step, play};
use super::world::World;

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

fn survives_every_fault(name: &str, script: &Script, lie: Option<Lie>) -> Result<u64, String> {
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

#[test]
fn a_failure_of_any_call_loses_nothing_that_was_promised() {
    for (name, script) in script::all() {
        let runs = survives_every_fault(name, &script, None).unwrap();
        println!("{name}: {runs} failures");
        assert!(runs > 100, "{name}: the failures do not happen");
    }
}

#[test]
fn a_log_that_tries_again_after_a_failed_sync_is_caught() {
    let lie = Some(Lie::TriesAgainAfterAFailedSync);
    let caught = survives_every_fault("appends", &script::appends(), lie);
    println!("{}", caught.unwrap_err());
}
