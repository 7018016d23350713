//! The law of [`Transport`], as a test suite for transports of your own.
//!
//! A transport that breaks a sentence of the law loses messages, or delivers some for ever. Give
//! the suite a [`Fixture`] that opens your store, [`run`] it in a test, and let
//! [`Report::into_result`] fail the test:
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//!
//! use tripod::BoxFuture;
//! use tripod::transaction::message::transport::conformance::{self, Fixture};
//! use tripod::transaction::message::{MemoryTransport, Terms, Transport, TransportError};
//!
//! #[derive(Default)]
//! struct InMemory(Mutex<HashMap<String, MemoryTransport>>);
//!
//! impl Fixture for InMemory {
//!     fn start<'a>(
//!         &'a self,
//!         name: &'a str,
//!         terms: Terms,
//!     ) -> BoxFuture<'a, Result<Arc<dyn Transport>, TransportError>> {
//!         Box::pin(async move {
//!             let mut stores = self.0.lock().unwrap();
//!             let make = || MemoryTransport::with_terms(terms);
//!             let store = stores.entry(name.into()).or_insert_with(make);
//!             Ok(Arc::new(store.clone()) as Arc<dyn Transport>)
//!         })
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! conformance::run(&InMemory::default()).await.into_result()
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it tells, and what it does not
//!
//! Each case names the sentences of the law that it tries, on queues that no other run uses. A
//! transport that passes may still err where the trait does not reach: what it answers when a
//! network or a server fails, and what a server that was restarted still knows. Test those beside
//! the suite.
//!
//! # Cost
//!
//! The cases run at the same time, and take some seconds: they wait for leases to end.

mod deliveries;
mod law;
mod letters;
mod queues;
mod scene;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{Terms, Transport};
use crate::conformance::{Case as AnyCase, Failure, Outcome};
use crate::future::BoxFuture;
use crate::transaction::message::error::TransportError;
use scene::Scene;

pub use crate::conformance::{CaseReport, Report};

/// What a case may take: leases of it are a fraction of a second.
const CASE_TIME_MAX: Duration = Duration::from_secs(30);

/// What the suite needs of a transport.
pub trait Fixture: Send + Sync {
    /// Starts a process that uses the store of this name, on these terms. Whatever is started with
    /// one name meets in one store, and has the same terms. Stores may be one and the same.
    fn start<'a>(
        &'a self,
        name: &'a str,
        terms: Terms,
    ) -> BoxFuture<'a, Result<Arc<dyn Transport>, TransportError>>;
}

/// A claim about a transport.
type Case = AnyCase<for<'a> fn(&'a Scene<'a>) -> BoxFuture<'a, Outcome>>;

/// All cases, by what they are about.
const CASES: [&[Case]; 3] = [deliveries::CASES, letters::CASES, queues::CASES];

/// Runs every case and answers what became of each, within a runtime of `tokio` with time, which
/// must not be paused.
///
/// # Cancel safety
/// Dropped, it leaves messages behind.
pub async fn run(fixture: &dyn Fixture) -> Report {
    let play = |case: &'static Case| async move {
        let scene = Scene::new(fixture, case.name);
        let played = timeout(CASE_TIME_MAX, (case.play)(&scene)).await;
        let ended = played.unwrap_or_else(|_| Err(Failure::new("it did not end")));
        CaseReport::new(case.name, case.law, ended.err().map(Failure::into_text))
    };
    let cases = CASES.iter().copied().flatten();
    Report::new(join_all(cases.map(play)).await)
}
