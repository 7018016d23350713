//! The reference store, and how each fault breaks it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use tokio::time::Instant;
use tripod::lock::{
    BackendError, BackendErrorKind, Claimed, Enqueued, Entry, FencingToken, Grant, HolderId,
    LockName, Request, Verb, Verdict,
};

use super::fault::Fault;
use super::lock::{Lock, Row};

/// A store with a fault: what all its clients share.
#[derive(Debug)]
pub(super) struct Store {
    fault: Fault,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    locks: BTreeMap<String, Lock>,
    sessions: u64,
    left: BTreeSet<HolderId>,
}

impl Store {
    pub(super) fn new(fault: Fault) -> Self {
        let state = Mutex::default();
        Self { fault, state }
    }

    pub(super) fn fault(&self) -> Fault {
        self.fault
    }

    /// The number of a new session.
    pub(super) fn session(&self) -> u64 {
        let mut state = self.state.lock();
        state.sessions += 1;
        state.sessions
    }

    /// What the end of a session does wrong.
    pub(super) fn sever(&self, session: u64) {
        for lock in self.locks().values_mut() {
            let ours = |row: &Row| row.session == session;
            if self.is(Fault::SessionEndsOthers) && lock.rows.iter().any(ours) {
                lock.rows.clear();
            }
            for row in &mut lock.rows {
                if self.is(Fault::SessionImmortal) && ours(row) {
                    row.until = None;
                }
            }
        }
    }

