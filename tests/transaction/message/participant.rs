//! A participant behind a queue.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use tripod::BoxFuture;
use tripod::transaction::log::{MemoryLog, Persistence};
use tripod::transaction::message::{
    Caller, CallerOptions, HandlerError, MemoryTransport, QueueBranch, QueueParticipant, Server,
    ServerOptions, Terms, Transport, serve_participant,
};
use tripod::transaction::participant::Report as Told;
use tripod::transaction::participant::conformance::{Fixture, Report, run};
use tripod::transaction::participant::{
    Enlist, MemoryBranch, MemoryParticipant, Opening, Outcome, Participant, ParticipantError, Vote,
};
use tripod::transaction::two_phase::{CommitOutcome, Coordinator};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, ParticipantName, TransactionId};

use super::faulty::{Faulty, seed};
use super::queue;

const PATIENCE: Duration = Duration::from_secs(30);

fn mark<'a>(
    branch: &'a mut MemoryBranch<()>,
    mark: &'a [u8],
) -> BoxFuture<'a, Result<Vec<u8>, HandlerError>> {
    Box::pin(async move {
        branch.set(std::str::from_utf8(mark)?, ()).await?;
        Ok(mark.to_vec())
    })
}

fn add<'a>(
    branch: &'a mut MemoryBranch,
    request: &'a [u8],
) -> BoxFuture<'a, Result<Vec<u8>, HandlerError>> {
    Box::pin(async move {
        let amount: i64 = std::str::from_utf8(request)?.parse()?;
        let add = |money: Option<i64>| money.map(|money| money + amount);
        branch.update("ada", add).await?;
        Ok(Vec::new())
    })
}

fn terms() -> Terms {
    // Whatever the faults, no request is to be given up.
    let terms = Terms::new().with_deliveries_max(10_000);
    terms.with_lease(Duration::from_millis(50))
}

fn participant(name: &str, transport: impl Transport) -> QueueParticipant {
    let options = CallerOptions::new().with_resend(Duration::from_millis(20));
    let caller = Caller::start(transport, queue(&format!("replies-{name}")), options);
    let name = ParticipantName::new(name).unwrap();
    QueueParticipant::with_patience(
        name,
        caller,
        queue("served"),
        Persistence::Process,
        PATIENCE,
    )
}

/// A map in memory behind a queue; with each process at one end another begins at the other.
struct Behind<T> {
    map: MemoryParticipant<()>,
    transport: T,
    server: Mutex<Option<Server>>,
}

impl<T: Transport + Clone> Behind<T> {
    fn new(transport: T) -> Self {
        Self {
            map: MemoryParticipant::with::<String>("map", []).unwrap(),
            transport,
            server: Mutex::default(),
        }
    }
}

impl<T: Transport + Clone> Fixture for Behind<T> {
    type Participant = QueueParticipant;

    fn start(&self) -> BoxFuture<'_, Result<QueueParticipant, ParticipantError>> {
        Box::pin(async {
            drop(self.server.lock().take());
            self.map.crash();
            let (transport, map) = (self.transport.clone(), self.map.clone());
            let options = ServerOptions::new();
            let server = serve_participant(transport, queue("served"), map, mark, options);
            *self.server.lock() = Some(server);
            Ok(participant("map", self.transport.clone()))
        })
    }

    fn write<'a>(
        &'a self,
        branch: &'a mut QueueBranch,
        mark: u64,
    ) -> BoxFuture<'a, Result<(), ParticipantError>> {
        Box::pin(async move {
            let reply = branch.ask(mark.to_string()).await?;
            assert_eq!(reply, mark.to_string().as_bytes());
            Ok(())
        })
    }

    fn holds(&self, mark: u64) -> BoxFuture<'_, Result<bool, ParticipantError>> {
        Box::pin(async move { Ok(self.map.get(&mark.to_string()).is_some()) })
    }
}

async fn obeys(transport: impl Transport + Clone) -> Report {
    run(&Behind::new(transport)).await
}

#[tokio::test]
async fn a_participant_behind_a_queue_obeys_the_law() {
    let transport = MemoryTransport::with_terms(terms());
    obeys(transport).await.into_result().unwrap();
}

#[tokio::test]
async fn a_participant_behind_a_queue_that_does_what_it_likes_obeys_the_law() {
    let seed = seed();
    let transport = Faulty::new(MemoryTransport::with_terms(terms()), seed);
    let report = obeys(transport).await.into_result();
    report.unwrap_or_else(|report| panic!("seed {seed}: {report}"));
}

