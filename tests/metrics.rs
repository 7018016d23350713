//! What the feature `metrics` tells is what the README says, and what the handles count.
#![cfg(all(feature = "metrics", feature = "postgres"))]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::float_cmp,
    dead_code,
    reason = "a failed assertion is how a test speaks; counts are whole; what it borrows has more uses"
)]

#[path = "transaction/coordinator/failing.rs"]
mod failing;
#[path = "transaction/coordinator/faulty.rs"]
mod faulty;
#[path = "metrics/locks.rs"]
mod locks;
#[path = "metrics/recorder.rs"]
mod recorder;
#[path = "server/mod.rs"]
mod server;

use std::time::Duration;

use metrics::set_default_local_recorder;
use tokio::time::sleep;
use tripod::BoxFuture;
use tripod::transaction::log::MemoryLog;
use tripod::transaction::message::{
    Caller, CallerOptions, HandlerError, MemoryTransport, Message, Outbox, QueueName, Server,
    ServerOptions,
};
use tripod::transaction::participant::MemoryParticipant;
use tripod::transaction::saga::{Definition, Retry, Run, SagaKey, Sagas, Step, StepError};
use tripod::transaction::two_phase::{
    ActiveTransaction, CommitOutcome, Coordinator, CoordinatorStats, Outcome, Standing,
};

use failing::Failing;
use faulty::{Fault, Faulty};
use locks::locks;
use recorder::Recorded;
use server::postgres::PostgresServer;

/// Nobody can bring it about: it would be a defect.
const NEVER: &str = "tripod_transaction_impossible_total";

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("never came about: {what}");
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

async fn transfer(coordinator: &Coordinator, a: &Faulty, b: &Faulty) -> ActiveTransaction {
    let mut transaction = coordinator.begin().await.unwrap();
    for (bank, money) in [(a, 90), (b, 110)] {
        let branch = transaction.enlist(bank.bank()).await.unwrap();
        branch.set("account", money).await.unwrap();
    }
    transaction
}

/// Two banks and a log.
struct World {
    a: Faulty,
    b: Faulty,
    log: Failing,
}

impl World {
    fn new() -> Self {
        let bank = |name| Faulty::over(MemoryParticipant::with(name, [("account", 100)]).unwrap());
        let log = Failing::over(MemoryLog::new(), true);
        let (a, b) = (bank("a"), bank("b"));
        Self { a, b, log }
    }

    async fn open(&self) -> Coordinator {
        let opening = Coordinator::open(self.log.clone());
        let opening = opening.participant(self.a.shared());
        opening.participant(self.b.shared()).await.unwrap()
    }
}

/// Leaves a prepared branch behind when its runtime ends.
async fn interrupted(world: &World) -> Coordinator {
    let coordinator = world.open().await;
    world.b.set(Fault::HangsInPrepare);
    let transaction = transfer(&coordinator, &world.a, &world.b).await;
    tokio::spawn(transaction.commit());
    sleep(Duration::from_millis(100)).await;
    coordinator
}

async fn transactions(told: &Recorded, world: &World, before: CoordinatorStats) {
    let World { a, b, log } = world;
    b.set(Fault::None);
    let coordinator = world.open().await;
    eventually("it is settled", || coordinator.stats().orphans > 0).await;
    transfer(&coordinator, a, b).await.rollback();
    sleep(Duration::from_millis(100)).await;
    assert!(
        transfer(&coordinator, a, b)
            .await
            .commit()
            .await
            .is_committed()
    );
    b.set(Fault::VotesNo);
    let refused = transfer(&coordinator, a, b).await.commit().await;
    assert!(
        matches!(refused, CommitOutcome::Aborted { .. }),
        "{refused:?}"
    );
    b.set(Fault::None);
    log.fail();
    let transaction = transfer(&coordinator, a, b).await;
    let id = transaction.id();
    assert_eq!(transaction.commit().await, CommitOutcome::Unknown(id));
    let committed = Standing::Decided(Outcome::Committed);
    eventually("it is decided", || coordinator.inquire(id) == committed).await;
    b.set(Fault::RefusesCommits);
    eventually("both are free", || a.bank().get("account") == Some(90)).await;
    assert!(
        transfer(&coordinator, a, b)
            .await
            .commit()
            .await
            .is_committed()
    );

    let stats = coordinator.stats();
    assert_eq!(told.times("tripod_transaction_commit_seconds").len(), 4);
    for (name, count, least) in [
        ("begun_total", before.begun + stats.begun, 6),
        ("answered_total{outcome=committed}", stats.committed, 2),
        (
            "answered_total{outcome=aborted}",
            before.aborted + stats.aborted,
            1,
        ),
        (
            "answered_total{outcome=unknown}",
            before.unknown + stats.unknown,
            1,
        ),
        (
            "forced_writes_total",
            before.forced_writes + stats.forced_writes,
            3,
        ),
        ("parked_total", before.parked + stats.parked, 1),
        ("orphans_total", stats.orphans, 1),
        ("reopened_total", stats.reopened, 1),
    ] {
        assert!(count >= least, "{name}: {stats:?}");
        let name = format!("tripod_transaction_{name}");
        assert_eq!(told.value(&name), number(count), "{name}");
    }
    assert_eq!(stats.impossible, 0);
}

