//! Requests and replies.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tripod::transaction::message::{
    CallError, Caller, CallerOptions, HandlerError, MemoryTransport, Message, Server,
    ServerOptions, Terms, Transport,
};

use super::faulty::{Faulty, seed};
use super::{message, queue};

const PATIENCE: Duration = Duration::from_secs(60);

fn caller(transport: impl Transport) -> Caller {
    let options = CallerOptions::new().with_resend(Duration::from_millis(50));
    Caller::start(transport, queue("replies"), options)
}

fn short() -> Terms {
    Terms::new().with_lease(Duration::from_millis(100))
}

async fn twice(request: Message) -> Result<Vec<u8>, HandlerError> {
    Ok([request.payload(), request.payload()].concat())
}

async fn emptied(transport: &MemoryTransport, name: &str) {
    for _ in 0..500 {
        if transport.is_empty(&queue(name)) {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{name} keeps {}", transport.len(&queue(name)));
}

#[tokio::test]
async fn a_request_is_answered() {
    let transport = MemoryTransport::new();
    let options = ServerOptions::new();
    let server = Server::start(transport.clone(), queue("work"), twice, options);
    let caller = caller(transport.clone());
    let reply = caller
        .call(&queue("work"), message("k", "ab"), PATIENCE)
        .await;
    let reply = reply.unwrap();
    assert_eq!((reply.key(), reply.payload()), ("k", &b"abab"[..]));
    emptied(&transport, "work").await;
    emptied(&transport, "replies").await;
    assert_eq!(server.stats().done, 1);
    assert_eq!(server.stop(PATIENCE).await, 0);
}

#[tokio::test]
async fn a_request_without_anybody_to_do_it_is_unanswered_in_time() {
    let caller = caller(MemoryTransport::new());
    let asked = message("k", "");
    let reply = caller
        .call(&queue("work"), asked, Duration::from_millis(200))
        .await;
    assert!(matches!(reply, Err(CallError::Unanswered)), "{reply:?}");
}

#[tokio::test]
async fn a_request_into_a_full_queue_was_never_sent() {
    let transport = MemoryTransport::with_terms(Terms::new().with_length_max(1));
    transport
        .send(&queue("work"), &message("other", ""))
        .await
        .unwrap();
    let caller = caller(transport);
    let asked = message("k", "");
    let reply = caller
        .call(&queue("work"), asked, Duration::from_millis(200))
        .await;
    assert!(matches!(reply, Err(CallError::NotSent(_))), "{reply:?}");
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_allowed() {
    let transport = MemoryTransport::new();
    let options = CallerOptions::new().with_outstanding_max(1);
    let caller = Caller::start(transport.clone(), queue("replies"), options);
    let first = caller.clone();
    let first = tokio::spawn(async move {
        let asked = message("a", "");
        first
            .call(&queue("work"), asked, Duration::from_millis(400))
            .await
    });
    sleep(Duration::from_millis(50)).await;
    let second = caller
        .call(&queue("work"), message("b", ""), Duration::from_millis(50))
        .await;
    assert!(matches!(second, Err(CallError::Busy)), "{second:?}");
    first.await.unwrap().unwrap_err();
    assert_eq!(transport.len(&queue("work")), 1);
}

#[tokio::test]
async fn a_handler_that_keeps_failing_leaves_a_dead_letter_that_can_be_redriven() {
    let terms = short().with_deliveries_max(3);
    let transport = MemoryTransport::with_terms(terms);
    let mended = Arc::new(AtomicU32::new(0));
    let tries = Arc::clone(&mended);
    let fails = move |request: Message| {
        let tries = Arc::clone(&tries);
        async move {
            match tries.fetch_add(1, Ordering::Relaxed) {
                0..3 => Err(HandlerError::from("out of order")),
                _ => Ok(request.payload().to_vec()),
            }
        }
    };
    let server = Server::start(
        transport.clone(),
        queue("work"),
        fails,
        ServerOptions::new(),
    );
    transport
        .send(&queue("work"), &message("k", "p"))
        .await
        .unwrap();
    let letter = loop {
        let letters = transport.dead_letters(&queue("work"), 9).await.unwrap();
        if let [letter] = &letters[..] {
            break letter.clone();
        }
        sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(
        (letter.deliveries(), letter.message().unwrap().key()),
        (3, "k")
    );
    assert_eq!(server.stats().failed, 3);
    assert!(
        transport
            .redrive(&queue("work"), letter.id())
            .await
            .unwrap()
    );
    emptied(&transport, "work").await;
    assert_eq!(mended.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_slow_handler_keeps_its_message_and_a_slower_one_is_given_up() {
    let transport = MemoryTransport::with_terms(short());
    let began = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&began);
    let slow = move |request: Message| {
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            let time: u64 = std::str::from_utf8(request.payload())?.parse()?;
            sleep(Duration::from_millis(time)).await;
            Ok(Vec::new())
        }
    };
    let options = ServerOptions::new().with_handler_time(Duration::from_secs(1));
    let server = Server::start(transport.clone(), queue("work"), slow, options);
    transport
        .send(&queue("work"), &message("k", "500"))
        .await
        .unwrap();
    emptied(&transport, "work").await;
    assert_eq!(
        began.load(Ordering::Relaxed),
        1,
        "a lease of 100 ms was extended"
    );
    transport
        .send(&queue("work"), &message("k", "60000"))
        .await
        .unwrap();
    while server.stats().failed == 0 {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn no_more_requests_are_worked_on_than_allowed_and_a_stop_waits_for_them() {
    let transport = MemoryTransport::new();
    let at_work = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
    let counts = Arc::clone(&at_work);
    let works = move |_: Message| {
        let counts = Arc::clone(&counts);
        async move {
            let now = counts.0.fetch_add(1, Ordering::Relaxed) + 1;
            counts.1.fetch_max(now, Ordering::Relaxed);
            sleep(Duration::from_millis(100)).await;
            counts.0.fetch_sub(1, Ordering::Relaxed);
            Ok(Vec::new())
        }
    };
    let options = ServerOptions::new().with_concurrency(3);
    let server = Server::start(transport.clone(), queue("work"), works, options);
    for number in 0..10 {
        let key = number.to_string();
        transport
            .send(&queue("work"), &message(&key, ""))
            .await
            .unwrap();
    }
    sleep(Duration::from_millis(50)).await;
    assert_eq!(server.stats().working, 3);
    assert_eq!(server.stop(PATIENCE).await, 0);
    assert_eq!(at_work.0.load(Ordering::Relaxed), 0);
    assert_eq!(at_work.1.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_stop_that_runs_out_of_time_leaves_the_rest_to_others() {
    let transport = MemoryTransport::with_terms(short());
    let hangs = |_: Message| std::future::pending();
    let server = Server::start(
        transport.clone(),
        queue("work"),
        hangs,
        ServerOptions::new(),
    );
    let caller = caller(transport.clone());
    let asked = tokio::spawn(async move {
        caller
            .call(&queue("work"), message("k", "x"), PATIENCE)
            .await
    });
    while server.stats().working == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(server.stop(Duration::from_millis(50)).await > 0);
    let _other = Server::start(transport, queue("work"), twice, ServerOptions::new());
    assert_eq!(asked.await.unwrap().unwrap().payload(), b"xx");
}

#[tokio::test]
async fn a_refusal_is_told_at_once() {
    let caller = caller(Faulty::refusing(MemoryTransport::new()));
    let began = Instant::now();
    let reply = caller
        .call(&queue("work"), message("k", ""), PATIENCE)
        .await;
    assert!(matches!(reply, Err(CallError::NotSent(_))), "{reply:?}");
    assert!(began.elapsed() < PATIENCE);
}

/// Counts effects by key, each in one step with a row that keeps its reply, as an inbox does.
#[derive(Clone, Default)]
struct Effects(Arc<Mutex<HashMap<String, Effect>>>);

/// How often, and what was answered.
type Effect = (u32, Vec<u8>);

impl Effects {
    fn once(&self, request: &Message) -> Vec<u8> {
        let mut all = self.0.lock();
        let fresh = || (1, [b"done ", request.payload()].concat());
        all.entry(request.key().to_owned())
            .or_insert_with(fresh)
            .1
            .clone()
    }

    fn every_time(&self, request: &Message) -> Vec<u8> {
        let mut all = self.0.lock();
        let effect = all.entry(request.key().to_owned()).or_default();
        effect.0 += 1;
        [b"done ", request.payload()].concat()
    }

    fn doubles(&self) -> usize {
        self.0
            .lock()
            .values()
            .filter(|effect| effect.0 != 1)
            .count()
    }
}

/// Requests over a transport that does what it likes; a server is killed now and then.
async fn under_faults(work: fn(&Effects, &Message) -> Vec<u8>) -> Effects {
    let seed = seed();
    let transport = Faulty::new(MemoryTransport::with_terms(short()), seed);
    let effects = Effects::default();
    let handler = {
        let effects = effects.clone();
        move |request: Message| {
            let effects = effects.clone();
            async move {
                let reply = work(&effects, &request);
                // Killed here, the effect is there and nothing is acknowledged.
                sleep(Duration::from_millis(5)).await;
                Ok(reply)
            }
        }
    };
    let killed = tokio::spawn({
        let (transport, handler) = (transport.clone(), handler.clone());
        async move {
            loop {
                let options = ServerOptions::new();
                let server =
                    Server::start(transport.clone(), queue("work"), handler.clone(), options);
                sleep(Duration::from_millis(100)).await;
                drop(server);
            }
        }
    });
    let caller = caller(transport.clone());
    let calls = (0..200).map(|number| {
        let caller = caller.clone();
        async move {
            let key = format!("key-{number}");
            let asked = message(&key, key.as_str());
            let reply = caller.call(&queue("work"), asked, PATIENCE).await;
            let reply = reply.unwrap_or_else(|error| panic!("seed {seed}: {key}: {error}"));
            assert_eq!(
                reply.payload(),
                format!("done {key}").as_bytes(),
                "seed {seed}"
            );
        }
    });
    join_all(calls).await;
    killed.abort();
    effects
}

#[tokio::test]
async fn every_request_is_answered_and_done_once_whatever_the_transport_does() {
    let effects = under_faults(Effects::once).await;
    assert_eq!(effects.doubles(), 0);
    assert_eq!(effects.0.lock().len(), 200);
}

/// That the test above can fail.
#[tokio::test]
async fn without_an_inbox_effects_double() {
    let effects = under_faults(Effects::every_time).await;
    assert!(effects.doubles() > 0, "the transport was too kind");
}
