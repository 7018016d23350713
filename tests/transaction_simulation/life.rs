//! A life of a coordinator's process: it opens, serves, and ends in one way or another.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tripod::transaction::log::{FileLog, FileLogOptions, MemoryLog, TransactionLog};
use tripod::transaction::two_phase::{BeginError, Coordinator, OpenError};

use crate::client::{Client, WORK, operate, reckon};
use crate::counts::Count;
use crate::disk::{Disk, Fault, Loss};
use crate::distant::Distant;
use crate::process::{Moment, Process};
use crate::random::Random;
use crate::watched::{Watched, write};
use crate::world::{World, ms};

/// Where the log is.
#[derive(Clone, Debug)]
pub enum Place {
    /// On a disk, behind one process at a time.
    File(Disk),
    /// In a store that several processes reach.
    Shared(MemoryLog),
}

/// What a life is to be like.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub dies: Option<(Moment, u64)>,
    /// At which call of the disk what goes wrong.
    pub fault: Option<(u64, Fault)>,
    /// Whether the disk takes no more than it holds.
    pub full: bool,
    /// After how many milliseconds the disk is well again.
    pub heals: u64,
    /// Counted from the first failure on.
    pub patient: bool,
}

impl Plan {
    pub fn draw(random: &mut Random) -> Self {
        let fault = match random.below(20) {
            0..8 => None,
            8..14 => Some(Fault::Crash),
            14..17 => Some(Fault::Once(ErrorKind::Other)),
            17 => Some(Fault::From(ErrorKind::Other)),
            18 => Some(Fault::Once(ErrorKind::StorageFull)),
            _ => Some(Fault::From(ErrorKind::StorageFull)),
        };
        let magnitude = random.within(1, 7);
        let call = random.below(1 << magnitude);
        let dies = random.chance(350).then(|| Moment::draw(random));
        Self {
            dies,
            fault: fault.map(|fault| (call, fault)),
            full: random.chance(100),
            heals: random.within(20, 250),
            patient: false,
        }
    }
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

/// Short segments, so that they are followed by the next soon.
fn options() -> FileLogOptions {
    FileLogOptions::default()
        .segment_len(4096)
        .full_pause(Duration::from_millis(10))
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
        let poke = Arc::new(Notify::new());
        let mut tasks = JoinSet::new();
        let (inner, remote): (Arc<dyn TransactionLog>, bool) = match place {
            Place::File(disk) => {
                let (log, writer) = FileLog::on(disk.clone(), options());
                let (disk, poke) = (disk.clone(), Arc::clone(&poke));
                let (process, world) = (Arc::clone(&process), Arc::clone(world));
                tasks.spawn(write(writer, disk, poke, process, world));
                (Arc::new(log), false)
            }
            Place::Shared(log) => (Arc::new(log.clone()), true),
        };
        if let Place::File(disk) = place {
            fail(world, disk, plan, &mut tasks);
        }
        let log = Watched {
            world: Arc::clone(world),
            process: Arc::clone(&process),
            inner,
            poke,
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
            let opened = tokio::select! {
                biased;
                () = self.process.end.cancelled() => return None,
                opened = opening => opened,
            };
            match opened {
                Ok(coordinator) => {
                    self.process.serves.store(true, Ordering::Relaxed);
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
        self.wait(time).await;
        if random.chance(150) && !self.process.is_dead() {
            self.process.trouble();
            let Some(participants) = self.open().await else {
                return;
            };
            self.world.count(Count::ZombieServes);
            self.populate(random, &participants, false);
            let time = ms(random.within(5, 150));
            self.wait(time).await;
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

    /// Until the clients are done, the time is over or the process is dead.
    async fn wait(&mut self, time: Duration) {
        let clients = &mut self.clients;
        let done = async {
            while let Some(ended) = clients.join_next().await {
                ended.unwrap();
            }
        };
        let done = timeout(time, done);
        tokio::select! {
            biased;
            () = self.process.end.cancelled() => {}
            _ = done => {}
        }
    }

    /// Shuts down as it should be done, with so much patience.
    pub async fn shut_down(&mut self, patience: Duration) {
        self.process.trouble();
        let Some(coordinator) = self.coordinators.last().cloned() else {
            return;
        };
        let closing = coordinator.shutdown(patience);
        let closed = tokio::select! {
            biased;
            () = self.process.end.cancelled() => return,
            closed = closing => closed,
        };
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
            disk.limit(u64::MAX);
            disk.reboot(loss);
            if loss != Loss::Nothing {
                self.world.count(Count::PowerCut);
            }
        }
    }

    /// Whether a zombie has taken over from all that were opened here.
    pub async fn is_superseded(&self) -> bool {
        let mut superseded = !self.coordinators.is_empty();
        for coordinator in &self.coordinators {
            let begun = coordinator.begin().await;
            superseded &= matches!(begun, Err(BeginError::Superseded));
        }
        superseded
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.process.live_on();
        if let Place::File(disk) = &self.place {
            disk.heal();
            disk.limit(u64::MAX);
        }
    }

    pub fn log(&self) -> &Watched {
        &self.log
    }
}

/// Lets the disk fail, and recover from it.
fn fail(world: &Arc<World>, disk: &Disk, plan: &Plan, tasks: &mut JoinSet<()>) {
    if let Some((call, fault)) = plan.fault {
        disk.fail_at(call, fault);
    }
    if plan.full {
        world.count(Count::DiskFull);
        disk.limit(disk.used());
    }
    let (disk, before) = (disk.clone(), disk.faults_met());
    let (heals, patient) = (plan.heals, plan.patient);
    let world = Arc::clone(world);
    tasks.spawn(async move {
        while patient && disk.faults_met() == before {
            sleep(ms(10)).await;
        }
        sleep(ms(heals)).await;
        if disk.is_crashed() {
            return;
        }
        if disk.faults_met() > before {
            world.count(Count::DiskFailure);
        }
        disk.heal();
        disk.limit(u64::MAX);
    });
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
