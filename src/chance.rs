//! What is left to chance: how long pauses are, and ids.

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::time::Duration;

/// The first pause, doubled so often, up to the longest.
pub(crate) fn doubled(first: Duration, doublings: u32, longest: Duration) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(doublings));
    doubled.min(longest)
}

/// As [`doubled`], and half of it is left to chance, so that those who failed together come back
/// one by one.
pub(crate) fn pause(first: Duration, doublings: u32, longest: Duration) -> Duration {
    part(doubled(first, doublings, longest))
}

/// Between half of this time and all of it, at random.
pub(crate) fn part(time: Duration) -> Duration {
    share(time, random())
}

/// As [`part`]. Where between them, is drawn from this: ids are random enough, and a simulation
/// repeats.
pub(crate) fn part_by(of: impl Hash, time: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    share(time, hasher.finish())
}

/// Bits that nobody can foresee: the keys of a hasher are drawn by the system for each thread, and
/// differ with each use.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(())
}

/// Twice as many bits: they do not come twice.
pub(crate) fn random_wide() -> u128 {
    u128::from(random()) << 64 | u128::from(random())
}

fn share(time: Duration, drawn: u64) -> Duration {
    let share = u32::try_from(drawn % 1024).unwrap_or_default();
    time / 2 + time / 2048 * share
}
