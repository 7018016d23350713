//! Steps of sagas over queues.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::sleep;
use tripod::transaction::log::MemoryLog;
use tripod::transaction::message::tokio_postgres::{NoTls, connect};
use tripod::transaction::message::{
    Caller, CallerOptions, HandlerError, Inbox, InboxError, MemoryInbox, MemoryTransport, Message,
    QueueStep, RedisTransport, Server, ServerOptions, StepReply, StepRequest, Terms, Transport,
    Turn,
};
use tripod::transaction::saga::{
    Definition, Retry, Run, SagaKey, SagaOutcome, Sagas, Step, StepError,
};

use super::faulty::{Faulty, seed};
use super::stores::{client, server};
use super::{message, queue};
use crate::server::redis::RedisServer;

const PATIENCE: Duration = Duration::from_secs(30);

/// Rooms that are booked, by guest: how often.
type Rooms = Arc<Mutex<BTreeMap<u64, i32>>>;

fn terms() -> Terms {
    let terms = Terms::new().with_deliveries_max(10_000);
    terms.with_lease(Duration::from_millis(100))
}

/// A hotel that has no room for every third guest.
fn hotel(transport: impl Transport, rooms: Rooms, inbox: Arc<MemoryInbox>) -> Server {
    let book = move |message: Message| {
        let (rooms, inbox) = (Arc::clone(&rooms), Arc::clone(&inbox));
        async move {
            let request = StepRequest::new(message)?;
            let guest: u64 = request.read()?;
            let book = || {
                if guest % 3 == 2 {
                    return StepReply::failed("no room");
                }
                *rooms.lock().entry(guest).or_default() += 1;
                StepReply::done(guest * 10)
            };
            let cancel = |_: &StepReply| {
                *rooms.lock().entry(guest).or_default() -= 1;
                StepReply::done(())
            };
            let reply = inbox.step(&request, book, cancel)?;
            Ok::<_, HandlerError>(reply.to_bytes())
        }
    };
    Server::start(transport, queue("hotel"), book, ServerOptions::new())
}

/// A trip of a guest: a room over the queue, and then a flight, which every fourth does not get.
fn trip(caller: &Caller, patience: Duration) -> Definition<u64> {
    let room = QueueStep::new(caller, queue("hotel"), |run: &Run<u64>| Ok(*run.input()));
    let room = room.with_patience(patience).compensated::<u64>("room", 1);
    let fly = |run: Run<u64>| async move {
        let room: u64 = run.output("room")?;
        if *run.input() % 4 == 3 {
            return Err(StepError::failed("no seat"));
        }
        Ok(room + 1)
    };
    let definition = Definition::builder("trip", 1)
        .step(
            room.retry(Retry::forever())
                .compensation_retry(Retry::forever()),
        )
        .step(Step::new("flight", 1, fly).pivot());
    definition.build().unwrap()
}

fn caller(transport: impl Transport) -> Caller {
    let options = CallerOptions::new().with_resend(Duration::from_millis(50));
    Caller::start(transport, queue("replies"), options)
}

fn key(guest: u64) -> SagaKey {
    SagaKey::new(format!("guest-{guest}")).unwrap()
}

/// All guests travel, whatever is lost; those who do keep one room, and the others none.
async fn travel(caller: &Caller, guests: u64, booked: impl AsyncFn(u64) -> i32) {
    let definition = trip(caller, Duration::from_millis(400));
    let sagas = Sagas::open(MemoryLog::new()).register(&definition);
    let sagas = sagas.await.unwrap();
    let trips = (0..guests).map(|guest| {
        let (sagas, definition) = (&sagas, &definition);
        async move {
            let trip = sagas.start(definition, &key(guest), &guest).await.unwrap();
            trip.outcome().await.unwrap()
        }
    });
    let outcomes = join_all(trips).await;
    for (guest, outcome) in (0..).zip(outcomes) {
        let travels = guest % 3 != 2 && guest % 4 != 3;
        assert_eq!(outcome.is_completed(), travels, "{guest}: {outcome:?}");
        assert_eq!(booked(guest).await, i32::from(travels), "{guest}");
        if let SagaOutcome::Compensated { step, .. } = outcome {
            let culprit = if guest % 3 == 2 { "room" } else { "flight" };
            assert_eq!(step.as_deref(), Some(culprit));
        }
    }
}

