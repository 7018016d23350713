//! Those who transfer.

use std::sync::Arc;

use tokio::time::{sleep, timeout};
use tripod::transaction::participant::{MemoryBranch, MemoryError, Outcome};
use tripod::transaction::two_phase::{
    AbortReason, ActiveTransaction, BeginError, CommitOutcome, Coordinator, EnlistError, Filter,
    Phase,
};

use super::deals::key;
use super::distant::Distant;
use super::node::POT;
use super::world::World;
use crate::chronicle::ms;
use crate::counts::Count;
use crate::process::Process;
use crate::random::Random;

/// How long a transaction may work, in milliseconds.
pub const WORK: u64 = 100;

pub struct Client {
    pub world: Arc<World>,
    pub process: Arc<Process>,
    pub coordinator: Coordinator,
    pub participants: Vec<Distant>,
    pub random: Random,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Commit,
    CommitDropped,
    Rollback,
    Drop,
    Sleep,
}

const ENDS: [End; 16] = [
    End::Commit,
    End::Commit,
    End::Commit,
    End::Commit,
    End::Commit,
    End::Commit,
    End::Commit,
    End::Commit,
    End::Commit,
    End::Commit,
    End::CommitDropped,
    End::CommitDropped,
    End::CommitDropped,
    End::Rollback,
    End::Drop,
    End::Sleep,
];

impl Client {
    /// So many transactions, one after the other.
    pub async fn live(mut self, transactions: u64) {
        for _ in 0..transactions {
            sleep(ms(self.random.below(12))).await;
            self.transact().await;
        }
    }

    /// Begins so many at once, and holds them for a while.
    pub async fn hoard(mut self, transactions: u64) {
        let mut hoard = Vec::new();
        for _ in 0..transactions {
            if let Some((active, _)) = self.begin().await {
                hoard.push(active);
            }
        }
        sleep(ms(self.random.within(5, 60))).await;
        drop(hoard);
    }

    /// Begins one, and gives it a number.
    pub async fn begin(&mut self) -> Option<(ActiveTransaction, usize)> {
        let world = &self.world;
        match self.coordinator.begin().await {
            Ok(active) => {
                let number = world.deals.lock().begin(active.id());
                if number.is_none() {
                    world.wrong(format!("{} was given twice", active.id()));
                }
                world.say(|| format!("t{number:?} is {}", active.id()));
                Some((active, number?))
            }
            Err(error) => {
                if matches!(error, BeginError::Log(_)) {
                    world.count(Count::BeginRefused);
                }
                world.say(|| format!("not begun: {error:?}"));
                None
            }
        }
    }

    async fn transact(&mut self) {
        let Some((mut active, number)) = self.begin().await else {
            sleep(ms(20)).await;
            return;
        };
        if self.work(&mut active, number).await.is_none() {
            // What could not be done in full is given up.
            active.rollback();
            return;
        }
        let end = self.random.of(&ENDS);
        self.end(active, number, end).await;
    }

    /// Does what is to be done in every branch.
    async fn work(&mut self, active: &mut ActiveTransaction, number: usize) -> Option<()> {
        let world = Arc::clone(&self.world);
        let mut order = [0, 1, 2];
        for at in (1..order.len()).rev() {
            order.swap(
                at,
                usize::try_from(self.random.below(at as u64 + 1)).unwrap(),
            );
        }
        let branches = [1, 2, 2, 2, 3, 3][usize::try_from(self.random.below(6)).unwrap()];
        let moves = self.random.chance(400);
        let mut given = 0;
        for (at, index) in order.iter().take(branches).enumerate() {
            let branch = self.enlist(active, *index).await?;
            world.deals.lock().all[number].branches += 1;
            if self.random.chance(150) {
                world.count(Count::ReadOnly);
                let _ = branch.get(&format!("t{}", number / 2)).await;
                continue;
            }
            let key = key(number);
            // Once written it may be there, whatever comes of the request.
            world.deals.lock().all[number].writes.insert(*index);
            branch
                .set(&key, i64::try_from(number).unwrap())
                .await
                .ok()?;
            // What the first gives, the last takes.
            let last = at + 1 == branches;
            let amount = match at {
                0 if moves && !last => {
                    given = 1 + i64::try_from(self.random.below(9)).unwrap();
                    -given
                }
                _ if moves && last && at > 0 => given,
                _ => continue,
            };
            let put = branch.update(POT, |pot| pot.map(|pot| pot + amount)).await;
            if let Err(error) = &put {
                if matches!(error, MemoryError::Locked { .. }) {
                    world.count(Count::Locked);
                }
                return None;
            }
            world.deals.lock().all[number].moves.insert(*index, amount);
            if last {
                given = 0;
            }
            sleep(ms(self.random.below(2))).await;
        }
        // Nobody was there to take it.
        (given == 0).then_some(())
    }

