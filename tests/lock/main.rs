//! The laws of locks.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assertion is how a test speaks"
)]

mod fence;
mod lease;
mod names;
mod queue;
