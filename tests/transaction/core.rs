//! What stands on nothing else: the state machines of two-phase commit and of sagas, in every state
//! that they reach, and the log, after a crash at every call.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assertion is how a test speaks"
)]

#[cfg(feature = "conformance")]
#[path = "../law/mod.rs"]
mod law;
mod log;
#[path = "saga/model/mod.rs"]
mod saga;
#[allow(unreachable_pub, reason = "other programs have it too")]
#[path = "../seeds/mod.rs"]
mod seeds;
mod two_phase;
