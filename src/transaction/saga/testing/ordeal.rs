//! What is done to the steps of a saga.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::transaction::saga::blueprint::{Blueprint, RunAction, RunCompensation, Work};
use crate::transaction::saga::error::StepError;
use crate::transaction::saga::kind::Kind;
use crate::transaction::saga::retry::Retry;
use crate::transaction::saga::shape::Shape;

/// What is done to the steps.
#[derive(Clone, Debug)]
pub(super) enum Ordeal {
    None,
    /// Every action is run twice under its key.
    Twice,
    /// This step fails, and nothing of it happens; compensations are run twice, or once.
    Fails(Arc<str>, bool),
    /// This step happens, and nobody is told.
    Doubtful(Arc<str>),
}

/// All that can be done to the steps of such a saga.
pub(super) fn ordeals(shape: &Shape) -> Vec<Ordeal> {
    let mut ordeals = vec![Ordeal::None, Ordeal::Twice];
    for node in shape.nodes() {
        let name = || Arc::clone(&node.name);
        if node.kind != Kind::Retriable {
            ordeals.push(Ordeal::Fails(name(), false));
            ordeals.push(Ordeal::Fails(name(), true));
        }
        if node.kind == Kind::Compensatable && node.undone {
            ordeals.push(Ordeal::Doubtful(name()));
        }
    }
    ordeals
}

/// The same steps, to which this is done.
pub(super) fn tampered(blueprint: &Blueprint, ordeal: &Ordeal) -> Vec<Work> {
    let works = blueprint.shape.nodes().iter().zip(&blueprint.works);
    let tampered = works.map(|(node, work)| {
        let mut work = work.clone();
        match ordeal {
            Ordeal::None => {}
            Ordeal::Twice => work.action = twice(&work.action),
            Ordeal::Fails(step, undone_twice) => {
                if *step == node.name {
                    work.action =
                        Arc::new(|_| Box::pin(async { Err(StepError::failed("as rehearsed")) }));
                }
                if *undone_twice {
                    work.compensation = work.compensation.as_ref().map(undone);
                }
            }
            Ordeal::Doubtful(step) => {
                if *step == node.name {
                    work.action = untold(&work.action);
                    work.retry = Retry::attempts(NonZeroU32::MIN);
                }
            }
        }
        work
    });
    tampered.collect()
}

fn twice(action: &RunAction) -> RunAction {
    let action = Arc::clone(action);
    Arc::new(move |scene| {
        let (first, second) = (action(scene.clone()), Arc::clone(&action));
        Box::pin(async move {
            first.await?;
            second(scene).await
        })
    })
}

fn undone(compensation: &RunCompensation) -> RunCompensation {
    let compensation = Arc::clone(compensation);
    Arc::new(move |scene, output| {
        let first = compensation(scene.clone(), output.clone());
        let second = Arc::clone(&compensation);
        Box::pin(async move {
            first.await?;
            second(scene, output).await
        })
    })
}

fn untold(action: &RunAction) -> RunAction {
    let action = Arc::clone(action);
    Arc::new(move |scene| {
        let ran = action(scene);
        Box::pin(async move {
            let _ = ran.await;
            Err(StepError::unknown("as rehearsed"))
        })
    })
}
