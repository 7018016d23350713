//! Logs and bare syncs in turns: disks are fast at times, and slow at others.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode};
use tokio::runtime::Runtime;
use tripod::transaction::two_phase::Coordinator;

use super::run;

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

/// What is measured in turns with others: a portion of it, and then the next one's. A portion
/// answers the time of one transaction, or of one sync.
pub(crate) struct Racer {
    name: &'static str,
    committers: u64,
    portion: Box<dyn FnMut() -> Duration>,
}

/// So many transactions a committer make a portion: more than a few batches.
const SHARE: u32 = 100;

impl Racer {
    pub(crate) fn syncs(directory: PathBuf) -> Self {
        Self {
            name: "fdatasync",
            committers: 1,
            portion: Box::new(move || bare_syncs(&directory, SHARE.into()) / SHARE),
        }
    }

    pub(crate) fn transactions(
        name: &'static str,
        committers: u32,
        runtime: &Rc<Runtime>,
        coordinator: &Coordinator,
    ) -> Self {
        let (runtime, coordinator) = (Rc::clone(runtime), coordinator.clone());
        let all = committers * SHARE;
        Self {
            name,
            committers: committers.into(),
            portion: Box::new(move || {
                runtime.block_on(run(&coordinator, committers.into(), all.into())) / all
            }),
        }
    }
}

/// Answers, for every round, the times of all.
pub(crate) fn race(criterion: &mut Criterion, racers: &mut [Racer]) -> Vec<Vec<Duration>> {
    let mut rounds = Vec::new();
    let mut group = criterion.benchmark_group("logs");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for measured in 0..racers.len() {
        let id = BenchmarkId::new(racers[measured].name, racers[measured].committers);
        group.bench_function(id, |bench| {
            bench.iter_custom(|times| {
                let mut total = Duration::ZERO;
                for _ in 0..times {
                    let round: Vec<_> = racers.iter_mut().map(|it| (it.portion)()).collect();
                    total += round[measured];
                    rounds.push(round);
                }
                total
            });
        });
    }
    rounds
}

/// Of each round, one's time over another's; of those, the median. A disk that is slow for a while
/// is slow for both.
pub(crate) fn print_quotient(
    racers: &[Racer],
    rounds: &[Vec<Duration>],
    pair: [(&str, u64); 2],
    target: &str,
) {
    let of = |(name, committers)| {
        let is = |it: &Racer| it.name == name && it.committers == committers;
        racers.iter().position(is).unwrap()
    };
    let [ours, theirs] = pair.map(of);
    let quotient = |round: &Vec<Duration>| round[ours].as_secs_f64() / round[theirs].as_secs_f64();
    let mut quotients: Vec<_> = rounds.iter().map(quotient).collect();
    quotients.sort_by(f64::total_cmp);
    if let Some(median) = quotients.get(quotients.len() / 2) {
        let [ours, theirs] = pair.map(|(name, committers)| format!("{name} {committers}"));
        let rounds = rounds.len();
        println!("logs {ours} / {theirs} = {median:.2} of {rounds} rounds  ({target})");
    }
}
