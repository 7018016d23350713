//! Telling waiters: each watches what blocks it, so that an end wakes only whom it concerns.

use std::sync::Arc;

use etcd_client::{WatchFilterType, WatchOptions, WatchStream};
use tokio::time::Instant;

use crate::lock::backend::Entry;
use crate::lock::queue::Verdict;

use super::link::{TIMEOUT, Used};
use super::snapshot::Blockers;
use super::store::Store;
use super::table::Stage;
use super::trouble::Trouble;
use super::wish::Wish;

/// What a watch said.
enum Told {
    /// Something ended.
    Ended,
    /// It cannot tell what happened since the last look.
    TooLate,
}

impl Store {
    pub(super) async fn changed(&self, entry: &Entry) -> Result<(), Trouble> {
        // Created before the look: what this process does from here on is heard.
        let listener = self.table.bells.listen(entry.holder());
        let rung = listener.rung();
        tokio::select! {
            () = rung => Ok(()),
            ended = self.blockers_end(entry) => ended,
        }
    }

    /// Returns when an entry is no waiter, or something ended that blocks it.
    async fn blockers_end(&self, entry: &Entry) -> Result<(), Trouble> {
        let Some((wish, Stage::Waiting { blockers, .. })) = self.table.peek(entry) else {
            // No entry, a holder, or nobody knows: a claim tells.
            return Ok(());
        };
        let blockers = match blockers {
            Some(blockers) => blockers,
            None => match self.look_for_blockers(&wish).await? {
                Some(blockers) => blockers,
                None => return Ok(()),
            },
        };
        match self.watch(&blockers).await? {
            Told::Ended => Ok(()),
            Told::TooLate => match self.look_for_blockers(&wish).await? {
                // From now on; should that be too late too, the caller looks again.
                Some(blockers) => self.watch(&blockers).await.map(drop),
                None => Ok(()),
            },
        }
    }

    /// What blocks a waiter now, if it has to wait.
    async fn look_for_blockers(&self, wish: &Wish) -> Result<Option<Arc<Blockers>>, Trouble> {
        let until = Instant::now() + TIMEOUT;
        let answer = self.take(wish.read(), until).await?;
        let snapshot = answer.snapshot(&wish.keys)?;
        let Some(waiting) = snapshot.of(wish.holder).filter(|own| !own.is_holder()) else {
            return Ok(None);
        };
        let waiter = waiting.waiter();
        if snapshot.judge(&waiter, true) != Verdict::Wait {
            return Ok(None);
        }
        Ok(Some(Arc::new(snapshot.blockers(&wish.keys, &waiter))))
    }

    /// Watches until one of these ends. The watch ends with its stream, which this future owns.
    async fn watch(&self, blockers: &Blockers) -> Result<Told, Trouble> {
        let until = Instant::now() + TIMEOUT;
        let used = self.link.used(until).await?;
        let (key, end) = &blockers.watched;
        let options = WatchOptions::new()
            .with_start_revision(blockers.from)
            .with_filters([WatchFilterType::NoPut]);
        let options = match end {
            Some(end) => options.with_range(end.as_str()),
            None => options,
        };
        let mut client = used.watch();
        let begun = client.watch(key.as_str(), Some(options));
        let mut stream = self.link.ask(&used, until, begun).await?;
        self.listen(&used, &mut stream).await
    }

    async fn listen(&self, used: &Used, stream: &mut WatchStream) -> Result<Told, Trouble> {
        loop {
            let told = match stream.message().await {
                Ok(Some(told)) => told,
                Ok(None) => return Err(Trouble::no_answer()),
                Err(error) => {
                    let trouble = Trouble::of(&error);
                    if trouble.is_of_the_way() {
                        self.link.failed(used);
                    }
                    return Err(trouble);
                }
            };
            if told.compact_revision() > 0 {
                return Ok(Told::TooLate);
            }
            if told.canceled() {
                // Also how a server says that it does not know any more who we are. The next
                // client tells it anew.
                self.link.failed(used);
                return Err(Trouble::unavailable(told.cancel_reason()));
            }
            if !told.events().is_empty() {
                return Ok(Told::Ended);
            }
        }
    }
}
