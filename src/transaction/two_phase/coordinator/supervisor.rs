//! Opens the log again after it has failed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::counters::count;
use super::engine::Engine;
use super::error::OpenError;
use super::options::pause;
use super::recovery;
use crate::transaction::health::Health;
use crate::transaction::id::Epoch;
use crate::transaction::log::LogError;
use crate::transaction::participant::Outcome;
use crate::transaction::two_phase::phase::Phase;
use crate::transaction::two_phase::state::Transaction;

/// How long the engine before goes on at most: those who wait for acknowledgements are told.
const PATIENCE_MAX: Duration = Duration::from_secs(60);

/// Starts a task that ends with the coordinator.
pub(super) fn start(shared: &Arc<Shared>) {
    let engine = shared.engine();
    let (stop, ended) = (shared.stop.clone(), shared.supervised.clone());
    let weak = Arc::downgrade(shared);
    let health = engine.health.subscribe();
    engine.spawn(async move {
        // However this ends: whoever shuts down waits for it.
        let _ended = ended.drop_guard();
        supervise(weak, health, stop).await;
    });
}

async fn supervise(
    shared: Weak<Shared>,
    mut health: watch::Receiver<Health>,
    stop: CancellationToken,
) {
    loop {
        let ill = tokio::select! {
            ill = health.wait_for(|health| *health != Health::Serving) => ill.ok().map(|health| *health),
            () = stop.cancelled() => return,
        };
        // Superseded, it stays so: two that open again and again would only hinder each other. Whoever
        // found that out has stopped what looks after participants.
        if ill != Some(Health::Failed) {
            return;
        }
        let Some(engine) = reopen(&shared, &stop).await else {
            return;
        };
        health = engine.health.subscribe();
    }
}

/// Tries until the log is open again, or nobody wants that any more. A try is not given up
/// half-way: it would leave the log open.
async fn reopen(shared: &Weak<Shared>, stop: &CancellationToken) -> Option<Arc<Engine>> {
    let mut failures: u32 = 0;
    let mut after = shared.upgrade()?.engine().epoch;
    loop {
        let shared = shared.upgrade()?;
        let before = shared.engine();
        before.keeping.cancel();
        match open_again(&shared, &mut after).await {
            Ok(engine) => {
                count(&shared.counters.reopened);
                succeed(&shared, &before, &engine);
                return Some(engine);
            }
            Err(error) => {
                tracing::error!(%error, "the log was not opened again");
                if is_final(&error) {
                    before.condemn();
                    return None;
                }
            }
        }
        failures = failures.saturating_add(1);
        let of = (before.coordinator, before.epoch);
        let rest = pause(of, failures, shared.options.retry_pause_max);
        drop((before, shared));
        tokio::select! {
            () = sleep(rest) => {}
            () = stop.cancelled() => return None,
        }
    }
}

/// Opens the log, unless another has since `after`, the last epoch that was opened here.
async fn open_again(shared: &Shared, after: &mut Epoch) -> Result<Arc<Engine>, OpenError> {
    let opened = shared.log.reopen(*after).await?;
    *after = opened.epoch();
    let (options, memory) = (shared.options, shared.memory());
    recovery::take_over(
        opened,
        &shared.log,
        &shared.participants,
        options,
        memory,
        true,
    )
    .await
}

/// What the log knows of goes on in the new engine. What it does not is aborted by the one before,
/// for as long as an acknowledgement may take; and what is prepared then, by a scan.
fn succeed(shared: &Shared, before: &Arc<Engine>, engine: &Arc<Engine>) {
    remember_doubts(before, engine);
    *shared.engine.lock() = Arc::clone(engine);
    before.expire(|_, _| true);
    let (before, patience) = (Arc::clone(before), shared.options.settle_timeout);
    engine.spawn(async move {
        let ends = sleep(patience.min(PATIENCE_MAX));
        ends.await;
        before.closing.cancel();
    });
}

/// What may have been written, and was not found in the log, has been aborted: nobody else has
/// opened the log in between, who may have finished it.
fn remember_doubts(before: &Engine, engine: &Engine) {
    let doubts: Vec<_> = {
        let state = before.state.lock();
        let open = state.book.transactions();
        let doubts = open.filter(|transaction| *transaction.phase() == Phase::InDoubt);
        doubts.map(Transaction::id).collect()
    };
    for id in doubts {
        if !engine.recovered.contains(&id) {
            engine.lately.lock().remember(id, Outcome::Aborted);
        }
    }
}

/// Whether another try would be of no use: somebody else is the rightful owner.
fn is_final(error: &OpenError) -> bool {
    match error {
        OpenError::Log(LogError::Superseded { .. }) => true,
        OpenError::Participant { source, .. } => source.is_stale(),
        OpenError::Duplicate(_)
        | OpenError::Log(_)
        | OpenError::Append(_)
        | OpenError::Record(_)
        | OpenError::Volatile(_) => false,
    }
}
