//! What the handle tells of itself.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;
use tripod::lock::{BackendErrorKind, Locks, Verb};

use crate::scripted::{AT_ONCE, Fate, Scripted};
use crate::told::Ear;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn events_have_stable_names_and_never_tell_metadata() {
    let ear = Ear::of_this_thread();
    let store = Scripted::default();
    let locks = Locks::new(store.clone());
    let acquire = |name| locks.acquire(name).ttl(10 * SECOND).metadata("canary");
    let guard = acquire("a").await.unwrap();
    let waiter = tokio::spawn(acquire("a").into_future());
    sleep(8 * SECOND).await;
    guard.release().await.unwrap();
    drop(waiter.await.unwrap().unwrap());
    locks.flush().await.unwrap();
    store.on(Verb::Renew, Fate::Fail(BackendErrorKind::Unavailable));
    store.on(Verb::Leave, Fate::Hang);
    acquire("b").await.unwrap().lost().await;
    locks.flush().await.unwrap();
    store.on(Verb::Changed, Fate::Fail(BackendErrorKind::Unavailable));
    store.on(Verb::Leave, AT_ONCE);
    let held = acquire("c").await.unwrap();
    acquire("c").wait(SECOND).await.unwrap_err();
    let heard = std::mem::take(&mut *ear.heard());
    assert_eq!(heard.targets, BTreeSet::from(["tripod::lock"]));
    assert_eq!(
        heard.names,
        BTreeSet::from([
            "lock.abandoned",
            "lock.acquire",
            "lock.cleaned",
            "lock.granted",
            "lock.lost",
            "lock.released",
            "lock.renewal_failed",
            "lock.renewed",
            "lock.store_failed",
            "lock.waiting",
        ])
    );
    let values = heard.values;
    assert!(
        values.contains("lock=a") && values.contains("fencing_token=1"),
        "{values}"
    );
    assert!(!values.contains("canary"));
    assert!(!format!("{locks:?} {held:?}").contains("canary"));
}
