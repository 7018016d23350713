//! A life of a coordinator's process: it opens, serves, and ends in one way or another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tripod::transaction::Epoch;
use tripod::transaction::log::{MemoryLog, TransactionLog};
use tripod::transaction::two_phase::{BeginError, Coordinator, OpenError};

use super::client::{Client, WORK, reckon};
use super::distant::Distant;
use super::operator::{operate, stays_retired};
use super::watched::Watched;
use super::world::World;
use crate::chronicle::ms;
use crate::counts::Count;
use crate::disk::{Disk, Loss};
use crate::machine::{Line, Plan, heal, restart};
use crate::network::LATEST;
use crate::process::Process;
use crate::random::Random;

/// Where the log is.
#[derive(Clone, Debug)]
pub enum Place {
    /// On a disk, behind one process at a time.
    File(Disk),
    /// In a store that several processes reach.
    Shared(MemoryLog),
}

pub struct Life {
    pub world: Arc<World>,
    pub process: Arc<Process>,
    pub coordinators: Vec<Coordinator>,
    place: Place,
    log: Watched,
    tasks: JoinSet<()>,
    clients: JoinSet<()>,
}

impl Life {
    pub fn start(
        world: &Arc<World>,
        number: u64,
        place: &Place,
        latest: &Arc<AtomicU64>,
        plan: &Plan,
    ) -> Self {
        let process = Process::new(number, plan.dies);
        let line = Line::new(world, &process);
        let mut tasks = JoinSet::new();
        let (inner, remote): (Arc<dyn TransactionLog>, bool) = match place {
            Place::File(disk) => (Arc::new(line.log(disk, plan, &mut tasks)), false),
            Place::Shared(log) => (Arc::new(log.clone()), true),
        };
        let log = Watched {
            world: Arc::clone(world),
            line,
            inner,
            remote,
            latest: Arc::clone(latest),
        };
        Self {
            world: Arc::clone(world),
            process,
            coordinators: Vec::new(),
            place: place.clone(),
            log,
            tasks,
            clients: JoinSet::new(),
        }
    }

    /// Opens a coordinator, again and again until it is open. `None`: the process died.
    pub async fn open(&mut self) -> Option<Vec<Distant>> {
        for _ in 0..200 {
            let participants = Distant::all(&self.world, &self.process);
            let opening = open(self.log.clone(), &participants);
            match self.process.outlives(opening).await? {
                Ok(coordinator) => {
                    self.process.serves.store(true, Ordering::Relaxed);
                    stays_retired(&self.world, &self.process, &coordinator);
                    self.coordinators.push(coordinator);
                    return Some(participants);
                }
                Err(error) => {
                    self.world.say(|| format!("not opened: {error:?}"));
                    sleep(ms(20)).await;
                }
            }
        }
        self.world.wrong("the log does not open".into());
        None
    }

    /// Opens, and lets clients do what they do.
    pub async fn serve(&mut self, random: &mut Random, full: bool) {
        let Some(participants) = self.open().await else {
            return;
        };
        self.populate(random, &participants, full);
        let time = ms(random.within(5, 250));
        self.process.works(&mut self.clients, time).await;
        if random.chance(150) && !self.process.is_dead() {
            self.process.trouble();
            let Some(participants) = self.open().await else {
                return;
            };
            self.world.count(Count::ZombieServes);
            self.populate(random, &participants, false);
            let time = ms(random.within(5, 150));
            self.process.works(&mut self.clients, time).await;
        }
    }

    fn populate(&mut self, random: &mut Random, participants: &[Distant], full: bool) {
        let clients = random.within(1, 3);
        for number in 0..clients {
            let client = self.client(random.fork(number), participants);
            let transactions = random.within(1, 3);
            self.clients.spawn(client.live(transactions));
        }
        if full {
            let client = self.client(random.fork(10), participants);
            self.clients.spawn(client.hoard(16));
        }
        let operator = self.client(random.fork(11), participants);
        self.tasks.spawn(operate(operator));
        // What the clients have drawn is not drawn again.
        random.next();
    }

    pub fn client(&self, random: Random, participants: &[Distant]) -> Client {
        Client {
            world: Arc::clone(&self.world),
            process: Arc::clone(&self.process),
            coordinator: self.coordinators.last().unwrap().clone(),
            participants: participants.to_vec(),
            random,
        }
    }

    /// Shuts down as it should be done, with so much patience.
    pub async fn shut_down(&mut self, patience: Duration) {
        self.process.trouble();
        let Some(coordinator) = self.coordinators.last().cloned() else {
            return;
        };
        let closed = self.process.outlives(coordinator.shutdown(patience)).await;
        let Some(closed) = closed else { return };
        self.world.say(|| format!("shut down: {closed:?}"));
        match closed {
            Ok(shutdown) if shutdown.unfinished > 0 => {
                self.world.count(Count::ShutdownUnfinished);
            }
            Ok(_) => self.world.count(Count::Shutdown),
            Err(_) => {}
        }
    }

    /// Ends the process, and what it leaves is what the next one finds.
    pub async fn end(mut self, loss: Loss) {
        for coordinator in self.coordinators.drain(..) {
            reckon(&self.world, &self.process, &coordinator);
        }
        self.process.end.cancel();
        self.clients.shutdown().await;
        self.tasks.shutdown().await;
        if let Place::File(disk) = &self.place {
            restart(&self.world, disk, loss);
        }
    }

    /// Nobody has opened the log since: so no zombie may have it.
    pub async fn keeps_its_log(&self) {
        // What fails one of them may be under way, so that it opens the log again.
        sleep(ms(3 * LATEST)).await;
        let Some(newest) = self.coordinators.last() else {
            return;
        };
        let epoch = newest.stats().epoch.map_or(0, Epoch::as_u64);
        let latest = self.log.latest.load(Ordering::Relaxed);
        let begun = newest.begin().await;
        if matches!(begun, Err(BeginError::Superseded)) || latest > epoch {
            let text = format!("a zombie has taken the log of epoch {epoch} back: {latest}");
            self.world.wrong(text);
        }
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.process.live_on();
        if let Place::File(disk) = &self.place {
            heal(disk);
        }
    }

    pub fn log(&self) -> &Watched {
        &self.log
    }
}

/// Opens a coordinator in a hurry.
pub async fn open(log: Watched, participants: &[Distant]) -> Result<Coordinator, OpenError> {
    let opening = Coordinator::open(log)
        .work_timeout(ms(WORK))
        .prepare_timeout(ms(80))
        .settle_timeout(ms(80))
        .open_timeout(ms(50))
        .retry_pause_max(ms(100))
        .scan_interval(ms(150))
        .transactions_max(32);
    let opening = participants
        .iter()
        .fold(opening, |opening, it| opening.participant(it.clone()));
    opening.await
}
