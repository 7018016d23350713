//! A clock that all processes of this machine share, and that nobody sets.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since an instant that all processes share.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}
