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
fn a_renewal_leaves_time_for_two_more_tries() {
    let sent = Instant::now();
    for ttl in [TTL_MIN, Duration::from_secs(1), TTL_MAX] {
        let lease = Lease::new(sent, ttl);
        for spread in [0, 1, 128, 255] {
            let renew = lease.renew_at(spread);
            assert!(renew > sent && renew - sent <= ttl / 3);
            assert!(renew - sent + Duration::from_nanos(100) >= ttl / 3 * 9 / 10);
            assert!(renew < lease.deadline());
        }
    }
}
