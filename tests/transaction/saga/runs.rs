//! Sagas that run to an end, one or the other.

use std::time::Duration;

use tripod::transaction::log::MemoryLog;
use tripod::transaction::saga::{
    Definition, Direction, ParkReason, Reason, Refusal, Run, SagaFilter, SagaOutcome, Sagas,
    StartError, Step, StepError,
};

use super::{Plan, World, chain, key, open, trip};

async fn run(world: &World, definition: &Definition<u32>) -> (Sagas, SagaOutcome) {
    let sagas = open(MemoryLog::new(), definition).await;
    let saga = sagas.start(definition, &key("1"), &7).await.unwrap();
    let outcome = saga.outcome().await.unwrap();
    assert!(world.left() >= 0);
    (sagas, outcome)
}

#[tokio::test(start_paused = true)]
async fn every_step_is_taken_and_the_last_ones_say_what_they_gave() {
    let world = World::default();
    let (sagas, outcome) = run(&world, &trip(&world)).await;
    let SagaOutcome::Completed(outputs) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(outputs.get::<String>("mail").unwrap(), "mail");
    assert!(outputs.get::<String>("pay").is_err());
    assert_eq!(world.calls(), ["hotel", "flight", "pay", "mail"]);
    assert_eq!(sagas.list(SagaFilter::Ended).len(), 1);
    assert!(sagas.list(SagaFilter::UnderWay).is_empty());
}