fn branch(sequence: u64) -> BranchId {
    let epoch = Epoch::new(1).unwrap();
    BranchId::new(
        TransactionId::new(CoordinatorId::from_u128(7), epoch, sequence),
        0,
    )
}

fn opening() -> Opening {
    Opening::new(CoordinatorId::from_u128(7), Epoch::new(1).unwrap(), 1)
}

fn served(transport: &MemoryTransport, map: &MemoryParticipant) -> Server {
    let options = ServerOptions::new();
    serve_participant(
        transport.clone(),
        queue("served"),
        map.clone(),
        add,
        options,
    )
}

#[tokio::test]
async fn a_branch_of_which_work_was_lost_by_a_restart_votes_no() {
    let transport = MemoryTransport::with_terms(terms());
    // The map outlives the server, and with it the branch that holds half of the work.
    let map = MemoryParticipant::with("map", [("ada", 0)]).unwrap();
    let first = served(&transport, &map);
    let remote = participant("map", transport.clone());
    remote.open(opening()).await.unwrap();
    let mut one = remote.work(branch(1)).await.unwrap();
    one.ask("1").await.unwrap();
    let mut two = remote.work(branch(2)).await.unwrap();
    let mut three = remote.work(branch(3)).await.unwrap();
    drop(first);
    let _second = served(&transport, &map);
    assert!(matches!(
        one.ask("10").await,
        Err(ParticipantError::Refused(_))
    ));
    assert!(matches!(
        two.ask("10").await,
        Err(ParticipantError::Refused(_))
    ));
    assert!(matches!(
        remote.prepare(branch(1)).await.unwrap(),
        Vote::No(_)
    ));
    let alone = remote.commit_one_phase(branch(2)).await.unwrap();
    assert_eq!(alone, Told::Did(Outcome::Aborted));
    assert!(matches!(
        remote.prepare(branch(3)).await.unwrap(),
        Vote::No(_)
    ));
    three.ask("10").await.unwrap_err();
    assert_eq!(map.get("ada"), Some(0));
}

#[tokio::test]
async fn a_branch_that_was_asked_and_not_answered_votes_no() {
    let transport = MemoryTransport::with_terms(terms());
    let map = MemoryParticipant::with("map", [("ada", 0)]).unwrap();
    let _server = served(&transport, &map);
    let remote = participant("map", transport.clone());
    remote.open(opening()).await.unwrap();
    let mut work = remote.work(branch(1)).await.unwrap();
    work.ask("1").await.unwrap();
    {
        let dropped = work.ask("10");
        tokio::pin!(dropped);
        let _ = futures_util::poll!(dropped);
    }
    assert!(matches!(
        work.ask("100").await,
        Err(ParticipantError::Refused(_))
    ));
    assert!(matches!(
        remote.prepare(branch(1)).await.unwrap(),
        Vote::No(_)
    ));
    assert_eq!(map.get("ada"), Some(0));
}

#[tokio::test]
async fn a_failure_of_the_work_is_told_and_the_caller_decides() {
    let transport = MemoryTransport::with_terms(terms());
    let map = MemoryParticipant::with("map", [("ada", 0)]).unwrap();
    let _server = served(&transport, &map);
    let remote = participant("map", transport.clone());
    remote.open(opening()).await.unwrap();
    let mut work = remote.work(branch(1)).await.unwrap();
    let error = work.ask("not a number").await.unwrap_err();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.contains("invalid digit"), "{why}");
    work.ask("2").await.unwrap();
    assert_eq!(remote.prepare(branch(1)).await.unwrap(), Vote::Prepared);
    assert_eq!(
        remote.commit(branch(1)).await.unwrap(),
        Told::Did(Outcome::Committed)
    );
    assert_eq!(map.get("ada"), Some(2));
}

#[tokio::test]
async fn a_prepared_branch_waits_for_a_server_that_comes_back() {
    let transport = MemoryTransport::with_terms(terms());
    let map = MemoryParticipant::with("map", [("ada", 0)]).unwrap();
    let first = served(&transport, &map);
    let remote = participant("map", transport.clone());
    remote.open(opening()).await.unwrap();
    let mut work = remote.work(branch(1)).await.unwrap();
    work.ask("1").await.unwrap();
    assert_eq!(remote.prepare(branch(1)).await.unwrap(), Vote::Prepared);
    drop(first);
    map.crash();
    let asked = remote.clone();
    let commit = tokio::spawn(async move { asked.commit(branch(1)).await });
    sleep(Duration::from_millis(100)).await;
    let _second = served(&transport, &map);
    assert_eq!(
        commit.await.unwrap().unwrap(),
        Told::Did(Outcome::Committed)
    );
    assert_eq!(map.get("ada"), Some(1));
}