#[tokio::test]
async fn a_step_over_a_queue_that_does_what_it_likes_has_its_effect_once_or_not_at_all() {
    let seed = seed();
    let transport = Faulty::new(MemoryTransport::with_terms(terms()), seed);
    let (rooms, inbox) = (Rooms::default(), Arc::new(MemoryInbox::new()));
    let served = tokio::spawn({
        let (transport, rooms) = (transport.clone(), Arc::clone(&rooms));
        async move {
            loop {
                let server = hotel(transport.clone(), Arc::clone(&rooms), Arc::clone(&inbox));
                sleep(Duration::from_millis(300)).await;
                drop(server);
            }
        }
    });
    let booked = async |guest| rooms.lock().get(&guest).copied().unwrap_or_default();
    travel(&caller(transport), 60, booked).await;
    // What comes late changes nothing either.
    sleep(Duration::from_millis(500)).await;
    served.abort();
    for guest in 0..60 {
        let travels = guest % 3 != 2 && guest % 4 != 3;
        assert_eq!(
            booked(guest).await,
            i32::from(travels),
            "seed {seed}: {guest}"
        );
    }
}

#[tokio::test]
async fn an_action_that_comes_after_its_compensation_is_refused() {
    let (rooms, inbox) = (Rooms::default(), Arc::new(MemoryInbox::new()));
    let transport = MemoryTransport::new();
    let caller = caller(transport.clone());
    let _server = hotel(transport, Arc::clone(&rooms), inbox);
    let undo = undo_after(Duration::ZERO).message().clone();
    let served = queue("hotel");
    let undone = caller.call(&served, undo, PATIENCE).await;
    let undone = StepReply::from_bytes(undone.unwrap().payload()).unwrap();
    assert_eq!(undone.outcome(), Ok(()));
    let late = caller.call(&served, message("1/room/do", "7"), PATIENCE);
    let late = StepReply::from_bytes(late.await.unwrap().payload()).unwrap();
    assert!(late.outcome().unwrap_err().contains("compensated"));
    assert!(rooms.lock().is_empty());
}

#[tokio::test]
async fn a_step_that_nobody_serves_waits_and_is_compensated_when_it_may_have_happened() {
    let transport = MemoryTransport::new();
    let caller = caller(transport.clone());
    let (rooms, inbox) = (Rooms::default(), Arc::new(MemoryInbox::new()));
    let definition = trip(&caller, Duration::from_millis(50));
    let sagas = Sagas::open(MemoryLog::new()).register(&definition);
    let sagas = sagas.await.unwrap();
    let trip = sagas.start(&definition, &key(1), &1).await.unwrap();
    while sagas.history(&key(1)).len() < 3 {
        sleep(Duration::from_millis(10)).await;
    }
    sagas.cancel(&key(1)).await.unwrap();
    let _server = hotel(transport, Arc::clone(&rooms), inbox);
    let outcome = trip.outcome().await.unwrap();
    assert!(!outcome.is_completed(), "{outcome:?}");
    // It was done before it was undone, or was excluded.
    assert!(rooms.lock().values().all(|booked| *booked == 0));
}

/// The hotel's side on a database.
async fn book(url: String, inbox: Inbox, message: Message) -> Result<Vec<u8>, HandlerError> {
    let (mut client, driver) = connect(&url, NoTls).await?;
    tokio::spawn(driver);
    let request = StepRequest::new(message)?;
    let guest: u64 = request.read()?;
    let guest = i64::try_from(guest)?;
    let transaction = client.transaction().await?;
    let (change, reply) = match inbox.turn(&transaction, &request).await? {
        Turn::Do if guest % 3 == 2 => (0, StepReply::failed("no room")),
        Turn::Do => (1, StepReply::done(guest * 10)),
        Turn::Undo(_) => (-1, StepReply::done(())),
        Turn::Answered(reply) => {
            transaction.commit().await?;
            return Ok(reply.to_bytes());
        }
    };
    let changes = "INSERT INTO booking (guest, change) VALUES ($1, $2)";
    transaction.execute(changes, &[&guest, &change]).await?;
    let reply = reply.to_bytes();
    inbox.keep(&transaction, request.message(), &reply).await?;
    transaction.commit().await?;
    Ok(reply)
}

