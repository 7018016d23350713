//! What a handle has counted.

use std::time::Duration;

/// What a handle and its clones have counted since they were made, for a metrics layer to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockStats {
    /// Locks held now.
    pub held: u64,
    /// Acquisitions that wait in a queue now.
    pub waiting: u64,
    /// Grants.
    pub granted: u64,
    /// The time from the call to the grant, summed over the grants.
    pub wait_time: Duration,
    /// Guards that were released or dropped.
    pub released: u64,
    /// The time from the grant to the end of the guard, summed over the guards that have ended.
    pub hold_time: Duration,
    /// Leases renewed.
    pub renewed: u64,
    /// Renewals that failed, lost answers included. Each is tried again until the deadline.
    pub renewals_failed: u64,
    /// Leases lost at their deadline.
    pub expired: u64,
    /// Leases lost because the store had no entry of them any more.
    pub removed: u64,
    /// Entries that could not be cleaned up and are left to end with their lease.
    pub abandoned: u64,
}
