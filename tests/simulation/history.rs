//! The store's own history, told again from its steps. It follows what the store answered, and
//! writes down where that was not what it should have been.

use std::fmt::Debug;

use tokio::time::Instant;
use tripod::lock::{Claimed, Enqueued, FencePass, FencingToken, Renewed, Verb};

use crate::entries::{Entries, Entry, Verdict};
use crate::trace::{Step, Trace, What, Who};

/// A grant of the store.
pub struct Grant {
    pub who: Who,
    pub name: usize,
    pub pass: FencePass,
    /// The place in the trace.
    pub at: usize,
    /// The place at which it was taken away by force, if it was.
    pub forced: Option<usize>,
    /// The place at which its holder's release ended it, if it did.
    pub released: Option<usize>,
}

/// What is known of a write.
pub struct Write {
    pub at: usize,
    /// Whether the writer's entry held when the write arrived.
    pub holds: bool,
}

/// What became of the entries.
#[derive(Default)]
pub struct History {
    pub grants: Vec<Grant>,
    pub writes: Vec<Write>,
    /// Renewals that landed when the entry was gone, by their message.
    pub vain: Vec<(Who, u64)>,
    /// Where the store did not do as it should.
    pub breaches: Vec<String>,
    /// Entries that were asked for without faults, and are there when all is flushed.
    pub left: Vec<Who>,
    /// Releases that were answered with `true` on account of a later grant of the same id.
    pub mistaken: u64,
    pub expired_holders: u64,
    pub expired_waiters: u64,
    entries: Entries,
    /// Since faults have stopped, if they have.
    asked_in_calm: Option<Vec<Who>>,
}

/// Where a step stands, and what it is about.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    now: Instant,
    who: Who,
    name: usize,
}

impl History {
    pub fn of(trace: &Trace) -> Self {
        let mut history = Self::default();
        for (at, record) in trace.records.iter().enumerate() {
            let now = record.at;
            match record.what {
                What::Step {
                    who,
                    name,
                    message,
                    step,
                } => {
                    let place = Place { at, now, who, name };
                    history.expire(name, now);
                    history.step(place, message, step);
                }
                What::Forced { name, token, held } => {
                    history.expire(name, now);
                    history.force(at, name, token, held);
                }
                What::Wrote { name, pass, .. } => {
                    history.expire(name, now);
                    let mut passes = history.entries.passes(name);
                    let holds = passes.any(|other| other.token() == pass.token());
                    history.writes.push(Write { at, holds });
                }
                What::Released { grant, held: true } => {
                    if let What::Granted { name, pass, .. } = trace.records[grant].what {
                        let grant = history.grant(name, pass);
                        let right = grant.is_some_and(|grant| grant.released.is_some());
                        history.mistaken += u64::from(!right);
                    }
                }
                What::Calm => history.asked_in_calm = Some(Vec::new()),
                What::Sent {
                    who,
                    verb: Verb::Enqueue,
                    ..
                } => {
                    history.asked_in_calm.iter_mut().for_each(|it| it.push(who));
                }
                What::Flushed => history.flushed(now),
                _ => {}
            }
        }
        history
    }

    /// The grant with this pass.
    pub fn grant(&self, name: usize, pass: FencePass) -> Option<&Grant> {
        let mut grants = self.grants.iter();
        grants.find(|grant| grant.name == name && grant.pass.token() == pass.token())
    }

    fn step(&mut self, place: Place, message: u64, step: Step) {
        let Place { at, now, who, name } = place;
        let mut found = self.entries.find(name, who);
        if let Step::Enqueue { .. } | Step::Claim(_) | Step::Renew(_) = step
            && let Some(entry) = &mut found
        {
            entry.expires = now + entry.ttl;
            self.entries.put(name, *entry);
        }
        match step {
            Step::Enqueue {
                mode,
                priority,
                ttl,
                waits,
                answer,
            } => {
                let fresh = Entry {
                    who,
                    mode,
                    priority,
                    arrival: at,
                    ttl,
                    expires: now + ttl,
                    holds: None,
                };
                let entry = found.unwrap_or(fresh);
                self.enqueue(place, entry, waits || found.is_some(), answer);
            }
            Step::Claim(claimed) => self.claim(place, found, claimed),
            Step::Renew(renewed) => {
                if found.is_none() {
                    self.vain.push((who, message));
                }
                let alive = matches!(renewed, Renewed::Alive(_));
                self.expect(at, "renewal", &alive, &found.is_some());
            }
            Step::Release(held) => {
                let holds = |entry: &Entry| entry.who == who && entry.holds.is_some();
                let ended = self.entries.remove(name, holds);
                if let Some(grant) = self.ended(name, ended) {
                    grant.released = Some(at);
                }
                self.expect(at, "release", &held, &ended.is_some());
            }
            Step::Leave => {
                self.entries.remove(name, |entry| entry.who == who);
            }
        }
    }

