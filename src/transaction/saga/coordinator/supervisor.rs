//! Opens the log, and opens it again after it has failed.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::engine::Options;
use super::engine::{Definitions, Engine};
use super::recovery::{self, Lasting};
use super::{Sagas, Shared};
use crate::transaction::health::Health;
use crate::transaction::log::{LogError, TransactionLog};
use crate::transaction::saga::error::OpenError;
use crate::transaction::saga::retry::Retry;

/// So many events may wait for a receiver.
const EVENTS_MAX: usize = 1024;

pub(super) async fn open(
    log: Arc<dyn TransactionLog>,
    definitions: Definitions,
    options: Options,
) -> Result<Sagas, OpenError> {
    let lasting = Lasting {
        log,
        definitions: Arc::new(definitions),
        options,
        events: broadcast::Sender::new(EVENTS_MAX),
        permits: Arc::new(Semaphore::new(options.sagas_max)),
    };
    let opened = lasting.log.open(options.hint).await?;
    let engine = recovery::take_over(opened, &lasting, None);
    let shared = Arc::new(Shared {
        engine: Mutex::new(Arc::clone(&engine)),
        log: lasting.log,
        definitions: lasting.definitions,
        options,
        events: lasting.events,
        permits: lasting.permits,
        closed: AtomicBool::new(false),
        stop: CancellationToken::new(),
        supervised: CancellationToken::new(),
    });
    let (stop, ended) = (shared.stop.clone(), shared.supervised.clone());
    let (weak, health) = (Arc::downgrade(&shared), engine.health.subscribe());
    engine.runtime.spawn(async move {
        // However this ends: whoever shuts down waits for it.
        let _ended = ended.drop_guard();
        supervise(weak, health, stop).await;
    });
    Ok(Sagas(shared))
}

async fn supervise(
    shared: Weak<Shared>,
    mut health: watch::Receiver<Health>,
    stop: CancellationToken,
) {
    loop {
        let ill = tokio::select! {
            ill = health.wait_for(|health| *health != Health::Serving) => ill.ok().map(|ill| *ill),
            () = stop.cancelled() => return,
        };
        let engine = match ill {
            Some(Health::Failed) => reopen(&shared, &stop).await,
            // Two that open again and again would only hinder each other.
            Some(Health::Superseded | Health::Serving) | None => {
                leave(&shared);
                return;
            }
        };
        let Some(engine) = engine else { return };
        health = engine.health.subscribe();
    }
}

/// Another has taken over: nothing goes on here.
fn leave(shared: &Weak<Shared>) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    let engine = shared.engine();
    shared.permits.close();
    engine.close();
    engine.lose_all();
    tracing::error!(epoch = %engine.epoch, "another has opened the log of these sagas");
}

/// Tries until the log is open again, or nobody wants that any more.
async fn reopen(shared: &Weak<Shared>, stop: &CancellationToken) -> Option<Arc<Engine>> {
    let mut failures: u32 = 0;
    loop {
        let strong = shared.upgrade()?;
        let before = strong.engine();
        before.close();
        let lasting = Lasting {
            log: Arc::clone(&strong.log),
            definitions: Arc::clone(&strong.definitions),
            options: strong.options,
            events: strong.events.clone(),
            permits: Arc::clone(&strong.permits),
        };
        match lasting.log.reopen(before.epoch).await {
            Ok(opened) => {
                let engine = recovery::take_over(opened, &lasting, Some(&before));
                *strong.engine.lock() = Arc::clone(&engine);
                return Some(engine);
            }
            Err(LogError::Superseded { .. }) => {
                before.health.send_replace(Health::Superseded);
                leave(shared);
                return None;
            }
            Err(error) => tracing::error!(%error, "the log was not opened again"),
        }
        failures = failures.saturating_add(1);
        let rest = Retry::forever().pause((before.coordinator, before.epoch), failures);
        drop((before, strong));
        tokio::select! {
            () = sleep(rest) => {}
            () = stop.cancelled() => return None,
        }
    }
}
