//! Rehearses a saga: failures at every step, repeats, and a crash after every record.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use tripod::transaction::saga::testing::{Scene, rehearse};
//! use tripod::transaction::saga::{Definition, Run, Step, StepError};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A world of its own for every run.
//! let report = rehearse(|| {
//!     let rooms = Arc::new(Mutex::new(std::collections::BTreeMap::new()));
//!     let (booked, cancelled, left) = (rooms.clone(), rooms.clone(), rooms);
//!     let book = move |run: Run<u32>| {
//!         let mut rooms = booked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
//!         // A mark of the compensation keeps a late booking out.
//!         let fresh = *rooms.entry(run.key()).or_insert(true);
//!         std::future::ready(if fresh { Ok(7) } else { Err(StepError::failed("cancelled")) })
//!     };
//!     let cancel = move |run: Run<u32>, _: Option<u32>| {
//!         let mut rooms = cancelled.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
//!         rooms.insert(run.action_key(), false);
//!         std::future::ready(Ok(()))
//!     };
//!     let definition = Definition::builder("trip", 1)
//!         .step(Step::new("hotel", 1, book).compensate(cancel))
//!         .build();
//!     let rooms = move || {
//!         let rooms = left.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
//!         rooms.values().filter(|booked| **booked).count()
//!     };
//!     let other = rooms.clone();
//!     Scene::new(definition.unwrap_or_else(|_| unreachable!("it is a saga")), 7)
//!         .completed(move || rooms() == 1)
//!         .clean(move || other() == 0)
//! })
//! .await?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```

mod mortal;
mod ordeal;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use self::mortal::Mortal;
use self::ordeal::{Ordeal, ordeals, tampered};
use super::coordinator::{SagaOutcome, Sagas};
use super::definition::Definition;
use super::key::SagaKey;

/// A saga, and a world in which nothing of it has happened yet.
pub struct Scene<I> {
    definition: Definition<I>,
    input: I,
    completed: Check,
    clean: Check,
}

type Check = Box<dyn Fn() -> bool + Send + Sync>;

/// What was rehearsed, and came out well.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many runs there were.
    pub runs: u32,
    /// After how many records the process was made to crash.
    pub crashes: u32,
}

/// A run that did not come out well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{run}: {flaw}")]
#[non_exhaustive]
pub struct Flaw {
    /// Which run: what was done to which step.
    pub run: String,
    /// What came of it.
    pub flaw: String,
}

/// How long one run may take. A retriable step that never succeeds would take for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// More crashes than any saga has records.
const CRASHES_MAX: u32 = 10_000;

impl<I> Scene<I> {
    /// A saga and the input with which it is started.
    pub fn new(definition: Definition<I>, input: I) -> Self {
        Self {
            definition,
            input,
            completed: Box::new(|| true),
            clean: Box::new(|| true),
        }
    }

    /// Whether all of it has happened, once.
    #[must_use]
    pub fn completed(mut self, check: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.completed = Box::new(check);
        self
    }

    /// Whether nothing of it is left.
    #[must_use]
    pub fn clean(mut self, check: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.clean = Box::new(check);
        self
    }
}

/// Runs a saga straight through; with every action run twice; with each step failing that can fail,
/// with compensations run once and twice; with each step that can be compensated having happened
/// while nobody is told; and each of the straight and the failing runs again with a crash after
/// every record. Each run is in a scene of its own, on a log in memory.
///
/// # Errors
/// The first [`Flaw`]: it ended otherwise than it should, not at all, or not at the step at which it
/// was made to fail; or the scene says that the world is not as it should be.
pub async fn rehearse<I, F>(scene: F) -> Result<Report, Flaw>
where
    I: Serialize + DeserializeOwned + Send + 'static,
    F: Fn() -> Scene<I>,
{
    let mut report = Report {
        runs: 0,
        crashes: 0,
    };
    let shape = Arc::clone(&scene().definition.blueprint.shape);
    for ordeal in ordeals(&shape) {
        perform(&scene(), &ordeal, None).await?;
        report.runs += 1;
        for records in 1..CRASHES_MAX {
            let crashed = perform(&scene(), &ordeal, Some(records)).await?;
            if !crashed {
                break;
            }
            report.runs += 1;
            report.crashes += 1;
        }
    }
    Ok(report)
}

/// One run; says whether it crashed.
async fn perform<I: Serialize>(
    scene: &Scene<I>,
    ordeal: &Ordeal,
    crash: Option<u32>,
) -> Result<bool, Flaw> {
    let run = match crash {
        None => format!("{ordeal:?}"),
        Some(records) => format!("{ordeal:?}, and a crash after record {records}"),
    };
    let flaw = |flaw: String| Flaw {
        run: run.clone(),
        flaw,
    };
    let ran = timeout(PATIENCE, played(scene, ordeal, crash)).await;
    let ran = ran.map_err(|_| flaw("it does not come to an end".into()))?;
    let (outcome, crashed) = ran.map_err(&flaw)?;
    match (ordeal, &outcome) {
        (Ordeal::None | Ordeal::Twice, SagaOutcome::Completed(_)) => {
            if !(scene.completed)() {
                return Err(flaw(
                    "it is completed, and not all of it has happened".into(),
                ));
            }
        }
        (
            Ordeal::Fails(step, _) | Ordeal::Doubtful(step),
            SagaOutcome::Compensated {
                step: Some(failed), ..
            },
        ) if step == failed => {
            if !(scene.clean)() {
                return Err(flaw("it is compensated, and something is left".into()));
            }
        }
        _ => return Err(flaw(format!("it ended as {outcome:?}"))),
    }
    Ok(crashed)
}

async fn played<I: Serialize>(
    scene: &Scene<I>,
    ordeal: &Ordeal,
    crash: Option<u32>,
) -> Result<(SagaOutcome, bool), String> {
    let definition = scene
        .definition
        .with(tampered(&scene.definition.blueprint, ordeal));
    let key = SagaKey::new("rehearsal").map_err(|error| error.to_string())?;
    let log = Mortal::after(crash);
    let open = || Sagas::open(log.clone()).register(&definition);
    let mut crashed = false;
    loop {
        let sagas = open().await.map_err(|error| error.to_string())?;
        let ran = async {
            let saga = sagas.start(&definition, &key, &scene.input).await;
            let saga = saga.map_err(|error| error.to_string())?;
            saga.outcome().await.map_err(|error| error.to_string())
        };
        tokio::select! {
            biased;
            outcome = ran => return Ok((outcome?, crashed)),
            () = log.death() => {}
        }
        drop(sagas);
        crashed = true;
        log.start_again();
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} runs, {} of them with a crash",
            self.runs, self.crashes
        )
    }
}

impl<I> fmt::Debug for Scene<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scene")
            .field("definition", &self.definition)
            .finish_non_exhaustive()
    }
}
