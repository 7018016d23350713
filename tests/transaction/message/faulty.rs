//! A transport that loses, doubles, delays and reorders, by chance and from a seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use tripod::BoxFuture;
use tripod::transaction::message::transport::{DeadLetter, Delivery, LetterId, Receipt};
use tripod::transaction::message::{Message, QueueName, Terms, Transport, TransportError};

/// Numbers that look random (xorshift with a multiplication: Vigna 2016).
#[derive(Debug)]
pub(crate) struct Dice(AtomicU64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        let step = |mut state: u64| {
            state ^= state >> 12;
            state ^= state << 25;
            Some(state ^ state >> 27)
        };
        let order = Ordering::Relaxed;
        let state = self.0.fetch_update(order, order, step).unwrap();
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound
    }

    fn is(&self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A seed that is told, so that a failure can be played again: by `TRIPOD_SEED`.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("TRIPOD_SEED").ok();
    let time = || {
        std::time::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .subsec_nanos()
            .into()
    };
    let seed = given
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(time);
    println!("TRIPOD_SEED={seed}");
    seed
}

/// Breaks the law of transports where a network between it and its user would, and more: what was
/// sent is lost though nobody is told, comes twice, late, and out of order.
#[derive(Clone, Debug)]
pub(crate) struct Faulty<T> {
    inner: T,
    dice: Arc<Dice>,
    refuses: bool,
}

impl<T> Faulty<T> {
    /// One that refuses to send.
    pub(crate) fn refusing(inner: T) -> Self {
        let refuses = true;
        Self {
            refuses,
            ..Self::new(inner, 0)
        }
    }

    pub(crate) fn new(inner: T, seed: u64) -> Self {
        let dice = Arc::new(Dice::new(seed));
        let refuses = false;
        Self {
            inner,
            dice,
            refuses,
        }
    }

    async fn stutter(&self) {
        if self.dice.is(20) {
            sleep(Duration::from_millis(self.dice.below(15))).await;
        }
    }
}

fn lost() -> TransportError {
    TransportError::unknown("the answer was lost")
}

impl<T: Transport + Clone> Transport for Faulty<T> {
    fn terms(&self) -> Terms {
        self.inner.terms()
    }

    fn send<'a>(
        &'a self,
        queue: &'a QueueName,
        message: &'a Message,
    ) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async move {
            if self.refuses {
                return Err(TransportError::refused("not here"));
            }
            self.stutter().await;
            if self.dice.is(10) {
                return if self.dice.is(50) {
                    Ok(())
                } else {
                    Err(lost())
                };
            }
            if self.dice.is(15) {
                let (inner, queue, message) = (self.inner.clone(), queue.clone(), message.clone());
                let late = Duration::from_millis(self.dice.below(120));
                // Later than those that are sent after it, and beside the one that is sent now.
                tokio::spawn(async move {
                    sleep(late).await;
                    let _ = inner.send(&queue, &message).await;
                });
                if self.dice.is(50) {
                    return Ok(());
                }
            }
            self.inner.send(queue, message).await?;
            if self.dice.is(5) { Err(lost()) } else { Ok(()) }
        })
    }

    fn receive<'a>(
        &'a self,
        queue: &'a QueueName,
        count: usize,
        wait: Duration,
    ) -> BoxFuture<'a, Result<Vec<Delivery>, TransportError>> {
        Box::pin(async move {
            self.stutter().await;
            if self.dice.is(5) {
                return Err(lost());
            }
            let mut taken = self.inner.receive(queue, count, wait).await?;
            if self.dice.is(5) {
                return Err(lost());
            }
            for last in (1..taken.len()).rev() {
                let other = usize::try_from(self.dice.below(1 << 20)).unwrap() % (last + 1);
                taken.swap(last, other);
            }
            let again = taken.iter().filter(|_| self.dice.is(10));
            let again: Vec<_> = again.cloned().collect();
            taken.extend(again);
            Ok(taken)
        })
    }

    fn postpone<'a>(
        &'a self,
        queue: &'a QueueName,
        receipt: &'a Receipt,
        delay: Duration,
    ) -> BoxFuture<'a, Result<bool, TransportError>> {
        self.inner.postpone(queue, receipt, delay)
    }

    fn acknowledge<'a>(
        &'a self,
        queue: &'a QueueName,
        receipts: &'a [Receipt],
    ) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async move {
            self.stutter().await;
            if self.dice.is(10) {
                return Err(lost());
            }
            self.inner.acknowledge(queue, receipts).await?;
            if self.dice.is(5) { Err(lost()) } else { Ok(()) }
        })
    }

    fn dead_letters<'a>(
        &'a self,
        queue: &'a QueueName,
        count: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, TransportError>> {
        self.inner.dead_letters(queue, count)
    }

    fn redrive<'a>(
        &'a self,
        queue: &'a QueueName,
        letter: &'a LetterId,
    ) -> BoxFuture<'a, Result<bool, TransportError>> {
        self.inner.redrive(queue, letter)
    }

    fn discard<'a>(
        &'a self,
        queue: &'a QueueName,
        letter: &'a LetterId,
    ) -> BoxFuture<'a, Result<bool, TransportError>> {
        self.inner.discard(queue, letter)
    }
}
