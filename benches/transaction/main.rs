//! `cargo bench --bench transaction`: what two-phase commit costs, as ratios to what it is made of:
//! a bare `fdatasync` on the same file system, and the bare calls of the participants.
//!
//! Transactions of three participants in memory, acknowledgements included, nobody collecting what
//! is traced. Time is per transaction; with several committers, of all together.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "a bench may stop, and its figures are for people"
)]

#[path = "../medians/mod.rs"]
mod medians;
mod race;

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use medians::Medians;
use race::{Racer, print_quotient, race};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tripod::BoxFuture;
use tripod::transaction::log::{FileLog, FileLogOptions, MemoryLog, Persistence, TransactionLog};
use tripod::transaction::participant::{
    Enlist, Opening, Outcome, Participant, ParticipantError, ParticipantOpenError, Report, Vote,
};
use tripod::transaction::two_phase::{Coordinator, Filter};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, ParticipantName, TransactionId};

/// Says yes to everything, and keeps nothing: what is measured is the coordinator.
#[derive(Clone, Debug)]
struct Agreeable {
    name: ParticipantName,
    /// Told to commit, it is never heard of again.
    deaf: bool,
}

impl Agreeable {
    fn three() -> [Self; 3] {
        ["stock", "orders", "billing"].map(|name| Self {
            name: ParticipantName::new(name).unwrap(),
            deaf: false,
        })
    }

    fn deaf(mut self) -> Self {
        self.deaf = true;
        self
    }
}

impl Participant for Agreeable {
    fn name(&self) -> &ParticipantName {
        &self.name
    }

    fn persistence(&self) -> Persistence {
        Persistence::Process
    }

    fn lists(&self) -> bool {
        true
    }

    fn open(&self, _: Opening) -> BoxFuture<'_, Result<(), ParticipantOpenError>> {
        Box::pin(async { Ok(()) })
    }

    fn prepare(&self, _: BranchId) -> BoxFuture<'_, Result<Vote, ParticipantError>> {
        Box::pin(async { Ok(Vote::Prepared) })
    }

    fn commit_one_phase(&self, _: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(async { Ok(Report::Did(Outcome::Committed)) })
    }

    fn commit(&self, _: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        if self.deaf {
            return Box::pin(std::future::pending());
        }
        Box::pin(async { Ok(Report::Did(Outcome::Committed)) })
    }

    fn abort(&self, _: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(async { Ok(Report::Did(Outcome::Aborted)) })
    }

    fn settle(&self, _: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(async { Ok(Report::Did(Outcome::Committed)) })
    }

    fn in_doubt(
        &self,
        _: CoordinatorId,
        _: Epoch,
    ) -> BoxFuture<'_, Result<Vec<BranchId>, ParticipantError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn forget(
        &self,
        _: CoordinatorId,
        _: (Epoch, u64),
    ) -> BoxFuture<'_, Result<(), ParticipantError>> {
        Box::pin(async { Ok(()) })
    }
}

impl Enlist for Agreeable {
    type Branch = ();

    fn work(&self, _: BranchId) -> BoxFuture<'_, Result<(), ParticipantError>> {
        Box::pin(async { Ok(()) })
    }
}

async fn coordinator(log: impl TransactionLog) -> Coordinator {
    let [a, b, c] = Agreeable::three();
    let opening = Coordinator::open(log);
    let opening = opening.participant(a).participant(b).participant(c);
    opening.await.unwrap()
}

async fn transact(coordinator: &Coordinator, participants: &[Agreeable; 3]) {
    let mut transaction = coordinator.begin().await.unwrap();
    for participant in participants {
        transaction.enlist(participant).await.unwrap();
    }
    assert!(transaction.commit().await.is_committed());
}

