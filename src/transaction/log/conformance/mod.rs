//! The law of [`TransactionLog`], as a test suite for logs of your own.
//!
//! A log that breaks a sentence of the law loses decisions, or lets two coordinators decide. Give
//! the suite a [`Fixture`] that starts processes on your log, [`run`] it in a test, and let
//! [`Report::into_result`] fail the test:
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//!
//! use tripod::BoxFuture;
//! use tripod::transaction::log::conformance::{self, Fixture};
//! use tripod::transaction::log::{LogError, MemoryLog, TransactionLog};
//!
//! #[derive(Default)]
//! struct InMemory(Mutex<HashMap<String, MemoryLog>>);
//!
//! impl Fixture for InMemory {
//!     fn start<'a>(
//!         &'a self,
//!         name: &'a str,
//!     ) -> BoxFuture<'a, Result<Arc<dyn TransactionLog>, LogError>> {
//!         Box::pin(async move {
//!             let mut logs = self.0.lock().unwrap();
//!             let log = logs.entry(name.into()).or_default();
//!             log.crash();
//!             Ok(Arc::new(log.clone()) as Arc<dyn TransactionLog>)
//!         })
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! conformance::run(&InMemory::default()).await.into_result()
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it tells, and what it does not
//!
//! Each case names the sentences of the law that it tries. A log that passes may still err where
//! the trait does not reach: what it does when its storage fails or lies, and what a loss of
//! power leaves of bytes that were not synced. Test those beside the suite, on storage that
//! forgets.
//!
//! # Cost
//!
//! The cases run one after the other, each on a log of its own: some thousand appends.

mod appends;
mod epochs;
mod law;
mod records;
mod scene;
mod spaces;

use std::sync::Arc;

use crate::conformance::{Case as AnyCase, Failure, Outcome};
use crate::future::BoxFuture;

use super::{LogError, TransactionLog};
use scene::Scene;

pub use crate::conformance::{CaseReport, Report};

/// What the suite needs of a log.
pub trait Fixture: Send + Sync {
    /// Starts a process that uses the log of this name, which is a new one where the name is. Any
    /// process that used it before has died, and the power was lost: what was not durable may
    /// be gone. The suite has dropped all that it had of it.
    fn start<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn TransactionLog>, LogError>>;
}

/// A claim about a log.
type Case = AnyCase<for<'a> fn(&'a Scene<'a>) -> BoxFuture<'a, Outcome>>;

/// All cases, by what they are about.
const CASES: [&[Case]; 4] = [appends::CASES, epochs::CASES, records::CASES, spaces::CASES];

/// Runs every case and answers what became of each.
///
/// # Cancel safety
/// Dropped, it leaves logs behind.
pub async fn run(fixture: &dyn Fixture) -> Report {
    let mut reports = Vec::new();
    for case in CASES.iter().copied().flatten() {
        let scene = Scene::new(fixture, case.name.into());
        let failure = (case.play)(&scene).await.err().map(Failure::into_text);
        reports.push(CaseReport::new(case.name, case.law, failure));
    }
    Report::new(reports)
}
