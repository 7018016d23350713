//! What goes wrong, and when: a seed's plan. The same seed gives the same plan, though not the
//! same interleaving.

use std::fmt;
use std::time::Duration;

use crate::random::Random;

/// How many worker processes.
pub const WORKERS: usize = 8;

/// What happens to a worker, or to its way to the store.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It is stopped, while it holds a lock if it soon does, and goes on after this long.
    Pause(Duration),
    /// It is killed, and another takes its place.
    Kill,
    /// Its connections to the store behave like this, for this long.
    Link(Weather, Duration),
}

/// What happens to the store's server.
#[derive(Clone, Copy, Debug)]
pub enum ServerFault {
    /// It is killed, and started again after this long.
    Kill(Duration),
    /// It is stopped, and goes on after this long.
    Pause(Duration),
}

/// How a connection behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// As it should.
    Clear,
    /// Each piece arrives this much later.
    Delay(Duration),
    /// Nothing arrives; what was under way arrives when it is over.
    Stall,
    /// The server's side is closed, and requests still get through.
    HalfClose,
    /// It is reset, and so is each new one.
    Reset,
    /// Requests are executed, and their answers lost.
    LoseAnswers,
}

/// What happens, each after a pause.
type Lane<F> = Vec<(Duration, F)>;

pub struct Plan {
    pub workers: Vec<Lane<Fault>>,
    pub server: Lane<ServerFault>,
}

impl Plan {
    pub fn new(seed: u64, time: Duration, ttl: Duration) -> Self {
        let random = Random::new(seed);
        let worker = |number: usize| {
            let mut draws = random.fork(number as u64);
            lane(time, |_| {
                let gap = millis(&mut draws, 300, 2_000);
                let fault = fault(&mut draws, ttl);
                (gap, fault, fault.time())
            })
        };
        let mut draws = random.fork(1_000);
        let server = |number: usize| {
            let gap = millis(&mut draws, 3_000, 8_000);
            // In turn, so that every run has both.
            let fault = if number.is_multiple_of(2) {
                ServerFault::Kill(millis(&mut draws, 0, 1_000))
            } else {
                ServerFault::Pause(part(&mut draws, ttl, 20, 120))
            };
            (gap, fault, fault.time())
        };
        Self {
            workers: (0..WORKERS).map(worker).collect(),
            server: lane(time, server),
        }
    }
}

fn lane<F>(time: Duration, mut draw: impl FnMut(usize) -> (Duration, F, Duration)) -> Lane<F> {
    let (mut lane, mut passed) = (Vec::new(), Duration::ZERO);
    while passed < time {
        let (gap, fault, lasts) = draw(lane.len());
        passed += gap + lasts;
        lane.push((gap, fault));
    }
    lane
}

fn fault(draws: &mut Random, ttl: Duration) -> Fault {
    match draws.below(10) {
        0..5 => Fault::Pause(part(draws, ttl, 30, 300)),
        5 => Fault::Kill,
        _ => {
            let weather = match draws.below(5) {
                0 => Weather::Delay(part(draws, ttl, 1, 20)),
                1 => Weather::Stall,
                2 => Weather::HalfClose,
                3 => Weather::Reset,
                _ => Weather::LoseAnswers,
            };
            Fault::Link(weather, part(draws, ttl, 10, 200))
        }
    }
}

impl Fault {
    fn time(self) -> Duration {
        match self {
            Self::Pause(time) | Self::Link(_, time) => time,
            Self::Kill => Duration::ZERO,
        }
    }
}

impl ServerFault {
    fn time(self) -> Duration {
        match self {
            Self::Kill(time) | Self::Pause(time) => time,
        }
    }
}

fn millis(draws: &mut Random, low: u64, high: u64) -> Duration {
    Duration::from_millis(draws.within(low, high))
}

/// From `low` to `high` hundredths of a TTL.
fn part(draws: &mut Random, ttl: Duration, low: u64, high: u64) -> Duration {
    ttl * u32::try_from(draws.within(low, high)).unwrap() / 100
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, lane) in self.workers.iter().enumerate() {
            writeln!(f, "worker {number}: {lane:?}")?;
        }
        writeln!(f, "server: {:?}", self.server)
    }
}
