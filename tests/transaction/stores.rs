//! Against real servers.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "a failed assertion is how a test speaks; the servers have more uses than these"
)]

#[cfg(all(feature = "conformance", feature = "mysql", feature = "postgres"))]
mod examples;
#[cfg(all(feature = "conformance", feature = "postgres"))]
#[path = "log/postgres/mod.rs"]
mod log;
#[cfg(all(feature = "conformance", feature = "mysql"))]
mod mysql;
#[cfg(all(feature = "postgres", feature = "conformance"))]
mod postgres;
#[path = "../server/mod.rs"]
mod server;
#[cfg(all(feature = "conformance", feature = "mysql", feature = "postgres"))]
#[path = "tcc/stores/mod.rs"]
mod tcc;
#[cfg(all(feature = "conformance", any(feature = "mysql", feature = "postgres")))]
#[path = "../told/mod.rs"]
mod told;
