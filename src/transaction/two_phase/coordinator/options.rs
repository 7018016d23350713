//! How a coordinator goes about it.

use std::hash::Hash;
use std::time::Duration;

use crate::chance::{doubled, part_by};

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

/// The pause after so many failures in a row of something.
pub(super) fn pause(of: impl Hash, failures: u32, longest: Duration) -> Duration {
    part_by((of, failures), doubled(PAUSE_FIRST, failures, longest))
}
