//! A step of a saga that a service does behind a queue: `cargo run --example queue_steps`
//!
//! A trip books a room, and then charges a card. The hotel is a service of its own, which takes
//! requests from its queue whenever it is there. A queue gives messages at least once, some of them
//! late: the hotel's inbox says what is still to be done.
//!
//! Here all are in one process. With `RedisTransport` the hotel may be anywhere; and with
//! `Inbox::turn` a room is booked in the same transaction in which `PostgreSQL` takes note of the
//! message.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use tripod::transaction::log::MemoryLog;
use tripod::transaction::message::{
    Caller, CallerOptions, HandlerError, MemoryInbox, MemoryTransport, Message, QueueName,
    QueueStep, Server, ServerOptions, StepReply, StepRequest,
};
use tripod::transaction::saga::{
    Definition, DefinitionError, Run, SagaKey, SagaOutcome, Sagas, Step, StepError,
};

/// Who travels, and how much the card has.
type Trip = (String, u32);

/// The service.
struct Hotel {
    free: AtomicU32,
    inbox: MemoryInbox,
    fails: AtomicBool,
}

impl Hotel {
    fn take(&self, message: Message) -> Result<Vec<u8>, HandlerError> {
        let request = StepRequest::new(message)?;
        let who: String = request.read()?;
        let verb = request.undoes().map_or("book", |_| "cancel");
        println!("  hotel: I am asked to {verb} a room for {who}");
        let reply = self
            .inbox
            .step(&request, || self.book(), |_| self.cancel())?;
        if self.fails.swap(false, Ordering::Relaxed) {
            println!("  hotel: ... and my answer is lost");
            return Err("the answer is lost".into());
        }
        println!("  hotel: free rooms: {}", self.free());
        Ok(reply.to_bytes())
    }

    /// Run once for each request, however often that comes; never after its cancellation.
    fn book(&self) -> StepReply {
        let free = self.free();
        if free == 0 {
            return StepReply::failed("the hotel is full");
        }
        println!("  hotel: I give away room {free}");
        self.free.store(free - 1, Ordering::Relaxed);
        StepReply::done(format!("room {free}"))
    }

    /// Run once, if the room was booked.
    fn cancel(&self) -> StepReply {
        println!("  hotel: I take it back");
        self.free.fetch_add(1, Ordering::Relaxed);
        StepReply::done(())
    }

    fn free(&self) -> u32 {
        self.free.load(Ordering::Relaxed)
    }
}

async fn charge(run: Run<Trip>) -> Result<(), StepError> {
    let (who, money) = run.input();
    let room: String = run.output("room")?;
    if *money < 100 {
        println!("  card:  {who} has less than 100");
        return Err(StepError::failed("no money"));
    }
    println!("  card:  {who} pays 100 for {room}");
    Ok(())
}

fn trip(caller: &Caller, hotel: QueueName) -> Result<Definition<Trip>, DefinitionError> {
    let who = |run: &Run<Trip>| Ok(run.input().0.clone());
    Definition::builder("trip", 1)
        .step(QueueStep::new(caller, hotel, who).compensated::<String>("room", 1))
        .step(Step::new("card", 1, charge).pivot())
        .build()
}

fn tell(outcome: &SagaOutcome) {
    match outcome {
        SagaOutcome::Completed(_) => println!("  saga:  completed"),
        SagaOutcome::Compensated { step, .. } => {
            let step = step.as_deref().unwrap_or("somebody");
            println!("  saga:  compensated, because of the {step}");
        }
        SagaOutcome::Abandoned => println!("  saga:  given up"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let transport = MemoryTransport::new();
    let queue = QueueName::new("hotel")?;
    let replies = QueueName::new("replies.trips")?;
    let caller = Caller::start(transport.clone(), replies, CallerOptions::new());
    let trip = trip(&caller, queue.clone())?;
    let sagas = Sagas::open(MemoryLog::new()).register(&trip).await?;
    let start = async |who: &str, money: u32| {
        let key = SagaKey::new(format!("trip of {who}"))?;
        let saga = sagas.start(&trip, &key, &(who.to_owned(), money)).await?;
        Ok::<_, Box<dyn Error>>(saga)
    };

    println!("Ada travels. Nobody is at the hotel yet: the request waits in the queue.");
    let ada = start("Ada", 500).await?;
    sleep(Duration::from_millis(50)).await;
    let hotel = Arc::new(Hotel {
        free: AtomicU32::new(2),
        inbox: MemoryInbox::new(),
        fails: AtomicBool::new(false),
    });
    let handler = {
        let hotel = Arc::clone(&hotel);
        move |message| std::future::ready(hotel.take(message))
    };
    println!("  hotel: I open, with 2 rooms");
    let _server = Server::start(transport, queue, handler, ServerOptions::new());
    tell(&ada.outcome().await?);

    println!("Bob's card is refused once he has a room. It is cancelled, over the queue too.");
    tell(&start("Bob", 20).await?.outcome().await?);

    println!("The answer to Cyd is lost, so the request comes again. One room is booked.");
    hotel.fails.store(true, Ordering::Relaxed);
    tell(&start("Cyd", 500).await?.outcome().await?);

    println!("Dan is too late: the hotel refuses, and there is nothing to cancel.");
    tell(&start("Dan", 500).await?.outcome().await?);
    Ok(())
}
