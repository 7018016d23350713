//! What this process has in the store: an entry for each id that it entered or may have entered.
//!
//! An id that is not here has nothing in the store, and nothing need be asked of it. An entry goes
//! when the store has confirmed that it is gone; one that nobody names any more is removed by the
//! task of its lease.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::lock::backend::bells::Bells;
use crate::lock::backend::{Entry, Request};
use crate::lock::name::HolderId;

use super::keys::Prefix;
use super::lease::Lease;
use super::snapshot::Blockers;
use super::trouble::Trouble;
use super::wish::Wish;

#[derive(Debug, Default)]
pub(super) struct Table {
    known: Mutex<HashMap<HolderId, Known>>,
    pub(super) bells: Bells,
}

#[derive(Debug)]
struct Known {
    wish: Arc<Wish>,
    lease: Option<Arc<Lease>>,
    stage: Stage,
    /// Counts what was learned of it: an answer to a question of an earlier turn is of the past.
    turn: u64,
    /// Requests to enter whose answer is not known, nor may ever be.
    unanswered: u32,
    /// Calls under way that name it.
    calls: u32,
    /// When it was last named.
    named: Instant,
}

/// What is known to be in the store.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Nothing, unless a request is unanswered.
    Unknown,
    Waiting {
        arrival: i64,
        /// Why it waited when it was last looked at.
        blockers: Option<Arc<Blockers>>,
    },
    Holding,
    /// Being removed: nobody may count on it any more.
    Leaving,
    /// Removed, and kept from entering again by a key of its own if `barred`.
    Left {
        barred: bool,
    },
}

/// A call that names an entry: it is not forgotten meanwhile.
pub(super) struct Naming<'a> {
    table: &'a Table,
    pub(super) wish: Arc<Wish>,
    /// Whether its time begins anew.
    prolongs: bool,
}

/// What the task of a lease has to do.
#[derive(Default)]
pub(super) struct Due {
    /// Entries to remove.
    pub(super) entries: Vec<Arc<Wish>>,
    /// Bars that have served their time.
    pub(super) bars: Vec<Arc<Wish>>,
    /// Whether nobody used the lease for so long that it was given up just now.
    pub(super) over: bool,
}

/// How long a lease that nobody uses is kept for the next to come: that spares a request, and
/// costs one in every quarter of its TTL.
const KEPT_UNUSED: Duration = Duration::from_secs(60);

