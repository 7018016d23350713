//! Against real servers.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "a failed assertion is how a test speaks; the servers have more uses than these"
)]

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(all(feature = "postgres", feature = "conformance"))]
mod postgres;
#[path = "../server/mod.rs"]
mod server;
