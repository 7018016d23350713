//! Power cuts under a `FileLog`: an ext4 file system of its own, in a file of the temporary
//! directory, which is shut down without flushing anything (`FS_IOC_SHUTDOWN`) while a process
//! appends to a log on it; mounted again, so that its journal is replayed; and looked at.
//!
//! It takes root, and a machine that permits loop mounts. Where that is not so, the tests count
//! as ignored, and say why. `TRIPOD_CYCLES` is how often the power is cut, `TRIPOD_SEED` gives
//! other moments:
//!
//! ```text
//! TRIPOD_CYCLES=5000 cargo test --test log_power_cuts
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a failed assertion is how a test speaks"
)]

mod child;
mod known;
mod run;
mod syncs;
mod volume;

use std::env;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};

use run::{Report, cut};
use syncs::Syncs;
use volume::Volume;

/// Set once this process has a mount namespace of its own.
const ALONE: &str = "TRIPOD_POWER_ALONE";

fn main() {
    let arguments: Vec<_> = env::args().collect();
    if let [_, role, directory, syncs] = arguments.as_slice()
        && role == child::ROLE
    {
        return child::work(Path::new(directory), Syncs::named(syncs));
    }
    be_alone();
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let refused = Volume::new().err();
    if let Some(why) = &refused {
        println!("power cuts are NOT tried, this machine does not permit them: {why}");
    }
    let trials = trials().into_iter();
    let trials = trials.map(|trial| trial.with_ignored_flag(refused.is_some()));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

/// Goes on in a mount namespace of its own, where that is permitted: however this process ends,
/// what it has mounted goes with it.
fn be_alone() {
    if env::var_os(ALONE).is_some() {
        return;
    }
    let unshare = || {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--"]);
        unshare
    };
    if unshare()
        .arg("true")
        .output()
        .is_ok_and(|tried| tried.status.success())
    {
        let program = env::current_exe().unwrap();
        let again = unshare()
            .arg(program)
            .args(env::args_os().skip(1))
            .env(ALONE, "1")
            .exec();
        panic!("unshare does not start again: {again}");
    }
}

fn trials() -> Vec<Trial> {
    vec![
        Trial::test("no_power_cut_loses_what_was_acknowledged", holds),
        Trial::test("without_fdatasync_a_power_cut_loses_it", is_caught),
    ]
}

fn holds() -> Result<(), Failed> {
    let cycles = number("TRIPOD_CYCLES", 200);
    let mut report = Report::default();
    let judged = cut(Syncs::All, cycles, number("TRIPOD_SEED", 1), &mut report);
    println!("{report}");
    judged?;
    if cycles >= 100 && !report.is_enough() {
        return Err(format!("too little happened to prove anything: {report}").into());
    }
    Ok(())
}

fn is_caught() -> Result<(), Failed> {
    let mut report = Report::default();
    let lost = cut(Syncs::NoAppends, 20, number("TRIPOD_SEED", 1), &mut report);
    println!("{report}");
    match lost {
        Err(what) if what.contains(known::LOST) => {
            println!("caught: {what}");
            Ok(())
        }
        Err(what) => Err(format!("nothing was lost, but {what}").into()),
        Ok(()) => Err("nothing was synced, and nothing was lost".into()),
    }
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().unwrap())
}
