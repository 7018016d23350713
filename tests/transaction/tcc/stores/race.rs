//! Tries, confirms and cancels of the same branches at the same time: the three anomalies, driven
//! on purpose. What the table of seats says has to be what the barrier answered.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use tripod::transaction::participant::tcc::{Barrier, BarrierError, Entry, Standing};
use tripod::transaction::{BranchId, CoordinatorId};

use super::maria::Maria;
use super::pg::Pg;
use super::{Ends, Guard, Isolation, Step, Store, Verb, coordinator, id, opening};

/// Branches under way at a time, each with several transactions.
const AT_A_TIME: usize = 8;

/// How often a transaction comes again that the database has refused: a deadlock, a conflict.
const TRIES: u32 = 50;

/// Numbers that look random: S. Vigna, `SplitMix64`, 2015.
#[derive(Clone, Copy)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What came of a step that was committed, or refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    First,
    Again,
    Empty,
    LateAfterCancel,
    LateAfterConfirm,
    Early,
}

type Outcomes = BTreeMap<(Verb, Came), u32>;

/// What came of all branches, and what was wrong with some.
#[derive(Default)]
struct Found {
    outcomes: Outcomes,
    wrong: Vec<String>,
    /// Transactions that the database refused.
    refused: u32,
}

/// Runs a step until it is committed or refused for good.
async fn run<S: Store>(store: &S, step: Step, mut random: Random) -> (Came, u32) {
    tokio::time::sleep(Duration::from_micros(random.below(4000))).await;
    let mut refused = 0;
    loop {
        let rolls_back = refused == 0 && random.below(8) == 0;
        let ends = if rolls_back {
            Ends::RollsBack
        } else {
            Ends::Commits
        };
        let came = match store.pass(Step { ends, ..step }).await {
            Ok(_) if rolls_back => {
                refused += 1;
                continue;
            }
            Ok(Entry::First(_)) => Came::First,
            Ok(Entry::Again(_)) => Came::Again,
            Ok(Entry::Empty) => Came::Empty,
            Err(BarrierError::Cancelled(_)) => Came::LateAfterCancel,
            Err(BarrierError::Confirmed(_)) => Came::LateAfterConfirm,
            // Whoever asks too early may come again.
            Err(BarrierError::NotTried(_)) if random.below(4) > 0 => {
                tokio::time::sleep(Duration::from_micros(random.below(4000))).await;
                continue;
            }
            Err(BarrierError::NotTried(_)) => Came::Early,
            Err(BarrierError::Database(error)) => {
                refused += 1;
                assert!(refused < TRIES, "{step:?}: {error:?}");
                continue;
            }
            Err(other) => panic!("{step:?}: {other}"),
        };
        return (came, refused);
    }
}

/// All that happens to one branch, at once.
async fn play<S: Store>(
    store: &S,
    branch: BranchId,
    guard: Guard,
    mut random: Random,
) -> (Outcomes, u32) {
    let seat = branch.transaction().sequence();
    let mut verbs = vec![Verb::Try; 1 + usize::try_from(random.below(3)).unwrap()];
    verbs.extend(vec![
        Verb::Confirm;
        usize::try_from(random.below(3)).unwrap()
    ]);
    verbs.extend(vec![
        Verb::Cancel;
        usize::try_from(random.below(3)).unwrap()
    ]);
    let steps = verbs.into_iter().map(|verb| {
        let isolation = match random.below(if guard == Guard::Barrier { 5 } else { 1 }) {
            0 | 1 => Isolation::ReadCommitted,
            2 => Isolation::RepeatableRead,
            3 => Isolation::Serializable,
            _ => Isolation::Stale,
        };
        let step = Step {
            guard,
            ..Step::new(verb, branch, seat).at(isolation)
        };
        let random = Random(random.below(u64::MAX));
        async move { (verb, run(store, step, random).await) }
    });
    let mut outcomes = Outcomes::new();
    let mut refused = 0;
    for (verb, (came, again)) in join_all(steps).await {
        *outcomes.entry((verb, came)).or_default() += 1;
        refused += again;
    }
    (outcomes, refused)
}

