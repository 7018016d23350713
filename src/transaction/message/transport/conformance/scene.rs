//! What a case works with: a store, processes on it, and queues of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Fixture;
use crate::chance::random_wide;
use crate::conformance::{Failure, Outcome, ensure};
use crate::transaction::message::envelope::Message;
use crate::transaction::message::queue::QueueName;
use crate::transaction::message::transport::{DeadLetter, Delivery, Terms, Transport};

/// Long enough for a round trip on a busy machine, by far.
pub(super) const LEASE: Duration = Duration::from_secs(1);

/// Time in which what is due comes, and longer than any case waits for what does not.
pub(super) const LONG: Duration = Duration::from_secs(10);

pub(super) struct Scene<'a> {
    fixture: &'a dyn Fixture,
    name: &'static str,
    id: String,
}

/// A process, and the queue that the case is about.
pub(super) struct Process {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) queue: QueueName,
}

impl<'a> Scene<'a> {
    pub(super) fn new(fixture: &'a dyn Fixture, name: &'static str) -> Self {
        Self {
            fixture,
            name,
            id: format!("{:032x}", random_wide()),
        }
    }

    pub(super) async fn start(&self) -> Result<Process, Failure> {
        self.start_with(terms()).await
    }

    pub(super) async fn start_with(&self, terms: Terms) -> Result<Process, Failure> {
        let transport = self.fixture.start(self.name, terms).await?;
        ensure!(transport.terms() == terms, "{:?}", transport.terms());
        let queue = self.queue("queue")?;
        Ok(Process { transport, queue })
    }

    /// One that nobody else has.
    pub(super) fn queue(&self, name: &str) -> Result<QueueName, Failure> {
        Ok(QueueName::new(&format!("{name}-{}", self.id))?)
    }
}

pub(super) fn terms() -> Terms {
    Terms::new().with_lease(LEASE)
}

pub(super) fn message(key: &str) -> Result<Message, Failure> {
    Ok(Message::new(key, key.as_bytes())?)
}

impl Process {
    pub(super) async fn send(&self, key: &str) -> Outcome {
        Ok(self.transport.send(&self.queue, &message(key)?).await?)
    }

    pub(super) async fn receive(
        &self,
        count: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, Failure> {
        Ok(self.transport.receive(&self.queue, count, wait).await?)
    }

    /// The next, which comes within a long time.
    pub(super) async fn next(&self) -> Result<Delivery, Failure> {
        let mut all = self.receive(1, LONG).await?;
        all.pop().ok_or_else(|| Failure::new("nothing comes"))
    }

    /// Whether nothing can be received now.
    pub(super) async fn has_nothing(&self) -> Outcome {
        let all = self.receive(9, Duration::ZERO).await?;
        ensure!(all.is_empty(), "{all:?} came");
        Ok(())
    }

    /// The same, and neither after the lease.
    pub(super) async fn stays_empty(&self) -> Outcome {
        self.has_nothing().await?;
        sleep(LEASE * 3 / 2).await;
        self.has_nothing().await
    }

    pub(super) async fn acknowledge(&self, all: &[Delivery]) -> Outcome {
        let receipts: Vec<_> = all.iter().map(|one| one.receipt().clone()).collect();
        Ok(self.transport.acknowledge(&self.queue, &receipts).await?)
    }

    pub(super) async fn postpone(
        &self,
        delivery: &Delivery,
        delay: Duration,
    ) -> Result<bool, Failure> {
        let receipt = delivery.receipt();
        Ok(self.transport.postpone(&self.queue, receipt, delay).await?)
    }

    pub(super) async fn letters(&self, count: usize) -> Result<Vec<DeadLetter>, Failure> {
        Ok(self.transport.dead_letters(&self.queue, count).await?)
    }
}

/// The keys of what came, in order.
pub(super) fn keys(all: &[Delivery]) -> Vec<String> {
    let mut keys: Vec<_> = all
        .iter()
        .map(|one| one.message().key().to_owned())
        .collect();
    keys.sort();
    keys
}
