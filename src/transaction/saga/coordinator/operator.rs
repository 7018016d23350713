//! What may be asked for while a saga is under way.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::oneshot;

use super::Sagas;
use super::case::{Case, Stranding};
use super::codec::Finished;
use super::engine::now;
use super::writing::ending;
use crate::transaction::log::{Durability, Record};
use crate::transaction::saga::error::OperateError;
use crate::transaction::saga::event::{Event, Refusal};
use crate::transaction::saga::fact::{End, Json, Reason};
use crate::transaction::saga::key::SagaKey;
use crate::transaction::saga::step::OUTPUT_LEN_MAX;

impl Sagas {
    /// Has everything compensated that was done, once what runs has come to an end. Returns when
    /// that is durable; [`SagaHandle::outcome`](super::SagaHandle::outcome) when it is done.
    ///
    /// # Errors
    /// [`OperateError`]; once the pivot has been tried, [`Refusal::TooLate`].
    ///
    /// # Cancel safety
    /// A dropped future only stops waiting; so of all verbs here.
    pub async fn cancel(&self, key: &SagaKey) -> Result<(), OperateError> {
        self.ask(key, |_| Ok(Event::Cancel(Reason::Cancelled)))
            .await
    }

    /// Has a parked step tried again, from the first try on.
    ///
    /// # Errors
    /// [`OperateError`].
    pub async fn retry(&self, key: &SagaKey, step: &str) -> Result<(), OperateError> {
        self.ask(key, |number| {
            Ok(Event::Retry {
                step: number(step)?,
            })
        })
        .await
    }

    /// Goes on as if the action of a parked step had given this output: somebody has done it by
    /// hand.
    ///
    /// # Errors
    /// [`OperateError`].
    pub async fn skip<O: Serialize>(
        &self,
        key: &SagaKey,
        step: &str,
        output: &O,
    ) -> Result<(), OperateError> {
        let output = serde_json::to_string(output).map_err(OperateError::Output)?;
        if output.len() > OUTPUT_LEN_MAX {
            return Err(OperateError::OutputTooLong { len: output.len() });
        }
        self.ask(key, |number| {
            let (step, output) = (number(step)?, Some(Json::new(output)));
            Ok(Event::Skip { step, output })
        })
        .await
    }

    /// Goes on as if the compensation of a parked step had succeeded: somebody has done it by hand.
    ///
    /// # Errors
    /// [`OperateError`].
    pub async fn skip_compensation(&self, key: &SagaKey, step: &str) -> Result<(), OperateError> {
        self.ask(key, |number| {
            let (step, output) = (number(step)?, None);
            Ok(Event::Skip { step, output })
        })
        .await
    }

    /// Gives a saga up as it is: nothing more is done or compensated. Also the way to get rid of one
    /// that is [stranded](super::SagaStatus::stranding).
    ///
    /// # Errors
    /// [`OperateError`].
    pub async fn abandon(&self, key: &SagaKey) -> Result<(), OperateError> {
        let engine = self.0.engine();
        let case = engine.case(key);
        let claimed = case.and_then(|case| case.claim().map(|why| (case, why)));
        let Some((case, why)) = claimed else {
            return self.ask(key, |_| Ok(Event::Abandon)).await;
        };
        tracing::warn!(saga = %key, "an operator abandons it");
        // Whoever asked may not wait for it.
        let runtime = engine.runtime.clone();
        let abandoned = runtime.spawn(async move {
            let finished = case.abandoned(now());
            // Of one that cannot be read it is not known what it was started with.
            let told = why != Stranding::Unreadable && !engine.options.retention.is_zero();
            let records = if told {
                ending(&engine, &case, &finished)
            } else {
                case.key.subject().map(|subject| vec![Record::end(subject)])
            };
            let ended = engine.append(&case, records, false, Durability::Forced);
            if ended.await.is_err() {
                case.strand(why);
                return Err(OperateError::Log);
            }
            let finished = Arc::new(finished);
            engine.retain(&case, &finished, told);
            case.end(finished);
            Ok(())
        });
        abandoned.await.unwrap_or(Err(OperateError::Log))
    }

    async fn ask(
        &self,
        key: &SagaKey,
        event: impl FnOnce(&dyn Fn(&str) -> Result<u16, OperateError>) -> Result<Event, OperateError>,
    ) -> Result<(), OperateError> {
        let engine = self.0.engine();
        let case = engine.case(key);
        let case = case.ok_or_else(|| OperateError::Unknown(key.clone()))?;
        if case.stranding().is_some() {
            return Err(OperateError::Stranded);
        }
        let event = event(&|name| number(&case, name))?;
        tracing::warn!(saga = %key, ?event, "somebody steps in");
        let answer: oneshot::Receiver<Result<(), Refusal>> = case.wish(event);
        tokio::select! {
            answer = answer => answer.map_err(|_| OperateError::Log)?.map_err(OperateError::from),
            () = engine.closing.cancelled() => Err(OperateError::Log),
        }
    }
}

impl Case {
    /// What is remembered of a stranded one that was given up.
    fn abandoned(&self, at: u64) -> Finished {
        Finished {
            id: self.id,
            name: Arc::clone(&self.name),
            version: self.version,
            digest: self.digest,
            created: self.created,
            ended: at,
            end: End::Abandoned,
            step: None,
            progress: Vec::new(),
            outputs: Vec::new(),
        }
    }
}

fn number(case: &Case, step: &str) -> Result<u16, OperateError> {
    let number = case.look(|driven| driven.blueprint.shape.number(step));
    // It came to its end meanwhile.
    let number = number.ok_or(Refusal::Over)?;
    number.ok_or_else(|| OperateError::UnknownStep(step.to_owned()))
}