    fn enqueue(&mut self, place: Place, entry: Entry, waits: bool, answer: Enqueued) {
        let right = self.entries.verdict(place.name, &entry, waits);
        let verdict = match answer {
            Enqueued::Granted(grant) => {
                self.hold(place, entry, grant.pass());
                Verdict::Granted
            }
            Enqueued::Waiting(_) => {
                self.entries.put(place.name, entry);
                Verdict::Blocked
            }
            Enqueued::Held => Verdict::Blocked,
            Enqueued::Foreign(_) => Verdict::Foreign,
        };
        self.expect(place.at, "enqueue", &verdict, &right);
    }

    fn claim(&mut self, place: Place, found: Option<Entry>, claimed: Claimed) {
        let right = found.map(|entry| self.entries.verdict(place.name, &entry, true));
        let verdict = match claimed {
            Claimed::Granted(grant) => {
                if let Some(entry) = found {
                    self.hold(place, entry, grant.pass());
                }
                Some(Verdict::Granted)
            }
            Claimed::Waiting(_) => Some(Verdict::Blocked),
            Claimed::Foreign(_) => Some(Verdict::Foreign),
            Claimed::Gone => None,
        };
        self.expect(place.at, "claim", &verdict, &right);
    }

    /// Holds from now on, if it has not before.
    fn hold(&mut self, place: Place, entry: Entry, pass: FencePass) {
        let Place { at, who, name, .. } = place;
        if let Some(before) = entry.holds {
            return self.expect(at, "grant again", &pass, &before);
        }
        let holds = Some(pass);
        self.entries.put(name, Entry { holds, ..entry });
        let floor = self.entries.passes(name).map(FencePass::token).min();
        self.expect(at, "floor", &Some(pass.floor()), &floor);
        self.grants.push(Grant {
            who,
            name,
            pass,
            at,
            forced: None,
            released: None,
        });
    }

    fn force(&mut self, at: usize, name: usize, token: FencingToken, held: bool) {
        let holds = |entry: &Entry| entry.holds.map(FencePass::token) == Some(token);
        let ended = self.entries.remove(name, holds);
        if let Some(grant) = self.ended(name, ended) {
            grant.forced = Some(at);
        }
        self.expect(at, "forced release", &held, &ended.is_some());
    }

    fn expire(&mut self, name: usize, now: Instant) {
        let expired = |entry: &Entry| entry.expires <= now;
        while let Some(entry) = self.entries.remove(name, expired) {
            match entry.holds {
                Some(_) => self.expired_holders += 1,
                None => self.expired_waiters += 1,
            }
        }
    }

    fn flushed(&mut self, now: Instant) {
        (0..3).for_each(|name| self.expire(name, now));
        let asked = self.asked_in_calm.take().unwrap_or_default();
        let left = self.entries.all().map(|entry| entry.who);
        self.left = left.filter(|who| asked.contains(who)).collect();
    }

    /// The grant of an entry that is no more.
    fn ended(&mut self, name: usize, entry: Option<Entry>) -> Option<&mut Grant> {
        let pass = entry?.holds?;
        let mut grants = self.grants.iter_mut().rev();
        grants.find(|grant| grant.name == name && grant.pass == pass)
    }

    fn expect<T: PartialEq + Debug>(&mut self, at: usize, what: &str, is: &T, right: &T) {
        if is != right {
            let breach = format!("#{at}: {what}: the store says {is:?}, and not {right:?}");
            self.breaches.push(breach);
        }
    }
}