/// So many transactions by so many committers at once.
async fn run(coordinator: &Coordinator, committers: u64, transactions: u64) -> Duration {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for committer in 0..committers {
        let share = transactions / committers + u64::from(committer < transactions % committers);
        let coordinator = coordinator.clone();
        tasks.spawn(async move {
            let participants = Agreeable::three();
            for _ in 0..share {
                transact(&coordinator, &participants).await;
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    started.elapsed()
}

/// The calls that such a transaction makes, and nothing else.
async fn bare(participants: &[Arc<dyn Participant>; 3], branch: BranchId) {
    for participant in participants {
        assert!(matches!(
            participant.prepare(branch).await,
            Ok(Vote::Prepared)
        ));
    }
    for participant in participants {
        assert!(matches!(
            participant.commit(branch).await,
            Ok(Report::Did(_))
        ));
    }
}

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn in_memory(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("memory_log");
    let participants = Agreeable::three().map(|it| Arc::new(it) as Arc<dyn Participant>);
    let epoch = Epoch::new(1).unwrap();
    let id = TransactionId::new(CoordinatorId::from_u128(7), epoch, 0);
    let branch = BranchId::new(id, 0);
    group.bench_function(BenchmarkId::new("bare_calls", 1), |bench| {
        bench.iter(|| runtime.block_on(bare(&participants, branch)));
    });
    let coordinator = runtime.block_on(coordinator(MemoryLog::new()));
    group.bench_function(BenchmarkId::new("tripod", 1), |bench| {
        bench.iter_custom(|times| runtime.block_on(run(&coordinator, 1, times)));
    });
}

fn bare_syncs(directory: &Path, syncs: u64) -> Duration {
    let path = directory.join("bare");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(path)
        .unwrap();
    file.write_all(&vec![0; 1 << 20]).unwrap();
    file.sync_all().unwrap();
    let record = [7; 256];
    let started = Instant::now();
    for sync in 0..syncs {
        file.seek(SeekFrom::Start(sync * 256 % (1 << 20))).unwrap();
        file.write_all(&record).unwrap();
        file.sync_data().unwrap();
    }
    started.elapsed()
}

/// So many transactions a committer make a portion: more than a few batches.
const SHARE: u32 = 100;

fn racing_syncs(directory: PathBuf) -> Racer {
    Racer {
        name: "fdatasync",
        committers: 1,
        portion: Box::new(move || bare_syncs(&directory, SHARE.into()) / SHARE),
    }
}

fn racing_transactions(
    name: &'static str,
    committers: u32,
    runtime: &Rc<Runtime>,
    coordinator: &Coordinator,
) -> Racer {
    let (runtime, coordinator) = (Rc::clone(runtime), coordinator.clone());
    let all = committers * SHARE;
    Racer {
        name,
        committers: committers.into(),
        portion: Box::new(move || {
            runtime.block_on(run(&coordinator, committers.into(), all.into())) / all
        }),
    }
}

fn in_files(criterion: &mut Criterion) {
    let runtime = Rc::new(runtime());
    let directory = Directory::new("transaction-log");
    let start = |committers: u32| {
        let path = directory.0.join(format!("log{committers}"));
        let log = FileLog::start(path, FileLogOptions::default()).unwrap();
        runtime.block_on(coordinator(log))
    };
    let memory = runtime.block_on(coordinator(MemoryLog::new()));
    let files = [1, 64, 256].map(|committers| (committers, start(committers)));
    let mut racers = vec![racing_syncs(directory.0.clone())];
    for (committers, file) in &files {
        racers.push(racing_transactions("file", *committers, &runtime, file));
        racers.push(racing_transactions(
            "memory",
            *committers,
            &runtime,
            &memory,
        ));
    }
    let rounds = race(criterion, &mut racers);
    if rounds.is_empty() {
        println!("logs: not measured in this run");
        return;
    }
    println!("\nmedians of the ratios of each round");
    for (pair, target) in [
        ([("file", 1), ("fdatasync", 1)], "target: at most 1.43"),
        (
            [("file", 64), ("fdatasync", 1)],
            "target: at most 0.05, or the next",
        ),
        ([("file", 64), ("memory", 64)], "target: at most 1.67"),
        ([("file", 256), ("memory", 256)], "target: at most 1.43"),
    ] {
        print_quotient(&racers, &rounds, pair, target);
    }
    for (committers, file) in &files {
        let stats = file.stats();
        if stats.committed > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            let forced = stats.forced_writes as f64 / stats.committed as f64;
            println!("{committers} at once: {forced:.3} forced writes a committed transaction");
        }
    }
}

/// Opens a log with so many transactions finished and so many in doubt, until all are settled.
fn recovers(finished: u64, in_doubt: u64) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let directory = Directory::new("transaction-recovery");
    runtime.block_on(async {
        let log = FileLog::start(&directory.0, FileLogOptions::default()).unwrap();
        let before = coordinator(log.clone()).await;
        run(&before, 64, finished).await;
        drop(before);
        leave(&log, in_doubt).await;
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (opened, settled) = runtime.block_on(async {
        let started = Instant::now();
        let log = loop {
            // The lock of the writer before goes a moment after its last handle.
            let log = FileLog::start(&directory.0, FileLogOptions::default()).unwrap();
            let [a, b, c] = Agreeable::three();
            let opening = Coordinator::open(log).participant(a);
            match opening.participant(b).participant(c).await {
                Ok(coordinator) => break coordinator,
                Err(error) => println!("{error:?}"),
            }
        };
        let opened = started.elapsed();
        while !log.list(Filter::All).is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        (opened, started.elapsed())
    });
    println!(
        "recovery of {finished} finished and {in_doubt} in doubt: open after {opened:.0?}, all settled after {settled:.0?} (target: under 2 s)"
    );
}

/// Leaves decisions in the log as a crash right after them does.
async fn leave(log: &FileLog, in_doubt: u64) {
    let participants = Agreeable::three().map(Agreeable::deaf);
    let [a, b, c] = participants.clone();
    let coordinator = Coordinator::open(log.clone())
        .participant(a)
        .participant(b)
        .participant(c)
        .requests_max(usize::try_from(in_doubt).unwrap())
        .transactions_max(usize::try_from(in_doubt).unwrap())
        .settle_timeout(Duration::from_millis(1))
        .await
        .unwrap();
    for _ in 0..in_doubt {
        transact(&coordinator, &participants).await;
    }
}

fn main() {
    let medians = Medians::of("transaction");
    let mut criterion = medians.criterion();
    in_memory(&mut criterion);
    in_files(&mut criterion);
    criterion.final_summary();
    medians.ratio(
        "memory_log",
        "1",
        ["tripod", "bare_calls"],
        "six bare calls; 200,000 a second are 5 µs",
    );
    if std::env::args()
        .skip(1)
        .all(|argument| argument.starts_with("--"))
    {
        recovers(100_000, 1_000);
    }
}
