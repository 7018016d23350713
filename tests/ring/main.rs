//! The laws of the ring, each held against an oracle that was built differently.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that stops at once, where it is wrong, is what is wanted"
)]

mod oracle;
mod placements;

mod allocated;
mod balance;
mod bounded;
mod chains;
mod diff;
mod golden;
mod handles;
mod hostile;
#[cfg(feature = "interop")]
mod interop;
mod laws;
mod lookup;
mod replicas;
#[cfg(feature = "serde")]
mod serial;
mod shared;
mod snapshot;
mod ties;
