//! Several things measured in turns: disks are fast at times, and slow at others.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode};

/// A portion of what is measured, and then the next one's. A portion answers the time of one
/// transaction, or of one sync.
pub(crate) struct Racer {
    pub(crate) name: &'static str,
    pub(crate) committers: u64,
    pub(crate) portion: Box<dyn FnMut() -> Duration>,
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
                    let mut round = vec![Duration::ZERO; racers.len()];
                    for turn in 0..racers.len() {
                        // Nobody always comes after the same.
                        let at = (turn + rounds.len()) % racers.len();
                        round[at] = (racers[at].portion)();
                    }
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
