//! Against real servers.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "a failed assertion is how a test speaks; the servers have uses to come"
)]

#[cfg(all(feature = "etcd", feature = "conformance"))]
mod etcd;
#[cfg(all(
    feature = "conformance",
    feature = "etcd",
    feature = "postgres",
    feature = "redis",
    feature = "zookeeper"
))]
mod examples;
mod fence_sql;
#[cfg(all(feature = "postgres", feature = "conformance"))]
mod postgres;
#[cfg(all(feature = "redis", feature = "conformance"))]
mod redis;
mod scenario;
#[path = "../server/mod.rs"]
mod server;
#[path = "../told/mod.rs"]
mod told;
#[cfg(all(feature = "zookeeper", feature = "conformance"))]
mod zookeeper;
