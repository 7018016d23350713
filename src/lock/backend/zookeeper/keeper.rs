//! The one task of a backend: it proves the session, opens another when that is lost, and removes
//! what nobody asks for any more.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use zookeeper_client::Error;

use crate::chance::pause;

use super::call::TIMEOUT;
use super::child::{Child, Place};
use super::session::{Config, Session};
use super::shared::Shared;

/// So often in a TTL the session is proved. A lease that is proved no later is never believed in for
/// less than the handle needs to renew it.
const BEATS: u32 = 12;

/// Every third proof, a quarter of a TTL, nodes are looked for that nobody owns.
const BEATS_PER_SWEEP: u32 = 3;

/// How long opening a session may take.
pub(super) const OPEN_TIME_MAX: Duration = Duration::from_secs(5);

/// The shortest and the longest pause between two tries to open a session.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Runs until it is dropped.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut closing = JoinSet::new();
    loop {
        if let Some(session) = shared.session() {
            keep(&shared, &session).await;
            shared.replace(None);
            // One at a time, so that they are few however soon sessions fail.
            while closing.join_next().await.is_some() {}
            reopen(&shared).await;
            closing.spawn(close(session, shared.config.clone()));
        } else {
            reopen(&shared).await;
        }
    }
}

/// Closes a session that was given up, though not before its lease is over: until then there may be
/// those who believe that they hold by it.
async fn close(session: Arc<Session>, config: Config) {
    sleep_until(session.lease().deadline()).await;
    let lost = session.client.session().clone();
    drop(session);
    Session::close_lost(&config, lost, TIMEOUT).await;
}

/// Tends to a session until it is over.
async fn keep(shared: &Shared, session: &Session) {
    let period = session.ttl / BEATS;
    let (mut beats, mut is_suspect) = (0_u32, false);
    loop {
        let (state, began) = (session.client.state(), Instant::now());
        if state.is_terminated() {
            return;
        }
        if session.is_connected() {
            let proved = timeout(TIMEOUT, session.prove(&shared.config.chroot)).await;
            // Of a failure the session's state tells, unless the client's task has ended without a word:
            // then this error comes again and again.
            let is_strange = matches!(proved, Ok(Err(Error::UnexpectedError(_))));
            if is_strange && is_suspect {
                return;
            }
            is_suspect = is_strange;
            if beats % BEATS_PER_SWEEP == 0 {
                let _ = timeout(TIMEOUT, sweep(shared, session)).await;
            }
            beats = beats.wrapping_add(1);
        }
        let rest = period.saturating_sub(began.elapsed());
        let _ = timeout(rest, session.changed(state)).await;
        if rest.is_zero() {
            // Not without pause, however slow the server is.
            sleep(period / 2).await;
        }
    }
}

/// Removes what is in the store by this session and nobody has asked for within a TTL, be it that it
/// was forgotten, or that its request came late over a lost connection.
async fn sweep(shared: &Shared, session: &Session) -> Result<(), Error> {
    for holder in shared.ours.forget_unnamed(session.ttl) {
        shared.bells.ring(holder);
    }
    let chroot = &shared.config.chroot;
    let paths = session.client.list_ephemerals(chroot).await?;
    // Read after the list: what is on the list was taken in before it was sent.
    let ours = shared.ours.all();
    let nodes = ours.iter().map(|(entry, our)| {
        let root = shared.root(entry.name());
        ((root, entry.holder()), (our.node.as_deref(), our.holds))
    });
    let nodes: HashMap<_, _> = nodes.collect();
    let mut seen = HashSet::new();
    for path in &paths {
        let Some((root, name)) = path.rsplit_once('/') else {
            continue;
        };
        let Some((child, place)) = Child::parse(name) else {
            continue;
        };
        let key = (root.to_owned(), child.holder);
        let is_owned = match nodes.get(&key) {
            None => false,
            // The same request twice, once late: whoever holds needs no other node.
            Some((Some(node), holds)) if *node != name => {
                !holds && matches!(place, Place::Holds(_))
            }
            Some(_) => seen.insert(key),
        };
        if !is_owned {
            match session.client.delete(path, None).await {
                Ok(()) | Err(Error::NoNode) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Opens a session, and tries for as long as it takes.
async fn reopen(shared: &Shared) {
    let (shortest, longest) = PAUSE;
    let mut failures = 0_u32;
    loop {
        if let Ok(session) = Session::open(&shared.config, OPEN_TIME_MAX).await {
            return shared.replace(Some(Arc::new(session)));
        }
        sleep(pause(shortest, failures, longest)).await;
        failures = failures.saturating_add(1);
    }
}
