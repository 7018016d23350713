//! What is under way between the clients and the store.

use tokio::sync::oneshot;
use tokio::time::Instant;
use tripod::lock::{
    BackendErrorKind, Claimed, Enqueued, Entry, FencePass, LockName, Mode, Renewed,
};

use crate::counts::{Count, Counts};
use crate::message::{Answer, Ask, Reply};
use crate::queue::Queue;
use crate::random::Random;
use crate::trace::{Step, Trace, What, Who};
use crate::weather::{Answering, Fate, Weather};

/// The network of all clients, and the record of what it carried.
pub struct Traffic {
    pub queue: Queue<Due>,
    pub lines: Vec<Line>,
    pub trace: Trace,
    pub counts: Counts,
    /// None once faults have stopped.
    pub weather: Option<Weather>,
    pub names: [LockName; 3],
    sent: u64,
}

/// The network of one life of a client.
pub struct Line {
    random: Random,
    pub dead: bool,
    pub frozen_until: u64,
    /// Whether its entry was gone when it claimed, by name.
    gone: [bool; 3],
}

/// What happens at a tick.
pub enum Due {
    Land(Message),
    Hear(Envelope, Reply),
    Write {
        name: usize,
        mode: Mode,
        pass: FencePass,
    },
    Wake(oneshot::Sender<()>),
    Freeze {
        client: usize,
        ticks: u64,
    },
}

/// Beside the verbs of the store.
const WRITE: u64 = 100;
const WAKE: u64 = 101;

/// A request under way.
pub struct Message {
    /// 0 for a duplicate, whose answer nobody awaits.
    pub id: u64,
    pub client: usize,
    pub ask: Ask,
    pub sent: Instant,
    pub envelope: Option<Envelope>,
}

/// Where the answer to a request goes, and what the network will do with it.
pub struct Envelope {
    message: u64,
    client: usize,
    tie: u64,
    answering: Answering,
    pub to: oneshot::Sender<Reply>,
}

impl Line {
    pub fn new(random: &Random) -> Self {
        Self {
            random: random.clone(),
            dead: false,
            frozen_until: 0,
            gone: [false; 3],
        }
    }

    /// What is drawn for a message depends on when it is sent and what it is about; not on how
    /// many were sent before, which chance decides where a handle may send or not.
    fn draws(&self, tick: u64, verb: u64, about: u64) -> Random {
        self.random.fork(tick).fork(verb).fork(about)
    }
}

impl Traffic {
    pub fn new(weather: Option<Weather>, names: [LockName; 3], start: Instant) -> Self {
        Self {
            queue: Queue::new(),
            lines: Vec::new(),
            trace: Trace::new(start),
            counts: Counts::default(),
            weather,
            names,
            sent: 0,
        }
    }

    pub fn send(&mut self, sent: Instant, client: usize, ask: Ask, to: oneshot::Sender<Reply>) {
        let verb = ask.verb();
        if self.lines[client].dead {
            return;
        }
        for entry in ask.entries() {
            let who = Who::new(client, entry);
            let name = self.name(entry.name());
            let gone = &mut self.lines[client].gone[name];
            if matches!(ask, Ask::Enqueue(_)) && std::mem::take(gone) {
                self.counts.add(Count::ReEnqueued);
            }
            self.trace.push(sent, What::Sent { who, name, verb });
        }
        let line = &self.lines[client];
        let about = ask.entries().iter();
        let about = about.map(|entry| Who::new(client, entry).count).min();
        let about = about.unwrap_or(0);
        let mut random = line.draws(self.trace.tick(sent), verb as u64, about);
        let fate = match &self.weather {
            Some(weather) => weather.fate(&mut random, &mut self.counts),
            None => Fate::PERFECT,
        };
        let (tie, tie_again) = (random.next(), random.next());
        let now = self.trace.tick(sent).max(line.frozen_until);
        self.sent += 1;
        let id = self.sent;
        let envelope = Envelope {
            message: id,
            client,
            tie: random.next(),
            answering: fate.answer,
            to,
        };
        let message = |id, ask, envelope| {
            Due::Land(Message {
                id,
                client,
                ask,
                sent,
                envelope,
            })
        };
        if let Some(again) = fate.again {
            let again = (now + again, message(0, ask.clone(), None));
            self.queue.post(again.0, tie_again, again.1);
        }
        match fate.lands {
            Some(lands) => self
                .queue
                .post(now + lands, tie, message(id, ask, Some(envelope))),
            None => self.answer(now, envelope, Err(BackendErrorKind::Indeterminate)),
        }
    }

    /// Sends an answer back, or what the network makes of it.
    pub fn answer(&mut self, now: u64, envelope: Envelope, reply: Reply) {
        let (after, reply) = match envelope.answering {
            Answering::Answer { after } => (after, reply),
            Answering::Error { kind, after } => (after, Err(kind)),
        };
        let tie = envelope.tie;
        self.queue
            .post(now + after, tie, Due::Hear(envelope, reply));
    }

