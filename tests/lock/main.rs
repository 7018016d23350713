//! The laws of locks.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assertion is how a test speaks"
)]

mod dropped;
mod fence;
mod handle;
mod lease;
mod loss;
mod names;
mod queue;
mod scripted;
mod together;
mod waiting;