#[tokio::test]
async fn a_step_over_redis_is_one_row_on_postgres() {
    let seed = seed();
    let postgres = server().await;
    postgres.query("CREATE TABLE booking (guest bigint, change int)");
    let redis = RedisServer::start(&[]).await;
    let transport = RedisTransport::connect(redis.url()).terms(terms());
    let transport = Faulty::new(transport.await.unwrap(), seed);
    let (url, inbox) = (postgres.url(), Inbox::new(queue("hotel")));
    let handler = {
        let url = url.clone();
        move |message| book(url.clone(), inbox.clone(), message)
    };
    let options = ServerOptions::new().with_concurrency(4);
    let _server = Server::start(transport.clone(), queue("hotel"), handler, options);
    let client = client(&postgres).await;
    let booked = async |guest: u64| {
        let sum = "SELECT coalesce(sum(change), 0)::int FROM booking WHERE guest = $1";
        let guest = i64::try_from(guest).unwrap();
        client
            .query_one(sum, &[&guest])
            .await
            .unwrap()
            .get::<_, i32>(0)
    };
    travel(&caller(transport), 24, booked).await;
    let doubles = "SELECT count(*) FROM (SELECT 1 FROM booking GROUP BY guest, change
        HAVING count(*) > 1 AND change <> 0) AS doubles";
    let doubles: i64 = client.query_one(doubles, &[]).await.unwrap().get(0);
    assert_eq!(doubles, 0, "seed {seed}");
}

/// The compensation of an action, of a saga that was started so long ago.
fn undo_after(age: Duration) -> StepRequest {
    let since = SystemTime::now() - age;
    let since = since.duration_since(UNIX_EPOCH).unwrap().as_millis();
    let undo = message("1/room/undo", "7").with_header("tripod-undoes", "1/room/do");
    let undo = undo
        .unwrap()
        .with_header("tripod-since", &since.to_string());
    StepRequest::new(undo.unwrap()).unwrap()
}

#[tokio::test]
async fn a_compensation_whose_action_may_be_forgotten_is_not_called_done() {
    let server = server().await;
    let mut client = client(&server).await;
    let hour = Duration::from_secs(3600);
    let inbox = Inbox::new(queue("hotel")).with_retention(2 * hour);
    for (age, known) in [(2 * hour, false), (3 * hour, true), (hour, true)] {
        let transaction = client.transaction().await.unwrap();
        let action = StepRequest::new(message("1/room/do", "7")).unwrap();
        if age == 3 * hour {
            assert_eq!(inbox.turn(&transaction, &action).await.unwrap(), Turn::Do);
            let reply = StepReply::done(70).to_bytes();
            let kept = inbox.keep(&transaction, action.message(), &reply);
            kept.await.unwrap();
        }
        let turn = inbox.turn(&transaction, &undo_after(age)).await;
        match turn {
            Err(InboxError::Forgotten) => assert!(!known, "{age:?}"),
            Ok(Turn::Undo(reply)) => {
                assert_eq!((age, reply.read::<u32>().unwrap()), (3 * hour, 70));
            }
            Ok(Turn::Answered(reply)) => {
                assert_eq!((age, reply.outcome()), (hour, Ok(())));
            }
            other => panic!("{age:?}: {other:?}"),
        }
        transaction.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn a_compensation_that_failed_is_asked_for_again_and_one_that_was_done_is_not() {
    let server = server().await;
    let mut client = client(&server).await;
    let inbox = Inbox::new(queue("hotel"));
    let (action, undo) = (message("1/room/do", "7"), undo_after(Duration::ZERO));
    let action = StepRequest::new(action).unwrap();
    let asked = [
        (&action, StepReply::done(70), Some(Turn::Do)),
        (
            &undo,
            StepReply::failed("no"),
            Some(Turn::Undo(StepReply::done(70))),
        ),
        (
            &undo,
            StepReply::done(()),
            Some(Turn::Undo(StepReply::done(70))),
        ),
        (&undo, StepReply::done(()), None),
    ];
    let memory = MemoryInbox::new();
    for (request, reply, turns) in asked {
        let transaction = client.transaction().await.unwrap();
        let turn = inbox.turn(&transaction, request).await.unwrap();
        let answered = Turn::Answered(reply.clone());
        assert_eq!(turn, turns.clone().unwrap_or(answered));
        if turns.is_some() {
            let bytes = reply.to_bytes();
            inbox
                .keep(&transaction, request.message(), &bytes)
                .await
                .unwrap();
        }
        transaction.commit().await.unwrap();

        let worked = AtomicBool::new(false);
        let work = || {
            worked.store(true, Ordering::Relaxed);
            reply.clone()
        };
        assert_eq!(memory.step(request, work, |_| work()).unwrap(), reply);
        assert_eq!(worked.into_inner(), turns.is_some());
    }
}
