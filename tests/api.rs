//! What others build on: handles may go anywhere, errors convert, and any runtime will do.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed assertion is how a test speaks"
)]

use std::error::Error;
use std::time::Duration;

use tripod::lock::{
    Acquire, AcquireError, BackendError, Election, Leadership, Loss, NameError, Observer,
};
use tripod::lock::{
    All, FenceError, FenceGate, FencePass, IfFree, Leader, LockGuard, LockName, LockSet, Locks,
    MemoryBackend, One, Stale,
};
use tripod::ring::{
    Allocated, BoundedLoads, Builder, ChangeError, DiffError, HashRing, LoadPermit, Node,
    NodeIdError, PlacementError, ReplicasError, RingRef, SharedRing, SnapshotError, UpdateError,
    Xxh3V1,
};
use tripod::transaction::log::{
    AppendError, FileLog, FileLogOptions, LogError, MemoryLog, RecordError, Reservation,
    TransactionLog,
};
use tripod::transaction::message::{
    CallError, Caller, CallerOptions, HandlerError, InboxError, MemoryInbox, MemoryTransport,
    Message, MessageError, QueueBranch, QueueName, QueueNameError, QueueParticipant, QueueStep,
    Server, ServerOptions, TransportError,
};
use tripod::transaction::participant::tcc::{BarrierError, MemoryBarrier, TryError};
use tripod::transaction::participant::{
    MemoryBranch, MemoryError, MemoryParticipant, Participant, ParticipantError,
    ParticipantOpenError,
};
use tripod::transaction::saga::{
    Definition, DefinitionError, OperateError, OutputError, Run, SagaHandle, SagaKey, SagaKeyError,
    SagaLost, SagaOutcome, Sagas, StartError, Step, StepError,
};
use tripod::transaction::two_phase::{
    ActiveTransaction, BeginError, Coordinator, EnlistError, OpenError, ResolveError, RetireError,
};
use tripod::transaction::{BranchIdError, ParticipantNameError, TransactionIdError, saga};

fn handle<T: Clone + Send + Sync + Unpin + 'static>() {}

fn owned<T: Send + Sync + 'static>() {}

fn error<T: Error + Send + Sync + 'static>() {}

/// Nothing is run: it compiles, or it does not.
#[test]
fn handles_are_cloned_and_shared_by_threads() {
    handle::<HashRing>();
    handle::<HashRing<Vec<u8>, Xxh3V1>>();
    handle::<HashRing<(), Allocated>>();
    handle::<SharedRing>();
    handle::<Locks>();
    handle::<Election>();
    handle::<Observer>();
    handle::<Leader>();
    handle::<FencePass>();
    handle::<LockName>();
    handle::<Coordinator>();
    handle::<Sagas>();
    handle::<SagaHandle>();
    handle::<Definition<String>>();
    handle::<FileLog>();
    handle::<MemoryLog>();
    handle::<MemoryParticipant>();
    handle::<MemoryBarrier>();
    handle::<Caller>();
    handle::<MemoryTransport>();
    handle::<QueueParticipant>();
    handle::<QueueStep<String, u64>>();
    handle::<Message>();
    handle::<BoundedLoads>();
}

#[cfg(feature = "postgres")]
#[test]
fn handles_of_postgres_are_cloned_and_shared_by_threads() {
    use tripod::transaction::{log, message, participant};
    handle::<participant::PostgresParticipant>();
    handle::<participant::tcc::PostgresBarrier>();
    handle::<log::PostgresLog>();
    handle::<message::Outbox>();
    handle::<message::Inbox>();
    owned::<tripod::lock::PostgresBackend>();
    owned::<message::Relay>();
    owned::<participant::PostgresBranch>();
    error::<participant::BranchError>();
    error::<message::TablesError>();
    error::<message::OutboxError>();
    error::<tripod::lock::SchemaError>();
}

#[cfg(feature = "mysql")]
#[test]
fn handles_of_mysql_are_cloned_and_shared_by_threads() {
    use tripod::transaction::participant;
    handle::<participant::MysqlParticipant>();
    handle::<participant::tcc::MysqlBarrier>();
    owned::<participant::MysqlBranch>();
    error::<participant::MysqlError>();
}

