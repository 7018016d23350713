//! The suite for participants, on the participants of this crate, and what it covers.

use std::sync::Arc;

use tripod::BoxFuture;
use tripod::transaction::participant::conformance::{Fixture, Report, run};
use tripod::transaction::participant::{Enlist, MemoryBranch, MemoryParticipant, ParticipantError};

use crate::law;

/// A map in memory, by value or behind a pointer.
struct InMemory<P> {
    map: MemoryParticipant<()>,
    point: fn(MemoryParticipant<()>) -> P,
}

impl<P: Enlist<Branch = MemoryBranch<()>>> Fixture for InMemory<P> {
    type Participant = P;

    fn start(&self) -> BoxFuture<'_, Result<P, ParticipantError>> {
        Box::pin(async {
            self.map.crash();
            Ok((self.point)(self.map.clone()))
        })
    }

    fn write<'a>(
        &'a self,
        branch: &'a mut MemoryBranch<()>,
        mark: u64,
    ) -> BoxFuture<'a, Result<(), ParticipantError>> {
        Box::pin(async move {
            let written = branch.set(&mark.to_string(), ()).await;
            written.map_err(ParticipantError::refused)
        })
    }

    fn holds(&self, mark: u64) -> BoxFuture<'_, Result<bool, ParticipantError>> {
        Box::pin(async move { Ok(self.map.get(&mark.to_string()).is_some()) })
    }
}

async fn in_memory<P>(point: fn(MemoryParticipant<()>) -> P) -> Report
where
    P: Enlist<Branch = MemoryBranch<()>>,
{
    let map = MemoryParticipant::with::<String>("map", []).unwrap();
    run(&InMemory { map, point }).await
}

#[tokio::test]
async fn a_map_in_memory_obeys_the_law() {
    // Each run has histories of its own.
    for _ in 0..20 {
        in_memory(|map| map).await.into_result().unwrap();
    }
}

#[tokio::test]
async fn pointers_obey_the_law() {
    type Shared = Arc<dyn Enlist<Branch = MemoryBranch<()>>>;
    type Boxed = Box<dyn Enlist<Branch = MemoryBranch<()>>>;
    in_memory::<Shared>(|map| Arc::new(map))
        .await
        .into_result()
        .unwrap();
    in_memory::<Boxed>(|map| Box::new(map))
        .await
        .into_result()
        .unwrap();
}

/// Sentences of the law that no test can try through the trait, and why.
const UNTESTED: [(&str, &str); 16] = [
    (
        "Takes part in transactions with branches of its own: the contract between a `Coordinator` \
         and a database, a queue, or whatever can keep a promise.",
        "a summary",
    ),
    (
        "An implementor obeys every sentence here and at the methods; the feature `conformance` \
         has a test for each.",
        "it is about the others",
    ),
    (
        "**Durable** is what outlives what `persistence` says.",
        "a definition",
    ),
    (
        "What an error lets the caller conclude stands at `ParticipantError`.",
        "errors need a store that fails",
    ),
    (
        "Anything that was not classified is *unknown*.",
        "errors need a store that fails",
    ),
    (
        "What its promises outlive.",
        "the fixture ends processes, and cannot tell whether the power went",
    ),
    (
        "If it does not, the coordinator forces a record of each of its branches before the branch \
         may work.",
        "it is about the coordinator",
    ),
    ("It may be prepared.", "errors need a store that fails"),
    (
        "It may have committed, or may yet.",
        "errors need a store that fails",
    ),
    (
        "It may have aborted, or may yet.",
        "errors need a store that fails",
    ),
    ("Nothing was learned.", "errors need a store that fails"),
    (
        "There may be a tombstone.",
        "errors need a store that fails",
    ),
    (
        "Some rows may be gone, and some may not.",
        "errors need a store that fails",
    ),
    (
        "The watermark stands in either case, or does not.",
        "errors need a store that fails",
    ),
    (
        "A participant whose branches do work for the caller.",
        "a summary",
    ),
    (
        "The branch may work; it is aborted.",
        "errors need a store that fails",
    ),
];

#[tokio::test]
async fn every_sentence_of_the_law_has_a_case() {
    let source = include_str!("../../../src/transaction/participant/mod.rs");
    let law = law::sentences(
        source,
        "/// Takes part in",
        "/// A coordinator's log was opened:",
    );
    law::is_covered(&law, &in_memory(|map| map).await, &UNTESTED);
}
