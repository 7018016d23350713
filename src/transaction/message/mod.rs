//! Messages: work that is asked for now and done when somebody is there to do it.
//!
//! Who calls a service over the network learns nothing when the answer does not come: it was not
//! done, it was, or it will be. A message in a queue waits until it is taken, and is delivered
//! again if who took it dies; so it is done *at least* once, perhaps twice, perhaps late, perhaps
//! after one that was sent later. This module makes one effect of that: every message has a key,
//! and a row with that key is written in the transaction that has the effect.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use tripod::transaction::message::{
//!     Caller, CallerOptions, HandlerError, MemoryInbox, MemoryTransport, Message, QueueName, Server,
//!     ServerOptions,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // `RedisTransport` carries messages between processes. This one ends with its own.
//! let transport = MemoryTransport::new();
//! let payments = QueueName::new("payments")?;
//!
//! // `Inbox` keeps keys and replies on PostgreSQL, in the transaction of the effect.
//! let inbox = Arc::new(MemoryInbox::new());
//! let pay = move |request: Message| {
//!     let inbox = Arc::clone(&inbox);
//!     async move {
//!         let reply = inbox.once(&request, || b"paid".to_vec())?;
//!         Ok::<_, HandlerError>(reply)
//!     }
//! };
//! let server = Server::start(transport.clone(), payments.clone(), pay, ServerOptions::new());
//!
//! let replies = QueueName::new("replies.till-1")?;
//! let caller = Caller::start(transport, replies, CallerOptions::new());
//! // Drawn once for what is to happen, and kept for every further try.
//! let request = Message::new("order-7.payment", "30 EUR")?;
//! let reply = caller.call(&payments, request, Duration::from_secs(5)).await?;
//! assert_eq!(reply.payload(), b"paid");
//!
//! server.stop(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # The parts
//!
//! - A **[`Transport`]** carries [`Message`]s: [`MemoryTransport`] within a process,
//!   `RedisTransport` (feature `redis`) on Redis Streams, or one of your own, for which there is a
//!   [suite](transport) under the feature `conformance`.
//! - A **[`Caller`]** sends requests and awaits their replies; a **[`Server`]** has them done by a
//!   [`Handler`], replies, and only then acknowledges. Messages that want no reply are served
//!   likewise.
//! - An **inbox** remembers which keys had their effect, and what they were answered: `Inbox`
//!   (feature `postgres`), or [`MemoryInbox`] for tests.
//! - An **outbox** (`Outbox`, feature `postgres`) holds messages that are to be sent if a
//!   transaction commits, and only then; a `Relay` sends them.
//! - A **[`QueueParticipant`]** takes part in two-phase commit from behind a queue;
//!   [`serve_participant`] is its other side.
//! - A **[`QueueStep`]** is a step of a saga that a service behind a queue does and undoes.
//!
//! # Guarantees
//!
//! - What was sent is delivered until it is acknowledged, or is a dead letter that can be seen and
//!   redriven. Nothing is dropped by age or for want of room: a full queue refuses.
//! - A request is sent again until it is answered or the caller's patience ends, under one key.
//! - An effect behind an inbox happens once for each key, within the inbox's retention, whatever is
//!   killed, lost, doubled or reordered; and every repeat gets the same reply. A key that comes with
//!   another payload is an error.
//! - A message in an outbox is sent if, and only if, its transaction commits.
//! - A consumer group that Redis has lost is made again from the beginning, and skips nothing that
//!   is still there.
//! - Every queue, batch, retry and map is bounded.
//!
//! # What it does not guarantee
//!
//! - **Order.** Redelivery alone breaks it. Say in the message what it follows upon.
//! - **One effect without an inbox**, or outside its database, or for what is redriven after the
//!   inbox's retention.
//! - **Durability beyond the transport's.** Redis without `appendfsync always` loses its last
//!   messages in a crash, and in a failover what was not replicated. A caller that still waits
//!   sends again; a message without a reply is gone, unless it comes from an outbox that has not
//!   deleted it yet.
//! - **An answer to everything.** A request that fails too often is a dead letter, and its caller
//!   learns only that nothing came. Watch [`dead_letters`](Transport::dead_letters).
//! - **Several groups of readers.** The consumers of a queue are one group. For two kinds of them,
//!   send to two queues, from one transaction by the outbox.
//!
//! # Cost
//!
//! Sending and acknowledging are one round trip each, and so is receiving, for as many as there
//! are; who waits on Redis takes a connection of its own. An inbox adds two statements to the
//! effect's transaction, and its rows live for the retention, a week at first. An outbox writes
//! each message, and deletes it: a busy one wants `autovacuum` to keep up. A participant behind a
//! queue takes a request and a reply for each step, and a forced record of its branch.
//!
//! # Sources
//!
//! Pat Helland: *Life beyond distributed transactions: an apostate's opinion*, CIDR 2007: messages
//! with keys, and what a partner remembers of them. Gregor Hohpe and Bobby Woolf: *Enterprise
//! integration patterns*, 2003: *Idempotent Receiver*, *Correlation Identifier*, *Return Address*,
//! *Dead Letter Channel*, *Competing Consumers*.

mod caller;
mod envelope;
mod error;
mod inbox;
#[cfg(feature = "postgres")]
mod outbox;
mod participant;
#[cfg(feature = "postgres")]
mod postgres;
mod queue;
#[cfg(feature = "postgres")]
mod relay;
mod server;
mod step;
pub mod transport;

pub use caller::{CallError, Caller, CallerOptions};
pub use envelope::{Message, MessageError};
pub use error::TransportError;
#[cfg(feature = "postgres")]
pub use inbox::{Entered, Inbox};
pub use inbox::{InboxError, MemoryInbox};
#[cfg(feature = "postgres")]
pub use outbox::{Outbox, OutboxError};
pub use participant::{QueueBranch, QueueParticipant, Work, serve_participant};
#[cfg(feature = "postgres")]
pub use postgres::{MigrateMessages, TablesError};
pub use queue::{QueueName, QueueNameError};
#[cfg(feature = "postgres")]
pub use relay::{Relay, StartRelay};
pub use server::{Handler, HandlerError, Server, ServerOptions, ServerStats};
pub use step::{QueueStep, StepReply, StepRequest, Turn};
#[cfg(feature = "redis")]
pub use transport::{ConnectRedis, RedisTransport};
pub use transport::{DeadLetter, Delivery, LetterId, MemoryTransport, Receipt, Terms, Transport};

/// The client whose transactions inbox and outbox work in.
#[cfg(feature = "postgres")]
pub use tokio_postgres;

#[cfg(any(feature = "postgres", feature = "redis"))]
pub use crate::tls::Tls;
