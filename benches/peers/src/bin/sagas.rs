//! Sagas of three steps through steno, beside ours, in one run:
//! `cargo run --release --manifest-path benches/peers/Cargo.toml --bin sagas`
//!
//! Steps do nothing, and compensate nothing. The rounds alternate, and medians are printed. steno
//! keeps its log in memory; ours does so too, and then in a directory, on the file system whose
//! bare `fdatasync` is measured beside it.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slog::{Logger, o};
use steno::{
    Action, ActionContext, ActionError, ActionFunc, ActionRegistry, DagBuilder, InMemorySecStore,
    Node, SagaDag, SagaId, SagaName, SagaType, SecClient,
};
use tokio::task::JoinSet;
use tripod::transaction::log::{FileLog, FileLogOptions, MemoryLog};
use tripod::transaction::saga::{Definition, Run, SagaKey, Sagas, Step, StepError};

const ROUNDS: usize = 9;
const STEPS: [&str; 3] = ["one", "two", "three"];

#[derive(Debug)]
struct Nothing;

impl SagaType for Nothing {
    type ExecContextType = ();
}

async fn act(_: ActionContext<Nothing>) -> Result<u32, ActionError> {
    Ok(1)
}

async fn undo(_: ActionContext<Nothing>) -> Result<(), anyhow::Error> {
    Ok(())
}

struct Steno {
    client: SecClient,
    registry: Arc<ActionRegistry<Nothing>>,
    dag: Arc<SagaDag>,
}

impl Steno {
    fn new() -> Self {
        let log = Logger::root(slog::Discard, o!());
        let client = steno::sec(log, Arc::new(InMemorySecStore::new()));
        let mut registry = ActionRegistry::new();
        let mut builder = DagBuilder::new(SagaName::new("three"));
        for step in STEPS {
            let action: Arc<dyn Action<Nothing>> = ActionFunc::new_action(step, act, undo);
            registry.register(Arc::clone(&action));
            builder.append(Node::action(step, step, action.as_ref()));
        }
        let dag = builder.build().expect("a saga");
        Self {
            client,
            registry: Arc::new(registry),
            dag: Arc::new(SagaDag::new(dag, serde_json::Value::Null)),
        }
    }

    async fn run(&self) {
        let id = SagaId::new_v4();
        let (dag, registry) = (Arc::clone(&self.dag), Arc::clone(&self.registry));
        let created = self
            .client
            .saga_create(id, Arc::new(()), dag, registry)
            .await;
        let ended = created.expect("a new id");
        self.client.saga_start(id).await.expect("it was created");
        assert!(ended.await.kind.is_ok());
    }
}

fn ours() -> Definition<u32> {
    let builder = Definition::builder("three", 1);
    let built = STEPS.into_iter().fold(builder, |builder, name| {
        let step = Step::new(name, 1, |_: Run<u32>| async { Ok::<u32, StepError>(1) });
        builder.step(step.compensate(|_, _| async { Ok(()) }))
    });
    built.build().expect("a saga")
}

/// So many sagas, so many at once.
async fn many<F>(sagas: u32, at_once: u32, run: impl Fn(u32) -> F) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for saga in 0..sagas {
        if tasks.len() >= at_once as usize {
            tasks.join_next().await;
        }
        tasks.spawn(run(saga));
    }
    while tasks.join_next().await.is_some() {}
    start.elapsed() / sagas
}

fn bare_syncs(directory: &Path) -> Duration {
    const SYNCS: u32 = 2000;
    let path = directory.join("bare");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(path)
        .expect("a file");
    file.write_all(&vec![0; 1 << 20]).expect("room");
    file.sync_all().expect("a disk");
    let start = Instant::now();
    for sync in 0..SYNCS {
        file.seek(SeekFrom::Start(u64::from(sync) * 512 % (1 << 20)))
            .expect("a file");
        file.write_all(&[7; 512]).expect("room");
        file.sync_data().expect("a disk");
    }
    start.elapsed() / SYNCS
}

/// What this process has of the machine's memory, in bytes, as Linux tells it.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    1024 * kibibytes.expect("a line").parse::<u64>().expect("a number")
}

