//! Messages: the law of transports, requests over them, effects that are one.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a failed assertion is how a test speaks; the servers have more uses than these"
)]

mod effects;
mod faulty;
mod law;
mod participant;
#[path = "../../law/mod.rs"]
mod quoted;
mod redis;
mod requests;
#[path = "../../server/mod.rs"]
mod server;
mod steps;
mod stores;

use tripod::transaction::message::{Message, QueueName};

fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

fn message(key: &str, payload: impl Into<Vec<u8>>) -> Message {
    Message::new(key, payload).unwrap()
}
