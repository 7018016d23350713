//! The world between the clients and the store: time, and what happens when.
//!
//! Time goes in ticks: at each, what is due happens, everybody who is woken runs until nobody has
//! anything to do, and only then the clock advances. A handle chooses an instant at random for a
//! renewal or a look, within a window that the TTLs of the wishes keep inside one tick; and what
//! is drawn for a message depends on what it is about and on the tick, not on who comes first. So a
//! seed tells the same story again, but for ties that are rare enough.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, advance};
use tripod::lock::{FencePass, LockBackend, LockName, Mode};

use crate::counts::{Count, Counts};
use crate::message::{Answer, Ask, Reply};
use crate::random::Random;
use crate::rules::{Resource, Rule, Store};
use crate::trace::{TICK, Trace, What};
use crate::traffic::{Due, Line, Message, Traffic};
use crate::weather::Weather;

/// What everybody shares.
pub struct World {
    pub names: [LockName; 3],
    pub store: Arc<Store>,
    start: Instant,
    traffic: Mutex<Traffic>,
    resources: Mutex<[Resource; 3]>,
    random: Random,
}

/// How often, per mille of the ticks, messages and clients come before the timers of the handles:
/// as where a process stood still, and its timers fire late.
const NEWS_FIRST: u64 = 300;

impl World {
    /// A world where that rule, if any, is switched off.
    pub fn new(random: &Random, weather: Weather, off: Option<Rule>) -> Arc<Self> {
        let start = Instant::now();
        // Two for readers and writers, and one for permits.
        let names = ["orders", "stock", "printers"].map(|name| LockName::new(name).unwrap());
        let resources = std::array::from_fn(|_| Resource::new(off));
        Arc::new(Self {
            names: names.clone(),
            store: Arc::new(Store::new(off)),
            start,
            traffic: Mutex::new(Traffic::new(Some(weather), names, start)),
            resources: Mutex::new(resources),
            random: random.clone(),
        })
    }

    /// A network for a new life of a client.
    pub fn connect(&self, random: &Random) -> usize {
        let mut traffic = self.traffic.lock();
        traffic.lines.push(Line::new(random));
        traffic.lines.len() - 1
    }

    pub fn tick(&self) -> u64 {
        let since = Instant::now().duration_since(self.start).as_nanos();
        u64::try_from(since / TICK.as_nanos()).unwrap()
    }

    /// Lets a client sleep. It is woken with what else happens at that tick, after the timers of
    /// the handles, whatever instant of the tick they chose.
    pub async fn sleep(&self, client: usize, ticks: u64) {
        let (wake, woken) = oneshot::channel();
        let tick = self.tick() + ticks;
        self.traffic.lock().wake(tick, client, wake);
        drop(woken.await);
    }

    /// Sends a request. The receiver fails if the client is dead.
    pub fn send(&self, client: usize, ask: Ask) -> oneshot::Receiver<Reply> {
        let (to, receiver) = oneshot::channel();
        self.traffic.lock().send(Instant::now(), client, ask, to);
        receiver
    }

    /// Sends a write to the resource that this name protects. It is on its way, whatever becomes
    /// of the client.
    pub fn write(&self, client: usize, name: usize, mode: Mode, pass: FencePass, after: u64) {
        let at = self.tick() + after;
        self.traffic.lock().write(at, client, name, mode, pass);
    }

    /// Lets a client's process stand still, later: its network is frozen in both directions.
    pub fn freeze(&self, client: usize, after: u64, ticks: u64) {
        let due = Due::Freeze { client, ticks };
        self.traffic.lock().queue.post(self.tick() + after, 0, due);
    }

    /// For how long a client's process stands still.
    pub fn frozen_for(&self, client: usize) -> u64 {
        let until = self.traffic.lock().lines[client].frozen_until;
        until.saturating_sub(self.tick())
    }

    /// Kills a client: nothing that it sends from now on arrives; what is under way may.
    pub fn crash(&self, client: usize) {
        let mut traffic = self.traffic.lock();
        traffic.lines[client].dead = true;
        traffic.counts.add(Count::Crash);
        traffic.trace.push(Instant::now(), What::Crashed { client });
    }