    pub(super) fn locks(&self) -> MappedMutexGuard<'_, BTreeMap<String, Lock>> {
        MutexGuard::map(self.state.lock(), |state| &mut state.locks)
    }

    pub(super) fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn key(&self, name: &LockName) -> String {
        let name = name.as_str();
        match self.fault {
            Fault::NameFoldsCase => name.to_lowercase(),
            Fault::NameTrimmed => name.trim_end().to_owned(),
            Fault::NameCut => name.chars().take(191).collect(),
            Fault::NameDecoded => name.replace("%2F", "/").replace("%2f", "/"),
            Fault::NameIsPath => name.replace("//", "/"),
            Fault::NameNormalised => name.replace("e\u{301}", "\u{e9}"),
            _ => name.to_owned(),
        }
    }

    /// Takes a step on a lock, after which its waiters are told, if `tells`.
    pub(super) fn step<R>(
        &self,
        name: &LockName,
        tells: bool,
        step: impl FnOnce(&mut Lock, Instant) -> R,
    ) -> R {
        let now = Instant::now();
        let key = self.key(name);
        let mut state = self.state.lock();
        let lock = state.locks.entry(key);
        let lock = lock.or_insert_with(|| Lock::new(self.fault));
        if !self.is(Fault::ExpiryByEnqueueOnly) {
            lock.expire(now);
        }
        let answer = step(lock, now);
        lock.note(now);
        if tells {
            self.tell(lock);
        }
        answer
    }

    /// Tells the waiters that may hold now.
    fn tell(&self, lock: &Lock) {
        let waiting = lock.rows.iter().filter(|row| row.pass.is_none());
        for row in waiting.filter(|row| lock.judge(row, true) != Verdict::Wait) {
            if self.is(Fault::OneCallerTold) {
                row.told.notify_one();
            } else {
                row.told.notify_waiters();
            }
            if self.is(Fault::OnlyHeadTold) {
                return;
            }
        }
    }

    pub(super) fn enqueue(
        &self,
        request: &Request,
        session: u64,
    ) -> Result<Enqueued, BackendError> {
        let id = request.entry().holder();
        let late = self.is(Fault::LeaveMissesLateEnqueue) && self.state.lock().left.contains(&id);
        let blocked = self.is(Fault::NameBlockedByPrefix) && self.has_below(request.entry().name());
        let name = request.entry().name();
        self.step(name, false, |lock, now| {
            lock.expire(now);
            if let Some(again) = self.enqueue_again(lock, request, now) {
                return again;
            }
            let mut row = lock.arrive(request, session, now);
            if late {
                row.until = None;
            }
            let verdict = match lock.judge(&row, request.waits()) {
                Verdict::Wait if lock.displace(&row) => Verdict::Admit,
                Verdict::Admit if blocked => Verdict::Wait,
                verdict => verdict,
            };
            Ok(match verdict {
                Verdict::Admit if self.is(Fault::HolderForgotten) => {
                    let grant = lock.hold(row, now);
                    lock.rows.pop();
                    Enqueued::Granted(grant)
                }
                Verdict::Admit => Enqueued::Granted(lock.hold(row, now)),
                Verdict::Foreign(family) => {
                    if self.is(Fault::ForeignWaits) {
                        let _ = lock.enter(row, now);
                    }
                    Enqueued::Foreign(family)
                }
                Verdict::Wait if request.waits() => lock.enter(row, now),
                Verdict::Wait => {
                    if self.is(Fault::NoWaitWaits) {
                        let _ = lock.enter(row, now);
                    }
                    Enqueued::Held
                }
            })
        })
    }

    fn has_below(&self, name: &LockName) -> bool {
        let below = format!("{name}/");
        let state = self.state.lock();
        let mut locks = state.locks.iter();
        locks.any(|(other, lock)| other.starts_with(&below) && !lock.rows.is_empty())
    }

    /// The answer for an id that has an entry.
    fn enqueue_again(
        &self,
        lock: &mut Lock,
        request: &Request,
        now: Instant,
    ) -> Option<Result<Enqueued, BackendError>> {
        let at = lock.at(request.entry().holder())?;
        let row = lock.rows[at].clone();
        if row.mode != request.mode() {
            if matches!(self.fault, Fault::OtherModeReplaces | Fault::OtherModeEnds) {
                lock.rows.remove(at);
            }
            let refused = BackendError::new(BackendErrorKind::Rejected, Verb::Enqueue);
            return (!self.is(Fault::OtherModeReplaces)).then_some(Err(refused));
        }
        match self.fault {
            Fault::RepeatEntersTwice if row.pass.is_none() => return None,
            Fault::RepeatLosesItsPlace if row.pass.is_none() => {
                lock.rows.remove(at);
                return None;
            }
            Fault::RepeatOnlyWaits if row.pass.is_none() => {
                return Some(Ok(Enqueued::Waiting(lock.standing(&row, now))));
            }
            Fault::RepeatProlongsNothing => {
                let lease = lock.lease(&row, now);
                return Some(Ok(match row.pass {
                    Some(pass) => Enqueued::Granted(Grant::new(pass, lease)),
                    None => Enqueued::Waiting(lock.standing(&row, now)),
                }));
            }
            _ => {}
        }
        Some(Ok(match lock.claim(request.entry().holder(), now) {
            Claimed::Granted(grant) => Enqueued::Granted(grant),
            Claimed::Waiting(standing) => Enqueued::Waiting(standing),
            Claimed::Foreign(family) => Enqueued::Foreign(family),
            Claimed::Gone => Enqueued::Held,
        }))
    }

    pub(super) fn changed(&self, entry: &Entry) -> Heard {
        self.step(entry.name(), false, |lock, now| {
            let Some(at) = lock.at(entry.holder()) else {
                return match self.fault {
                    Fault::GoneListensForever => Heard::Never,
                    _ => Heard::Now,
                };
            };
            let mut row = lock.rows[at].clone();
            if self.is(Fault::ChangedProlongs) {
                lock.begin(&mut row, now);
                lock.rows[at].until = row.until;
            }
            match (self.fault, row.pass) {
                (Fault::HolderListensForever, Some(_)) => Heard::Never,
                (Fault::ChangedSpins, _) | (_, Some(_)) => Heard::Now,
                (Fault::PastNotTold, None) => Heard::Later(row.told),
                _ => match lock.judge(&row, true) {
                    Verdict::Wait => Heard::Later(row.told),
                    Verdict::Admit | Verdict::Foreign(_) => Heard::Now,
                },
            }
        })
    }

    /// Ends the rows of which `ends` says so, and answers whether there were any.
    fn end(&self, name: &LockName, untold: Fault, ends: impl Fn(&Row) -> bool) -> bool {
        self.step(name, !self.is(untold), |lock, now| {
            let before = lock.rows.len();
            lock.rows.retain(|row| {
                let ended = ends(row);
                if ended && !self.is(Fault::LeaverNotTold) {
                    row.told.notify_waiters();
                }
                !ended
            });
            let ended = lock.rows.len() < before;
            if ended && self.is(Fault::ReleaseGrants) {
                let waiting = lock.rows.iter().filter(|row| row.pass.is_none());
                let next = waiting.min_by_key(|row| row.arrival).map(|row| row.holder);
                next.map(|next| lock.claim(next, now));
            }
            ended
        })
    }

    pub(super) fn release(&self, entry: &Entry) -> bool {
        let fault = self.fault;
        let ended = self.end(entry.name(), Fault::ReleaseTellsNobody, |row| {
            let own = row.holder == entry.holder();
            match fault {
                Fault::ReleaseIgnoresHolder | Fault::ReleaseEndsAll => row.pass.is_some(),
                Fault::ReleaseEndsWaiter => own,
                _ => own && row.pass.is_some(),
            }
        });
        ended || self.is(Fault::ReleaseAlwaysTrue)
    }

    pub(super) fn leave(&self, entry: &Entry) {
        self.state.lock().left.insert(entry.holder());
        let fault = self.fault;
        self.end(entry.name(), Fault::LeaveTellsNobody, |row| {
            let spared = match row.pass {
                Some(_) => fault == Fault::LeaveSparesHolders,
                None => fault == Fault::LeaveSparesWaiters,
            };
            row.holder == entry.holder() && !spared
        });
    }

    pub(super) fn force_release(&self, name: &LockName, token: FencingToken) -> bool {
        let fault = self.fault;
        let names = match fault {
            Fault::ForceIgnoresName => {
                let names = self.state.lock().locks.keys().cloned().collect::<Vec<_>>();
                names
                    .into_iter()
                    .map(|name| LockName::new(name).unwrap())
                    .collect()
            }
            _ => vec![name.clone()],
        };
        let ends = |row: &Row| {
            row.pass.is_some_and(|pass| match fault {
                Fault::ForceIgnoresToken => true,
                Fault::ForceTakesOlderToken => token <= pass.token(),
                _ => token == pass.token(),
            })
        };
        let ended = names
            .iter()
            .map(|name| self.end(name, Fault::ForceTellsNobody, ends));
        ended.fold(false, |any, ended| any | ended)
    }
}

/// When a caller of `changed` hears.
pub(super) enum Heard {
    Now,
    Later(Arc<tokio::sync::Notify>),
    Never,
}
