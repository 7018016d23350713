//! Sagas: their definitions, and what becomes of them.

mod definitions;
mod rehearsals;
mod restarts;
mod runs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tripod::transaction::log::TransactionLog;
use tripod::transaction::saga::{Definition, Retry, Run, SagaKey, Sagas, Step, StepError};

/// What the world outside does with actions and compensations, and what it has seen.
#[derive(Clone, Debug, Default)]
struct World(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// What is left of each step, by its key.
    effects: BTreeMap<String, i32>,
    /// What was run, in order.
    calls: Vec<String>,
    /// What the next calls answer, by call; otherwise they succeed.
    plans: BTreeMap<String, Vec<Plan>>,
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plan {
    Fails,
    Again,
    /// It happens, and the answer is lost.
    Unknown,
    /// It does not happen, and nobody knows.
    Lost,
    Hangs,
    Panics,
}

impl World {
    fn plan(&self, call: &str, plans: impl IntoIterator<Item = Plan>) {
        let mut seen = self.0.lock();
        seen.plans.entry(call.into()).or_default().extend(plans);
    }

    fn calls(&self) -> Vec<String> {
        self.0.lock().calls.clone()
    }

    /// What is left.
    fn left(&self) -> i32 {
        self.0.lock().effects.values().sum()
    }

    async fn call(&self, call: String, key: String, effect: i32) -> Result<String, StepError> {
        let plan = {
            let mut seen = self.0.lock();
            seen.calls.push(call.clone());
            let plans = seen.plans.get_mut(&call).filter(|plans| !plans.is_empty());
            let plan = plans.map(|plans| plans.remove(0));
            let happens = matches!(plan, None | Some(Plan::Unknown));
            if happens {
                seen.effects.insert(key, effect);
            }
            plan
        };
        match plan {
            None => Ok(call),
            Some(Plan::Fails) => Err(StepError::failed("refused")),
            Some(Plan::Again) => Err(StepError::again("busy")),
            Some(Plan::Unknown | Plan::Lost) => Err(StepError::unknown("no answer")),
            Some(Plan::Hangs) => std::future::pending().await,
            Some(Plan::Panics) => panic!("as planned"),
        }
    }

    /// A step that leaves an effect, and takes it back.
    fn step(&self, name: &'static str) -> Step<u32, String> {
        let (world, other) = (self.clone(), self.clone());
        Step::new(name, 1, move |run: Run<u32>| {
            let world = world.clone();
            async move { world.call(name.into(), run.key(), 1).await }
        })
        .compensate(move |run: Run<u32>, output: Option<String>| {
            let world = other.clone();
            async move {
                let known = if output.is_some() { "" } else { "?" };
                let call = format!("-{name}{known}");
                world.call(call, run.action_key(), 0).await.map(drop)
            }
        })
        .retry(Retry::attempts(THREE))
        .compensation_retry(Retry::attempts(THREE))
        .timeout(Duration::from_secs(5))
    }
}

const THREE: std::num::NonZeroU32 = std::num::NonZeroU32::MIN.saturating_add(2);

fn key(text: &str) -> SagaKey {
    SagaKey::new(text).unwrap()
}

async fn open(log: impl TransactionLog, definition: &Definition<u32>) -> Sagas {
    Sagas::open(log).register(definition).await.unwrap()
}

/// Hotel and flight at once, then payment as the pivot, then mail until it is sent.
fn trip(world: &World) -> Definition<u32> {
    let first: [&str; 0] = [];
    Definition::builder("trip", 1)
        .step(world.step("hotel"))
        .step(world.step("flight").after(first))
        .step(world.step("pay").pivot().after(["hotel", "flight"]))
        .step(world.step("mail").retriable())
        .build()
        .unwrap()
}

/// Three steps in a row, each of which can be compensated.
fn chain(world: &World) -> Definition<u32> {
    Definition::builder("chain", 1)
        .step(world.step("a"))
        .step(world.step("b"))
        .step(world.step("c"))
        .build()
        .unwrap()
}
