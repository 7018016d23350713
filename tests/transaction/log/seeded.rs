//! Each fault that can be put into the log is caught.
//!
//! This program has the library's sources as its own, built as the library's own tests are: so the
//! faults can be switched on. What catches them are the checks that the log passes without a fault,
//! in the tests of transactions:
//!
//! | What is done wrong | What catches it |
//! |---|---|
//! | no checksum | a segment that is written over, seed 10 |
//! | answers before the record is durable | crashes while a log is created |
//! | tries again after a failed sync | random schedule, seed 1295 |
//! | a segment has its name before it is durable | crashes while a log is created |
//! | names are not made durable | crashes while a log is created |
//! | the epoch is not raised: ids would be used twice | crashes while a log is created |
//! | carrying forward loses a live record | crashes while segments follow one another |
//! | records end by age | crashes while a log is created |
//! | ends are forgotten | crashes while records are appended |
//! | reading stops at the first bad frame, whatever follows | a segment that is written over, seed 10 |
//! | the seal is not compared | a segment that is written over, seed 1 |
//! | the seal is written before what it vouches for is durable | crashes while records are appended |
//! | a frame calls durable what is not | crashes while records are appended |
//! | a zombie's append is taken | an append that is queued behind an opening |
//! | the old segment is removed before the new one stands | crashes while a log is created |
//! | an opening reads a segment that is void | crashes while a log is created |
//!
//! A crash is at the first call of the script that shows it, which the test prints. What a
//! coordinator may do wrong (a missing vote is a yes, the end is written before all have
//! acknowledged, an inquiry aborts what is undecided, a commit record is dropped by age, a foreign
//! branch is aborted, what is not found is done, a late vote changes the decision, and twenty
//! more) is put into the state machine where that is checked in every state that it can reach:
//! `tests/transaction/two_phase/model/flaws`. That one broken transaction stops no other in
//! recovery is in `tests/transaction/two_phase/replay.rs`.
#![allow(
    dead_code,
    unused_imports,
    unfulfilled_lint_expectations,
    unreachable_pub,
    missing_debug_implementations,
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a failed assertion is how a test speaks; the sources are linted where they belong"
)]

extern crate self as tripod;

#[path = "../../../src/chance.rs"]
mod chance;
#[cfg(feature = "conformance")]
#[path = "../../../src/conformance/mod.rs"]
mod conformance;
#[path = "../../../src/future.rs"]
mod future;
#[cfg(feature = "metrics")]
#[path = "../../../src/metrics.rs"]
mod metrics;
#[cfg(feature = "postgres")]
#[path = "../../../src/postgres/mod.rs"]
mod postgres;
#[path = "../../../src/text.rs"]
mod text;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "redis"))]
#[path = "../../../src/tls.rs"]
mod tls;
#[path = "../../../src/transaction/mod.rs"]
mod transaction;

mod disk;
mod model;
mod schedule;
mod script;
mod sweep;
mod world;

mod fuzz {
    mod case;
    mod sample;
    mod spoil;

    pub(super) use case::{Met, case};
}

pub use future::BoxFuture;
use fuzz::{Met, case};
use schedule::{Seen, schedule};
use sweep::{refuses_the_superseded, survives_every_crash};
use transaction::log::{Seeded, with};

/// What catches a fault.
#[derive(Clone, Copy, Debug)]
enum Check {
    /// The power goes at each call of this script, and again while the log recovers.
    Crash(&'static str),
    /// A random schedule, from this seed.
    Random(u64),
    /// A segment is spoilt, with this seed.
    Fuzz(u64),
    /// Another epoch opens it.
    Superseded,
}

impl Check {
    fn run(self) -> Result<(), String> {
        match self {
            Self::Crash(name) => {
                let mut scripts = script::all().into_iter();
                let (_, script) = scripts.find(|(other, _)| *other == name).unwrap();
                survives_every_crash(name, &script, None).map(drop)
            }
            Self::Random(seed) => schedule(seed, &mut Seen::default()),
            Self::Fuzz(seed) => case(seed, &mut Met::default()),
            Self::Superseded => refuses_the_superseded(),
        }
    }
}

const CAUGHT: [(Seeded, Check); 16] = [
    (Seeded::ChecksNothing, Check::Fuzz(10)),
    (Seeded::AnswersBeforeItSyncs, Check::Crash("create")),
    (Seeded::SyncsAgainAfterAFailure, Check::Random(1295)),
    (Seeded::NamesBeforeItSyncs, Check::Crash("create")),
    (Seeded::SyncsNoNames, Check::Crash("create")),
    (Seeded::KeepsTheEpoch, Check::Crash("create")),
    (Seeded::CarriesAllButOne, Check::Crash("rolls")),
    (Seeded::DropsByAge, Check::Crash("create")),
    (Seeded::ForgetsEnds, Check::Crash("appends")),
    (Seeded::CutsWithoutALook, Check::Fuzz(10)),
    (Seeded::IgnoresTheSeal, Check::Fuzz(1)),
    (Seeded::SealsBeforeItSyncs, Check::Crash("appends")),
    (Seeded::CallsDurableWhatIsNot, Check::Crash("appends")),
    (Seeded::TakesAnyEpoch, Check::Superseded),
    (Seeded::LeavesBeforeItHasArrived, Check::Crash("create")),
    (Seeded::ReadsTheOldest, Check::Crash("create")),
];

#[test]
fn each_seeded_fault_is_caught_by_its_check() {
    for (fault, check) in CAUGHT {
        let caught = with(fault, || check.run());
        let what = caught.expect_err(&format!("{fault:?} is not caught by {check:?}"));
        println!("{fault:?}: {check:?}: {what:.200}");
    }
}

#[test]
fn no_check_of_a_seed_or_of_another_epoch_fails_without_a_fault() {
    for (fault, check) in CAUGHT {
        // The scripts are checked where the log's own laws are.
        if !matches!(check, Check::Crash(_)) {
            check
                .run()
                .unwrap_or_else(|what| panic!("{fault:?}, {check:?}: {what}"));
        }
    }
}
