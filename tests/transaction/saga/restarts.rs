//! Sagas that are interrupted, and go on.

use std::future::IntoFuture;
use std::time::Duration;

use tripod::transaction::log::{MemoryLog, TransactionLog};
use tripod::transaction::saga::{
    Definition, Direction, End, Event, Fact, OperateError, Reason, Refusal, Retry, SagaFilter,
    SagaOutcome, Sagas, StartError, Stranding,
};

use crate::coordinator::failing::Failing;

use super::{Plan, World, chain, key, open, trip};

#[tokio::test(start_paused = true)]
async fn a_saga_goes_on_where_it_was() {
    let (world, log) = (World::default(), MemoryLog::new());
    world.plan("c", [Plan::Hangs]);
    let definition = chain(&world);
    let sagas = open(log.clone(), &definition).await;
    let saga = sagas.start(&definition, &key("1"), &7).await.unwrap();
    until(|| world.calls().len() == 3).await;
    drop(sagas);
    assert!(saga.outcome().await.is_err());
    log.crash();

    let sagas = open(log, &definition).await;
    let again = sagas.start(&definition, &key("1"), &7).await.unwrap();
    assert_eq!(again.id(), saga.id());
    assert!(again.outcome().await.unwrap().is_completed());
    assert_eq!(world.calls(), ["a", "b", "c", "c"]);
    assert_eq!(world.left(), 3, "under the same keys");
}

