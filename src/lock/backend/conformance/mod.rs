//! The law of [`LockBackend`], as a test suite for stores of your own.
//!
//! A store that breaks a sentence of the law lets two hold what one should, or strands those who
//! wait. Give the suite a [`Fixture`] that connects to your store, [`run`] it in a test, and let
//! [`Report::into_result`] fail the test:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use tripod::BoxFuture;
//! use tripod::lock::conformance::{self, Fixture};
//! use tripod::lock::{BackendError, LockBackend, MemoryBackend};
//!
//! struct InMemory(Arc<dyn LockBackend>);
//!
//! impl Fixture for InMemory {
//!     fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn LockBackend>, BackendError>> {
//!         Box::pin(async { Ok(Arc::clone(&self.0)) })
//!     }
//!
//!     fn ttl_min(&self) -> Duration {
//!         Duration::from_secs(1)
//!     }
//!
//!     fn slack(&self) -> Duration {
//!         Duration::ZERO
//!     }
//!
//!     fn sever<'a>(&'a self, _client: &'a Arc<dyn LockBackend>) -> BoxFuture<'a, ()> {
//!         Box::pin(async {}) // No sessions: what nobody renews is over by itself.
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread()
//! #     .enable_time().start_paused(true).build()?.block_on(async {
//! let store = InMemory(Arc::new(MemoryBackend::new()));
//! conformance::run(&store).await.into_result()
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it tells, and what it does not
//!
//! Each case names the sentences of the law that it tries. The cases use names of their own that
//! no other run uses, so the store may hold other locks, and be the same for many runs.
//!
//! A store that passes may still err where the trait does not reach: what it answers when a
//! network fails or a server restarts, whether a name that nobody uses takes space, and races
//! too rare for a few hundred steps. Test those beside the suite.
//!
//! # Cost
//!
//! All cases run together, in the task that calls [`run`], by two clients and a few more for the
//! cases that end sessions: some thousand steps, within about six times [`Fixture::ttl_min`] and
//! twice [`Fixture::slack`]. They begin one after another within one of the former, so that a store is
//! not asked everything at once. A case that fails, and has met a store that was *unavailable* or
//! *indeterminate*, is played again, three times at most. With a clock that `tokio` has paused, a store in memory takes a
//! fraction of a second.

mod client;
mod grants;
mod histories;
mod law;
mod leases;
mod leaving;
mod model;
mod modes;
mod names;
mod notification;
mod operator;
mod party;
mod queue;
mod repeats;
mod scene;
mod sessions;
mod steps;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use crate::conformance::{Case as AnyCase, Failure, Outcome, with_sources};
use crate::future::BoxFuture;

use super::{BackendError, LockBackend};
use scene::Scene;

pub use crate::conformance::{CaseReport, Report};

/// What the suite needs of a store.
pub trait Fixture: Send + Sync {
    /// Connects to the store anew: another client, with a session of its own where the store has
    /// sessions. All clients of one fixture share the store.
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn LockBackend>, BackendError>>;

    /// The shortest TTL that the store puts in force as asked. The suite counts time in it, so it
    /// should last for a few dozen steps of the store, a third of it for as long as the machine may
    /// leave this process unserved: a second or two for a server nearby, some more where other
    /// work keeps the processors busy, and with a paused clock whatever the store can.
    fn ttl_min(&self) -> Duration;

    /// How much later than the law's one TTL the store may free an entry: its granularity.
    fn slack(&self) -> Duration;

    /// Ends this client's session as if its process had died: nothing of it is released, and
    /// nothing of it is renewed from now on. The suite calls no method of the client afterwards.
    fn sever<'a>(&'a self, client: &'a Arc<dyn LockBackend>) -> BoxFuture<'a, ()>;
}

/// A claim about a store.
type Case = AnyCase<for<'a> fn(&'a Scene<'a>) -> BoxFuture<'a, Outcome>>;

/// All cases, by what they are about.
const CASES: [&[Case]; 12] = [
    grants::CASES,
    histories::CASES,
    leases::CASES,
    leaving::CASES,
    modes::CASES,
    names::CASES,
    notification::CASES,
    operator::CASES,
    queue::CASES,
    repeats::CASES,
    sessions::CASES,
    steps::CASES,
];

/// Runs every case, all at once, and answers what became of each. A case that does not end is a
/// failure. Without clients, the report has one case, `connect`, that failed.
///
/// # Cancel safety
/// Dropped, it leaves entries behind, which nobody renews.
pub async fn run(fixture: &dyn Fixture) -> Report {
    let clients = match (fixture.connect().await, fixture.connect().await) {
        (Ok(one), Ok(other)) => [one, other],
        (Err(error), _) | (_, Err(error)) => {
            let failure = Some(with_sources(&error));
            return Report::new(vec![CaseReport::new("connect", &[], failure)]);
        }
    };
    let run = RandomState::new().hash_one(0);
    let cases: Vec<&Case> = CASES.iter().copied().flatten().collect();
    let count = u32::try_from(cases.len()).unwrap_or(u32::MAX);
    let gap = fixture.ttl_min() / count;
    let clients = &clients;
    let played = cases.into_iter().zip(0..).map(|(case, number)| {
        let scene = move |play| Scene::new(fixture, clients, run, number + count * play);
        async move {
            sleep(gap * number).await;
            play(case, scene).await
        }
    });
    Report::new(join_all(played).await)
}

/// How often a case is played whose calls the store does not answer in time: that says nothing
/// about the law.
const PLAYS_MAX: u32 = 4;

async fn play<'a>(case: &Case, scene: impl Fn(u32) -> Scene<'a>) -> CaseReport {
    let mut plays = 0;
    loop {
        let scene = scene(plays);
        let time = scene.time_max();
        let failure = match timeout(time, (case.play)(&scene)).await {
            Ok(outcome) => outcome.err().map(Failure::into_text),
            Err(_) => Some(format!("did not end within {time:?}")),
        };
        scene.tidy().await;
        plays += 1;
        if failure.is_none() || !scene.was_silence() || plays == PLAYS_MAX {
            return CaseReport::new(case.name, case.law, failure);
        }
        // The more are asked for, the later.
        scene.pause(5 * plays).await;
    }
}