#[tokio::test]
async fn a_promise_that_is_less_than_was_said_is_unfit() {
    let transport = MemoryTransport::with_terms(terms());
    let map = MemoryParticipant::with("map", [("ada", 0)]).unwrap();
    let _server = served(&transport, &map);
    let caller = Caller::start(transport, queue("replies"), CallerOptions::new());
    let name = ParticipantName::new("map").unwrap();
    let storage = Persistence::Storage;
    let remote = QueueParticipant::new(name, caller, queue("served"), storage);
    let refused = remote.open(opening()).await.unwrap_err();
    assert!(
        refused.to_string().contains("cannot take part"),
        "{refused}"
    );
}

#[tokio::test]
async fn transfers_over_a_queue_that_does_what_it_likes_keep_the_sum() {
    let seed = seed();
    let transport = Faulty::new(MemoryTransport::with_terms(terms()), seed);
    let far = MemoryParticipant::with("far", [("ada", 1000)]).unwrap();
    let near = MemoryParticipant::with("near", [("ada", 1000)]).unwrap();
    let remote = participant("far", transport.clone());
    let killed = tokio::spawn({
        let (transport, far) = (transport.clone(), far.clone());
        async move {
            loop {
                let (transport, far, options) =
                    (transport.clone(), far.clone(), ServerOptions::new());
                let server =
                    serve_participant(transport, queue("served"), far.clone(), add, options);
                sleep(Duration::from_millis(700)).await;
                drop(server);
                far.crash();
            }
        }
    });
    let coordinator = Coordinator::open(MemoryLog::new())
        .participant(remote.clone())
        .participant(near.clone())
        .await
        .unwrap();
    let mut committed = 0;
    for _ in 0..40 {
        let mut transfer = coordinator.begin().await.unwrap();
        let Ok(mut from) = transfer.enlist(&remote).await else {
            continue;
        };
        let to = transfer.enlist(&near).await.unwrap();
        if from.ask("-1").await.is_err() || from.ask("-2").await.is_err() {
            transfer.rollback();
            continue;
        }
        to.update("ada", |money| money.map(|money| money + 3))
            .await
            .unwrap();
        match transfer.commit().await {
            CommitOutcome::Committed { .. } => committed += 3,
            CommitOutcome::Aborted { .. } => {}
            CommitOutcome::Unknown(id) => panic!("seed {seed}: {id}"),
        }
    }
    let unfinished = coordinator.shutdown(PATIENCE).await.unwrap().unfinished;
    killed.abort();
    assert_eq!(unfinished, 0, "seed {seed}");
    let sums = (far.get("ada"), near.get("ada"));
    assert_eq!(
        sums,
        (Some(1000 - committed), Some(1000 + committed)),
        "seed {seed}"
    );
    assert!(committed > 0, "seed {seed}");
}

/// A beginning that comes again after a restart begins an empty branch; what the first had done is
/// lost, and whoever asked for it must not have the empty one committed.
#[tokio::test]
async fn a_beginning_that_comes_again_after_a_restart_is_not_taken_for_the_work() {
    for alone in [false, true] {
        let transport = MemoryTransport::with_terms(terms());
        let map = MemoryParticipant::with("map", [("ada", 0)]).unwrap();
        let first = served(&transport, &map);
        let remote = participant("map", transport.clone());
        remote.open(opening()).await.unwrap();
        first.stop(PATIENCE).await;
        let asked = remote.clone();
        let begins = tokio::spawn(async move { asked.work(branch(1)).await });
        let taken = transport
            .receive(&queue("served"), 1, PATIENCE)
            .await
            .unwrap();
        let beginning = taken[0].message().clone();
        let first = served(&transport, &map);
        let mut work = begins.await.unwrap().unwrap();
        work.ask("1").await.unwrap();
        drop(first);
        map.crash();
        transport.send(&queue("served"), &beginning).await.unwrap();
        let second = served(&transport, &map);
        while second.stats().done == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        if alone {
            let report = remote.commit_one_phase(branch(1)).await.unwrap();
            assert_eq!(report, Told::Did(Outcome::Aborted));
        } else {
            let vote = remote.prepare(branch(1)).await.unwrap();
            assert!(matches!(vote, Vote::No(_)), "{vote:?}");
        }
        let settled = remote.settle(branch(1)).await.unwrap();
        assert_eq!(settled, Told::Did(Outcome::Aborted));
        assert_eq!(map.get("ada"), Some(0));
    }
}
