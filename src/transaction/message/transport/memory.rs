//! A transport within the process.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{DeadLetter, Delivery, LetterId, Receipt, Terms, Transport};
use crate::future::BoxFuture;
use crate::transaction::message::envelope::Message;
use crate::transaction::message::error::TransportError;
use crate::transaction::message::queue::QueueName;

/// Longer than any process lives.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Queues in memory: for examples, tests, and parts of one process.
///
/// *They do not outlive the process.* Clones are handles of the same queues, which last as long as
/// any of them. Time is that of `tokio`'s clock. An empty queue takes no memory.
#[derive(Clone)]
pub struct MemoryTransport {
    shared: Arc<Shared>,
}

struct Shared {
    terms: Terms,
    book: Mutex<Book>,
    /// Told of each message that may be delivered.
    changed: Notify,
}

#[derive(Default)]
struct Book {
    /// Numbers messages and dead letters of all queues: 64 bits do not run out.
    next: u64,
    queues: HashMap<QueueName, Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(u64, Letter)>,
    delivered: BTreeMap<u64, (Instant, Letter)>,
    dead: BTreeMap<u64, Letter>,
}

struct Letter {
    message: Message,
    deliveries: u32,
}

impl MemoryTransport {
    /// No queues, on the usual [`Terms`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_terms(Terms::new())
    }

    /// No queues, on these terms.
    #[must_use]
    pub fn with_terms(terms: Terms) -> Self {
        let shared = Shared {
            terms,
            book: Mutex::default(),
            changed: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// How many messages a queue has, dead letters included.
    #[must_use]
    pub fn len(&self, queue: &QueueName) -> usize {
        let book = self.shared.book.lock();
        book.queues.get(queue).map_or(0, Queue::len)
    }

    /// Whether a queue has none.
    #[must_use]
    pub fn is_empty(&self, queue: &QueueName) -> bool {
        self.len(queue) == 0
    }

    /// Does something with a queue, which is gone if it is empty then.
    fn with<T>(&self, name: &QueueName, act: impl FnOnce(&mut Queue, &mut u64) -> T) -> T {
        let mut book = self.shared.book.lock();
        let Book { next, queues } = &mut *book;
        let queue = queues.entry(name.clone()).or_default();
        let answer = act(queue, next);
        if queue.len() == 0 {
            queues.remove(name);
        }
        answer
    }

    async fn take(&self, queue: &QueueName, count: usize, wait: Duration) -> Vec<Delivery> {
        let began = Instant::now();
        let until = began.checked_add(wait).unwrap_or(began + FOREVER);
        let terms = self.shared.terms;
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // What is sent from here on is heard.
            changed.as_mut().enable();
            let now = Instant::now();
            let (taken, due) = self.with(queue, |queue, next| {
                (queue.take(count, now, terms, next), queue.due())
            });
            if !taken.is_empty() || count == 0 || now >= until {
                return taken;
            }
            let look = due.map_or(until, |due| due.min(until));
            let _ = timeout_at(look, changed).await;
        }
    }
}

impl Queue {
    fn len(&self) -> usize {
        self.waiting.len() + self.delivered.len() + self.dead.len()
    }

    fn add(&mut self, message: Message, next: &mut u64) {
        let letter = Letter {
            message,
            deliveries: 0,
        };
        self.waiting.push_back((number_of(next), letter));
    }

    fn take(&mut self, count: usize, now: Instant, terms: Terms, next: &mut u64) -> Vec<Delivery> {
        let due: Vec<u64> = self
            .delivered
            .iter()
            .filter(|(_, (due, _))| *due <= now)
            .map(|(id, _)| *id)
            .collect();
        let mut again = Vec::new();
        for id in due {
            let Some((_, letter)) = self.delivered.remove(&id) else {
                continue;
            };
            if letter.deliveries >= terms.deliveries_max() {
                self.dead.insert(number_of(next), letter);
            } else {
                again.push((id, letter));
            }
        }
        again
            .into_iter()
            .rev()
            .for_each(|letter| self.waiting.push_front(letter));
        let count = count.min(self.waiting.len());
        let mut taken = Vec::with_capacity(count);
        for (id, mut letter) in self.waiting.drain(..count) {
            letter.deliveries += 1;
            let receipt = Receipt::new(id.to_string(), letter.deliveries);
            taken.push(Delivery::new(receipt, letter.message.clone()));
            self.delivered.insert(id, (now + terms.lease(), letter));
        }
        taken
    }