/// What does not fit together in what was answered, and with what is in the table.
fn judge(outcomes: &Outcomes, (held, booked): (i64, i64)) -> Option<String> {
    let count = |verb, came| outcomes.get(&(verb, came)).copied().unwrap_or(0);
    let tried = count(Verb::Try, Came::First);
    let confirmed = count(Verb::Confirm, Came::First);
    let cancelled = count(Verb::Cancel, Came::First);
    let empty = count(Verb::Cancel, Came::Empty);
    let late =
        count(Verb::Try, Came::LateAfterCancel) + count(Verb::Confirm, Came::LateAfterCancel);
    let late_cancels = count(Verb::Cancel, Came::LateAfterConfirm);
    let claims = [
        (tried <= 1, "tried once"),
        (confirmed + cancelled + empty <= 1, "ended once"),
        (tried + empty <= 1, "tried, or never"),
        (confirmed + cancelled <= tried, "ended what was tried"),
        (late == 0 || cancelled + empty == 1, "late after a cancel"),
        (late_cancels == 0 || confirmed == 1, "late after a confirm"),
        (
            count(Verb::Try, Came::Again) == 0 || tried == 1,
            "tried before",
        ),
        (
            count(Verb::Confirm, Came::Again) == 0 || confirmed == 1,
            "confirmed before",
        ),
        (
            count(Verb::Cancel, Came::Again) == 0 || cancelled + empty == 1,
            "cancelled before",
        ),
        (i64::from(confirmed) == booked, "as often booked"),
        (
            i64::from(tried) - i64::from(confirmed + cancelled) == held,
            "as often held",
        ),
        (matches!((held, booked), (0 | 1, 0) | (0, 1)), "zero or one"),
    ];
    let (_, broken) = claims.into_iter().find(|(holds, _)| !holds)?;
    Some(format!("not {broken}: {outcomes:?}, ({held}, {booked})"))
}

fn standing(outcomes: &Outcomes) -> Standing {
    let came = |verb, came| outcomes.contains_key(&(verb, came));
    if came(Verb::Confirm, Came::First) {
        Standing::Confirmed
    } else if came(Verb::Cancel, Came::First) || came(Verb::Cancel, Came::Empty) {
        Standing::Cancelled
    } else if came(Verb::Try, Came::First) {
        Standing::Tried
    } else {
        Standing::Nothing
    }
}

async fn race<S: Store>(
    store: &S,
    of: CoordinatorId,
    guard: Guard,
    branches: u64,
    seed: u64,
) -> Found {
    let barrier = store.barrier().await;
    barrier.open(opening(of, 1)).await.unwrap();
    let plays = stream::iter(0..branches).map(|sequence| {
        let (barrier, branch) = (&barrier, id(of, 1, sequence));
        async move {
            let random = Random(seed ^ (sequence << 20));
            let (outcomes, refused) = play(store, branch, guard, random).await;
            let mut wrong = judge(&outcomes, store.seat(sequence).await);
            if guard == Guard::Barrier && wrong.is_none() {
                let stands = barrier.look(branch).await.unwrap().standing;
                let expected = standing(&outcomes);
                if stands != expected {
                    wrong = Some(format!("{stands:?} instead of {expected:?}: {outcomes:?}"));
                }
            }
            let wrong = wrong.map(|wrong| format!("{branch}: {wrong}"));
            (outcomes, refused, wrong)
        }
    });
    let mut found = Found::default();
    let mut plays = plays.buffer_unordered(AT_A_TIME);
    while let Some((outcomes, refused, wrong)) = plays.next().await {
        for (what, count) in outcomes {
            *found.outcomes.entry(what).or_default() += count;
        }
        found.refused += refused;
        found.wrong.extend(wrong);
    }
    found
}

fn seed() -> u64 {
    let seed = RandomState::new().hash_one(0);
    println!("seed {seed:#x}");
    seed
}

async fn each_effect_is_none_or_one<S: Store>(store: &S) {
    let seed = seed();
    let found = race(store, coordinator(), Guard::Barrier, 2000, seed).await;
    println!("{store:?}: {:?}, refused {}", found.outcomes, found.refused);
    assert!(found.wrong.is_empty(), "seed {seed:#x}: {:#?}", found.wrong);
    // What was to be driven came about, often.
    for anomaly in [
        (Verb::Try, Came::Again),
        (Verb::Confirm, Came::Again),
        (Verb::Cancel, Came::Again),
        (Verb::Cancel, Came::Empty),
        (Verb::Try, Came::LateAfterCancel),
        (Verb::Confirm, Came::LateAfterCancel),
        (Verb::Cancel, Came::LateAfterConfirm),
        (Verb::Confirm, Came::Early),
    ] {
        let count = found.outcomes.get(&anomaly).copied().unwrap_or(0);
        assert!(count >= 20, "{anomaly:?} came {count} times");
    }
}

/// The judge is awake.
async fn without_a_barrier_effects_are_doubled<S: Store>(store: &S) {
    for guard in [Guard::Reading, Guard::Nothing] {
        let seed = seed();
        let found = race(store, coordinator(), guard, 300, seed).await;
        let count = found.wrong.len();
        println!("{store:?}, {guard:?}: {count} of 300 are wrong");
        assert!(count > 0, "{guard:?}, seed {seed:#x}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_effect_is_none_or_one_on_postgres() {
    each_effect_is_none_or_one(&Pg::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_effect_is_none_or_one_on_mariadb() {
    each_effect_is_none_or_one(&Maria::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_barrier_effects_are_doubled_on_postgres() {
    without_a_barrier_effects_are_doubled(&Pg::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_barrier_effects_are_doubled_on_mariadb() {
    without_a_barrier_effects_are_doubled(&Maria::start().await).await;
}
