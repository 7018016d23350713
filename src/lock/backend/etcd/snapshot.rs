//! A lock at one revision, as it was read.

use std::cmp::Reverse;
use std::time::Duration;

use etcd_client::{Compare, KeyValue, ResponseHeader, TxnOpResponse, TxnResponse};

use crate::lock::backend::{Held, Inspection, Metadata, Queued};
use crate::lock::fence::{FencePass, FencingToken};
use crate::lock::lease::TTL_MAX;
use crate::lock::name::HolderId;
use crate::lock::queue::{Mode, Verdict, Waiter, judge};

use super::keys::{LockKeys, is_of};
use super::trouble::Trouble;

/// Holders of permits that are compared one by one: with all else a transaction stays below the
/// 128 operations that servers allow.
const COMPARED_MAX: usize = 100;

pub(super) struct Snapshot {
    pub(super) revision: i64,
    entries: Vec<Seen>,
}

/// An entry.
pub(super) struct Seen {
    key: String,
    pub(super) holder: HolderId,
    pub(super) mode: Mode,
    /// Of a waiter; a holder has none.
    priority: Option<u8>,
    /// The revision that put it: a holder's token, a waiter's arrival.
    pub(super) revision: i64,
    pub(super) lease: i64,
    note: Note,
}

/// What an entry's value says: `<ttl>|<floor>|<metadata>`, the TTL in seconds, the floor 0 for the
/// holder's own token and for waiters.
#[derive(Clone)]
pub(super) struct Note {
    pub(super) ttl_secs: u64,
    pub(super) floor: i64,
    pub(super) metadata: Metadata,
}

/// Why a waiter waits.
#[derive(Debug)]
pub(super) struct Blockers {
    /// Keys, and the revisions that put them: the most important ones if there are many.
    keys: Vec<(String, i64)>,
    /// What to watch, and from which revision on.
    pub(super) watched: (String, Option<String>),
    pub(super) from: i64,
    /// When the first lease that stands in the way may be over.
    pub(super) recheck: Duration,
}

impl Note {
    pub(super) fn write(&self) -> String {
        let (ttl, floor) = (self.ttl_secs, self.floor);
        format!("{ttl}|{floor}|{}", self.metadata.as_str())
    }

    fn read(value: &[u8]) -> Option<Self> {
        let mut fields = std::str::from_utf8(value).ok()?.splitn(3, '|');
        let ttl_secs = fields.next()?.parse().ok()?;
        let floor = fields.next()?.parse().ok()?;
        let metadata = Metadata::new(fields.next()?).ok()?;
        let good = floor >= 0;
        good.then_some(Self {
            ttl_secs,
            floor,
            metadata,
        })
    }

    fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl_secs).min(TTL_MAX)
    }
}

impl Seen {
    pub(super) fn read(keys: &LockKeys, kv: &KeyValue) -> Result<Self, Trouble> {
        let place = keys.read(kv.key()).ok_or_else(Trouble::corrupt)?;
        let key = std::str::from_utf8(kv.key()).map_err(|_| Trouble::corrupt())?;
        Ok(Self {
            key: key.to_owned(),
            holder: place.holder,
            mode: place.mode,
            priority: place.priority,
            revision: kv.create_revision(),
            lease: kv.lease(),
            note: Note::read(kv.value()).ok_or_else(Trouble::corrupt)?,
        })
    }

    pub(super) fn is_holder(&self) -> bool {
        self.priority.is_none()
    }

    pub(super) fn pass(&self) -> Result<FencePass, Trouble> {
        pass(self.revision, self.note.floor)
    }

    pub(super) fn waiter(&self) -> Waiter {
        let arrival = u64::try_from(self.revision).unwrap_or_default();
        let priority = self.priority.unwrap_or_default();
        Waiter::new(self.holder, self.mode, priority, arrival)
    }

    fn is(&self) -> Compare {
        is_of(&self.key, self.revision)
    }
}

/// Token and floor of a grant at this revision; a floor of 0 is the token itself.
pub(super) fn pass(revision: i64, floor: i64) -> Result<FencePass, Trouble> {
    let number = |revision| u64::try_from(revision).map_err(|_| Trouble::corrupt());
    let token = FencingToken::new(number(revision)?);
    if floor == 0 {
        return Ok(FencePass::exclusive(token));
    }
    let floor = FencingToken::new(number(floor)?);
    FencePass::shared(token, floor).map_err(|_| Trouble::corrupt())
}