    /// When the first that was delivered is due again.
    fn due(&self) -> Option<Instant> {
        self.delivered.values().map(|(due, _)| *due).min()
    }

    fn acknowledge(&mut self, id: u64) {
        self.delivered.remove(&id);
        self.waiting.retain(|(known, _)| *known != id);
    }
}

impl Transport for MemoryTransport {
    fn terms(&self) -> Terms {
        self.shared.terms
    }

    fn send<'a>(
        &'a self,
        queue: &'a QueueName,
        message: &'a Message,
    ) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async move {
            let length_max = self.shared.terms.length_max();
            let length_max = usize::try_from(length_max).unwrap_or(usize::MAX);
            self.with(queue, |queue, next| {
                if queue.len() >= length_max {
                    return Err(TransportError::Full);
                }
                queue.add(message.clone(), next);
                Ok(())
            })?;
            self.shared.changed.notify_waiters();
            Ok(())
        })
    }

    fn receive<'a>(
        &'a self,
        queue: &'a QueueName,
        count: usize,
        wait: Duration,
    ) -> BoxFuture<'a, Result<Vec<Delivery>, TransportError>> {
        Box::pin(async move { Ok(self.take(queue, count, wait).await) })
    }

    fn postpone<'a>(
        &'a self,
        queue: &'a QueueName,
        receipt: &'a Receipt,
        delay: Duration,
    ) -> BoxFuture<'a, Result<bool, TransportError>> {
        Box::pin(async move {
            let Some(id) = number(receipt.id()) else {
                return Ok(false);
            };
            let delay = delay.min(self.shared.terms.lease());
            let postponed = self.with(queue, |queue, _| match queue.delivered.get_mut(&id) {
                Some((due, letter)) if letter.deliveries == receipt.deliveries() => {
                    *due = Instant::now() + delay;
                    true
                }
                Some(_) | None => false,
            });
            self.shared.changed.notify_waiters();
            Ok(postponed)
        })
    }

    fn acknowledge<'a>(
        &'a self,
        queue: &'a QueueName,
        receipts: &'a [Receipt],
    ) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async move {
            self.with(queue, |queue, _| {
                let ids = receipts.iter().filter_map(|receipt| number(receipt.id()));
                ids.for_each(|id| queue.acknowledge(id));
            });
            Ok(())
        })
    }

    fn dead_letters<'a>(
        &'a self,
        queue: &'a QueueName,
        count: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, TransportError>> {
        Box::pin(async move {
            Ok(self.with(queue, |queue, _| {
                let dead = queue.dead.iter().take(count);
                let letter = |(id, letter): (&u64, &Letter)| {
                    let message = Some(letter.message.clone());
                    DeadLetter::new(LetterId::new(&id.to_string()), letter.deliveries, message)
                };
                dead.map(letter).collect()
            }))
        })
    }

    fn redrive<'a>(
        &'a self,
        queue: &'a QueueName,
        letter: &'a LetterId,
    ) -> BoxFuture<'a, Result<bool, TransportError>> {
        Box::pin(async move {
            let id = number(letter.as_str());
            let redriven = self.with(queue, |queue, next| {
                let letter = id.and_then(|id| queue.dead.remove(&id));
                letter
                    .map(|letter| queue.add(letter.message, next))
                    .is_some()
            });
            self.shared.changed.notify_waiters();
            Ok(redriven)
        })
    }

    fn discard<'a>(
        &'a self,
        queue: &'a QueueName,
        letter: &'a LetterId,
    ) -> BoxFuture<'a, Result<bool, TransportError>> {
        Box::pin(async move {
            let id = number(letter.as_str());
            Ok(self.with(queue, |queue, _| {
                id.and_then(|id| queue.dead.remove(&id)).is_some()
            }))
        })
    }
}

fn number_of(next: &mut u64) -> u64 {
    *next += 1;
    *next
}

fn number(id: &str) -> Option<u64> {
    id.parse().ok()
}

impl Default for MemoryTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTransport")
            .field("terms", &self.shared.terms)
            .finish_non_exhaustive()
    }
}