impl Table {
    /// Names the entry of a request, a new one if there is none.
    pub(super) fn enter(&self, prefix: &Prefix, request: &Request) -> Result<Naming<'_>, Trouble> {
        let holder = request.entry().holder();
        let mut known = self.known.lock();
        let entry = known.entry(holder).or_insert_with(|| Known {
            wish: Arc::new(Wish::new(prefix, request)),
            lease: None,
            stage: Stage::Unknown,
            turn: 0,
            unanswered: 0,
            calls: 0,
            named: Instant::now(),
        });
        if entry.wish.name != *request.entry().name() || entry.wish.mode != request.mode() {
            return Err(Trouble::rejected("the id has an entry in another mode"));
        }
        if matches!(entry.stage, Stage::Leaving | Stage::Left { .. }) {
            return Err(Trouble::outlived());
        }
        Ok(entry.name(self, true))
    }

    /// Names an entry, if it is not about to be removed.
    pub(super) fn name(&self, entry: &Entry) -> Option<Naming<'_>> {
        let mut known = self.known.lock();
        let found = known.get_mut(&entry.holder())?;
        let gone = matches!(found.stage, Stage::Leaving | Stage::Left { .. });
        let ours = found.wish.name == *entry.name();
        (ours && !gone).then(|| found.name(self, true))
    }

    /// Names an entry that is to end, whatever has become of it.
    pub(super) fn name_to_end(&self, entry: &Entry) -> Option<Naming<'_>> {
        let mut known = self.known.lock();
        let found = known.get_mut(&entry.holder())?;
        (found.wish.name == *entry.name()).then(|| found.name(self, false))
    }

    /// What is known of an entry, without naming it.
    pub(super) fn peek(&self, entry: &Entry) -> Option<(Arc<Wish>, Stage)> {
        let known = self.known.lock();
        let found = known.get(&entry.holder())?;
        let ours = found.wish.name == *entry.name();
        ours.then(|| (Arc::clone(&found.wish), found.stage.clone()))
    }

    pub(super) fn knows(&self, holder: HolderId) -> bool {
        self.known.lock().contains_key(&holder)
    }

    /// What there is to remove of what stands under a lease: what nobody named for its TTL. A lease
    /// that nothing stood under for long is given up in the same step.
    pub(super) fn due(&self, lease: &Lease, now: Instant) -> Due {
        let mut due = Due::default();
        let mut known = self.known.lock();
        for found in known.values_mut().filter(|found| found.is_under(lease)) {
            lease.use_now();
            // Calls under way do not prolong it: they may have been left lying.
            let over = now >= found.named + lease.ttl();
            match found.stage {
                Stage::Left { barred: false } => {}
                _ if !over => {}
                Stage::Left { .. } => due.bars.push(Arc::clone(&found.wish)),
                Stage::Unknown | Stage::Waiting { .. } | Stage::Holding | Stage::Leaving => {
                    found.stage = Stage::Leaving;
                    if found.unanswered > 0 {
                        lease.suspect();
                    }
                    due.entries.push(Arc::clone(&found.wish));
                }
            }
        }
        due.over = now >= lease.unused_since() + KEPT_UNUSED;
        if due.over {
            // Nothing can be put under it any more.
            lease.lose();
        }
        due
    }

    /// Forgets entries that the store has nothing of.
    pub(super) fn forget(&self, wishes: &[Arc<Wish>]) {
        let mut known = self.known.lock();
        for wish in wishes {
            match known.get_mut(&wish.holder) {
                // The last call under way forgets it.
                Some(found) if found.calls > 0 => found.stage = Stage::Left { barred: false },
                _ => drop(known.remove(&wish.holder)),
            }
            self.bells.ring(wish.holder);
        }
        give_back(&mut known);
    }

    /// Forgets all that stood under a lease that is lost.
    pub(super) fn forget_all(&self, lease: &Lease) {
        let mut known = self.known.lock();
        known.retain(|holder, found| {
            if !found.is_under(lease) {
                return true;
            }
            self.bells.ring(*holder);
            // Calls that are under way find out by themselves.
            found.calls > 0
        });
        give_back(&mut known);
    }
}

/// Gives memory back when most of it is unused.
fn give_back(known: &mut HashMap<HolderId, Known>) {
    // Room for some is kept.
    let len = known.len().max(64);
    if known.capacity() > 8 * len {
        known.shrink_to(2 * len);
    }
}

impl Known {
    fn name<'a>(&mut self, table: &'a Table, prolongs: bool) -> Naming<'a> {
        self.calls += 1;
        if prolongs {
            self.named = Instant::now();
        }
        Naming {
            table,
            wish: Arc::clone(&self.wish),
            prolongs,
        }
    }

    fn is_under(&self, lease: &Lease) -> bool {
        self.lease
            .as_ref()
            .is_some_and(|own| own.id() == lease.id())
    }
}