/// What a saga takes that waits for an answer, and one that is over and forgotten, in bytes. The
/// log is in memory too, and counts.
async fn memory() -> (u64, u64) {
    const SAGAS: u32 = 50_000;
    let step = Step::new("waits", 1, |_: Run<u32>| {
        std::future::pending::<Result<u32, _>>()
    });
    let waits = Definition::builder("waits", 1).step(step.pivot()).build();
    let waits = waits.expect("a saga");
    let ends = ours();
    let sagas = Sagas::open(MemoryLog::new())
        .register(&waits)
        .register(&ends)
        .sagas_max(2 * SAGAS as usize)
        .retention(Duration::ZERO);
    let sagas = sagas.await.expect("a log");
    let run = async |from: u32, count: u32| {
        for saga in from..from + count {
            let key = SagaKey::new(format!("ends-{saga}")).expect("a key");
            let saga = sagas.start(&ends, &key, &7).await.expect("started");
            assert!(saga.outcome().await.expect("here").is_completed());
        }
    };
    run(0, SAGAS).await;
    let before = resident();
    run(SAGAS, 4 * SAGAS).await;
    let ended = resident().saturating_sub(before) / u64::from(4 * SAGAS);
    let before = resident();
    for saga in 0..SAGAS {
        let key = SagaKey::new(format!("waits-{saga}")).expect("a key");
        sagas.start(&waits, &key, &7).await.expect("started");
    }
    let waiting = resident().saturating_sub(before) / u64::from(SAGAS);
    (waiting, ended)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (waiting, ended) = memory().await;
    println!("a saga that waits takes {waiting} bytes (target: 2048), one that is over {ended}");
    let directory = std::env::temp_dir().join(format!("tripod-sagas-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let definition = ours();
    let open = async |log: Arc<dyn tripod::transaction::log::TransactionLog>| {
        let opening = Sagas::open(log)
            .register(&definition)
            .retention(Duration::ZERO);
        opening.await.expect("a log")
    };
    let memory = open(Arc::new(MemoryLog::new())).await;
    let file = FileLog::start(directory.join("log"), FileLogOptions::default()).expect("a log");
    let file = open(Arc::new(file)).await;
    let mut times: [(&str, Vec<Duration>); 6] = [
        ("steno, memory, one at a time", Vec::new()),
        ("tripod, memory, one at a time", Vec::new()),
        ("steno, memory, 64 at once", Vec::new()),
        ("tripod, memory, 64 at once", Vec::new()),
        ("tripod, durable, 64 at once", Vec::new()),
        ("bare fdatasync", Vec::new()),
    ];
    for round in 0..ROUNDS {
        // One that remembers less from round to round.
        let steno = Arc::new(Steno::new());
        let theirs = |_: u32| {
            let steno = Arc::clone(&steno);
            async move { steno.run().await }
        };
        let ours = |sagas: &Sagas| {
            let (sagas, definition) = (sagas.clone(), definition.clone());
            move |saga: u32| {
                let (sagas, definition) = (sagas.clone(), definition.clone());
                async move {
                    let key = SagaKey::new(format!("{round}-{saga}")).expect("a key");
                    let saga = sagas.start(&definition, &key, &7).await.expect("started");
                    assert!(saga.outcome().await.expect("here").is_completed());
                }
            }
        };
        let took = [
            many(2_000, 1, theirs).await,
            many(10_000, 1, ours(&memory)).await,
            many(2_000, 64, theirs).await,
            many(10_000, 64, ours(&memory)).await,
            many(10_000, 64, ours(&file)).await,
            bare_syncs(&directory),
        ];
        for ((_, times), took) in times.iter_mut().zip(took) {
            times.push(took);
        }
        if let Ok(steno) = Arc::try_unwrap(steno) {
            steno.client.shutdown().await;
        }
    }
    compare(times);
    let _ = std::fs::remove_dir_all(&directory);
}

fn compare(times: [(&str, Vec<Duration>); 6]) {
    let medians = times.map(|(name, mut times)| {
        times.sort();
        (name, times[ROUNDS / 2])
    });
    for (name, median) in &medians {
        println!("{name}: {median:?}");
    }
    let ratio =
        |one: usize, other: usize| medians[one].1.as_secs_f64() / medians[other].1.as_secs_f64();
    println!(
        "one at a time, in memory: {:.1} times as many as steno (target: 8)",
        ratio(0, 1)
    );
    println!(
        "64 at once, in memory: {:.1} times as many as steno (target: 8)",
        ratio(2, 3)
    );
    println!(
        "64 at once, durable: {:.1} times as many as steno in memory (target: 1)",
        ratio(2, 4)
    );
}
