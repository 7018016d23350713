//! The disk fails at every call, once or for good.

use super::disk::Lie;
use super::script;
use super::sweep::survives_every_fault;

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