#[cfg(feature = "redis")]
#[test]
fn handles_of_redis_are_cloned_and_shared_by_threads() {
    handle::<tripod::transaction::message::RedisTransport>();
    owned::<tripod::lock::RedisBackend>();
}

#[cfg(feature = "etcd")]
#[test]
fn handles_of_etcd_are_shared_by_threads() {
    owned::<tripod::lock::EtcdBackend>();
}

#[cfg(feature = "zookeeper")]
#[test]
fn handles_of_zookeeper_are_shared_by_threads() {
    owned::<tripod::lock::ZooKeeperBackend>();
}

/// These are one's own: they end something when they are dropped.
#[test]
fn what_is_owned_goes_from_thread_to_thread() {
    owned::<RingRef>();
    owned::<Builder<(), Xxh3V1>>();
    owned::<LoadPermit>();
    owned::<MemoryBackend>();
    owned::<Acquire<One>>();
    owned::<Acquire<IfFree>>();
    owned::<Acquire<All>>();
    owned::<LockGuard>();
    owned::<LockSet>();
    owned::<Leadership>();
    owned::<MemoryInbox>();
    owned::<FenceGate<u64>>();
    owned::<ActiveTransaction>();
    owned::<MemoryBranch>();
    owned::<QueueBranch>();
    owned::<Server>();
    owned::<Reservation>();
    owned::<Box<dyn TransactionLog>>();
    owned::<Box<dyn Participant>>();
}

#[test]
fn every_error_is_one_that_others_can_box() {
    error::<AcquireError>();
    error::<BackendError>();
    error::<FenceError<std::io::Error>>();
    error::<Loss>();
    error::<NameError>();
    error::<Stale>();
    error::<ChangeError>();
    error::<DiffError>();
    error::<NodeIdError>();
    error::<PlacementError>();
    error::<ReplicasError>();
    error::<SnapshotError>();
    error::<UpdateError>();
    error::<AppendError>();
    error::<LogError>();
    error::<RecordError>();
    error::<CallError>();
    error::<InboxError>();
    error::<MessageError>();
    error::<QueueNameError>();
    error::<TransportError>();
    error::<BarrierError>();
    error::<TryError>();
    error::<MemoryError>();
    error::<ParticipantError>();
    error::<ParticipantOpenError>();
    error::<ParticipantNameError>();
    error::<BranchIdError>();
    error::<TransactionIdError>();
    error::<tripod::transaction::two_phase::Refusal>();
    error::<BeginError>();
    error::<EnlistError>();
    error::<OpenError>();
    error::<ResolveError>();
    error::<RetireError>();
    error::<DefinitionError>();
    error::<OperateError>();
    error::<OutputError>();
    error::<SagaKeyError>();
    error::<SagaLost>();
    error::<StartError>();
    error::<saga::OpenError>();
}

/// A directory that cannot be: its parent is a file.
async fn opened() -> Result<Coordinator, OpenError> {
    let no_directory = std::env::current_exe().unwrap().join("log");
    let log = FileLog::start(no_directory, FileLogOptions::default())?;
    Coordinator::open(log).await
}

#[tokio::test]
async fn errors_convert_into_anyhow_and_tell_why() {
    async fn fails() -> anyhow::Result<Coordinator> {
        Ok(opened().await?)
    }
    let error = fails().await.unwrap_err();
    let told: Vec<String> = error.chain().map(ToString::to_string).collect();
    assert_readable(&told);
    // On one line, as programs print it.
    assert_eq!(format!("{error:#}"), told.join(": "));
    assert!(error.downcast_ref::<OpenError>().is_some());
}

#[tokio::test]
async fn errors_convert_into_eyre_and_tell_why() {
    async fn fails() -> eyre::Result<Coordinator> {
        Ok(opened().await?)
    }
    let error = fails().await.unwrap_err();
    let told: Vec<String> = error.chain().map(ToString::to_string).collect();
    assert_readable(&told);
    assert_eq!(format!("{error:#}"), told.join(": "));
}

