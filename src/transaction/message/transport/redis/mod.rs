//! A transport on Redis Streams.

mod connect;
mod entry;
mod failure;
mod link;
mod script;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{DeadLetter, Delivery, LetterId, Receipt, Terms, Transport};
use crate::future::BoxFuture;
use crate::transaction::message::envelope::Message;
use crate::transaction::message::error::TransportError;
use crate::transaction::message::queue::QueueName;
use entry::Taken;
use link::Link;
use script::{Keys, Script};

pub use connect::ConnectRedis;

/// Asked for at a time, at most: a script keeps everybody else waiting.
const COUNT_MAX: usize = 256;

/// Looks for what is due again while nothing new comes: the shortest and the longest time between
/// two.
const LOOKS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Queues on a Redis server, version 7 or later. Cheap to clone: clones share connections.
///
/// ```no_run
/// use tripod::transaction::message::{Message, QueueName, RedisTransport, Transport};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = RedisTransport::connect("rediss://shop:secret@queues.example.org").await?;
/// let bills = QueueName::new("bills")?;
/// redis.send(&bills, &Message::new("order-7", "30 EUR")?).await?;
/// # Ok(())
/// # }
/// ```
///
/// # How it keeps the law
///
/// A queue is a stream, `tripod:queue:{name}` with the braces, with one consumer group, `tripod`,
/// and its dead letters are a stream beside it, `tripod:queue:{name}:dead`. Each step is one script, and so
/// atomic. Sending is `XADD`, where there is room. Receiving claims what was pending for longer
/// than the lease, or buries it, and reads what is new; where there is neither, it blocks in
/// `XREADGROUP`, on a connection of its own. Acknowledging is `XACK` and `XDEL`: an entry lives in
/// the stream until it is acknowledged, and neither stream nor pending list grows with what is
/// done.
///
/// The group is created where it is missing, always from the beginning of the stream. So a group
/// that was lost, by `FLUSHALL`, a restart without persistence, a failover or an eviction, delivers
/// again what was not acknowledged, and skips nothing that the server still has.
///
/// What is due again is found by `XPENDING` with its idle time, and claimed by id. `XAUTOCLAIM`
/// looks at a bounded number of pending entries from where one tells it to, finds nothing behind
/// many that are not due, and does not say how often an entry was delivered. All consumers have one
/// name: names that come and go are never cleaned up by the server, and deleting one deletes what
/// it had pending.
///
/// # What it does not keep
///
/// A message is as durable as the server: with `appendonly yes` and `appendfsync always` it outlives
/// a crash; else the last of them are lost with one, and with a failover what was not replicated
/// yet. Who awaits a reply sends again; whose message has no reply has to know. What was
/// acknowledged and not replicated comes again; and how often a message was delivered is counted
/// anew.
///
/// A server that may evict keys is refused when it is connected: `maxmemory-policy` must be
/// `noeviction`. Leases are by the server's wall clock: a jump ends them early, or late.
///
/// One server, or whatever an address leads to: sentinels and clusters are not asked.
///
/// # What a user of the server must be allowed
/// ```text
/// ACL SETUSER queues on >password ~tripod:queue:* +info +evalsha +script|load +xack +xadd +xclaim
///     +xdel +xgroup|create +xlen +xpending +xrange +xreadgroup
/// ```
#[derive(Clone)]
pub struct RedisTransport {
    link: Arc<Link>,
    terms: Terms,
}