#[tokio::test(start_paused = true)]
async fn a_saga_goes_on_being_compensated() {
    let (world, log) = (World::default(), MemoryLog::new());
    world.plan("c", [Plan::Unknown, Plan::Unknown, Plan::Unknown]);
    world.plan("-b", [Plan::Hangs]);
    let definition = chain(&world);
    let sagas = open(log.clone(), &definition).await;
    sagas.start(&definition, &key("1"), &7).await.unwrap();
    until(|| world.calls().contains(&"-b".into())).await;
    drop(sagas);
    log.crash();

    let sagas = open(log, &definition).await;
    let outcome = sagas.find(&key("1")).unwrap().outcome().await.unwrap();
    assert!(outcome.is_compensated(), "{outcome:?}");
    assert_eq!(world.calls()[5..], ["-c?", "-b", "-b", "-a"]);
    assert_eq!(world.left(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_outcome_is_remembered_through_a_restart_and_then_forgotten() {
    let (world, log) = (World::default(), MemoryLog::new());
    let definition = trip(&world);
    let sagas = open(log.clone(), &definition).await;
    let saga = sagas.start(&definition, &key("1"), &7).await.unwrap();
    assert!(saga.outcome().await.unwrap().is_completed());
    drop(sagas);
    log.crash();
    let sagas = open(log.clone(), &definition).await;
    let saga = sagas.start(&definition, &key("1"), &7).await.unwrap();
    let SagaOutcome::Completed(outputs) = saga.outcome().await.unwrap() else {
        panic!("not completed");
    };
    assert_eq!(outputs.get::<String>("mail").unwrap(), "mail");
    assert_eq!(world.calls().len(), 4);
    tokio::time::sleep(Duration::from_secs(700)).await;
    assert!(sagas.find(&key("1")).is_none());
    drop(sagas);
    let sagas = open(log, &definition).await;
    assert!(sagas.list(SagaFilter::All).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_changed_or_missing_definition_strands_its_own_sagas_only() {
    let (world, log) = (World::default(), MemoryLog::new());
    world.plan("c", [Plan::Hangs]);
    world.plan("hotel", [Plan::Hangs]);
    let (one, two) = (chain(&world), trip(&world));
    let sagas = Sagas::open(log.clone()).register(&one).register(&two);
    let sagas = sagas.await.unwrap();
    sagas.start(&one, &key("1"), &7).await.unwrap();
    sagas.start(&two, &key("2"), &7).await.unwrap();
    drop(sagas);
    let changed = Definition::builder("chain", 1)
        .step(world.step("a"))
        .step(world.step("x"))
        .build()
        .unwrap();
    let sagas = open(log.clone(), &changed).await;
    let stranded = sagas.list(SagaFilter::Parked);
    let why: Vec<_> = stranded.iter().map(|status| status.stranding).collect();
    assert_eq!(
        why,
        [Some(Stranding::Changed), Some(Stranding::Unregistered)]
    );
    let other = sagas.start(&changed, &key("3"), &7).await.unwrap();
    assert!(other.outcome().await.unwrap().is_completed());
    let refused = sagas.start(&two, &key("4"), &7).await.unwrap_err();
    assert!(matches!(refused, StartError::Unregistered { .. }));
    let waiting = sagas.find(&key("1")).unwrap();
    sagas.abandon(&key("1")).await.unwrap();
    let told = waiting.outcome().await.unwrap();
    assert!(matches!(told, SagaOutcome::Abandoned), "{told:?}");
    let refused = sagas.retry(&key("3"), "a").await.unwrap_err();
    let over = OperateError::Refused(Refusal::Over);
    assert_eq!(refused.to_string(), over.to_string());
    drop(sagas);
    let sagas = open(log, &two).await;
    let saga = sagas.find(&key("2")).unwrap();
    assert!(saga.outcome().await.unwrap().is_completed());
    let saga = sagas.find(&key("1")).unwrap();
    let told = saga.outcome().await.unwrap();
    assert!(matches!(told, SagaOutcome::Abandoned), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn several_versions_run_side_by_side() {
    let (world, log) = (World::default(), MemoryLog::new());
    world.plan("c", [Plan::Hangs]);
    let old = chain(&world);
    let sagas = open(log.clone(), &old).await;
    sagas.start(&old, &key("1"), &7).await.unwrap();
    drop(sagas);
    let new = Definition::builder("chain", 2)
        .step(world.step("new"))
        .build()
        .unwrap();
    let sagas = Sagas::open(log)
        .register(&old)
        .register(&new)
        .await
        .unwrap();
    let attached = sagas.start(&new, &key("1"), &7).await.unwrap();
    assert!(attached.outcome().await.unwrap().is_completed());
    let fresh = sagas.start(&new, &key("2"), &7).await.unwrap();
    assert!(fresh.outcome().await.unwrap().is_completed());
    assert_eq!(world.calls(), ["a", "b", "c", "c", "new"]);
}

#[tokio::test(start_paused = true)]
async fn history_and_events_tell_what_happened_also_before_a_restart() {
    let (world, log) = (World::default(), MemoryLog::new());
    world.plan("b", [Plan::Again, Plan::Hangs]);
    let definition = chain(&world);
    let sagas = open(log.clone(), &definition).await;
    sagas.start(&definition, &key("1"), &7).await.unwrap();
    until(|| world.calls().len() == 3).await;
    drop(sagas);
    let sagas = open(log, &definition).await;
    let mut events = sagas.events();
    let history = sagas.history(&key("1"));
    let told: Vec<_> = history.iter().map(|event| event.step.as_deref()).collect();
    assert_eq!(told[..4], [Some("a"), Some("a"), Some("b"), Some("b")]);
    let outcome = sagas.find(&key("1")).unwrap().outcome().await.unwrap();
    assert!(outcome.is_completed(), "{outcome:?}");
    let mut last = None;
    while let Ok(event) = events.try_recv() {
        last = Some(event.fact);
    }
    assert!(matches!(last, Some(Fact::Ended(_))), "{last:?}");
}

async fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never came about");
}

#[tokio::test(start_paused = true)]
async fn a_doubtful_pivot_stays_doubtful_through_a_restart_and_a_retry() {
    let (world, log) = (World::default(), MemoryLog::new());
    world.plan("pay", [Plan::Unknown, Plan::Again]);
    let definition = Definition::builder("once", 1)
        .step(world.step("hotel"))
        .step(world.step("pay").pivot().retry(Retry::never()))
        .build()
        .unwrap();
    let sagas = open(log.clone(), &definition).await;
    sagas.start(&definition, &key("1"), &7).await.unwrap();
    until(|| !sagas.list(SagaFilter::Parked).is_empty()).await;
    drop(sagas);
    let sagas = open(log, &definition).await;
    sagas.retry(&key("1"), "pay").await.unwrap();
    until(|| world.calls().len() >= 3 && !sagas.list(SagaFilter::Parked).is_empty()).await;
    assert!(!world.calls().iter().any(|call| call.starts_with('-')));
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_no_longer_to_be_remembered_are_free_for_good() {
    let (world, log) = (World::default(), MemoryLog::new());
    let definition = chain(&world);
    let sagas = open(log.clone(), &definition).await;
    let saga = sagas.start(&definition, &key("1"), &7).await.unwrap();
    assert!(saga.outcome().await.unwrap().is_completed());
    drop(sagas);
    let forgetful = || {
        let opening = Sagas::open(log.clone()).register(&definition);
        opening.retention(Duration::ZERO).into_future()
    };
    let sagas = forgetful().await.unwrap();
    until(|| sagas.find(&key("1")).is_none()).await;
    world.plan("b", [Plan::Hangs]);
    sagas.start(&definition, &key("1"), &8).await.unwrap();
    until(|| world.calls().len() == 5).await;
    drop(sagas);
    log.crash();
    let sagas = forgetful().await.unwrap();
    let saga = sagas.find(&key("1")).unwrap();
    assert!(saga.outcome().await.unwrap().is_completed());
}

#[tokio::test(start_paused = true)]
async fn a_full_log_refuses_new_sagas_and_lets_those_under_way_turn_back() {
    let world = World::default();
    let log = MemoryLog::with_space(16 << 10);
    world.plan("b", [Plan::Hangs]);
    let definition = chain(&world);
    let sagas = open(log.clone(), &definition).await;
    let saga = sagas.start(&definition, &key("1"), &7).await.unwrap();
    until(|| world.calls().len() == 2).await;
    let mut others = Vec::new();
    let refused = loop {
        world.plan("a", [Plan::Hangs]);
        let name = key(&format!("other {}", others.len()));
        match sagas.start(&definition, &name, &7).await {
            Ok(other) => others.push(other),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StartError::Log(_)), "{refused:?}");
    sagas.cancel(&key("1")).await.unwrap();
    assert!(saga.outcome().await.unwrap().is_compensated());
}

#[tokio::test(start_paused = true)]
async fn sagas_whose_log_has_failed_go_on_once_it_is_open_again() {
    for writes in [true, false] {
        let world = World::default();
        let definition = chain(&world);
        let log = Failing::over(MemoryLog::new(), writes);
        let sagas = Sagas::open(log.clone()).register(&definition);
        let sagas = sagas.await.unwrap();
        log.fail();
        let started = sagas.start(&definition, &key("1"), &7).await;
        // Told once the log is open again, and tells.
        assert_eq!(started.is_ok(), writes, "{started:?}");
        assert!(writes || matches!(started, Err(StartError::Unknown)));
        let saga = sagas.start(&definition, &key("1"), &7).await.unwrap();
        assert!(saga.outcome().await.unwrap().is_completed());
        assert_eq!(world.left(), 3, "once");
    }
}

#[tokio::test(start_paused = true)]
async fn sagas_that_another_has_followed_do_not_take_the_log_back() {
    let (world, memory) = (World::default(), MemoryLog::new());
    let definition = chain(&world);
    let log = Failing::over(memory.clone(), false);
    let one = Sagas::open(log.clone()).register(&definition);
    let one = one.await.unwrap();
    log.fail();
    let starting = tokio::spawn({
        let (one, definition) = (one.clone(), definition.clone());
        async move { one.start(&definition, &key("1"), &7).await }
    });
    until(|| log.has_failed()).await;
    // Before the first one opens it again.
    let two = open(memory.clone(), &definition).await;
    until(|| one.is_superseded()).await;
    let lost = starting.await.unwrap();
    assert!(matches!(lost, Err(StartError::Unknown)), "{lost:?}");
    let refused = one.start(&definition, &key("2"), &7).await;
    assert!(
        matches!(refused, Err(StartError::Superseded)),
        "{refused:?}"
    );
    let saga = two.start(&definition, &key("1"), &7).await.unwrap();
    assert!(saga.outcome().await.unwrap().is_completed());
    assert!(!two.is_superseded());
    let epoch = memory.open(0).await.unwrap().epoch();
    assert_eq!(epoch.as_u64(), 3, "each has opened it once");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_ends_between_a_failure_and_the_turn_turns_back() {
    let world = World::default();
    let definition = chain(&world);
    let mut execution = definition.execution();
    let began = |step| Fact::Began { step, attempt: 1 };
    for fact in [began(0), Fact::Failed { step: 0 }] {
        assert!(execution.apply(&fact));
    }
    let _ = execution.step(Event::Resume).unwrap();
    let reason = Reason::Failed { step: 0 };
    assert_eq!(
        execution.direction(),
        Direction::Ended(End::Compensated(reason))
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_told_when_the_log_goes_to_another() {
    let (world, log) = (World::default(), MemoryLog::new());
    world.plan("a", [Plan::Hangs]);
    let definition = chain(&world);
    let one = Sagas::open(log.clone()).register(&definition).sagas_max(1);
    let one = one.await.unwrap();
    let saga = one.start(&definition, &key("1"), &7).await.unwrap();
    let waiting = {
        let (one, definition) = (one.clone(), definition.clone());
        tokio::spawn(async move { one.start(&definition, &key("2"), &7).await })
    };
    let two = open(log, &definition).await;
    assert!(saga.outcome().await.is_err());
    let refused = waiting.await.unwrap().unwrap_err();
    assert!(matches!(refused, StartError::Superseded), "{refused:?}");
    assert!(one.is_superseded());
    let saga = two.find(&key("1")).unwrap();
    assert!(saga.outcome().await.unwrap().is_completed());
}
