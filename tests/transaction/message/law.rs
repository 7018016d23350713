//! The suite for transports, on the transports of this crate, and what it covers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tripod::BoxFuture;
use tripod::transaction::message::transport::conformance::{Fixture, Report, run};
use tripod::transaction::message::{
    MemoryTransport, RedisTransport, Terms, Transport, TransportError,
};

use crate::quoted;
use crate::server::redis::RedisServer;

type Started = Result<Arc<dyn Transport>, TransportError>;

#[derive(Default)]
struct InMemory(Mutex<HashMap<String, MemoryTransport>>);

impl Fixture for InMemory {
    fn start<'a>(&'a self, name: &'a str, terms: Terms) -> BoxFuture<'a, Started> {
        Box::pin(async move {
            let mut stores = self.0.lock().unwrap();
            let make = || MemoryTransport::with_terms(terms);
            let store = stores.entry(name.into()).or_insert_with(make);
            Ok(Arc::new(store.clone()) as Arc<dyn Transport>)
        })
    }
}

struct OnRedis(RedisServer);

impl Fixture for OnRedis {
    fn start<'a>(&'a self, _: &'a str, terms: Terms) -> BoxFuture<'a, Started> {
        Box::pin(async move {
            let redis = RedisTransport::connect(self.0.url()).terms(terms).await?;
            Ok(Arc::new(redis) as Arc<dyn Transport>)
        })
    }
}

async fn in_memory() -> Report {
    run(&InMemory::default()).await
}

#[tokio::test]
async fn queues_in_memory_obey_the_law() {
    in_memory().await.into_result().unwrap();
}

#[tokio::test]
async fn queues_on_redis_obey_the_law() {
    let server = OnRedis(RedisServer::start(&[]).await);
    run(&server).await.into_result().unwrap();
}

/// Sentences of the law that no test can try through the trait, and why.
const UNTESTED: [(&str, &str); 12] = [
    (
        "Carries messages from those who send to those who receive: the contract between this \
         module and a broker.",
        "a summary",
    ),
    (
        "An implementor obeys every sentence here and at the methods; the feature `conformance` \
         has a test for each.",
        "it is about the others",
    ),
    ("No order is promised.", "it promises nothing"),
    ("What it keeps to.", "a summary"),
    (
        "What an error lets the caller conclude stands at `TransportError`.",
        "errors need a store that fails",
    ),
    (
        "Anything that was not classified is *unknown*.",
        "errors need a store that fails",
    ),
    (
        "What was taken is delivered again after the lease.",
        "errors need a store that fails",
    ),
    (
        "The message is delivered again by then, or after the lease.",
        "errors need a store that fails",
    ),
    (
        "Some may be gone, and some may not.",
        "errors need a store that fails",
    ),
    ("Nothing was learned.", "errors need a store that fails"),
    (
        "It is where it was, or back.",
        "errors need a store that fails",
    ),
    ("It may be gone.", "errors need a store that fails"),
];

#[tokio::test]
async fn every_sentence_of_the_law_has_a_case() {
    let source = include_str!("../../../src/transaction/message/transport/mod.rs");
    let law = quoted::sentences(source, "/// Carries messages", "macro_rules! forward");
    quoted::is_covered(&law, &in_memory().await, &UNTESTED);
}
