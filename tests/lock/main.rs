//! The laws of locks.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assertion is how a test speaks"
)]

mod complete;
#[cfg(feature = "conformance")]
mod conformance;
mod dropped;
#[cfg(feature = "conformance")]
mod faulty;
mod fence;
mod handle;
#[cfg(feature = "conformance")]
#[path = "../law/mod.rs"]
mod law;
mod lease;
mod loss;
mod mended;
mod model;
mod names;
mod odd;
mod queue;
mod scripted;
mod telling;
mod together;
#[path = "../told/mod.rs"]
mod told;
mod waiting;