/// Of what was set aside for the way back, the next ones have the use.
#[tokio::test(start_paused = true)]
async fn what_is_over_takes_no_room_but_to_be_remembered() {
    let world = World::default();
    let definition = chain(&world);
    let sagas = open(MemoryLog::with_space(40_000), &definition).await;
    for number in 0..50 {
        let saga = key(&number.to_string());
        let saga = sagas.start(&definition, &saga, &7).await;
        let outcome = saga.unwrap_or_else(|error| panic!("{number}: {error:?}"));
        assert!(outcome.outcome().await.unwrap().is_completed());
    }
    assert_eq!(sagas.list(SagaFilter::Ended).len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_failure_compensates_what_was_done_the_last_first() {
    let world = World::default();
    world.plan("c", [Plan::Fails]);
    let (_, outcome) = run(&world, &chain(&world)).await;
    let SagaOutcome::Compensated { reason, step } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(reason, Reason::Failed { step: 2 });
    assert_eq!(step.as_deref(), Some("c"));
    assert_eq!(world.calls(), ["a", "b", "c", "-b", "-a"]);
    assert_eq!(world.left(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_happened_is_compensated_too() {
    let world = World::default();
    world.plan("b", [Plan::Unknown, Plan::Lost, Plan::Unknown]);
    let (_, outcome) = run(&world, &chain(&world)).await;
    assert!(outcome.is_compensated(), "{outcome:?}");
    assert_eq!(world.calls(), ["a", "b", "b", "b", "-b?", "-a"]);
    assert_eq!(world.left(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_lost_answer_is_not_believed() {
    let world = World::default();
    world.plan("b", [Plan::Unknown, Plan::Fails]);
    let (_, outcome) = run(&world, &chain(&world)).await;
    assert!(outcome.is_compensated(), "{outcome:?}");
    assert_eq!(world.calls(), ["a", "b", "b", "-b?", "-a"]);
    assert_eq!(world.left(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_hangs_or_panics_is_tried_again_under_the_same_key() {
    let world = World::default();
    world.plan("b", [Plan::Hangs, Plan::Panics]);
    let (_, outcome) = run(&world, &chain(&world)).await;
    assert!(outcome.is_completed(), "{outcome:?}");
    assert_eq!(world.calls(), ["a", "b", "b", "b", "c"]);
    assert_eq!(world.left(), 3, "an effect a step");
}

#[tokio::test(start_paused = true)]
async fn what_panics_as_it_is_dropped_is_tried_again() {
    struct Falls;
    impl Drop for Falls {
        fn drop(&mut self) {
            panic!("as it is dropped");
        }
    }
    let step = Step::new("hangs", 1, |run: Run<u32>| async move {
        if run.attempt() == 1 {
            let _falls = Falls;
            std::future::pending::<()>().await;
        }
        Ok::<u32, StepError>(run.attempt())
    });
    let definition = Definition::builder("falls", 1).step(step.pivot());
    let (_, outcome) = run(&World::default(), &definition.build().unwrap()).await;
    let SagaOutcome::Completed(outputs) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(outputs.get::<u32>("hangs").unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn siblings_are_waited_for_before_anything_is_compensated() {
    let world = World::default();
    world.plan("hotel", [Plan::Hangs]);
    world.plan("flight", [Plan::Fails]);
    let (_, outcome) = run(&world, &trip(&world)).await;
    assert!(outcome.is_compensated(), "{outcome:?}");
    // The hotel hung until its time was over, and may have been booked.
    assert_eq!(world.calls(), ["hotel", "flight", "-hotel?"]);
}

#[tokio::test(start_paused = true)]
async fn past_the_pivot_it_only_goes_forward() {
    let world = World::default();
    world.plan("mail", [Plan::Fails]);
    let definition = trip(&world);
    let sagas = open(MemoryLog::new(), &definition).await;
    let saga = sagas.start(&definition, &key("1"), &7).await.unwrap();
    let parked = parked(&sagas).await;
    assert_eq!(parked, [("mail".to_owned(), ParkReason::Refused)]);
    let refused = sagas.cancel(&key("1")).await.unwrap_err();
    assert!(refused.to_string().contains("no return"), "{refused}");
    sagas.retry(&key("1"), "mail").await.unwrap();
    assert!(saga.outcome().await.unwrap().is_completed());
    assert_eq!(world.left(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_pivot_of_unknown_outcome_is_parked_and_never_compensated() {
    let world = World::default();
    world.plan("pay", [Plan::Unknown, Plan::Lost, Plan::Again]);
    let definition = trip(&world);
    let sagas = open(MemoryLog::new(), &definition).await;
    let saga = sagas.start(&definition, &key("1"), &7).await.unwrap();
    assert_eq!(
        parked(&sagas).await,
        [("pay".to_owned(), ParkReason::Unknown)]
    );
    assert!(sagas.cancel(&key("1")).await.is_err());
    sagas.skip(&key("1"), "pay", &"by hand").await.unwrap();
    assert!(saga.outcome().await.unwrap().is_completed());
    assert!(!world.calls().iter().any(|call| call.starts_with('-')));
}

#[tokio::test(start_paused = true)]
async fn a_pivot_that_is_refused_turns_everything_back() {
    let world = World::default();
    world.plan("pay", [Plan::Again, Plan::Again, Plan::Again]);
    let (_, outcome) = run(&world, &trip(&world)).await;
    assert!(outcome.is_compensated(), "{outcome:?}");
    assert_eq!(world.left(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_compensation_that_cannot_be_done_waits_for_an_operator() {
    let world = World::default();
    world.plan("c", [Plan::Fails]);
    world.plan("-b", [Plan::Again, Plan::Unknown, Plan::Again, Plan::Fails]);
    let definition = chain(&world);
    let sagas = open(MemoryLog::new(), &definition).await;
    let saga = sagas.start(&definition, &key("1"), &7).await.unwrap();
    assert_eq!(
        parked(&sagas).await,
        [("b".to_owned(), ParkReason::Exhausted)]
    );
    let status = sagas.status(&key("1")).unwrap();
    let error = status.steps[1].error.as_ref().unwrap();
    assert_eq!(error.to_string(), "busy");
    sagas.retry(&key("1"), "b").await.unwrap();
    assert_eq!(
        parked(&sagas).await,
        [("b".to_owned(), ParkReason::Refused)]
    );
    let refused = sagas.skip(&key("1"), "b", &1).await.unwrap_err();
    assert!(refused.to_string().contains("without"), "{refused}");
    sagas.skip_compensation(&key("1"), "b").await.unwrap();
    assert!(saga.outcome().await.unwrap().is_compensated());
    assert_eq!(world.calls().last().unwrap(), "-a");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_parked_stops_no_other_and_can_be_given_up() {
    let world = World::default();
    world.plan("c", [Plan::Fails]);
    world.plan("-b", [Plan::Fails]);
    let definition = chain(&world);
    let sagas = open(MemoryLog::new(), &definition).await;
    let saga = sagas.start(&definition, &key("1"), &7).await.unwrap();
    parked(&sagas).await;
    let other = sagas.start(&definition, &key("2"), &7).await.unwrap();
    assert!(other.outcome().await.unwrap().is_completed());
    sagas.abandon(&key("1")).await.unwrap();
    assert!(matches!(
        saga.outcome().await.unwrap(),
        SagaOutcome::Abandoned
    ));
    let refused = sagas.abandon(&key("1")).await.unwrap_err();
    assert_eq!(refused.to_string(), Refusal::Over.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_saga_is_compensated() {
    let world = World::default();
    world.plan("b", [Plan::Hangs]);
    let definition = chain(&world);
    let sagas = open(MemoryLog::new(), &definition).await;
    let saga = sagas.start(&definition, &key("1"), &7).await.unwrap();
    sagas.cancel(&key("1")).await.unwrap();
    let status = sagas.status(&key("1")).unwrap();
    assert_eq!(
        status.direction,
        Some(Direction::Backward(Reason::Cancelled))
    );
    assert!(sagas.cancel(&key("1")).await.is_err());
    assert!(saga.outcome().await.unwrap().is_compensated());
    assert_eq!(world.calls(), ["a", "b", "-b?", "-a"]);
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_takes_too_long_is_compensated() {
    let world = World::default();
    world.plan("b", [Plan::Hangs, Plan::Hangs, Plan::Hangs]);
    let definition = Definition::builder("slow", 1)
        .step(world.step("a"))
        .step(world.step("b"))
        .deadline(Duration::from_secs(7))
        .build()
        .unwrap();
    let (_, outcome) = run(&world, &definition).await;
    let SagaOutcome::Compensated { reason, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(reason, Reason::Deadline);
    assert_eq!(world.left(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_same_key_attaches_and_another_input_is_refused() {
    let world = World::default();
    let definition = chain(&world);
    let sagas = open(MemoryLog::new(), &definition).await;
    let saga = sagas.start(&definition, &key("1"), &7).await.unwrap();
    let again = sagas.start(&definition, &key("1"), &7).await.unwrap();
    assert_eq!(saga.id(), again.id());
    assert!(again.outcome().await.unwrap().is_completed());
    let after = sagas.start(&definition, &key("1"), &7).await.unwrap();
    assert!(after.outcome().await.unwrap().is_completed());
    assert_eq!(world.calls(), ["a", "b", "c"]);
    let conflict = sagas.start(&definition, &key("1"), &8).await.unwrap_err();
    assert!(matches!(conflict, StartError::Conflict(_)));
    // Ten minutes later the key is free again.
    tokio::time::sleep(Duration::from_secs(700)).await;
    assert!(sagas.list(SagaFilter::All).is_empty());
    let other = sagas.start(&definition, &key("1"), &8).await.unwrap();
    assert_ne!(other.id(), saga.id());
}

#[tokio::test(start_paused = true)]
async fn steps_read_what_was_given_before_them_and_nothing_else() {
    async fn one(run: Run<u32>) -> Result<u32, StepError> {
        Ok(run.input() + 1)
    }
    async fn two(run: Run<u32>) -> Result<u32, StepError> {
        assert!(run.output::<u32>("three").is_err());
        assert!(run.output::<String>("one").is_err());
        Ok(run.output::<u32>("one")? * 10)
    }
    async fn three(run: Run<u32>) -> Result<u32, StepError> {
        Ok(*run.input() + run.output::<u32>("inner")?)
    }
    let inner = Definition::builder("inner", 1)
        .step(Step::new("inner", 1, one).harmless())
        .step(Step::new("three", 1, three).harmless())
        .build()
        .unwrap();
    let definition = Definition::builder("outer", 1)
        .step(Step::new("one", 1, one).harmless())
        .step(Step::new("two", 1, two).harmless())
        .saga("sub", &inner, |run: &Run<u32>| run.output::<u32>("two"))
        .build()
        .unwrap();
    let (_, outcome) = run(&World::default(), &definition).await;
    let SagaOutcome::Completed(outputs) = outcome else {
        panic!("{outcome:?}");
    };
    // 7 + 1 = 8; 8 * 10 = 80; within: 80 + 1 = 81; 80 + 81.
    assert_eq!(outputs.get::<u32>("sub/three").unwrap(), 161);
}

/// Waits until something is parked.
async fn parked(sagas: &Sagas) -> Vec<(String, ParkReason)> {
    for _ in 0..10_000 {
        let parked = sagas.list(SagaFilter::Parked);
        if let Some(status) = parked.first() {
            return status
                .parked()
                .map(|(step, why)| (step.to_owned(), why))
                .collect();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nothing is parked");
}
