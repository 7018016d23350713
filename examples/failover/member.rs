//! A process: it stands for every partition, and works on those that it is elected for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tripod::lock::{Locks, PostgresBackend};
use tripod::ring::{BoundedLoads, HashRing, LoadFactor, Node};
use tripod::transaction::log::PostgresLog;
use tripod::transaction::participant::PostgresParticipant;
use tripod::transaction::saga::Sagas;
use tripod::transaction::two_phase::Coordinator;

use crate::Failure;
use crate::books::{Books, Job};
use crate::{transfer, trip};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The database, where jobs, logs and locks are.
    #[arg(long)]
    pub(crate) url: String,
    /// Which of the members it is.
    #[arg(long)]
    pub(crate) name: String,
    /// All members, by name.
    #[arg(long, value_delimiter = ',', default_value = "a,b,c")]
    pub(crate) members: Vec<String>,
    /// Into how many parts the jobs are divided.
    #[arg(long, default_value_t = 6)]
    pub(crate) partitions: u32,
    /// How long a lock outlives whoever holds it.
    #[arg(long, default_value_t = 2000)]
    pub(crate) ttl_ms: u64,
    /// Works on when a lock is lost, as one that is not told does: only the log stops it.
    #[arg(long)]
    pub(crate) heedless: bool,
}

/// So many jobs of a partition are under way at a time.
const AT_ONCE: usize = 4;

/// A server that is busy may answer too late, and so it is for a process that is paused meanwhile.
const TRIES: u32 = 10;

struct Member {
    options: Options,
    ttl: Duration,
    locks: Locks,
    books: Arc<Books>,
    here: PostgresParticipant,
    there: PostgresParticipant,
}

/// The ring of these: it says to which of them a key belongs, and every process says the same.
pub(crate) fn ring(names: impl IntoIterator<Item = String>) -> Result<HashRing, Failure> {
    let nodes = names.into_iter().map(Node::new);
    let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
    Ok(HashRing::builder().nodes(nodes).build()?)
}

pub(crate) fn partitions(count: u32) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("p{number}"))
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let mut tries = 1;
    let member = loop {
        match Member::open(&options).await {
            Ok(member) => break Arc::new(member),
            Err(error) if tries == TRIES => return Err(error),
            Err(error) => println!("starts again: {error}"),
        }
        tries += 1;
        sleep(Duration::from_millis(options.ttl_ms) / 4).await;
    };
    let members = ring(member.options.members.clone())?;
    // As many partitions for each member.
    let (shares, mut taken) = (
        BoundedLoads::new(LoadFactor::from_percent(100)?),
        Vec::new(),
    );
    let mut stands = JoinSet::new();
    for partition in partitions(member.options.partitions) {
        let owner = shares.assign(&members, &partition).ok_or("no members")?;
        let is_home = owner.node().id().as_str() == member.options.name;
        taken.push(owner);
        let member = Arc::clone(&member);
        stands.spawn(async move {
            if !is_home {
                // Whose it should be goes first; whoever is there takes it if that one is not.
                sleep(member.ttl).await;
            }
            loop {
                if let Err(error) = member.serve(&partition).await {
                    println!("leaves {partition}: {error}");
                }
                sleep(member.ttl / 8).await;
            }
        });
    }
    stands.join_all().await;
    Ok(())
}

impl Member {
    async fn open(options: &Options) -> Result<Self, Failure> {
        let ttl = Duration::from_millis(options.ttl_ms);
        let participant = async |name, url: &str| {
            // A process that is stopped in the middle of a transaction keeps its rows locked no
            // longer.
            PostgresParticipant::connect(name, url)
                .pool_size(6)
                .idle_limit(ttl)
                .lock_limit(ttl)
                .statement_limit(ttl)
                .await
        };
        Ok(Self {
            ttl,
            locks: Locks::new(PostgresBackend::connect(&options.url).pool_size(3).await?),
            books: Arc::new(Books::open(&options.url).await?),
            here: participant("here", &options.url).await?,
            there: participant("there", &Books::there(&options.url)?).await?,
            options: options.clone(),
        })
    }

    /// Waits to be elected for a partition, and works on it until another may have been.
    async fn serve(&self, partition: &str) -> Result<(), Failure> {
        let lock = self.locks.acquire(format!("failover/{partition}"));
        let guard = lock.ttl(self.ttl).metadata(&*self.options.name).await?;
        let token = guard.fencing_token().as_u64();
        tokio::select! {
            // First, so that whoever wakes up after its lease opens nothing, which would be for
            // nothing. Dropped in the middle, the work ends as in a crash: whoever is next goes on.
            biased;
            loss = guard.lost(), if !self.options.heedless => Err(loss.into()),
            worked = self.work(partition, token) => {
                guard.release().await?;
                worked
            }
        }
    }

    /// Takes over from whoever had the partition, dead or not, and works on it.
    async fn work(&self, partition: &str, token: u64) -> Result<(), Failure> {
        let log = async |what| {
            PostgresLog::connect(format!("{partition}.{what}"), &self.options.url)
                .lease(self.ttl / 2)
                .await
        };
        let coordinator = Coordinator::open(log("transfers").await?)
            .participant(self.here.clone())
            .participant(self.there.clone())
            .epoch_hint(token)
            .scan_interval(self.ttl)
            .retry_pause_max(self.ttl / 4)
            .await?;
        let definition = trip::definition(&self.books)?;
        let sagas = Sagas::open(log("trips").await?)
            .register(&definition)
            .epoch_hint(token)
            .await?;
        self.books
            .note_tenure(partition, &self.options.name)
            .await?;
        println!("runs {partition} with fencing token {token}");
        while !coordinator.is_superseded() && !sagas.is_superseded() {
            let jobs = self.books.open_jobs(partition).await?;
            if jobs.is_empty() {
                sleep(Duration::from_millis(20)).await;
            }
            let doing = stream::iter(jobs).for_each_concurrent(AT_ONCE, async |job: Job| {
                let done = match job.kind.as_str() {
                    "transfer" => {
                        transfer::transfer(&coordinator, &self.here, &self.there, &job).await
                    }
                    _ => trip::travel(&sagas, &definition, &self.books, &job).await,
                };
                if let Err(error) = done {
                    // It stays on the books: it is done later, here or elsewhere.
                    println!("leaves {} for later: {error}", job.id);
                }
            });
            doing.await;
        }
        Err("another has opened the log".into())
    }
}
