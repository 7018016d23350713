//! The suite for stores, on the stores of this crate, and what it covers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tripod::BoxFuture;
use tripod::lock::conformance::{CaseReport, Fixture, Report, run};
use tripod::lock::{
    BackendError, BackendErrorKind, Claimed, Enqueued, Entry, FencingToken, Inspection,
    LockBackend, LockName, MemoryBackend, Renewed, Request, Verb,
};

use crate::law;

/// All clients are one value: the store has no sessions.
struct Shared {
    client: Arc<dyn LockBackend>,
    ttl: Duration,
}

impl Shared {
    fn new(client: impl LockBackend) -> Self {
        Self {
            client: Arc::new(client),
            ttl: Duration::from_secs(1),
        }
    }
}

impl Fixture for Shared {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn LockBackend>, BackendError>> {
        Box::pin(async { Ok(Arc::clone(&self.client)) })
    }

    fn ttl_min(&self) -> Duration {
        self.ttl
    }

    fn slack(&self) -> Duration {
        Duration::ZERO
    }

    fn sever<'a>(&'a self, _client: &'a Arc<dyn LockBackend>) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

async fn in_memory() -> Report {
    run(&Shared::new(MemoryBackend::new())).await
}

#[tokio::test(start_paused = true)]
async fn locks_in_memory_obey_the_law() {
    in_memory().await.into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn locks_in_memory_obey_the_law_with_the_shortest_ttl() {
    let mut fixture = Shared::new(MemoryBackend::new());
    fixture.ttl = tripod::lock::TTL_MIN;
    run(&fixture).await.into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn locks_in_memory_obey_the_law_behind_pointers() {
    let boxed: Box<dyn LockBackend> = Box::new(MemoryBackend::new());
    let fixture = Shared::new(Arc::new(boxed));
    run(&fixture).await.into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_suite_may_run_again_on_the_same_store() {
    let fixture = Shared::new(MemoryBackend::new());
    run(&fixture).await.into_result().unwrap();
    run(&fixture).await.into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_suite_leaves_nothing_in_the_store() {
    let store = Arc::new(MemoryBackend::new());
    let fixture = Shared::new(Arc::clone(&store));
    run(&fixture).await.into_result().unwrap();
    assert_eq!(store.names(), 0);
}

/// Sentences of the law that no test can try through the trait, and why.
const UNTESTED: [(&str, &str); 21] = [
    (
        "A store of locks: the contract between the handle (`Locks`) and the world.",
        "a summary",
    ),
    (
        "An implementor obeys every sentence here and at the methods; the feature `conformance` \
         has a test for each.",
        "it is about the others",
    ),
    (
        "What an error lets the caller conclude stands at `BackendErrorKind`.",
        "errors need a store that fails",
    ),
    (
        "A holder or a waiter is an entry of a name.",
        "a definition",
    ),
    (
        "Its `HolderId` is made for one acquisition, asks in one mode, and is never used again \
         once it was released or has left.",
        "the caller's duty",
    ),
    (
        "What concerns an entry is asked of the client that entered it; `inspect` and \
         `force_release` are asked of any.",
        "the caller's duty",
    ),
    (
        "What a client sends again of its own accord, it sends before it answers.",
        "the suite sees no messages",
    ),
    (
        "Its space is given back as the store is used.",
        "every look at a name touches it",
    ),
    (
        "Of what else a repeat asks for, nothing is looked at.",
        "a freedom of the store",
    ),
    (
        "*Indeterminate*: there may be an entry, or there may yet be; `leave` removes it.",
        "errors need a store that fails",
    ),
    (
        "Any kind: nothing is known of the entry.",
        "errors need a store that fails",
    ),
    ("Callers look again.", "the caller's duty"),
    (
        "*Indeterminate*: it may hold.",
        "errors need a store that fails",
    ),
    ("Claim again.", "the caller's duty"),
    (
        "*Indeterminate*, for an entry: it may have been renewed.",
        "errors need a store that fails",
    ),
    (
        "Trust the lease that was proved before.",
        "the caller's duty",
    ),
    (
        "*Indeterminate*: it may hold until its lease is over.",
        "errors need a store that fails",
    ),
    (
        "*Indeterminate*: there may be an entry until its lease is over.",
        "errors need a store that fails",
    ),
    (
        "Any kind: nothing was learned.",
        "errors need a store that fails",
    ),
    (
        "*Indeterminate*: it may have ended.",
        "errors need a store that fails",
    ),
    ("Look again by `inspect`.", "the caller's duty"),
];

#[tokio::test(start_paused = true)]
async fn every_sentence_of_the_law_has_a_case() {
    let source = include_str!("../../src/lock/backend/mod.rs");
    let law = law::sentences(source, "/// A store of locks", "macro_rules! forward");
    law::is_covered(&law, &in_memory().await, &UNTESTED);
}

#[tokio::test(start_paused = true)]
async fn every_case_has_a_name_of_its_own() {
    let report = in_memory().await;
    let names: BTreeSet<_> = report.cases().map(CaseReport::name).collect();
    assert_eq!(names.len(), report.cases().count());
    assert_eq!(report.passed().count(), names.len());
    assert_eq!(
        report.to_string(),
        format!("{0} of {0} cases passed", names.len())
    );
}

/// A store that answers nothing but errors, or nothing at all.
#[derive(Debug)]
struct Down {
    hangs: bool,
}

impl Down {
    fn fail<T>(&self, verb: Verb) -> BoxFuture<'_, Result<T, BackendError>> {
        Box::pin(async move {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            Err(BackendError::new(BackendErrorKind::Unavailable, verb).with_source("no route"))
        })
    }
}

impl LockBackend for Down {
    fn enqueue<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        self.fail(Verb::Enqueue)
    }

    fn changed<'a>(&'a self, _: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        self.fail(Verb::Changed)
    }

    fn claim<'a>(&'a self, _: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        self.fail(Verb::Claim)
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            for _ in entries {
                answers.push(self.fail(Verb::Renew).await);
            }
            answers
        })
    }

    fn release<'a>(&'a self, _: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        self.fail(Verb::Release)
    }

    fn leave<'a>(&'a self, _: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        self.fail(Verb::Leave)
    }

    fn inspect<'a>(&'a self, _: &'a LockName) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        self.fail(Verb::Inspect)
    }

    fn force_release<'a>(
        &'a self,
        _: &'a LockName,
        _: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        self.fail(Verb::ForceRelease)
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_fails_every_case_and_says_why() {
    let report = run(&Shared::new(Down { hangs: false })).await;
    assert_eq!(report.passed().count(), 0, "{report}");
    let text = report.into_result().unwrap_err().to_string();
    assert!(
        text.contains("enqueue: the store is unavailable: no route"),
        "{text}"
    );
    assert!(
        text.contains("    law: Who may hold is what `judge` says"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_fails_every_case() {
    let report = run(&Shared::new(Down { hangs: true })).await;
    assert_eq!(report.passed().count(), 0, "{report}");
    assert!(
        report.to_string().contains("did not end within 30s"),
        "{report}"
    );
}