    /// Stops the faults.
    pub fn calm(&self) {
        let mut traffic = self.traffic.lock();
        if traffic.weather.take().is_some() {
            traffic.trace.push(Instant::now(), What::Calm);
            for line in &mut traffic.lines {
                line.frozen_until = 0;
            }
        }
    }

    pub fn is_calm(&self) -> bool {
        self.traffic.lock().weather.is_none()
    }

    pub fn record(&self, what: What) -> usize {
        self.traffic.lock().trace.push(Instant::now(), what)
    }

    pub fn count(&self, count: Count) {
        self.traffic.lock().counts.add(count);
    }

    /// What has happened so far, which leaves the world without memory of it.
    pub fn take(&self) -> (Trace, Counts) {
        let mut traffic = self.traffic.lock();
        let trace = std::mem::replace(&mut traffic.trace, Trace::new(self.start));
        (trace, std::mem::take(&mut traffic.counts))
    }

    /// Lets time go by until it is done, for so many ticks at most. Says whether it is.
    pub async fn go_on(self: &Arc<Self>, ticks: u64, done: impl Fn() -> bool) -> bool {
        for _ in 0..=ticks {
            self.settle().await;
            if done() {
                return true;
            }
            let news_first = self.random.fork(self.tick()).chance(NEWS_FIRST);
            // The clock is advanced by the first look at this; timers fire when the runtime comes
            // to rest.
            let mut time = pin!(advance(TICK));
            poll_fn(|context| Poll::Ready(time.as_mut().poll(context).is_ready())).await;
            if news_first {
                self.happen_all();
            }
            yield_now().await;
        }
        false
    }

    /// Until nothing is left to do at this tick. The runtime comes back to who yields when nobody
    /// else can run.
    async fn settle(self: &Arc<Self>) {
        loop {
            yield_now().await;
            if !self.happen_all() {
                return;
            }
        }
    }

    /// All that is due, if there is any.
    fn happen_all(self: &Arc<Self>) -> bool {
        let now = self.tick();
        let mut came = false;
        while let Some(due) = self.next(now) {
            came = true;
            self.happen(due);
        }
        came
    }

    fn next(&self, now: u64) -> Option<Due> {
        self.traffic.lock().queue.next(now)
    }

    fn happen(self: &Arc<Self>, due: Due) {
        let now = Instant::now();
        match due {
            Due::Land(message) => self.land(message, now),
            Due::Hear(envelope, reply) => self.traffic.lock().hear(now, envelope, reply),
            // It may sleep no more.
            Due::Wake(wake) => drop(wake.send(())),
            Due::Freeze { client, ticks } => self.traffic.lock().freeze(now, client, ticks),
            Due::Write { name, mode, pass } => {
                let accepted = self.resources.lock()[name].write(pass);
                self.count(match accepted {
                    true => Count::WriteAccepted,
                    false => Count::WriteRefused,
                });
                self.record(What::Wrote {
                    name,
                    mode,
                    pass,
                    accepted,
                });
            }
        }
    }

    fn land(self: &Arc<Self>, mut message: Message, now: Instant) {
        let envelope = message.envelope.take();
        if let Ask::Changed(entry) = message.ask {
            // It blocks until the store tells, or nobody listens any more.
            if let Some(mut envelope) = envelope {
                let world = Arc::clone(self);
                tokio::spawn(async move {
                    let told = tokio::select! {
                        biased;
                        () = envelope.to.closed() => return,
                        told = world.store.changed(&entry) => told,
                    };
                    let reply = told.map(|()| Answer::Changed).map_err(|error| error.kind());
                    let now = world.tick();
                    world.traffic.lock().answer(now, envelope, reply);
                });
            }
            return;
        }
        let reply = message.ask.step(&*self.store);
        let mut traffic = self.traffic.lock();
        if let Ok(answer) = &reply {
            traffic.note(now, &message, answer);
        }
        if let Some(envelope) = envelope {
            let reply = reply.map(|answer| answer.proved_at(message.sent));
            let now = traffic.trace.tick(now);
            traffic.answer(now, envelope, reply);
        }
    }
}
