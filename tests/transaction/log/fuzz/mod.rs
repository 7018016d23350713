//! Segments with arbitrary bytes: changed, cut, put together of two, with fields that lie and
//! checksums that vouch for them. Opening them never panics, takes no more memory than the file
//! is long, and never gives back less than was durable without saying so.
//!
//! The cases run in a process of their own, whose memory the system bounds.
//! `TRIPOD_SEED` says with which case to begin, `TRIPOD_CASES` how many there are, and
//! `TRIPOD_SECONDS` for how long to go on instead:
//!
//! ```text
//! TRIPOD_SECONDS=3600 cargo test --release --test transaction_core -- --nocapture log::fuzz
//! ```

mod case;
mod sample;
mod spoil;

use std::env;
use std::fs;
use std::hint::black_box;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::seeds::number;
use case::{Met, case};

/// Set in the process whose memory is bounded, to what it is to do.
const BOUNDED: &str = "TRIPOD_FUZZ";
/// So much more memory than it begins with, in bytes: the longest segment here, its copies on the
/// simulated disk, and what the allocator takes at a time.
const MEMORY: u64 = 1 << 20;

#[test]
fn no_segment_makes_an_opening_panic_or_allocate_or_lose_silently() {
    if env::var_os(BOUNDED).is_some() {
        return bounded();
    }
    let output = in_a_process_of_its_own("cases");
    let told = String::from_utf8_lossy(&output.stdout);
    let last = told.lines().rfind(|line| line.starts_with("seed "));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{last:?} {}: {error}\n{told}",
        output.status
    );
    println!(
        "{}",
        told.lines()
            .filter(|line| line.contains("opened"))
            .collect::<String>()
    );
}

/// What the bound is good for: a length that a file claims, and that is believed, ends the
/// process.
#[test]
fn an_allocation_beyond_the_bound_is_caught() {
    let output = in_a_process_of_its_own("greedy");
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("memory allocation of 2097152 bytes failed"),
        "{error}"
    );
}

fn in_a_process_of_its_own(task: &str) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "--test-threads=1"]);
    command.arg("log::fuzz::no_segment_makes_an_opening_panic_or_allocate_or_lose_silently");
    command.env(BOUNDED, task).output().unwrap()
}

fn bounded() {
    // The first case takes what is taken once: tables, buffers of output.
    let mut met = Met::default();
    case(0, &mut met).unwrap();
    bound_memory();
    if env::var(BOUNDED).is_ok_and(|task| task == "greedy") {
        drop(black_box(Vec::<u8>::with_capacity(1 << 21)));
        return;
    }
    let first = number("TRIPOD_SEED", 1);
    let cases = number("TRIPOD_CASES", 1500);
    let time = Duration::from_secs(number("TRIPOD_SECONDS", 0));
    let began = Instant::now();
    for seed in first.. {
        let enough = if time.is_zero() {
            seed - first >= cases
        } else {
            began.elapsed() >= time
        };
        if enough {
            break;
        }
        println!("seed {seed}");
        case(seed, &mut met).unwrap();
    }
    let least = met.tell();
    assert!(
        cases < 1000 || least > cases / 10,
        "too few come out either way"
    );
}

/// Bounds what this process may allocate from now on. Where the system does not say how much it
/// has, the cases run without a bound.
fn bound_memory() {
    let Ok(status) = fs::read_to_string("/proc/self/status") else {
        return;
    };
    let data = status
        .lines()
        .find_map(|line| line.strip_prefix("VmData:"))
        .unwrap();
    let kilobytes: u64 = data.trim().trim_end_matches(" kB").parse().unwrap();
    let maximum = getrlimit(Resource::Data).maximum;
    let current = Some(kilobytes * 1024 + MEMORY);
    setrlimit(Resource::Data, Rlimit { current, maximum }).unwrap();
}
