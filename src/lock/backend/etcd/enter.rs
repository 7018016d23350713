//! Entering: granted at once, or into the queue.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::KeyValue;
use tokio::time::Instant;

use crate::lock::backend::{Claimed, Enqueued, Grant, Request, Standing};
use crate::lock::queue::Verdict;

use super::lease::Lease;
use super::link::TIMEOUT;
use super::snapshot::{Answer, Snapshot, pass};
use super::store::Store;
use super::table::{Naming, Stage};
use super::trouble::Trouble;

/// How often one who waits races others for a grant before it stands in line in the store's queue.
const RACES_MAX: usize = 4;

/// How often one who does not wait races, before it does so in turn with others of this process.
const RACES_ALONE: usize = 1;

/// How long one goes on racing. Each race that is lost is one that another won, so a crowd is let
/// in one by one; this is time for hundreds at a store that answers within tens of milliseconds.
/// One that does not answer is not waited for that long: each request has a limit of its own.
const RACING_MAX: Duration = Duration::from_secs(10);

/// How often a lease is sought anew that turns out to be gone.
const LEASES_MAX: usize = 3;

/// The lock as it was read, and whether the id has left.
struct Look {
    snapshot: Snapshot,
    left: bool,
}

impl Store {
    pub(super) async fn enqueue(self: &Arc<Self>, request: &Request) -> Result<Enqueued, Trouble> {
        let until = Instant::now() + TIMEOUT;
        let naming = self.table.enter(&self.prefix, request)?;
        if let Stage::Waiting { .. } | Stage::Holding = naming.stage()
            && let Some(enqueued) = self.queued(&naming, None, until).await?
        {
            return Ok(enqueued);
        }
        for _ in 0..LEASES_MAX {
            let lease = match self.lease_of(&naming, until).await {
                Err(trouble) if trouble.is_lease_gone() => continue,
                lease => lease?,
            };
            match self.enter(&naming, &lease, request.waits()).await {
                Err(trouble) if trouble.is_lease_gone() => self.retire(&lease),
                answer => return answer,
            }
        }
        Err(Trouble::lease_gone())
    }

    async fn enter(
        &self,
        naming: &Naming<'_>,
        lease: &Lease,
        waits: bool,
    ) -> Result<Enqueued, Trouble> {
        let (wish, terms) = (&naming.wish, lease.terms());
        let races_until = Instant::now() + RACING_MAX;
        let mut answer = self.take_to_enter(naming, wish.enqueue(terms)).await?;
        if answer.held() {
            return Ok(Enqueued::Granted(naming.granted(
                lease,
                answer.revision,
                0,
            )?));
        }
        let (mut tried, mut turn) = (0, None);
        // Each time, one of the others got on.
        while Instant::now() < races_until {
            let Look { snapshot, left } = look(naming, &answer)?;
            if left {
                return Err(Trouble::outlived());
            }
            if let Some(own) = snapshot.of(wish.holder) {
                if own.lease != lease.id() {
                    return Err(Trouble::unavailable(
                        "an entry of a lost lease is there still",
                    ));
                }
                return self.entered(naming, Some(snapshot)).await;
            }
            let candidate = wish.candidate();
            match snapshot.judge(&candidate, waits) {
                Verdict::Foreign(family) => return Ok(Enqueued::Foreign(family)),
                Verdict::Wait if !waits => return Ok(Enqueued::Held),
                Verdict::Wait => {
                    let blockers = snapshot.blockers(&wish.keys, &candidate);
                    let txn = wish.enter(terms, blockers.are_there());
                    answer = self.take_to_enter(naming, txn).await?;
                    if answer.held() {
                        return self.now_waits(naming, &answer).await;
                    }
                }
                // In the queue, one goes after another.
                Verdict::Admit if waits && tried >= RACES_MAX && snapshot.any().is_some() => {
                    let txn = wish.enter(terms, snapshot.any());
                    answer = self.take_to_enter(naming, txn).await?;
                    if answer.held() {
                        return self.now_waits(naming, &answer).await;
                    }
                }
                Verdict::Admit => {
                    let (floor, _) = snapshot.floor(&wish.keys);
                    let txn = wish.grant(terms, &snapshot);
                    answer = self.take_to_enter(naming, txn).await?;
                    if answer.held() {
                        let granted = naming.granted(lease, answer.revision, floor)?;
                        return Ok(Enqueued::Granted(granted));
                    }
                }
            }
            tried += 1;
            if tried == RACES_ALONE && !waits {
                turn = self.turn(wish, races_until).await;
            }
        }
        drop(turn);
        Err(Trouble::unavailable("others were faster, again and again"))
    }

    /// Just entered the queue.
    async fn now_waits(&self, naming: &Naming<'_>, answer: &Answer) -> Result<Enqueued, Trouble> {
        naming.settle(Stage::Waiting {
            arrival: answer.revision,
            blockers: None,
        })?;
        let snapshot = answer.snapshot(&naming.wish.keys);
        let snapshot = snapshot.map_err(Trouble::after_it_entered)?;
        self.entered(naming, Some(snapshot)).await
    }

    /// In the queue, or a holder already.
    async fn entered(
        &self,
        naming: &Naming<'_>,
        snapshot: Option<Snapshot>,
    ) -> Result<Enqueued, Trouble> {
        let until = Instant::now() + TIMEOUT;
        // It was there, and ended meanwhile: its lease did, or somebody else's command.
        let gone = || Trouble::unavailable("the entry is gone already");
        let enqueued = self.queued(naming, snapshot, until).await?;
        enqueued.ok_or_else(gone)
    }

    /// What became of an entry that was there when it was last looked at, if it is there yet.
    async fn queued(
        &self,
        naming: &Naming<'_>,
        snapshot: Option<Snapshot>,
        until: Instant,
    ) -> Result<Option<Enqueued>, Trouble> {
        let claimed = self.pursue(naming, snapshot, until).await;
        Ok(match claimed.map_err(Trouble::after_it_entered)? {
            Claimed::Granted(grant) => Some(Enqueued::Granted(grant)),
            Claimed::Waiting(standing) => Some(Enqueued::Waiting(standing)),
            Claimed::Foreign(family) => Some(Enqueued::Foreign(family)),
            Claimed::Gone => None,
        })
    }
}

fn look(naming: &Naming<'_>, answer: &Answer) -> Result<Look, Trouble> {
    let left: &[KeyValue] = answer.got(1);
    Ok(Look {
        snapshot: answer.snapshot(&naming.wish.keys)?,
        left: !left.is_empty(),
    })
}

impl Naming<'_> {
    /// A grant at this revision.
    pub(super) fn granted(
        &self,
        lease: &Lease,
        revision: i64,
        floor: i64,
    ) -> Result<Grant, Trouble> {
        self.settle(Stage::Holding)?;
        Ok(Grant::new(pass(revision, floor)?, lease.proved()?))
    }

    /// A place in the queue, for the reasons that were found when it was last looked at.
    pub(super) fn waits(&self, lease: &Lease) -> Result<Standing, Trouble> {
        let stage = self.stage();
        let recheck = if let Stage::Waiting {
            blockers: Some(blockers),
            ..
        } = stage
        {
            blockers.recheck
        } else {
            lease.ttl() / 8
        };
        Ok(Standing::new(lease.proved()?, recheck))
    }
}
