//! Opens the log again after it has failed.

use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio::time::sleep;

use super::Shared;
use super::engine::{Engine, Health, count};
use super::error::OpenError;
use super::options::pause;
use super::recovery;
use crate::transaction::participant::ParticipantOpenError;

/// Starts a task that ends with the coordinator.
pub(super) fn start(shared: &Arc<Shared>) {
    let engine = shared.engine();
    let stop = shared.stop.clone();
    let supervised = supervise(Arc::downgrade(shared), engine.health.subscribe());
    engine.spawn(async move {
        tokio::select! {
            () = supervised => {}
            () = stop.cancelled() => {}
        }
    });
}

async fn supervise(shared: Weak<Shared>, mut health: watch::Receiver<Health>) {
    loop {
        let ill = health.wait_for(|health| *health != Health::Serving).await;
        // Superseded, it stays so: two that open again and again would only hinder each other.
        let failed = ill.is_ok_and(|health| *health == Health::Failed);
        if !failed {
            return;
        }
        let Some(engine) = reopen(&shared).await else {
            return;
        };
        health = engine.health.subscribe();
    }
}

/// Tries until the log is open again, or nobody wants that any more.
async fn reopen(shared: &Weak<Shared>) -> Option<Arc<Engine>> {
    let mut failures = 0;
    loop {
        let shared = shared.upgrade()?;
        let (options, counters) = (shared.options, Arc::clone(&shared.counters));
        match recovery::open(&shared.log, &shared.participants, options, counters).await {
            Ok(engine) => {
                count(&shared.counters.reopened);
                let before = std::mem::replace(&mut *shared.engine.lock(), Arc::clone(&engine));
                // What the log knows of goes on in the new one; the rest is aborted by its scan.
                before.closing.cancel();
                return Some(engine);
            }
            Err(error) => {
                tracing::error!(%error, "the log was not opened again");
                let stale = ParticipantOpenError::is_stale;
                if matches!(&error, OpenError::Participant { source, .. } if stale(source)) {
                    shared.engine().sicken(Health::Superseded);
                    return None;
                }
            }
        }
        failures += 1;
        let engine = shared.engine();
        let of = (engine.coordinator, engine.epoch);
        let rest = pause(of, failures, shared.options.retry_pause_max);
        drop(engine);
        drop(shared);
        sleep(rest).await;
    }
}
