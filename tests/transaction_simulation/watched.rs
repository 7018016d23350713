//! A coordinator's log: the real one, with somebody who watches, kills and delays.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;
use tripod::BoxFuture;
use tripod::transaction::log::{
    AppendError, Durability, LiveRecord, LogError, LogWriter, Opened, Record, Reservation, Subject,
    TransactionLog,
};
use tripod::transaction::{CoordinatorId, Epoch, TransactionId};

use crate::counts::Count;
use crate::disk::Disk;
use crate::flaw::Flaw;
use crate::process::{Moment, Process};
use crate::world::{LATEST, World, ms};

/// Whose every log is: drawn at random it would tell each run another story.
pub const COORDINATOR: u128 = 0x0003_0001_0004;

/// The second byte of a record that decides to commit.
const COMMITTED: u8 = 2;

#[derive(Clone, Debug)]
pub struct Watched {
    pub world: Arc<World>,
    pub process: Arc<Process>,
    pub inner: Arc<dyn TransactionLog>,
    /// Tells the writer that there may be something to do.
    pub poke: Arc<Notify>,
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
    /// Polls, and lets the writer know.
    async fn poked<T>(&self, mut future: BoxFuture<'_, T>, handed: Option<Moment>) -> T {
        let answer = poll_fn(|context| {
            let polled = future.as_mut().poll(context);
            self.poke.notify_one();
            if polled.is_pending()
                && let Some(moment) = handed
            {
                self.process.passes(&self.world, moment);
            }
            polled
        });
        let answer = answer.await;
        self.alive().await;
        answer
    }

    /// The dead do not go on.
    async fn alive(&self) {
        if self.process.is_dead() {
            pending::<()>().await;
        }
    }

    async fn passes(&self, moment: Moment) {
        self.process.passes(&self.world, moment);
        self.alive().await;
    }

    fn see<T>(&self, answer: &Result<T, AppendError>) {
        match answer {
            Ok(_) | Err(AppendError::Full { .. } | AppendError::TooLarge { .. }) => {}
            Err(error) => {
                if matches!(error, AppendError::Superseded { .. }) {
                    self.world.count(Count::ZombieAppend);
                }
                self.world
                    .say(|| format!("process {}: {error:?}", self.process.number));
                self.process.trouble();
            }
        }
    }

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
        self.process.passes(&self.world, Moment::Handed);
        let answer = answer.await;
        self.alive().await;
        let lost = || AppendError::Unknown(std::io::Error::other("no answer"));
        answer.unwrap_or_else(|_| Err(lost()))
    }
}

impl TransactionLog for Watched {
    fn open(&self, hint: u64) -> BoxFuture<'_, Result<Opened, LogError>> {
        Box::pin(async move {
            self.alive().await;
            let opened = self.poked(self.inner.open(hint), None).await?;
            let (epoch, persistence) = (opened.epoch(), opened.persistence());
            self.latest.store(epoch.as_u64(), Ordering::Relaxed);
            let mut live = opened.into_live();
            let number = self.process.number;
            self.world
                .say(|| format!("process {number} opened in {epoch}: {live:?}"));
            if self.world.has(Flaw::DropsOldRecords) {
                let young = |it: &LiveRecord| {
                    let fact = matches!(it.record().subject(), Subject::Fact(_));
                    fact || it.epoch().as_u64() + 1 >= epoch.as_u64()
                };
                live.retain(young);
            }
            self.passes(Moment::Opened).await;
            let coordinator = CoordinatorId::from_u128(COORDINATOR);
            let again = self.world.has(Flaw::EpochsComeAgain);
            let epoch = if again { Epoch::new(1).unwrap() } else { epoch };
            Ok(Opened::new(coordinator, epoch, live, persistence))
        })
    }

    fn append(
        &self,
        epoch: Epoch,
        records: Vec<Record>,
        durability: Durability,
        space: Option<Reservation>,
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        Box::pin(async move {
            self.alive().await;
            let decision = decision(&records);
            if decision.is_some() {
                self.passes(Moment::Deciding).await;
            }
            if records.iter().any(Record::ends) {
                self.passes(Moment::Ending).await;
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
                self.poked(appending, handed).await
            };
            self.see(&appended);
            if self.world.has(Flaw::UnknownIsNotWritten)
                && matches!(appended, Err(AppendError::Unknown(_)))
            {
                appended = Err(AppendError::Poisoned);
            }
            if appended.is_ok()
                && let Some(id) = decision
            {
                self.process.decided(id);
                self.passes(Moment::Durable).await;
            }
            appended
        })
    }

    fn reserve(&self, epoch: Epoch, bytes: u64) -> BoxFuture<'_, Result<Reservation, AppendError>> {
        Box::pin(async move {
            self.alive().await;
            let epoch = if self.world.has(Flaw::EpochsComeAgain) {
                Epoch::new(self.latest.load(Ordering::Relaxed)).unwrap()
            } else {
                epoch
            };
            let reserved = self.poked(self.inner.reserve(epoch, bytes), None).await;
            self.see(&reserved);
            reserved
        })
    }

    fn close(&self, epoch: Epoch) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            self.alive().await;
            self.process.trouble();
            self.poked(self.inner.close(epoch), None).await
        })
    }
}

/// Writes for as long as the process lives, a step at a time.
pub async fn write(
    mut writer: LogWriter,
    disk: Disk,
    poke: Arc<Notify>,
    process: Arc<Process>,
    world: Arc<World>,
) {
    while !process.is_dead() {
        poke.notified().await;
        loop {
            sleep(ms(world.within(0, 1))).await;
            if process.is_dead() || !writer.step() {
                break;
            }
            if disk.is_crashed() {
                world.count(Count::KilledAtDisk);
                process.die(&world, "in a call of the disk");
            }
        }
    }
}