impl Snapshot {
    pub(super) fn read(keys: &LockKeys, revision: i64, kvs: &[KeyValue]) -> Result<Self, Trouble> {
        let entries = kvs.iter().map(|kv| Seen::read(keys, kv));
        Ok(Self {
            revision,
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn of(&self, holder: HolderId) -> Option<&Seen> {
        let mut entries = self.entries.iter();
        entries.find(|seen| seen.holder == holder)
    }

    fn holders(&self) -> impl Iterator<Item = &Seen> + Clone {
        self.entries.iter().filter(|seen| seen.is_holder())
    }

    fn waiters(&self) -> impl Iterator<Item = &Seen> + Clone {
        self.entries.iter().filter(|seen| !seen.is_holder())
    }

    pub(super) fn judge(&self, candidate: &Waiter, waits: bool) -> Verdict {
        let holders = self.holders().map(|seen| seen.mode);
        judge(candidate, waits, holders, self.waiters().map(Seen::waiter))
    }

    /// Some entry, and that it is there still.
    pub(super) fn any(&self) -> Option<Compare> {
        self.entries.first().map(Seen::is)
    }

    /// The holder with the lowest token.
    pub(super) fn lowest(&self) -> Option<&Seen> {
        self.holders().min_by_key(|seen| seen.revision)
    }

    /// The floor of one who is granted next, and what must hold then for it to be right.
    pub(super) fn floor(&self, keys: &LockKeys) -> (i64, Compare) {
        match self.lowest() {
            Some(lowest) => (lowest.revision, lowest.is()),
            None => (0, keys.holders().is_empty()),
        }
    }

    /// Why this candidate, who has to wait, has to.
    pub(super) fn blockers(&self, keys: &LockKeys, candidate: &Waiter) -> Blockers {
        let ahead = |seen: &&Seen| seen.waiter().order() < candidate.order();
        let blocks = |modes: &[Mode], waiter: Option<Waiter>| {
            judge(candidate, true, modes.iter().copied(), waiter) == Verdict::Wait
        };
        // Of those ahead, the last: whatever becomes of the others, it stands in the way.
        let ahead = self.waiters().filter(ahead);
        let in_line = ahead
            .clone()
            .filter(|seen| blocks(&[], Some(seen.waiter())));
        let in_line = in_line.max_by_key(|seen| seen.waiter().order());
        let standing: Vec<&Seen> = match in_line {
            Some(waiter) => vec![waiter],
            None => self.holders_that_suffice(|modes| blocks(modes, None)),
        };
        let watched = if let [one] = standing.as_slice() {
            (one.key.clone(), None)
        } else {
            let span = keys.holders();
            (span.from().to_owned(), Some(span.to().to_owned()))
        };
        let recheck = self.holders().chain(ahead).map(|seen| seen.note.ttl());
        let standing = standing.into_iter().take(COMPARED_MAX);
        Blockers {
            keys: standing
                .map(|seen| (seen.key.clone(), seen.revision))
                .collect(),
            watched,
            from: self.revision.saturating_add(1),
            recheck: recheck.min().unwrap_or_default(),
        }
    }

    /// Some of the holders that keep a candidate waiting, if possible one.
    fn holders_that_suffice(&self, block: impl Fn(&[Mode]) -> bool) -> Vec<&Seen> {
        let mut holders: Vec<&Seen> = self.holders().collect();
        holders.sort_by_key(|seen| {
            let permits = match seen.mode {
                Mode::Exclusive | Mode::Shared => 0,
                Mode::Permits(permits) => permits.n().get(),
            };
            Reverse((permits, seen.revision))
        });
        if let Some(one) = holders.iter().find(|seen| block(&[seen.mode])) {
            return vec![*one];
        }
        let modes: Vec<Mode> = holders.iter().map(|seen| seen.mode).collect();
        let enough = (1..=modes.len()).find(|n| modes.get(..*n).is_some_and(&block));
        holders.truncate(enough.unwrap_or(modes.len()));
        holders
    }

    /// What an operator sees. A lease was renewed at some time up to now.
    pub(super) fn inspection(&self) -> Result<Inspection, Trouble> {
        let holders = self.holders().map(|seen| {
            let (ttl, metadata) = (seen.note.ttl(), seen.note.metadata.clone());
            Ok(Held::new(
                seen.holder,
                seen.mode,
                seen.pass()?,
                ttl,
                metadata,
            ))
        });
        let holders = holders.collect::<Result<_, Trouble>>()?;
        let waiters = self.waiters().map(|seen| {
            let metadata = seen.note.metadata.clone();
            Queued::new(seen.waiter(), seen.note.ttl(), metadata)
        });
        Ok(Inspection::new(holders, waiters.collect()))
    }
}

impl Blockers {
    /// They are there still. It may be able to hold though, for they may not be all.
    pub(super) fn are_there(&self) -> impl Iterator<Item = Compare> {
        self.keys
            .iter()
            .map(|(key, revision)| is_of(key, *revision))
    }
}

/// What a transaction answered: whether its comparisons held, and what was read, in order.
pub(super) struct Answer {
    pub(super) revision: i64,
    held: bool,
    gets: Vec<Vec<KeyValue>>,
    pub(super) deleted: i64,
}

impl Answer {
    pub(super) fn read(response: &TxnResponse) -> Result<Self, Trouble> {
        let revision = response.header().map(ResponseHeader::revision);
        let revision = revision.filter(|revision| *revision > 0);
        let mut answer = Self {
            revision: revision.ok_or_else(Trouble::corrupt)?,
            held: response.succeeded(),
            gets: Vec::new(),
            deleted: 0,
        };
        for part in response.op_responses() {
            match part {
                TxnOpResponse::Get(mut get) => answer.gets.push(get.take_kvs()),
                TxnOpResponse::Delete(delete) => answer.deleted += delete.deleted(),
                TxnOpResponse::Txn(_) | TxnOpResponse::Put(_) => {}
            }
        }
        Ok(answer)
    }

    /// Whether the comparisons held.
    pub(super) fn held(&self) -> bool {
        self.held
    }

    pub(super) fn got(&self, at: usize) -> &[KeyValue] {
        self.gets.get(at).map_or(&[], Vec::as_slice)
    }

    pub(super) fn gets(&self) -> impl Iterator<Item = &[KeyValue]> {
        self.gets.iter().map(Vec::as_slice)
    }

    /// The lock that was read first.
    pub(super) fn snapshot(&self, keys: &LockKeys) -> Result<Snapshot, Trouble> {
        Snapshot::read(keys, self.revision, self.got(0))
    }
}