/// Its card says what becomes of it.
async fn charge(run: Run<String>) -> Result<(), StepError> {
    match run.input().as_str() {
        "good" => Ok(()),
        "silent" => Err(StepError::unknown("no answer")),
        _ => Err(StepError::failed("no money")),
    }
}

async fn sagas(told: &Recorded) {
    let trip = Definition::builder("trip", 1)
        .step(Step::new("charge", 1, charge).pivot().retry(Retry::never()))
        .build()
        .unwrap();
    let sagas = Sagas::open(MemoryLog::new()).register(&trip).await.unwrap();
    let start = async |card: &str| {
        let key = SagaKey::new(card).unwrap();
        sagas.start(&trip, &key, &card.to_owned()).await.unwrap()
    };
    let (good, bad, silent) = (
        start("good").await,
        start("bad").await,
        start("silent").await,
    );
    assert!(good.outcome().await.unwrap().is_completed());
    assert!(bad.outcome().await.unwrap().is_compensated());
    let parked = || told.value("tripod_saga_parked_total") == 1.0;
    eventually("it is parked", parked).await;
    sagas.abandon(silent.key()).await.unwrap();
    let _ = silent.outcome().await.unwrap();
    assert_eq!(told.value("tripod_saga_started_total"), 3.0);
    for outcome in ["completed", "compensated", "abandoned"] {
        let name = format!("tripod_saga_ended_total{{outcome={outcome}}}");
        assert_eq!(told.value(&name), 1.0, "{name}");
    }
}

async fn answer(request: Message) -> Result<Vec<u8>, HandlerError> {
    if request.key() == "never" {
        return Err("as it was told".into());
    }
    sleep(Duration::from_millis(200)).await;
    Ok(request.payload().to_vec())
}

async fn messages(told: &Recorded) {
    let transport = MemoryTransport::new();
    let (requests, replies) = (
        QueueName::new("requests").unwrap(),
        QueueName::new("replies").unwrap(),
    );
    let options = ServerOptions::new();
    let server = Server::start(transport.clone(), requests.clone(), answer, options);
    let caller = Caller::start(transport, replies, CallerOptions::new());
    let ask = |key: &str| {
        let message = Message::new(key, "what?").unwrap();
        caller.call(&requests, message, Duration::from_secs(5))
    };
    let (answered, ()) = tokio::join!(ask("some"), async {
        sleep(Duration::from_millis(100)).await;
        assert_eq!(told.value("tripod_message_working"), 1.0);
    });
    assert_eq!(answered.unwrap().payload(), b"what?");
    ask("never").await.unwrap_err();
    let stats = server.stats();
    assert!(stats.done == 1 && stats.failed > 0, "{stats:?}");
    let done = told.value("tripod_message_handled_total{outcome=done}");
    assert_eq!(done, number(stats.done));
    let failed = told.value("tripod_message_handled_total{outcome=failed}");
    assert_eq!(failed, number(stats.failed));
    assert_eq!(told.value("tripod_message_working"), 0.0);
}

async fn outbox(told: &Recorded) {
    let server = PostgresServer::start();
    Outbox::migrate(server.url()).await.unwrap();
    let relay = Outbox::relay(server.url(), MemoryTransport::new());
    let relay = relay.await.unwrap();
    let tls = tripod::transaction::message::tokio_postgres::NoTls;
    let url = server.url();
    let connected = tripod::transaction::message::tokio_postgres::connect(&url, tls);
    let (mut client, driver) = connected.await.unwrap();
    tokio::spawn(driver);
    let transaction = client.transaction().await.unwrap();
    let queue = QueueName::new("queue").unwrap();
    for key in ["one", "two", "three"] {
        let message = Message::new(key, "").unwrap();
        Outbox::new()
            .send(&transaction, &queue, &message)
            .await
            .unwrap();
    }
    transaction.commit().await.unwrap();
    eventually("all are sent", || relay.sent() == 3).await;
    assert_eq!(told.value("tripod_message_relayed_total"), 3.0);
}

#[test]
fn all_that_the_readme_names_is_told_and_nothing_else() {
    let recorded = Recorded::default();
    let guard = set_default_local_recorder(&recorded);
    let run = |paused: bool, scenario: BoxFuture<'_, ()>| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(paused).build().unwrap();
        runtime.block_on(scenario);
    };
    run(true, Box::pin(locks(&recorded)));
    let world = World::new();
    let mut first = None;
    run(
        true,
        Box::pin(async { first = Some(interrupted(&world).await) }),
    );
    let before = first.take().map(|first| first.stats()).unwrap();
    run(true, Box::pin(transactions(&recorded, &world, before)));
    run(true, Box::pin(sagas(&recorded)));
    run(true, Box::pin(messages(&recorded)));
    run(false, Box::pin(outbox(&recorded)));
    drop(guard);

    let named = include_str!("../README.md").lines().filter_map(|line| {
        let name = line.strip_prefix("| `tripod_")?.split('`').next()?;
        let (_, kind) = line.split_once("` | ")?;
        Some((format!("tripod_{name}"), kind.split(' ').next()?))
    });
    let mut named: Vec<_> = named.filter(|(name, _)| name != NEVER).collect();
    named.sort_unstable();
    assert_eq!(named, recorded.kinds());
}
