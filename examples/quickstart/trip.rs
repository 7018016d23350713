//! The fourth part of the tour: a trip that cannot be booked to its end is cancelled.

use std::error::Error;

use tripod::transaction::log::MemoryLog;
use tripod::transaction::saga::{Definition, Run, SagaKey, SagaOutcome, Sagas, Step, StepError};

async fn book(run: Run<String>) -> Result<u32, StepError> {
    println!("  a room is booked for {}", run.input());
    Ok(101)
}

async fn cancel(_: Run<String>, room: Option<u32>) -> Result<(), StepError> {
    println!("  room {} is cancelled", room.unwrap_or_default());
    Ok(())
}

/// The first answer is lost; under the same key it is asked again.
async fn charge(run: Run<String>) -> Result<(), StepError> {
    if run.attempt() == 1 {
        println!("  the bank gives no answer: it is asked again, under the same key");
        return Err(StepError::unknown("no answer"));
    }
    println!("  the card is refused");
    Err(StepError::failed("no money"))
}

pub(crate) async fn tour() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("A trip is booked step by step, and each step has a compensation (a saga).");
    let trip = Definition::builder("trip", 1)
        .step(Step::new("hotel", 1, book).compensate(cancel))
        .step(Step::new("charge", 1, charge).pivot())
        .build()?;
    let sagas = Sagas::open(MemoryLog::new()).register(&trip).await?;
    let key = SagaKey::new("order 17")?;
    let saga = sagas.start(&trip, &key, &"ann".to_owned()).await?;
    match saga.outcome().await? {
        SagaOutcome::Compensated { step, .. } => println!(
            "  nothing is left of it, because of {}; others may have seen the room taken",
            step.as_deref().unwrap_or("nobody")
        ),
        SagaOutcome::Completed(_) | SagaOutcome::Abandoned => return Err("not so".into()),
    }
    Ok(())
}