/// Each says something of its own, and the last what the system said.
fn assert_readable(told: &[String]) {
    assert!(told.len() >= 2, "{told:?}");
    for (at, line) in told.iter().enumerate() {
        assert!(!line.is_empty() && !line.ends_with('.'), "{told:?}");
        let others = told.iter().enumerate().filter(|(other, _)| *other != at);
        for (_, other) in others {
            assert!(!other.contains(line.as_str()), "said twice: {told:?}");
        }
    }
    let last = told.last().unwrap();
    assert!(last.contains("Not a directory"), "{told:?}");
}

async fn reserve(run: Run<String>) -> Result<String, StepError> {
    Ok(format!("a seat for {}", run.input()))
}

async fn free(_: Run<String>, _: Option<String>) -> Result<(), StepError> {
    Ok(())
}

async fn charge(_: Run<String>) -> Result<(), StepError> {
    Err(StepError::failed("no money"))
}

async fn echo(request: Message) -> Result<Vec<u8>, HandlerError> {
    Ok(request.payload().to_vec())
}

/// A lock, a transfer, a saga and a message.
async fn a_day() -> Result<(), Box<dyn Error + Send + Sync>> {
    let locks = Locks::new(MemoryBackend::new());
    let guard = locks.acquire("account/17").await?;
    let waiter = tokio::spawn({
        let locks = locks.clone();
        async move {
            locks
                .acquire("account/17")
                .await?
                .release()
                .await
                .map_err(AcquireError::from)
        }
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(guard.release().await?);
    assert!(waiter.await??);
    drop(locks.acquire("account/17").await?);
    locks.flush().await?;

    let (a, b) = (
        MemoryParticipant::with("a", [("ada", 100)])?,
        MemoryParticipant::with("b", [("ada", 0)])?,
    );
    let opening = Coordinator::open(MemoryLog::new());
    let coordinator = opening
        .participant(a.clone())
        .participant(b.clone())
        .await?;
    let mut transfer = coordinator.begin().await?;
    transfer.enlist(&a).await?.set("ada", 70).await?;
    transfer.enlist(&b).await?.set("ada", 30).await?;
    assert!(transfer.commit().await.is_committed());
    assert_eq!((a.get("ada"), b.get("ada")), (Some(70), Some(30)));
    let left = coordinator.shutdown(Duration::from_secs(5)).await?;
    assert_eq!(left.unfinished, 0);

    let trip = Definition::builder("trip", 1)
        .step(Step::new("seat", 1, reserve).compensate(free))
        .step(Step::new("charge", 1, charge).pivot())
        .build()?;
    let sagas = Sagas::open(MemoryLog::new()).register(&trip).await?;
    let saga = sagas
        .start(&trip, &SagaKey::new("17")?, &"Ada".to_owned())
        .await?;
    let outcome = saga.outcome().await?;
    assert!(matches!(outcome, SagaOutcome::Compensated { .. }));
    sagas.shutdown(Duration::from_secs(5)).await?;

    let transport = MemoryTransport::new();
    let (requests, replies) = (QueueName::new("requests")?, QueueName::new("replies")?);
    let server = Server::start(
        transport.clone(),
        requests.clone(),
        echo,
        ServerOptions::new(),
    );
    let caller = Caller::start(transport, replies, CallerOptions::new());
    let request = Message::new("17", "what?")?;
    let reply = caller
        .call(&requests, request, Duration::from_secs(5))
        .await?;
    assert_eq!(reply.payload(), b"what?");
    assert_eq!(server.stop(Duration::from_secs(5)).await, 0);
    Ok(())
}

/// As tasks too, which may be taken from thread to thread at every await.
async fn days() {
    a_day().await.unwrap();
    let days: Vec<_> = (0..8).map(|_| tokio::spawn(a_day())).collect();
    for day in days {
        day.await.unwrap().unwrap();
    }
}

#[test]
fn all_of_it_runs_on_one_thread() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    runtime.block_on(days());
}

#[test]
fn all_of_it_runs_on_many_threads() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(days());
}

#[test]
fn rings_need_no_runtime() {
    let ring = HashRing::builder()
        .nodes([Node::new("a").unwrap()])
        .build()
        .unwrap();
    let shared = SharedRing::new(ring);
    assert!(shared.load().owner("key").is_some());
}