impl Naming<'_> {
    fn with<R>(&self, with: impl FnOnce(&mut Known) -> R) -> Option<R> {
        self.table.known.lock().get_mut(&self.wish.holder).map(with)
    }

    pub(super) fn stage(&self) -> Stage {
        self.with(|known| known.stage.clone())
            .unwrap_or(Stage::Left { barred: false })
    }

    /// The lease that it stands under, unless that is lost.
    pub(super) fn lease(&self) -> Option<Arc<Lease>> {
        let lease = self.with(|known| known.lease.clone()).flatten();
        lease.filter(|lease| !lease.is_lost())
    }

    /// Puts it under another lease: what stood under the one before is gone with it.
    pub(super) fn put_under(&self, lease: &Arc<Lease>) -> Result<(), Trouble> {
        let put = self.with(|known| {
            // While the table is locked, nobody finds it unused.
            if lease.is_lost() {
                return Err(Trouble::lease_gone());
            }
            lease.use_now();
            known.turn += 1;
            known.lease = Some(Arc::clone(lease));
            if matches!(known.stage, Stage::Waiting { .. } | Stage::Holding) {
                known.stage = Stage::Unknown;
            }
            Ok(())
        });
        put.unwrap_or_else(|| Err(Trouble::outlived()))
    }

    /// Takes note that a request to enter goes out, unless the id has left.
    pub(super) fn goes_out(&self) -> Result<(), Trouble> {
        let goes = self.with(|known| {
            let goes = !matches!(known.stage, Stage::Leaving | Stage::Left { .. });
            known.unanswered += u32::from(goes);
            goes
        });
        if goes == Some(true) {
            return Ok(());
        }
        // Its time may have been over while the request was made ready: nobody did wrong.
        Err(Trouble::outlived())
    }

    /// Takes note that one was answered.
    pub(super) fn answered(&self) {
        self.with(|known| known.unanswered = known.unanswered.saturating_sub(1));
    }

    /// Whether a request to enter may take effect yet.
    pub(super) fn may_enter_yet(&self) -> bool {
        self.with(|known| known.unanswered > 0).unwrap_or_default()
    }

    /// Takes note of what is in the store; unless it is being removed, which an answer that came
    /// late finds: then nobody may count on it.
    pub(super) fn settle(&self, stage: Stage) -> Result<(), Trouble> {
        self.count_on(|known| {
            known.turn += 1;
            known.stage = stage;
        })
    }

    /// What was found is counted on for a TTL from now.
    pub(super) fn confirm(&self) -> Result<(), Trouble> {
        self.count_on(|_| ())
    }

    fn count_on(&self, with: impl FnOnce(&mut Known)) -> Result<(), Trouble> {
        let counted = self.with(|known| {
            let counts = !matches!(known.stage, Stage::Leaving | Stage::Left { .. });
            if counts {
                with(known);
                known.named = Instant::now();
            }
            counts
        });
        match counted {
            Some(true) => Ok(()),
            Some(false) | None => Err(Trouble::outlived()),
        }
    }

    /// What is learned from now on is of this turn.
    pub(super) fn turn(&self) -> u64 {
        self.with(|known| known.turn).unwrap_or_default()
    }

    /// Takes note that nothing was found, by who looked at this turn. What was learned since says
    /// more: it may have entered after that look.
    pub(super) fn gone(&self, turn: u64) {
        self.with(|known| {
            let leaves = matches!(known.stage, Stage::Leaving | Stage::Left { .. });
            if !leaves && known.turn == turn {
                known.stage = Stage::Unknown;
            }
        });
        self.table.bells.ring(self.wish.holder);
    }

    /// From now on nobody may count on it.
    pub(super) fn begin_to_leave(&self) {
        self.with(|known| {
            if !matches!(known.stage, Stage::Left { .. }) {
                known.stage = Stage::Leaving;
            }
        });
    }

    /// It is gone.
    pub(super) fn left(&self, barred: bool) {
        self.with(|known| {
            known.stage = Stage::Left { barred };
            // The bar is there for a TTL from now.
            known.named = Instant::now();
        });
        self.table.bells.ring(self.wish.holder);
    }

    /// Tells those of this process who listen for it.
    pub(super) fn ring(&self) {
        self.table.bells.ring(self.wish.holder);
    }
}

impl Drop for Naming<'_> {
    fn drop(&mut self) {
        let mut known = self.table.known.lock();
        let Some(found) = known.get_mut(&self.wish.holder) else {
            return;
        };
        found.calls = found.calls.saturating_sub(1);
        // What was answered is believed in from before now.
        if self.prolongs {
            found.named = Instant::now();
        }
        let nothing = match found.stage {
            Stage::Unknown => found.unanswered == 0,
            Stage::Left { barred } => !barred,
            Stage::Waiting { .. } | Stage::Holding | Stage::Leaving => false,
        };
        // Nothing was sent without a lease, and nothing outlives one.
        let lease = found.lease.as_ref();
        let nothing = nothing || lease.is_none_or(|lease| lease.is_lost());
        if nothing && found.calls == 0 {
            known.remove(&self.wish.holder);
            give_back(&mut known);
        }
    }
}

#[cfg(test)]
mod tests;
