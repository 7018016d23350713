//! The trait that every transport implements, and the transports of this crate.
//!
//! # Writing one
//!
//! A broker will do if it keeps a message until it is acknowledged, hides it from others for a time
//! after it was delivered, and counts its deliveries. The law stands at [`Transport`]; the feature
//! `conformance` tests it. What is easily got wrong:
//!
//! 1. *A receipt is of one delivery.* One from before the lease ended must not acknowledge, or put
//!    off, what another has by now.
//! 2. *A full queue refuses.* A broker that trims the oldest loses what was promised.
//! 3. *A send that is not known is unknown.* The sender sends again, and two copies are allowed.
//! 4. *Too many deliveries make a dead letter*, also where each receiver was killed before it could
//!    say anything: count when delivering, not when failing.

#[cfg(feature = "conformance")]
pub mod conformance;
mod delivery;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod terms;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::future::BoxFuture;

use super::envelope::Message;
use super::error::TransportError;
use super::queue::QueueName;

pub use delivery::{DeadLetter, Delivery, LetterId, Receipt};
pub use memory::MemoryTransport;
#[cfg(feature = "redis")]
pub use redis::{ConnectRedis, RedisTransport};
pub use terms::Terms;

/// Carries messages from those who send to those who receive: the contract between this module and
/// a broker.
///
/// # The law
///
/// An implementor obeys every sentence here and at the methods; the feature `conformance` has a
/// test for each.
///
/// **Queues.** A queue keeps each message until it is acknowledged, or discarded as a dead letter.
/// Nothing else removes one: not age, not the end of who received it. Queues need not be created,
/// and never meet.
///
/// **Deliveries.** Each message is delivered to one of those who receive from its queue, and kept
/// from the others for the [`lease`](Terms::lease). Not acknowledged by then, it is delivered
/// again, to whoever receives. Each delivery of a message says how many there were, itself
/// included. No order is promised.
///
/// **Dead letters.** A message that would be delivered more than
/// [`deliveries_max`](Terms::deliveries_max) times becomes a dead letter of its queue instead, and
/// is delivered no more.
///
/// **Errors.** What an error lets the caller conclude stands at [`TransportError`]. Anything that
/// was not classified is *unknown*.
///
/// **Dropped futures.** A future that is dropped may have had its effect, may not have, and may
/// still have it later, whole. What a dropped receive has taken is delivered again after the lease.
/// Every call ends by itself.
///
/// Use it through `Arc<dyn Transport>`, `Box<dyn Transport>` or by value: all forward.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// What it keeps to. Always the same.
    fn terms(&self) -> Terms;

    /// Puts a message into a queue, and returns when it is as durable as the transport makes
    /// anything. The same message sent twice is two.
    ///
    /// # Errors
    /// [`TransportError::Full`] where the queue has [`length_max`](Terms::length_max) messages,
    /// dead letters included.
    fn send<'a>(
        &'a self,
        queue: &'a QueueName,
        message: &'a Message,
    ) -> BoxFuture<'a, Result<(), TransportError>>;

    /// Takes messages that may be delivered, at most `count`. Where there are none it waits, and
    /// answers none after `wait`. What comes meanwhile ends the wait.
    ///
    /// # Errors
    /// What was taken is delivered again after the lease.
    fn receive<'a>(
        &'a self,
        queue: &'a QueueName,
        count: usize,
        wait: Duration,
    ) -> BoxFuture<'a, Result<Vec<Delivery>, TransportError>>;

    /// Has a message delivered again after this `delay` from now, or after the lease if that is
    /// shorter, unless it is acknowledged before. Answers whether it will be. Of a delivery that is
    /// not its message's last one, or whose message is gone, nothing changes, and the answer is no.
    ///
    /// # Errors
    /// The message is delivered again by then, or after the lease.
    fn postpone<'a>(
        &'a self,
        queue: &'a QueueName,
        receipt: &'a Receipt,
        delay: Duration,
    ) -> BoxFuture<'a, Result<bool, TransportError>>;

    /// Removes the messages of these deliveries for good, also where a message was delivered again
    /// since. Those that are gone are passed over.
    ///
    /// # Errors
    /// Some may be gone, and some may not.
    fn acknowledge<'a>(
        &'a self,
        queue: &'a QueueName,
        receipts: &'a [Receipt],
    ) -> BoxFuture<'a, Result<(), TransportError>>;

    /// The dead letters of a queue that have been dead for longest, at most `count`.
    ///
    /// # Errors
    /// Nothing was learned.
    fn dead_letters<'a>(
        &'a self,
        queue: &'a QueueName,
        count: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, TransportError>>;

    /// Puts a dead letter back into its queue, to be delivered as if it had never been. Answers
    /// whether there was one.
    ///
    /// # Errors
    /// It is where it was, or back.
    fn redrive<'a>(
        &'a self,
        queue: &'a QueueName,
        letter: &'a LetterId,
    ) -> BoxFuture<'a, Result<bool, TransportError>>;

    /// Removes a dead letter for good. Answers whether there was one.
    ///
    /// # Errors
    /// It may be gone.
    fn discard<'a>(
        &'a self,
        queue: &'a QueueName,
        letter: &'a LetterId,
    ) -> BoxFuture<'a, Result<bool, TransportError>>;
}

macro_rules! forward {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods)]
        impl<T: Transport + ?Sized> Transport for $pointer<T> {
            fn terms(&self) -> Terms {
                (**self).terms()
            }

            fn send<'a>(
                &'a self,
                queue: &'a QueueName,
                message: &'a Message,
            ) -> BoxFuture<'a, Result<(), TransportError>> {
                (**self).send(queue, message)
            }

            fn receive<'a>(
                &'a self,
                queue: &'a QueueName,
                count: usize,
                wait: Duration,
            ) -> BoxFuture<'a, Result<Vec<Delivery>, TransportError>> {
                (**self).receive(queue, count, wait)
            }

            fn postpone<'a>(
                &'a self,
                queue: &'a QueueName,
                receipt: &'a Receipt,
                delay: Duration,
            ) -> BoxFuture<'a, Result<bool, TransportError>> {
                (**self).postpone(queue, receipt, delay)
            }

            fn acknowledge<'a>(
                &'a self,
                queue: &'a QueueName,
                receipts: &'a [Receipt],
            ) -> BoxFuture<'a, Result<(), TransportError>> {
                (**self).acknowledge(queue, receipts)
            }

            fn dead_letters<'a>(
                &'a self,
                queue: &'a QueueName,
                count: usize,
            ) -> BoxFuture<'a, Result<Vec<DeadLetter>, TransportError>> {
                (**self).dead_letters(queue, count)
            }

            fn redrive<'a>(
                &'a self,
                queue: &'a QueueName,
                letter: &'a LetterId,
            ) -> BoxFuture<'a, Result<bool, TransportError>> {
                (**self).redrive(queue, letter)
            }

            fn discard<'a>(
                &'a self,
                queue: &'a QueueName,
                letter: &'a LetterId,
            ) -> BoxFuture<'a, Result<bool, TransportError>> {
                (**self).discard(queue, letter)
            }
        }
    };
}

forward!(Arc);
forward!(Box);
