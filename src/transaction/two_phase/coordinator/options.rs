//! How a coordinator goes about it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) hint: u64,
    pub(super) volatile_log: bool,
    pub(super) work_timeout: Duration,
    pub(super) prepare_timeout: Duration,
    pub(super) settle_timeout: Duration,
    pub(super) open_timeout: Duration,
    pub(super) retry_pause_max: Duration,
    pub(super) scan_interval: Duration,
    pub(super) transactions_max: usize,
    pub(super) requests_max: usize,
}

impl Options {
    /// The most branches of one participant whose transactions are not over: room for several in
    /// each that may be under way, and for as many that are being settled.
    pub(super) fn branches_max(&self) -> usize {
        self.transactions_max.saturating_mul(4)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hint: 0,
            volatile_log: false,
            work_timeout: Duration::from_secs(60),
            prepare_timeout: Duration::from_secs(10),
            settle_timeout: Duration::from_secs(5),
            open_timeout: Duration::from_secs(5),
            retry_pause_max: Duration::from_secs(30),
            scan_interval: Duration::from_secs(30),
            transactions_max: 1024,
            requests_max: 256,
        }
    }
}

/// The pause after the first failure: a few round trips.
const PAUSE_FIRST: Duration = Duration::from_millis(20);

/// The pause after so many failures in a row of something: doubled each time up to the longest, and
/// somewhere between a half and the whole of that, so that those who failed together do not return
/// together. Where, is drawn from what failed: ids are random enough, and a simulation repeats.
pub(super) fn pause(of: impl Hash, failures: u32, longest: Duration) -> Duration {
    let doubled = PAUSE_FIRST.saturating_mul(2_u32.saturating_pow(failures.min(20)));
    let whole = doubled.min(longest);
    let mut hasher = DefaultHasher::new();
    (of, failures).hash(&mut hasher);
    let share = u32::try_from(hasher.finish() % 1024).unwrap_or_default();
    whole / 2 + whole / 2048 * share
}
