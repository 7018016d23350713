//! Locks on real servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "a failed assertion is how a test speaks; the servers have other users"
)]

mod redis;
mod server;
