//! How long a lease may be believed.

use std::time::Duration;

use tokio::time::Instant;
use tripod::lock::{Lease, TTL_MAX, TTL_MIN};

#[test]
fn the_deadline_is_one_per_cent_and_two_milliseconds_early() {
    let sent = Instant::now();
    let lease = Lease::new(sent, Duration::from_secs(10));
    assert_eq!(
        lease.deadline(),
        sent + Duration::from_millis(10_000 - 100 - 2)
    );
    assert_eq!(lease.remaining(sent), Duration::from_millis(9_898));
    assert_eq!(
        lease.remaining(sent + Duration::from_secs(60)),
        Duration::ZERO
    );
}

#[test]
fn a_renewal_that_fails_can_be_tried_once_more() {
    let sent = Instant::now();
    for ttl in [TTL_MIN, Duration::from_secs(1), TTL_MAX] {
        let lease = Lease::new(sent, ttl);
        for spread in [0, 1, 1 << 15, u16::MAX] {
            let wait = lease.renew_at(spread) - sent;
            assert!(wait >= ttl / 4 && wait <= ttl / 3);
            assert!(sent + 2 * wait < lease.deadline());
        }
    }
}

#[test]
fn renewals_of_leases_taken_together_are_spread_evenly() {
    let lease = Lease::new(Instant::now(), Duration::from_secs(12));
    // The window is a second; a quarter of the spreads falls into each quarter of it.
    let quarters = (0..=u16::MAX).map(|spread| {
        let early = lease.renew_at(0) - lease.renew_at(spread);
        early.as_millis() / 250
    });
    let first = quarters.filter(|quarter| *quarter == 0).count();
    assert!((16_000..17_000).contains(&first), "{first}");
}

#[test]
fn no_more_than_a_day_is_believed() {
    let sent = Instant::now();
    assert_eq!(Lease::new(sent, Duration::MAX), Lease::new(sent, TTL_MAX));
}
