//! A coordinator's log: the real one, with somebody who watches, kills and delays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::oneshot;
use tokio::time::sleep;
use tripod::BoxFuture;
use tripod::transaction::log::{
    AppendError, Durability, LiveRecord, LogError, Opened, Record, Reservation, Subject,
    TransactionLog,
};
use tripod::transaction::{CoordinatorId, Epoch, TransactionId};

use super::flaw::Flaw;
use super::world::World;
use crate::chronicle::ms;
use crate::counts::Count;
use crate::machine::{COORDINATOR, Line};
use crate::network::LATEST;
use crate::process::Moment;

/// The second byte of a record that decides to commit.
const COMMITTED: u8 = 2;

#[derive(Clone, Debug)]
pub struct Watched {
    pub world: Arc<World>,
    pub line: Line,
    pub inner: Arc<dyn TransactionLog>,
    /// Whether it is at the other end of a network.
    pub remote: bool,
    /// The latest epoch of the place, whoever opened it.
    pub latest: Arc<AtomicU64>,
}

/// The transaction that these records commit, if they do.
fn decision(records: &[Record]) -> Option<TransactionId> {
    let commits = |record: &&Record| record.payload().get(1) == Some(&COMMITTED);
    match records.iter().find(commits)?.subject() {
        Subject::Transaction(id) => Some(*id),
        Subject::Saga(_) | Subject::Fact(_) => None,
    }
}

impl Watched {
    /// Over a network: lands whatever becomes of who sent it.
    async fn far(
        &self,
        epoch: Epoch,
        records: Vec<Record>,
        durability: Durability,
        space: Option<Reservation>,
    ) -> Result<(), AppendError> {
        let world = Arc::clone(&self.world);
        let inner = Arc::clone(&self.inner);
        let weather = world.weather();
        let mut delay = world.within(0, 2);
        if world.chance(weather.late) {
            delay = world.within(20, LATEST);
        }
        let unheard = world.chance(weather.lost_answer);
        let (reply, answer) = oneshot::channel();
        tokio::spawn(async move {
            sleep(ms(delay)).await;
            let appended = inner.append(epoch, records, durability, space).await;
            world.say(|| format!("landed in the log of epoch {epoch}: {appended:?}"));
            if matches!(appended, Err(AppendError::Superseded { .. })) && reply.is_closed() {
                world.count(Count::ZombieAppend);
            }
            if unheard {
                world.count(Count::LostLogAnswer);
                return;
            }
            let _ = reply.send(appended);
        });
        self.line.process.passes(&self.world, Moment::Handed);
        let answer = answer.await;
        self.line.alive().await;
        let lost = || AppendError::Unknown(std::io::Error::other("no answer"));
        answer.unwrap_or_else(|_| Err(lost()))
    }
}

impl Watched {
    async fn opened(
        &self,
        opening: BoxFuture<'_, Result<Opened, LogError>>,
    ) -> Result<Opened, LogError> {
        self.line.alive().await;
        let opened = self.line.poked(opening, None).await?;
        let (epoch, persistence) = (opened.epoch(), opened.persistence());
        self.latest.store(epoch.as_u64(), Ordering::Relaxed);
        let mut live = opened.into_live();
        let number = self.line.process.number;
        self.world
            .say(|| format!("process {number} opened in {epoch}: {live:?}"));
        if self.world.has(Flaw::DropsOldRecords) {
            let young = |it: &LiveRecord| {
                let fact = matches!(it.record().subject(), Subject::Fact(_));
                fact || it.epoch().as_u64() + 1 >= epoch.as_u64()
            };
            live.retain(young);
        }
        self.line.passes(Moment::Opened).await;
        let coordinator = CoordinatorId::from_u128(COORDINATOR);
        let again = self.world.has(Flaw::EpochsComeAgain);
        let epoch = if again { Epoch::new(1).unwrap() } else { epoch };
        Ok(Opened::new(coordinator, epoch, live, persistence))
    }
}

impl TransactionLog for Watched {
    fn open(&self, hint: u64) -> BoxFuture<'_, Result<Opened, LogError>> {
        Box::pin(self.opened(self.inner.open(hint)))
    }

    fn reopen(&self, after: Epoch) -> BoxFuture<'_, Result<Opened, LogError>> {
        let again = self.world.has(Flaw::EpochsComeAgain);
        let opening = if again || self.world.has(Flaw::TakesTheLogBack) {
            self.inner.open(0)
        } else {
            self.inner.reopen(after)
        };
        Box::pin(self.opened(opening))
    }

    fn append(
        &self,
        epoch: Epoch,
        records: Vec<Record>,
        durability: Durability,
        space: Option<Reservation>,
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        Box::pin(async move {
            self.line.alive().await;
            let decision = decision(&records);
            if decision.is_some() {
                self.line.passes(Moment::Deciding).await;
            }
            if records.iter().any(Record::ends) {
                self.line.passes(Moment::Ending).await;
            }
            let epoch =
                if self.world.has(Flaw::TakesZombies) || self.world.has(Flaw::EpochsComeAgain) {
                    Epoch::new(self.latest.load(Ordering::Relaxed)).unwrap()
                } else {
                    epoch
                };
            let durability = if self.world.has(Flaw::AnswersBeforeDurable) {
                Durability::Unforced
            } else {
                durability
            };
            let mut appended = if self.remote {
                self.far(epoch, records, durability, space).await
            } else {
                let appending = self.inner.append(epoch, records, durability, space);
                let handed = decision.map(|_| Moment::Handed);
                self.line.poked(appending, handed).await
            };
            self.line.see(&appended);
            if self.world.has(Flaw::UnknownIsNotWritten)
                && matches!(appended, Err(AppendError::Unknown(_)))
            {
                appended = Err(AppendError::Poisoned);
            }
            if appended.is_ok()
                && let Some(id) = decision
            {
                self.line.process.owes(id, Count::DurableNotSent);
                self.line.passes(Moment::Durable).await;
            }
            appended
        })
    }

    fn reserve(&self, epoch: Epoch, bytes: u64) -> BoxFuture<'_, Result<Reservation, AppendError>> {
        Box::pin(async move {
            self.line.alive().await;
            let epoch = if self.world.has(Flaw::EpochsComeAgain) {
                Epoch::new(self.latest.load(Ordering::Relaxed)).unwrap()
            } else {
                epoch
            };
            let reserved = self
                .line
                .poked(self.inner.reserve(epoch, bytes), None)
                .await;
            self.line.see(&reserved);
            reserved
        })
    }

    fn close(&self, epoch: Epoch) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            self.line.alive().await;
            self.line.process.trouble();
            self.line.poked(self.inner.close(epoch), None).await
        })
    }
}