    pub fn hear(&mut self, now: Instant, envelope: Envelope, reply: Reply) {
        let Envelope {
            client,
            message,
            tie,
            ..
        } = envelope;
        let line = &self.lines[client];
        if line.dead {
            return;
        }
        if line.frozen_until > self.trace.tick(now) {
            let due = Due::Hear(envelope, reply);
            return self.queue.post(line.frozen_until, tie, due);
        }
        let answered = reply.is_ok();
        // Whoever asked may have given up.
        let heard = envelope.to.send(reply).is_ok();
        if answered && heard {
            self.trace.push(now, What::Heard { client, message });
        }
    }

    /// Sends a write to the resource that this name protects.
    pub fn write(&mut self, tick: u64, client: usize, name: usize, mode: Mode, pass: FencePass) {
        let line = &self.lines[client];
        if !line.dead {
            let tie = line.draws(tick, WRITE, pass.token().as_u64()).next();
            self.queue.post(tick, tie, Due::Write { name, mode, pass });
        }
    }

    /// Wakes a client at that tick.
    pub fn wake(&mut self, tick: u64, client: usize, wake: oneshot::Sender<()>) {
        let tie = self.lines[client].draws(tick, WAKE, 0).next();
        self.queue.post(tick, tie, Due::Wake(wake));
    }

    pub fn freeze(&mut self, now: Instant, client: usize, ticks: u64) {
        let tick = self.trace.tick(now);
        let line = &mut self.lines[client];
        if self.weather.is_some() && !line.dead {
            line.frozen_until = tick + ticks;
            self.counts.add(Count::Pause);
            self.trace.push(now, What::Paused { client, ticks });
        }
    }

    /// Writes down the steps that the store took.
    pub fn note(&mut self, now: Instant, message: &Message, answer: &Answer) {
        if let (Ask::ForceRelease(name, token), Answer::Forced(held)) = (&message.ask, answer) {
            let (name, token, held) = (self.name(name), *token, *held);
            self.counts.add(match held {
                true => Count::ForcedTrue,
                false => Count::ForcedFalse,
            });
            self.trace.push(now, What::Forced { name, token, held });
        }
        let entries = message.ask.entries().iter().enumerate();
        let mut entries: Vec<(usize, &Entry)> = entries.collect();
        // A batch is in the order in which its renewals came due, which chance decides.
        entries.sort_by_key(|(_, entry)| entry.holder());
        for (at, entry) in entries {
            let Some(step) = step(&message.ask, answer, at) else {
                continue;
            };
            self.counts.add(count(step));
            let name = self.name(entry.name());
            self.lines[message.client].gone[name] |= matches!(step, Step::Claim(Claimed::Gone));
            let what = What::Step {
                who: Who::new(message.client, entry),
                name,
                message: message.id,
                step,
            };
            self.trace.push(now, what);
        }
    }

    fn name(&self, name: &LockName) -> usize {
        self.names.iter().position(|other| other == name).unwrap()
    }
}

/// The step on the entry at this place of the request.
fn step(ask: &Ask, answer: &Answer, at: usize) -> Option<Step> {
    Some(match (ask, answer) {
        (Ask::Enqueue(request), Answer::Enqueued(answer)) => Step::Enqueue {
            mode: request.mode(),
            priority: request.priority(),
            ttl: request.ttl(),
            waits: request.waits(),
            answer: *answer,
        },
        (_, Answer::Claimed(claimed)) => Step::Claim(*claimed),
        (_, Answer::Renewed(all)) => Step::Renew((*all.get(at)?).ok()?),
        (_, Answer::Released(held)) => Step::Release(*held),
        (_, Answer::Left) => Step::Leave,
        (_, _) => return None,
    })
}

fn count(step: Step) -> Count {
    match step {
        Step::Enqueue { answer, .. } => match answer {
            Enqueued::Granted(_) => Count::EnqueueGranted,
            Enqueued::Waiting(_) => Count::EnqueueWaiting,
            Enqueued::Held => Count::EnqueueHeld,
            Enqueued::Foreign(_) => Count::EnqueueForeign,
        },
        Step::Claim(Claimed::Granted(_)) => Count::ClaimGranted,
        Step::Claim(Claimed::Waiting(_) | Claimed::Foreign(_)) => Count::ClaimWaiting,
        Step::Claim(Claimed::Gone) => Count::ClaimGone,
        Step::Renew(Renewed::Alive(_)) => Count::RenewAlive,
        Step::Renew(Renewed::Gone) => Count::RenewGone,
        Step::Release(true) => Count::ReleaseTrue,
        Step::Release(false) => Count::ReleaseFalse,
        Step::Leave => Count::Leave,
    }
}
