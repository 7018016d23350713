//! What happened, in the order in which it did: what the oracles judge, and what a replay prints.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;
use tripod::lock::{Claimed, Enqueued, Entry, FencePass, FencingToken, Loss, Mode, Renewed, Verb};

/// The grain of time.
pub const TICK: Duration = Duration::from_millis(20);

/// Who holds or waits: the life of a client, and which of its acquisitions. The id in the store
/// says the same, but is another in every run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Who {
    pub client: usize,
    pub count: u64,
}

impl Who {
    pub fn new(client: usize, entry: &Entry) -> Self {
        let count = entry.holder().as_u128() & u128::from(u64::MAX);
        let count = u64::try_from(count).unwrap();
        Self { client, count }
    }
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.client, self.count)
    }
}

/// A step of the store on one entry.
#[derive(Clone, Copy)]
pub enum Step {
    Enqueue {
        mode: Mode,
        priority: u8,
        ttl: Duration,
        waits: bool,
        answer: Enqueued,
    },
    Claim(Claimed),
    Renew(Renewed),
    Release(bool),
    Leave,
}

/// How a client's belief ended by its own doing.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Released,
    Dropped,
}

/// The grants that a client saw are named by their place in the trace.
#[derive(Clone, Copy)]
pub enum What {
    /// A client sent a request about an entry.
    Sent { who: Who, name: usize, verb: Verb },
    /// The store took a step; `message` is the request that asked for it.
    Step {
        who: Who,
        name: usize,
        message: u64,
        step: Step,
    },
    /// The store ended a holder by force.
    Forced {
        name: usize,
        token: FencingToken,
        held: bool,
    },
    /// A client heard the answer to a request.
    Heard { client: usize, message: u64 },
    /// A client has been granted a lock, and believes in it until then.
    Granted {
        client: usize,
        name: usize,
        mode: Mode,
        pass: FencePass,
        until: Instant,
    },
    /// A client looked, and believes until then.
    Looked { grant: usize, until: Instant },
    /// A client looked, and saw that it was lost.
    Lost { grant: usize, loss: Loss },
    /// A client gave it up.
    Ended { grant: usize, end: End },
    /// A client heard of its release whether it had held up to that moment.
    Released { grant: usize, held: bool },
    /// A write reached the resource that this name protects.
    Wrote {
        name: usize,
        mode: Mode,
        pass: FencePass,
        accepted: bool,
    },
    /// A client's process stands still, for so many ticks.
    Paused { client: usize, ticks: u64 },
    /// A client's process is dead.
    Crashed { client: usize },
    /// A client was refused what it asked for when there were no faults any more.
    Denied { client: usize },
    /// No faults from here on.
    Calm,
    /// All handles have cleaned up.
    Flushed,
}

/// What happened when.
#[derive(Clone, Copy)]
pub struct Record {
    pub at: Instant,
    pub what: What,
}

/// All that happened in one schedule.
pub struct Trace {
    pub start: Instant,
    pub records: Vec<Record>,
}

impl Trace {
    pub fn new(start: Instant) -> Self {
        let records = Vec::with_capacity(512);
        Self { start, records }
    }

    /// Adds, and answers the place.
    pub fn push(&mut self, at: Instant, what: What) -> usize {
        self.records.push(Record { at, what });
        self.records.len() - 1
    }

    pub fn tick(&self, at: Instant) -> u64 {
        let since = at.duration_since(self.start).as_nanos();
        u64::try_from(since / TICK.as_nanos()).unwrap()
    }

    /// What the store and the resources did, and what the clients were granted: alike in the runs
    /// of a seed. The rest may trade places within a tick.
    pub fn story(&self) -> String {
        let told = self.records.iter().filter(|record| {
            matches!(
                record.what,
                What::Step { .. } | What::Forced { .. } | What::Granted { .. } | What::Wrote { .. }
            )
        });
        told.map(|record| self.line(record)).collect()
    }

    fn line(&self, record: &Record) -> String {
        let tick = self.tick(record.at);
        format!("{tick:>6}  {}\n", record.what)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "   #    tick  what (client.acquisition, name)")?;
        for (at, record) in self.records.iter().enumerate() {
            write!(f, "{at:>5} {}", self.line(record))?;
        }
        Ok(())
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Sent { who, name, verb } => write!(f, "{who:?} sends {verb} of {name}"),
            Self::Step {
                who, name, step, ..
            } => write!(f, "  store, {who:?} of {name}: {step}"),
            Self::Forced { name, token, held } => {
                write!(f, "  store, {name}: force release of {token} {held}")
            }
            Self::Heard { client, message } => write!(f, "{client} hears of message {message}"),
            Self::Granted {
                client,
                name,
                mode,
                pass,
                ..
            } => write!(
                f,
                "{client} holds {name} as {} by {}",
                Short(mode),
                Pass(pass)
            ),
            Self::Looked { grant, .. } => write!(f, "holder of #{grant} looks: held"),
            Self::Lost { grant, loss } => write!(f, "holder of #{grant} looks: {loss:?}"),
            Self::Ended { grant, end } => write!(f, "holder of #{grant} ends: {end:?}"),
            Self::Released { grant, held } => write!(f, "holder of #{grant} hears: {held}"),
            Self::Wrote {
                name,
                pass,
                accepted,
                ..
            } => write!(f, "  resource {name}, write by {}: {accepted}", Pass(pass)),
            Self::Paused { client, ticks } => write!(f, "{client} is paused for {ticks}"),
            Self::Crashed { client } => write!(f, "{client} crashes"),
            Self::Denied { client } => write!(f, "{client} is denied"),
            Self::Flushed => write!(f, "all is flushed"),
            Self::Calm => write!(f, "faults stop"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Enqueue {
                mode,
                priority,
                ttl,
                waits,
                answer,
            } => {
                let mode = Short(mode);
                write!(
                    f,
                    "enqueue {mode} priority {priority} ttl {ttl:?} waits {waits}: "
                )?;
                match answer {
                    Enqueued::Granted(grant) => write!(f, "granted {}", Pass(grant.pass())),
                    Enqueued::Waiting(_) => write!(f, "waiting"),
                    Enqueued::Held => write!(f, "held"),
                    Enqueued::Foreign(_) => write!(f, "foreign"),
                }
            }
            Self::Claim(Claimed::Granted(grant)) => {
                write!(f, "claim: granted {}", Pass(grant.pass()))
            }
            Self::Claim(Claimed::Waiting(_)) => write!(f, "claim: waiting"),
            Self::Claim(Claimed::Foreign(_)) => write!(f, "claim: foreign"),
            Self::Claim(Claimed::Gone) => write!(f, "claim: gone"),
            Self::Renew(Renewed::Alive(_)) => write!(f, "renew: alive"),
            Self::Renew(Renewed::Gone) => write!(f, "renew: gone"),
            Self::Release(held) => write!(f, "release: {held}"),
            Self::Leave => write!(f, "leave"),
        }
    }
}

struct Pass(FencePass);

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(pass) = self;
        write!(f, "token {} floor {}", pass.token(), pass.floor())
    }
}

struct Short(Mode);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Mode::Exclusive => write!(f, "exclusive"),
            Mode::Shared => write!(f, "shared"),
            Mode::Permits(permits) => write!(f, "{} of {}", permits.n(), permits.of()),
        }
    }
}
