//! A trip: a saga of a seat, a card and a ticket. Where the card is refused, the seat is given back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tripod::transaction::saga::{
    Definition, DefinitionError, Retry, Run, SagaKey, SagaOutcome, Sagas, Step, StepError,
};

use crate::Failure;
use crate::books::{Books, Job};

/// More than this no card has.
const CARD: i64 = 80;

#[derive(Serialize, Deserialize)]
pub(crate) struct Trip {
    price: i64,
}

/// The steps have their effects under their keys: repeated, by whichever process, they change
/// nothing; and what was compensated does not happen afterwards.
pub(crate) fn definition(books: &Arc<Books>) -> Result<Definition<Trip>, DefinitionError> {
    let step = |name: &'static str| {
        let books = Arc::clone(books);
        move |run: Run<Trip>| {
            let books = Arc::clone(&books);
            async move {
                if name == "card" && run.input().price > CARD {
                    return Err(StepError::failed("the card is refused"));
                }
                let trip = run.saga().as_str();
                let happens = books.take_effect(&run.key(), trip, name).await;
                if happens.map_err(StepError::again)? {
                    Ok(())
                } else {
                    Err(StepError::failed("it was given back before"))
                }
            }
        }
    };
    let give_back = {
        let books = Arc::clone(books);
        move |run: Run<Trip>, _| {
            let books = Arc::clone(&books);
            async move {
                let key = run.action_key();
                let undone = books.undo_effect(&key, run.saga().as_str(), "seat").await;
                undone.map_err(StepError::again)
            }
        }
    };
    Definition::builder("trip", 1)
        .step(Step::new("seat", 1, step("seat")).compensate(give_back))
        .step(Step::new("card", 1, step("card")).pivot())
        .step(
            Step::new("ticket", 1, step("ticket"))
                .retriable()
                .retry(Retry::forever()),
        )
        .build()
}

/// Starts the trip of a job, or attaches to the one that an earlier process has started.
pub(crate) async fn travel(
    sagas: &Sagas,
    definition: &Definition<Trip>,
    books: &Books,
    job: &Job,
) -> Result<(), Failure> {
    let (key, input) = (SagaKey::new(&job.id)?, Trip { price: job.amount });
    let saga = sagas.start(definition, &key, &input).await?;
    let outcome = match saga.outcome().await? {
        SagaOutcome::Completed(_) => "completed",
        SagaOutcome::Compensated { .. } => "compensated",
        SagaOutcome::Abandoned => "abandoned",
    };
    books.finish(&job.id, outcome).await?;
    println!("{outcome} {}", job.id);
    Ok(())
}
