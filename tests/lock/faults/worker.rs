//! A worker process: it acquires, holds, writes to the resource, and writes down what it believes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tripod::lock::{
    Acquire, AcquireError, BackendErrorKind, Entry, HolderId, LockBackend, LockGuard, LockName,
    Locks, Loss, One, Renewed,
};

use crate::clock::now;
use crate::line::{Line, Saw, Why};
use crate::names::{NAMES, PERMITS, Use};
use crate::random::Random;
use crate::stores;

/// How many acquisitions of a process are under way at a time.
const TASKS: usize = 3;

/// What a worker is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Orders {
    /// The store's address, through the proxy.
    #[arg(long)]
    pub url: String,
    /// Where the resource listens.
    #[arg(long)]
    pub resource: SocketAddr,
    #[arg(long)]
    pub seed: u64,
    #[arg(long)]
    pub ttl_ms: u64,
    /// Goes on after the deadline, as if it knew of none.
    #[arg(long)]
    pub no_deadline: bool,
}

impl Orders {
    fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms)
    }
}

pub async fn work(orders: Orders) {
    let backend = loop {
        match stores::connect(&orders.url, orders.ttl()).await {
            Ok(backend) => break backend,
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    };
    let locks = Locks::new(Arc::clone(&backend));
    let random = Random::new(orders.seed);
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        let stream = TcpStream::connect(orders.resource).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let task = Task {
            number,
            orders: orders.clone(),
            backend: Arc::clone(&backend),
            locks: locks.clone(),
            draws: random.fork(number as u64),
            resource: BufStream::new(stream),
        };
        tasks.spawn(task.work());
    }
    tasks.join_all().await;
}

struct Task {
    number: usize,
    orders: Orders,
    backend: Arc<dyn LockBackend>,
    locks: Locks,
    draws: Random,
    resource: BufStream<TcpStream>,
}

impl Task {
    fn write(&self, at: u64, saw: Saw) {
        let task = self.number;
        Line { task, at, saw }.write();
    }

    async fn work(mut self) {
        loop {
            let name = usize::try_from(self.draws.below(NAMES.len() as u64)).unwrap();
            let of = self.draws.of(Use::of_name(name));
            self.write(now(), Saw::Asks { name, of });
            match self.acquire(name, of).await {
                Ok(guard) => {
                    let (at, pass) = (now(), guard.pass());
                    let (token, floor) = (pass.token().as_u64(), pass.floor().as_u64());
                    self.write(at, Saw::Granted { token, floor });
                    self.hold(name, guard).await;
                }
                Err(why) => self.write(now(), Saw::Nothing { why }),
            }
            sleep(Duration::from_millis(self.draws.below(60))).await;
        }
    }

    /// Acquires, or drops the wish half-way.
    async fn acquire(&mut self, name: usize, of: Use) -> Result<LockGuard, Why> {
        let mut acquire = of.ask(&self.locks, name).ttl(self.orders.ttl());
        acquire = acquire.priority(u8::try_from(self.draws.below(3)).unwrap());
        acquire = acquire.renew(!self.draws.chance(150));
        let wait = Duration::from_millis(self.draws.within(500, 4_000));
        let patience = if self.draws.chance(250) {
            Duration::from_micros(self.draws.below(60_000))
        } else {
            Duration::MAX
        };
        let acquired = timeout(patience, acquire.wait(wait).into_future()).await;
        acquired
            .map_err(|_| Why::Dropped)?
            .map_err(|error| why(&error))
    }

    async fn hold(&mut self, name: usize, guard: LockGuard) {
        let stay = if self.draws.chance(100) {
            self.draws.below(2 * self.orders.ttl_ms)
        } else {
            self.draws.within(10, 300)
        };
        let (until, mut told) = (now() + stay * 1_000_000, 0);
        loop {
            let at = now();
            let remaining = u64::try_from(guard.remaining().as_nanos()).unwrap();
            if self.orders.no_deadline {
                self.write(at, Saw::Believes { until: at });
            } else if remaining == 0 {
                let removed = guard.check() == Err(Loss::Removed);
                return self.write(at, Saw::Lost { removed });
            } else if at + remaining > told + 1_000_000 {
                told = at + remaining;
                self.write(at, Saw::Believes { until: told });
            }
            if at > until {
                break;
            }
            // What comes between looking and writing is what the fence is for.
            sleep(Duration::from_millis(10)).await;
            self.use_resource(name, &guard).await;
        }
        self.end(guard).await;
    }

    async fn use_resource(&mut self, name: usize, guard: &LockGuard) {
        let pass = guard.pass();
        let line = format!(
            "{name} {} {}\n",
            pass.token().as_u64(),
            pass.floor().as_u64()
        );
        self.resource.write_all(line.as_bytes()).await.unwrap();
        self.resource.flush().await.unwrap();
        let mut answer = String::new();
        self.resource.read_line(&mut answer).await.unwrap();
    }

    async fn end(&mut self, guard: LockGuard) {
        if self.draws.chance(300) {
            self.write(now(), Saw::Drops);
            return drop(guard);
        }
        let entry = Entry::new(guard.name().clone(), guard.holder());
        self.write(now(), Saw::Releases);
        let held = guard.release().await.ok();
        self.write(now(), Saw::Released { held });
        if held.is_some() && self.draws.chance(300) {
            let strange = u128::from(self.draws.next());
            let strange = Entry::new(entry.name().clone(), HolderId::from_u128(strange));
            let changed = self.meddle(&entry).await || self.meddle(&strange).await;
            self.write(now(), Saw::Meddled { changed });
        }
    }

    /// Releases and renews what is not held. Whether the store says that it did anything.
    async fn meddle(&self, entry: &Entry) -> bool {
        let released = self.backend.release(entry).await;
        let renewed = self.backend.renew(std::slice::from_ref(entry)).await;
        let alive = renewed
            .iter()
            .flatten()
            .any(|&renewed| renewed != Renewed::Gone);
        matches!(released, Ok(true)) || alive
    }
}

impl Use {
    /// A wish to use this name so.
    pub fn ask(self, locks: &Locks, name: usize) -> Acquire<One> {
        let acquire = locks.acquire(LockName::new(NAMES[name]).unwrap());
        match self {
            Self::Exclusive => acquire,
            Self::Shared => acquire.shared(),
            Self::Permits(n) => acquire.permits(n, PERMITS),
        }
    }
}

fn why(error: &AcquireError) -> Why {
    match error {
        AcquireError::TimedOut { .. } => Why::TimedOut,
        AcquireError::Store(error) => match error.kind() {
            BackendErrorKind::Unavailable => Why::Unavailable,
            BackendErrorKind::Indeterminate => Why::Indeterminate,
            BackendErrorKind::Rejected | BackendErrorKind::Corrupt => {
                eprintln!("{error}: {:?}", std::error::Error::source(error));
                Why::Wrong
            }
        },
        other => {
            eprintln!("{other}");
            Why::Wrong
        }
    }
}
