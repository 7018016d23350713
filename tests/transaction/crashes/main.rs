//! Transfers of money between `PostgreSQL` and `MariaDB`, while everything dies: a process that
//! coordinates them is killed at points around each call of its log and its participants, killed
//! again while it recovers, and stopped for longer than servers keep its branches; and both servers
//! are killed under it.
//!
//! Every transfer leaves its name in both databases. After each recovery they are compared with each
//! other, with the money on the accounts, and with what callers were told (`judge`); and what others
//! have prepared there stands. `TRIPOD_SEED` gives other faults. A run takes until there were enough
//! of them, or `TRIPOD_SECONDS`, however many there are then:
//!
//! ```text
//! TRIPOD_SECONDS=3600 cargo test --all-features --test transaction_crashes -- servers
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a failed assertion is how a test speaks; not every server is used in every way"
)]

mod bank;
mod coordinator;
mod judge;
mod player;
mod points;
#[path = "../../simulation/random.rs"]
mod random;
mod run;
#[path = "../../server/mod.rs"]
mod server;
mod transfer;
mod trials;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use libtest_mimic::{Arguments, Failed, Trial};
use parking_lot::Mutex;

use bank::Bank;
use trials::Length;
use watched::Flaw;

/// What this program is when it was started by itself.
#[derive(Debug, clap::Parser)]
enum Role {
    /// Transfers money.
    Coordinator(coordinator::Orders),
}

/// What a run uses and gives back: no bank in which something went wrong.
type Safe = Arc<Mutex<Option<Bank>>>;

fn main() {
    if std::env::args()
        .nth(1)
        .is_some_and(|it| it == "coordinator")
    {
        let Role::Coordinator(orders) = Role::parse();
        return runtime().block_on(coordinator::coordinate(orders));
    }
    let mut arguments = Arguments::from_args();
    // Each run has the machine for itself.
    arguments.test_threads = Some(1);
    let bank = Safe::default();
    let conclusion = libtest_mimic::run(&arguments, trials(&bank));
    // Its servers end with it.
    drop(bank.lock().take());
    conclusion.exit();
}

fn trials(bank: &Safe) -> Vec<Trial> {
    let length = Length {
        seed: number("TRIPOD_SEED").unwrap_or(1),
        time: number("TRIPOD_SECONDS").map(Duration::from_secs),
    };
    vec![
        trial(
            "a_coordinator_that_dies_anywhere_leaves_nothing_in_doubt",
            bank,
            move |bank| trials::coordinators_die(bank, length),
        ),
        trial(
            "servers_that_die_leave_nothing_in_doubt",
            bank,
            move |bank| trials::servers_die(bank, length),
        ),
        trial(
            "a_coordinator_that_was_stopped_goes_on_or_is_followed",
            bank,
            move |bank| trials::coordinators_stop(bank, length),
        ),
        trial("a_log_that_loses_records_is_caught", bank, |bank| {
            trials::is_caught(bank, Flaw::LosesRecords, "half a transfer")
        }),
        trial("a_scan_that_finds_nothing_is_caught", bank, |bank| {
            trials::is_caught(bank, Flaw::FindsNothing, "left in doubt")
        }),
        trial(
            "who_ends_what_others_prepared_is_caught",
            bank,
            trials::meddling_is_caught,
        ),
    ]
}

fn trial(
    name: &str,
    bank: &Safe,
    run: impl FnOnce(&mut Bank) -> Result<(), String> + Send + 'static,
) -> Trial {
    let safe = Arc::clone(bank);
    // What a broken rule leaves behind is nothing to go on with.
    let is_caught = name.ends_with("is_caught");
    Trial::test(name, move || {
        let bank = safe.lock().take();
        let mut bank = bank.unwrap_or_else(Bank::open);
        run(&mut bank).map_err(Failed::from)?;
        if !is_caught {
            *safe.lock() = Some(bank);
        }
        Ok(())
    })
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap())
}

/// Workers get in each other's way on two threads.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}
