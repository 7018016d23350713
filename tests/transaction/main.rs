//! The laws of transactions.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assertion is how a test speaks"
)]

mod coordinator;
#[cfg(feature = "conformance")]
#[path = "../law/mod.rs"]
mod law;
mod participant;
mod saga;
mod tcc;
