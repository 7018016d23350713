//! A life of a process that runs sagas: it opens, serves, and ends in one way or another.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tripod::transaction::saga::{Definition, Fact, SagaEvent, SagaFilter, Sagas, Stranding};

use super::client::Client;
use super::draft::{Draft, Input};
use super::flaw::Flaw;
use super::operator::operate;
use super::watched::Watched;
use super::world::World;
use crate::chronicle::ms;
use crate::counts::Count;
use crate::disk::{Disk, Loss};
use crate::machine::{Line, Plan, heal, restart};
use crate::process::Process;
use crate::random::Random;

/// How a process knows a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    Well,
    Not,
    /// As another one of the same name and version.
    Changed,
}

/// A definition, as a process has it.
#[derive(Clone)]
pub struct Registered {
    pub draft: Arc<Draft>,
    pub definition: Definition<Input>,
    pub known: Known,
}

pub struct Life {
    pub world: Arc<World>,
    pub process: Arc<Process>,
    pub sagas: Vec<Sagas>,
    pub registered: Vec<Registered>,
    disk: Disk,
    log: Watched,
    tasks: JoinSet<()>,
    clients: JoinSet<()>,
}

impl Life {
    /// `known`: how it knows each definition.
    pub fn start(
        world: &Arc<World>,
        number: u64,
        disk: &Disk,
        plan: &Plan,
        mut known: impl FnMut() -> Known,
    ) -> Self {
        let process = Process::new(number, plan.dies);
        let line = Line::new(world, &process);
        let mut tasks = JoinSet::new();
        let log = Watched {
            world: Arc::clone(world),
            inner: Arc::new(line.log(disk, plan, &mut tasks)),
            line,
            opened: Arc::default(),
        };
        let registered = world.drafts.iter().map(|draft| Registered {
            draft: Arc::clone(draft),
            definition: draft.build(world, &process),
            known: known(),
        });
        Self {
            registered: registered.collect(),
            world: Arc::clone(world),
            process,
            sagas: Vec::new(),
            disk: disk.clone(),
            log,
            tasks,
            clients: JoinSet::new(),
        }
    }

    /// Opens, again and again until it is open. `None`: the process died.
    pub async fn open(&mut self) -> Option<Sagas> {
        for _ in 0..200 {
            let log = self.log.another();
            let mut opening = Sagas::open(log).sagas_max(8);
            for it in &self.registered {
                opening = match it.known {
                    Known::Well => opening.register(&it.definition),
                    Known::Not => opening,
                    Known::Changed => {
                        let changed = Arc::new(it.draft.changed());
                        opening.register(&changed.build(&self.world, &self.process))
                    }
                };
            }
            let forgets = self.world.has(Flaw::ForgetsTheEndedEarly);
            let retention = if forgets { 0 } else { self.world.retention };
            let opening = opening.retention(ms(retention));
            match self.process.outlives(opening).await? {
                Ok(sagas) => {
                    self.process.serves.store(true, Ordering::Relaxed);
                    self.look(&sagas);
                    self.tasks
                        .spawn(listen(Arc::clone(&self.world), sagas.events()));
                    self.sagas.push(sagas.clone());
                    return Some(sagas);
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

    /// Those are stranded whose definition is missing or another one, and no others.
    fn look(&self, sagas: &Sagas) {
        for status in sagas.list(SagaFilter::UnderWay) {
            let mut all = self.registered.iter();
            let of =
                all.find(|it| it.draft.name == *status.name && it.draft.version == status.version);
            let due = match of.map(|it| it.known) {
                Some(Known::Well) => None,
                Some(Known::Not) => Some(Stranding::Unregistered),
                Some(Known::Changed) => Some(Stranding::Changed),
                None => Some(Stranding::Unreadable),
            };
            if status.stranding != due {
                let what = format!(
                    "{} is stranded {:?}, not {due:?}",
                    status.key, status.stranding
                );
                self.world.wrong(what);
            }
            match due {
                Some(Stranding::Unregistered) => self.world.count(Count::Unregistered),
                Some(Stranding::Changed) => self.world.count(Count::Changed),
                Some(_) => self
                    .world
                    .wrong(format!("what is {}, {}?", status.key, status.name)),
                None => {}
            }
            if due.is_some() {
                let mut book = self.world.book.lock();
                let same = book
                    .tales
                    .iter_mut()
                    .filter(|it| it.key == status.key.as_str());
                same.for_each(|it| it.stranded = true);
            }
        }
    }

    /// Opens, and lets clients do what they do.
    pub async fn serve(&mut self, random: &mut Random, full: bool) {
        let Some(sagas) = self.open().await else {
            return;
        };
        self.populate(random, &sagas, full);
        let time = ms(random.within(5, 250));
        self.process.works(&mut self.clients, time).await;
        if random.chance(100) && !self.process.is_dead() {
            self.process.trouble();
            let Some(sagas) = self.open().await else {
                return;
            };
            self.world.count(Count::SagasReplaced);
            self.populate(random, &sagas, false);
            let time = ms(random.within(5, 150));
            self.process.works(&mut self.clients, time).await;
        }
    }

    fn populate(&mut self, random: &mut Random, sagas: &Sagas, full: bool) {
        let clients = random.within(1, 3);
        for number in 0..clients {
            let client = self.client(random.fork(number), sagas);
            let calls = random.within(1, 3);
            self.clients.spawn(client.live(calls));
        }
        if full {
            let client = self.client(random.fork(10), sagas);
            self.clients.spawn(client.live(12));
        }
        let operator = self.client(random.fork(11), sagas);
        self.tasks.spawn(operate(operator));
        // What the clients have drawn is not drawn again.
        random.next();
    }

    pub fn client(&self, random: Random, sagas: &Sagas) -> Client {
        Client {
            world: Arc::clone(&self.world),
            process: Arc::clone(&self.process),
            sagas: sagas.clone(),
            registered: self.registered.clone(),
            random,
        }
    }

    /// Shuts down as it should be done, with so much patience.
    pub async fn shut_down(&mut self, patience: Duration) {
        self.process.trouble();
        let Some(sagas) = self.sagas.last().cloned() else {
            return;
        };
        let closed = self.process.outlives(sagas.shutdown(patience)).await;
        let Some(closed) = closed else { return };
        self.world.say(|| format!("shut down: {closed:?}"));
        match closed {
            Ok(0) => self.world.count(Count::Shutdown),
            Ok(_) => self.world.count(Count::ShutdownUnfinished),
            Err(_) => {}
        }
    }

    /// Ends the process, and what it leaves is what the next one finds.
    pub async fn end(mut self, loss: Loss) {
        self.process.end.cancel();
        self.clients.shutdown().await;
        self.tasks.shutdown().await;
        self.sagas.clear();
        restart(&self.world, &self.disk, loss);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.process.live_on();
        heal(&self.disk);
    }

    /// Whether it can go on to the end as it is.
    pub fn is_fit(&self) -> bool {
        let knows = |it: &Registered| it.known == Known::Well;
        self.sagas.len() <= 1 && self.registered.iter().all(knows)
    }

    pub fn log(&self) -> &Watched {
        &self.log
    }
}

/// Hears what all are told.
async fn listen(world: Arc<World>, mut events: tokio::sync::broadcast::Receiver<SagaEvent>) {
    while let Ok(event) = events.recv().await {
        if let (
            Fact::Succeeded { .. }
            | Fact::Skipped {
                output: Some(_), ..
            },
            Some(step),
        ) = (&event.fact, &event.step)
        {
            world.book.lock().succeeds(event.saga.as_str(), step);
        }
    }
}