    async fn enlist(
        &mut self,
        active: &mut ActiveTransaction,
        index: usize,
    ) -> Option<MemoryBranch> {
        let to = &self.participants[index];
        let enlisting = active.enlist(to);
        let branch = if self.random.chance(30) {
            let patience = ms(self.random.below(5));
            let Ok(branch) = timeout(patience, enlisting).await else {
                self.world.count(Count::DroppedEnlist);
                return None;
            };
            branch
        } else {
            enlisting.await
        };
        match branch {
            Ok(branch) => Some(branch),
            Err(error) => {
                if let EnlistError::Aborted(AbortReason::Operator) = error {
                    self.world.count(Count::OperatorAborts);
                }
                self.world.say(|| format!("not enlisted: {error:?}"));
                None
            }
        }
    }

    async fn end(&mut self, active: ActiveTransaction, number: usize, end: End) {
        let world = Arc::clone(&self.world);
        match end {
            End::Rollback => {
                world.count(Count::RolledBack);
                active.rollback();
            }
            End::Drop => {
                world.count(Count::Dropped);
                drop(active);
            }
            End::Sleep => {
                world.count(Count::Overslept);
                sleep(ms(WORK + WORK / 2)).await;
                self.commit(active, number).await;
            }
            End::Commit => self.commit(active, number).await,
            End::CommitDropped => {
                let id = active.id();
                let patience = ms(self.random.below(12));
                if timeout(patience, self.commit(active, number))
                    .await
                    .is_err()
                {
                    let listed = self.coordinator.list(Filter::All);
                    let phase = listed.iter().find(|it| it.id == id).map(|it| &it.phase);
                    // The abort of a drop is seen at once.
                    match phase {
                        Some(Phase::Settling(decision) | Phase::Ending(decision))
                            if decision.outcome() == Outcome::Aborted =>
                        {
                            world.count(Count::DroppedBefore);
                        }
                        Some(Phase::Logging | Phase::Settling(_)) => {
                            world.count(Count::DroppedAfter);
                        }
                        _ => {}
                    }
                    world.say(|| format!("commit of t{number} dropped: {phase:?}"));
                }
            }
        }
    }

    pub async fn commit(&self, active: ActiveTransaction, number: usize) {
        let world = &self.world;
        world.deals.lock().all[number].asked = true;
        let outcome = active.commit().await;
        if self.process.is_dead() {
            // Nobody is there to hear it.
            return;
        }
        world.say(|| format!("t{number}: {outcome:?}"));
        let outcome = match outcome {
            CommitOutcome::Committed { pending } => {
                world.count(if pending.is_empty() {
                    Count::Committed
                } else {
                    Count::Pending
                });
                Outcome::Committed
            }
            CommitOutcome::Aborted { reason, .. } => {
                world.count(match reason {
                    AbortReason::No { .. } => Count::VotedNo,
                    AbortReason::Operator => Count::OperatorAborts,
                    _ => Count::Aborted,
                });
                Outcome::Aborted
            }
            CommitOutcome::Unknown(_) => {
                world.count(Count::Unknown);
                let mut deals = world.deals.lock();
                let deal = &mut deals.all[number];
                deal.unknown = true;
                let one = deal.branches <= 1;
                drop(deals);
                if !one && !self.process.is_troubled() {
                    world.wrong(format!("t{number} is unknown, and nothing has failed"));
                }
                return;
            }
        };
        world.tell(number, outcome, "commit");
    }
}

impl World {
    pub fn tell(&self, number: usize, outcome: Outcome, by: &str) {
        let wrong = self.deals.lock().tell(number, outcome, by);
        if let Some(wrong) = wrong {
            self.wrong(wrong);
        }
    }
}

/// Adds up what a coordinator has counted.
pub fn reckon(world: &World, process: &Process, coordinator: &Coordinator) {
    let stats = coordinator.stats();
    world.count_many(Count::Reopened, stats.reopened);
    world.count_many(Count::Orphan, stats.orphans);
    if stats.impossible > 0 {
        world.wrong(format!("process {}: impossible: {stats:?}", process.number));
    }
}