impl RedisTransport {
    async fn take(
        &self,
        queue: &QueueName,
        count: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, TransportError> {
        let began = Instant::now();
        let look = (self.terms.lease() / 4).clamp(LOOKS.0, LOOKS.1);
        let keys = Keys::new(queue);
        let count = count.min(COUNT_MAX);
        loop {
            let taken = Script::take(&keys, self.terms, count);
            let taken = entry::taken(self.link.run(taken).await?)?;
            let left = wait.saturating_sub(began.elapsed());
            let taken = if taken.is_empty() && count > 0 && !left.is_zero() {
                let read = link::blocking_read(&keys, count, left.min(look));
                entry::read(self.link.block(read, left.min(look)).await?)?
            } else {
                taken
            };
            let deliveries = self.messages(&keys, taken).await?;
            if !deliveries.is_empty() || count == 0 || began.elapsed() >= wait {
                return Ok(deliveries);
            }
        }
    }

    /// What is not a message was put there by others, and buried.
    async fn messages(
        &self,
        keys: &Keys,
        taken: Vec<Taken>,
    ) -> Result<Vec<Delivery>, TransportError> {
        let mut deliveries = Vec::with_capacity(taken.len());
        let mut others = Vec::new();
        for entry in taken {
            match Message::from_bytes(&entry.body) {
                Some(message) => {
                    let receipt = Receipt::new(entry.id, entry.deliveries);
                    deliveries.push(Delivery::new(receipt, message));
                }
                None => others.push(entry.id),
            }
        }
        if !others.is_empty() {
            let buried = self.link.run(Script::bury(keys, &others)).await;
            if let Err(error) = buried
                && deliveries.is_empty()
            {
                return Err(error);
            }
        }
        Ok(deliveries)
    }

    async fn says_yes(&self, script: Script) -> Result<bool, TransportError> {
        Ok(entry::number(&self.link.run(script).await?)? > 0)
    }
}

impl Transport for RedisTransport {
    fn terms(&self) -> Terms {
        self.terms
    }

    fn send<'a>(
        &'a self,
        queue: &'a QueueName,
        message: &'a Message,
    ) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async move {
            let script = Script::send(&Keys::new(queue), self.terms, message);
            if self.says_yes(script).await? {
                Ok(())
            } else {
                Err(TransportError::Full)
            }
        })
    }

    fn receive<'a>(
        &'a self,
        queue: &'a QueueName,
        count: usize,
        wait: Duration,
    ) -> BoxFuture<'a, Result<Vec<Delivery>, TransportError>> {
        Box::pin(self.take(queue, count, wait))
    }

    fn postpone<'a>(
        &'a self,
        queue: &'a QueueName,
        receipt: &'a Receipt,
        delay: Duration,
    ) -> BoxFuture<'a, Result<bool, TransportError>> {
        Box::pin(async move {
            if !entry::is_id(receipt.id()) {
                return Ok(false);
            }
            // An entry is due when it was idle for the lease.
            let idle = self.terms.lease().saturating_sub(delay);
            self.says_yes(Script::postpone(&Keys::new(queue), receipt, idle))
                .await
        })
    }

    fn acknowledge<'a>(
        &'a self,
        queue: &'a QueueName,
        receipts: &'a [Receipt],
    ) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async move {
            let keys = Keys::new(queue);
            let ids = receipts.iter().map(Receipt::id);
            let ids: Vec<_> = ids.filter(|id| entry::is_id(id)).collect();
            for ids in ids.chunks(COUNT_MAX) {
                self.link.run(Script::acknowledge(&keys, ids)).await?;
            }
            Ok(())
        })
    }

    fn dead_letters<'a>(
        &'a self,
        queue: &'a QueueName,
        count: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, TransportError>> {
        Box::pin(async move {
            if count == 0 {
                return Ok(Vec::new());
            }
            let script = Script::dead(&Keys::new(queue), count.min(COUNT_MAX));
            entry::letters(self.link.run(script).await?)
        })
    }

    fn redrive<'a>(
        &'a self,
        queue: &'a QueueName,
        letter: &'a LetterId,
    ) -> BoxFuture<'a, Result<bool, TransportError>> {
        Box::pin(async move {
            let id = letter.as_str();
            let script = Script::redrive(&Keys::new(queue), id);
            Ok(entry::is_id(id) && self.says_yes(script).await?)
        })
    }

    fn discard<'a>(
        &'a self,
        queue: &'a QueueName,
        letter: &'a LetterId,
    ) -> BoxFuture<'a, Result<bool, TransportError>> {
        Box::pin(async move {
            let id = letter.as_str();
            let script = Script::discard(&Keys::new(queue), id);
            Ok(entry::is_id(id) && self.says_yes(script).await?)
        })
    }
}

impl fmt::Debug for RedisTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTransport")
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}
