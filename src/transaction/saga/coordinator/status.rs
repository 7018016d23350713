//! What can be seen of sagas.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Sagas;
use super::case::{Case, Driven, Stranding};
use super::codec::Finished;
use super::course::Stage;
use crate::transaction::id::TransactionId;
use crate::transaction::saga::blueprint::Blueprint;
use crate::transaction::saga::fact::{Fact, ParkReason};
use crate::transaction::saga::key::SagaKey;
use crate::transaction::saga::kind::Kind;
use crate::transaction::saga::shape::Node;
use crate::transaction::saga::state::{Direction, Progress};

/// Which sagas to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SagaFilter {
    /// All that are known.
    All,
    /// Those that are not over.
    UnderWay,
    /// Those that are being compensated.
    Compensating,
    /// Those with a step that waits for an operator, and those that are stranded.
    Parked,
    /// Those that are over, and remembered.
    Ended,
}

/// A saga, as it is seen at a moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SagaStatus {
    /// What its caller calls it.
    pub key: SagaKey,
    /// What its idempotency keys begin with.
    pub id: TransactionId,
    /// The name of its definition.
    pub name: Arc<str>,
    /// The version of its definition.
    pub version: u32,
    /// When it was started.
    pub started: SystemTime,
    /// Where it goes; nothing, if it is stranded.
    pub direction: Option<Direction>,
    /// Why nothing is done about it, if nothing is.
    pub stranding: Option<Stranding>,
    /// Whether it waits until the log has room for what it has to say.
    pub waits_for_room: bool,
    /// Its steps, each behind all that it comes after; none, if its definition is not registered.
    pub steps: Vec<StepStatus>,
}

/// A step of a saga, as it is seen at a moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StepStatus {
    /// Its name.
    pub name: Arc<str>,
    /// What can be done about it.
    pub kind: Kind,
    /// How far it is.
    pub progress: Progress,
    /// How often the present action or compensation has been tried.
    pub attempts: u32,
    /// What came last instead of a success, if anything did, since the log was opened.
    pub error: Option<Arc<dyn Error + Send + Sync>>,
    /// The names of the steps right before it.
    pub after: Vec<Arc<str>>,
}

/// Something that happened to a saga.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SagaEvent {
    /// To which.
    pub saga: SagaKey,
    /// When it was noted.
    pub at: SystemTime,
    /// The step that it is about, if it is about one.
    pub step: Option<Arc<str>>,
    /// What happened.
    pub fact: Fact,
}

impl SagaEvent {
    pub(super) fn new(case: &Case, blueprint: &Blueprint, at: u64, fact: &Fact) -> Self {
        Self {
            saga: case.key.clone(),
            at: time(at),
            step: fact.step().map(|step| blueprint.shape.name(step)),
            fact: fact.clone(),
        }
    }
}

impl SagaStatus {
    /// What is parked, and why.
    pub fn parked(&self) -> impl Iterator<Item = (&str, ParkReason)> {
        let parked = |step: &StepStatus| step.progress.parked();
        let steps = self.steps.iter();
        steps.filter_map(move |step| Some((&*step.name, parked(step)?)))
    }

    fn of(case: &Case) -> Self {
        let seen = case.look(|driven| (driven.execution.direction(), steps(driven)));
        let (direction, steps) = match (seen, case.course.stage()) {
            (Some((direction, steps)), _) => (Some(direction), steps),
            (None, Stage::Ended(finished)) => {
                let direction = Some(Direction::Ended(finished.end));
                (
                    direction,
                    case.blueprint
                        .as_ref()
                        .map(|blueprint| ended(blueprint, &finished))
                        .unwrap_or_default(),
                )
            }
            (None, _) => (None, Vec::new()),
        };
        Self {
            key: case.key.clone(),
            id: case.id,
            name: Arc::clone(&case.name),
            version: case.version,
            started: time(case.created),
            direction,
            stranding: case.stranding(),
            waits_for_room: case.is_pressed(),
            steps,
        }
    }

    fn is_in(&self, filter: SagaFilter) -> bool {
        let ended = matches!(self.direction, Some(Direction::Ended(_)));
        match filter {
            SagaFilter::All => true,
            SagaFilter::UnderWay => !ended,
            SagaFilter::Compensating => matches!(self.direction, Some(Direction::Backward(_))),
            SagaFilter::Parked => self.stranding.is_some() || self.parked().next().is_some(),
            SagaFilter::Ended => ended,
        }
    }
}

impl Sagas {
    /// How it is with the saga of this key.
    #[must_use]
    pub fn status(&self, key: &SagaKey) -> Option<SagaStatus> {
        self.0.engine().case(key).map(|case| SagaStatus::of(&case))
    }

    /// The sagas that are known, in the order of their keys. O(n log n) of all that are known.
    #[must_use]
    pub fn list(&self, filter: SagaFilter) -> Vec<SagaStatus> {
        let engine = self.0.engine();
        let cases = engine.cases();
        let seen = cases.iter().map(|case| SagaStatus::of(case));
        let mut seen: Vec<_> = seen.filter(|status| status.is_in(filter)).collect();
        seen.sort_by(|one, other| one.key.cmp(&other.key));
        seen
    }

    /// What happened to a saga that is not over, the last 256 entries, restarts included. Tries
    /// beyond the 16th are told only now and then.
    #[must_use]
    pub fn history(&self, key: &SagaKey) -> Vec<SagaEvent> {
        let Some(case) = self.0.engine().case(key) else {
            return Vec::new();
        };
        let Some(blueprint) = case.look(|driven| Arc::clone(&driven.blueprint)) else {
            return Vec::new();
        };
        let history = case.history().into_iter();
        let told = history.map(|(at, fact)| SagaEvent::new(&case, &blueprint, at, &fact));
        told.collect()
    }
}

fn steps(driven: &Driven) -> Vec<StepStatus> {
    let nodes = driven.blueprint.shape.numbered();
    let seen = nodes
        .zip(driven.execution.steps())
        .map(|((number, node), step)| StepStatus {
            attempts: step.attempts,
            error: driven.errors.get(&number).cloned(),
            ..StepStatus::of(&driven.blueprint, node, step.progress)
        });
    seen.collect()
}

/// How far the steps had come when it ended.
fn ended(blueprint: &Blueprint, finished: &Finished) -> Vec<StepStatus> {
    let nodes = blueprint.shape.nodes().iter().zip(&finished.progress);
    let seen = nodes.map(|(node, progress)| StepStatus::of(blueprint, node, *progress));
    seen.collect()
}

impl StepStatus {
    fn of(blueprint: &Blueprint, node: &Node, progress: Progress) -> Self {
        let shape = &blueprint.shape;
        Self {
            name: Arc::clone(&node.name),
            kind: node.kind,
            progress,
            attempts: 0,
            error: None,
            after: node
                .after
                .iter()
                .map(|earlier| shape.name(*earlier))
                .collect(),
        }
    }
}

fn time(ms: u64) -> SystemTime {
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(ms));
    time.unwrap_or(UNIX_EPOCH)
}
