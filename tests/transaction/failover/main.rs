//! The example `failover` while its members are killed and paused at random: nothing may be lost,
//! nothing done twice, no money made, and nothing left undecided. Every other member works on when
//! its lease is over, until a log refuses it.
//!
//! This program starts itself again as the members, which are the example's own. `TRIPOD_SEED` gives
//! other faults, `TRIPOD_SECONDS` a longer run:
//!
//! ```text
//! TRIPOD_SECONDS=180 cargo test --all-features --test transaction_failover
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a failed assertion is how a test speaks; not every server is used in every way"
)]

#[path = "../../../examples/failover/books.rs"]
mod books;
mod judge;
#[path = "../../../examples/failover/member.rs"]
mod member;
#[path = "../../simulation/random.rs"]
mod random;
#[path = "../../../examples/failover/rest.rs"]
mod rest;
mod run;
#[path = "../../server/mod.rs"]
mod server;
mod team;
mod teller;
#[path = "../../../examples/failover/transfer.rs"]
mod transfer;
#[path = "../../../examples/failover/trip.rs"]
mod trip;

use std::error::Error;
use std::time::Duration;

use clap::Parser;
use libtest_mimic::{Arguments, Failed, Trial};

use run::{Faults, Run, Wrong};

type Failure = Box<dyn Error + Send + Sync>;

/// What this program is when it was started by itself.
#[derive(clap::Parser)]
enum Role {
    Member(member::Options),
}

fn main() {
    if std::env::args().nth(1).is_some_and(|it| it == "member") {
        let Role::Member(options) = Role::parse();
        teller::listen();
        runtime().block_on(member::run(options)).unwrap();
        return;
    }
    let mut arguments = Arguments::from_args();
    // Each run has the machine for itself.
    arguments.test_threads = Some(1);
    let trials = vec![
        trial(
            "members_that_die_or_are_paused_lose_nothing_and_do_nothing_twice",
            lose_nothing,
        ),
        trial("logs_that_take_any_epoch_are_caught", are_caught),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

async fn lose_nothing() -> Result<(), Failure> {
    let time = Duration::from_secs(number("TRIPOD_SECONDS").unwrap_or(45));
    let mut run = Run::start(seed(), false).await?;
    run.last(time, Faults::KillsAndPauses).await?;
    // Where chance has hit nobody at the wrong moment, it has up to twice as long again for that.
    for _ in 0..6 {
        if run.is_worth_it() {
            break;
        }
        run.last(time / 3, Faults::KillsAndPauses).await?;
    }
    let wrong = run.judge(Duration::from_secs(60)).await?;
    run.tell();
    if let Some(wrong) = wrong {
        return Err(wrong.to_string().into());
    }
    if !run.is_worth_it() {
        return Err("nobody was paused past a lease and then refused by a log".into());
    }
    Ok(())
}

async fn are_caught() -> Result<(), Failure> {
    let mut run = Run::start(seed(), true).await?;
    for _ in 0..8 {
        run.last(Duration::from_secs(12), Faults::LongPauses)
            .await?;
        let wrong = match run.judge(Duration::from_secs(30)).await? {
            None => continue,
            Some(Wrong::Hangs(left)) => {
                let stuck = run.stuck(&left).await?;
                if stuck.is_empty() {
                    // The machine was busy with something else: that proves nothing.
                    continue;
                }
                Wrong::Hangs(stuck)
            }
            Some(Wrong::Books(wrong)) => Wrong::Books(wrong),
        };
        println!("caught: {wrong}");
        return Ok(());
    }
    run.tell();
    Err("zombies decide, and nobody notices".into())
}

fn trial<F: Future<Output = Result<(), Failure>>>(
    name: &str,
    run: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    Trial::test(name, move || {
        runtime().block_on(run()).map_err(Failed::from)
    })
}

fn seed() -> u64 {
    number("TRIPOD_SEED").unwrap_or(1)
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}
