//! The log of sagas: the real one, with somebody who watches, kills, and spoils what a flaw says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tripod::BoxFuture;
use tripod::transaction::log::{
    AppendError, Durability, LiveRecord, LogError, Opened, Record, Reservation, TransactionLog,
};
use tripod::transaction::{CoordinatorId, Epoch};

use super::flaw::Flaw;
use super::world::World;
use crate::counts::Count;
use crate::machine::{COORDINATOR, Line};
use crate::process::Moment;

#[derive(Clone, Debug)]
pub struct Watched {
    pub world: Arc<World>,
    pub line: Line,
    pub inner: Arc<dyn TransactionLog>,
    /// Whether it was open before.
    pub opened: Arc<AtomicBool>,
}

impl Watched {
    /// The same log, as another handle has it.
    pub fn another(&self) -> Self {
        Self {
            opened: Arc::default(),
            ..self.clone()
        }
    }

    /// What the log gives back, or what a flaw makes of that.
    fn spoil(&self, live: &mut Vec<LiveRecord>) {
        if self.world.has(Flaw::LosesTheLastRecord) {
            live.pop();
        }
        if self.world.has(Flaw::ChangesOutputs) {
            for record in live {
                let (subject, payload) = (record.record().subject(), record.record().payload());
                let changed = without_outputs(payload.to_vec());
                let changed = Record::new(subject.clone(), changed).unwrap();
                *record = LiveRecord::new(record.epoch(), changed);
            }
        }
    }

    /// The epoch in which the log is open, whatever it was said to be.
    fn epoch(&self, said: Epoch) -> Epoch {
        if self.world.has(Flaw::EpochsComeAgain) {
            Epoch::new(self.world.latest.load(Ordering::Relaxed)).unwrap()
        } else {
            said
        }
    }
}

/// Outputs are an `o` and eight digits: others are put in their place.
fn without_outputs(mut payload: Vec<u8>) -> Vec<u8> {
    for at in 0..payload.len().saturating_sub(9) {
        let (head, digits) = (payload[at], &payload[at + 1..at + 9]);
        if head == b'o' && digits.iter().all(u8::is_ascii_digit) {
            payload[at + 1..at + 9].fill(b'0');
        }
    }
    payload
}

impl Watched {
    async fn opened(
        &self,
        opening: BoxFuture<'_, Result<Opened, LogError>>,
    ) -> Result<Opened, LogError> {
        self.line.alive().await;
        let opened = self.line.poked(opening, None).await?;
        let (mut epoch, persistence) = (opened.epoch(), opened.persistence());
        self.world.latest.store(epoch.as_u64(), Ordering::Relaxed);
        let mut live = opened.into_live();
        let number = self.line.process.number;
        self.world
            .say(|| format!("process {number} opened in {epoch}: {live:?}"));
        if self.opened.swap(true, Ordering::Relaxed) {
            self.world.count(Count::Reopened);
        }
        self.spoil(&mut live);
        self.line.passes(Moment::Opened).await;
        if self.world.has(Flaw::EpochsComeAgain) {
            epoch = Epoch::new(1).unwrap();
        }
        let coordinator = CoordinatorId::from_u128(COORDINATOR);
        Ok(Opened::new(coordinator, epoch, live, persistence))
    }
}

impl TransactionLog for Watched {
    fn open(&self, hint: u64) -> BoxFuture<'_, Result<Opened, LogError>> {
        Box::pin(self.opened(self.inner.open(hint)))
    }

    fn reopen(&self, after: Epoch) -> BoxFuture<'_, Result<Opened, LogError>> {
        let opening = if self.world.has(Flaw::EpochsComeAgain) {
            self.inner.open(0)
        } else {
            self.inner.reopen(after)
        };
        Box::pin(self.opened(opening))
    }

    fn append(
        &self,
        epoch: Epoch,
        mut records: Vec<Record>,
        durability: Durability,
        space: Option<Reservation>,
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        Box::pin(async move {
            self.line.alive().await;
            self.line.passes(Moment::Recording).await;
            if records.iter().any(Record::ends) {
                self.line.passes(Moment::Ending).await;
            }
            if self.world.has(Flaw::ForgetsEnds) {
                records.retain(|record| !record.ends());
            }
            let durability = if self.world.has(Flaw::AnswersBeforeDurable) {
                Durability::Unforced
            } else {
                durability
            };
            let epoch = self.epoch(epoch);
            let appending = self.inner.append(epoch, records, durability, space);
            let appended = self.line.poked(appending, Some(Moment::Submitted)).await;
            self.line.see(&appended);
            if appended.is_ok() {
                self.line.passes(Moment::Recorded).await;
            }
            appended
        })
    }

    fn reserve(&self, epoch: Epoch, bytes: u64) -> BoxFuture<'_, Result<Reservation, AppendError>> {
        Box::pin(async move {
            self.line.alive().await;
            let reserving = self.inner.reserve(self.epoch(epoch), bytes);
            let reserved = self.line.poked(reserving, None).await;
            self.line.see(&reserved);
            reserved
        })
    }

    fn close(&self, epoch: Epoch) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            self.line.alive().await;
            self.line.process.trouble();
            let closing = self.inner.close(self.epoch(epoch));
            self.line.poked(closing, None).await
        })
    }
}
