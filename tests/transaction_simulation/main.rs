//! Seeded simulations of transactions: the coordinators and `FileLog` as they are, over a disk that
//! loses, tears, garbles and fails, and a network that loses, delays and repeats; processes that
//! crash; people who step in; on paused time.
//!
//! `two_phase` plays two-phase commit, `saga` plays sagas. A schedule is what one seed says: up to
//! four lives of a process, with a few clients each. Then nothing fails any more: all has to come to
//! an end, and a `judge` looks at what is there. A `flaw` is what may be wrong with what they rely
//! on, each of which schedules show; `enumerated` leaves nothing to chance, and fails at every call
//! of the disk in turn.
//!
//! `TRIPOD_SEED=7 cargo test --release --test transaction_simulation -- --nocapture saga::replay`
//! tells the story of a seed; `TRIPOD_SCHEDULES` and `TRIPOD_SEED_FIRST` say how many others to run,
//! and from which one on. A soak is
//! `TRIPOD_SCHEDULES=10000000 cargo test --release --test transaction_simulation -- --nocapture saga::schedules`,
//! or `two_phase::schedules`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    unreachable_pub,
    reason = "a failed assertion is how a test speaks, and what it does not match is let through"
)]

mod chronicle;
mod counts;
#[allow(dead_code, reason = "the tests of the log use the rest of it")]
#[path = "../transaction/log/disk/mod.rs"]
mod disk;
mod enumerated;
mod machine;
mod network;
mod process;
#[path = "../simulation/random.rs"]
mod random;
mod saga;
#[path = "../seeds/mod.rs"]
mod seeds;
mod stage;
mod two_phase;
