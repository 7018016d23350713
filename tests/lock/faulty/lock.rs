//! One lock of the reference store: a list of entries.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tripod::lock::{
    Claimed, Enqueued, Family, FencePass, FencingToken, Grant, Held, HolderId, Inspection, Lease,
    Metadata, Mode, Permits, Queued, Renewed, Request, Standing, TTL_MAX, Verdict, Waiter, judge,
};

use super::fault::Fault;

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) holder: HolderId,
    pub(super) session: u64,
    pub(super) mode: Mode,
    pub(super) priority: u8,
    pub(super) arrival: u64,
    /// Drawn on arrival, if that is the fault.
    early: Option<u64>,
    /// A holder has one.
    pub(super) pass: Option<FencePass>,
    pub(super) ttl: Duration,
    /// `None`: for ever.
    pub(super) until: Option<Instant>,
    pub(super) metadata: Metadata,
    pub(super) told: Arc<Notify>,
}

#[derive(Debug)]
pub(super) struct Lock {
    pub(super) fault: Fault,
    pub(super) rows: Vec<Row>,
    arrivals: u64,
    grants: u64,
    token: u64,
    /// For a fault: a counter for each of three modes.
    tokens: [u64; 3],
    used_as: Option<Family>,
    emptied: Option<Instant>,
    floor: Option<FencingToken>,
}

impl Lock {
    pub(super) fn new(fault: Fault) -> Self {
        Self {
            fault,
            rows: Vec::new(),
            arrivals: 0,
            grants: 0,
            token: 0,
            tokens: [0; 3],
            used_as: None,
            emptied: None,
            floor: None,
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    pub(super) fn expire(&mut self, now: Instant) {
        let spares_waiters = self.is(Fault::ExpirySparesWaiters);
        self.rows.retain(|row| {
            let spared = spares_waiters && row.pass.is_none();
            spared || row.until.is_none_or(|until| until > now)
        });
        let forgotten = self.emptied.is_some_and(|since| now > since);
        let forgotten = forgotten && self.is(Fault::TokenForgotten);
        if self.rows.is_empty() && (forgotten || self.is(Fault::TokenResets)) {
            self.token = 0;
        }
        self.note(now);
    }

    /// Notes since when nobody is there.
    pub(super) fn note(&mut self, now: Instant) {
        self.emptied = match self.emptied {
            _ if !self.rows.is_empty() => None,
            None => Some(now),
            since => since,
        };
    }

    pub(super) fn at(&self, holder: HolderId) -> Option<usize> {
        self.rows.iter().position(|row| row.holder == holder)
    }

    fn waiter(&self, row: &Row) -> Waiter {
        let priority = match self.fault {
            Fault::PriorityIgnored => 0,
            // The first digit decides.
            Fault::PriorityAsText => row.priority.to_string().as_bytes()[0],
            _ => row.priority,
        };
        let arrival = match self.fault {
            Fault::ArrivalReversed => u64::MAX - row.arrival,
            _ => row.arrival,
        };
        Waiter::new(row.holder, row.mode, priority, arrival)
    }

    pub(super) fn judge(&self, candidate: &Row, waits: bool) -> Verdict {
        let mode = |row: &Row| match (self.fault, row.mode) {
            (Fault::PermitsOverflow, Mode::Permits(p)) if p.n().get() > 1 << 31 => None,
            (Fault::PermitsNotCounted, Mode::Permits(_)) => None,
            (Fault::ExclusiveMissesLaterShared, Mode::Shared)
                if row.pass.map(FencePass::token) != self.floor =>
            {
                None
            }
            (Fault::ForeignAdmitted, mode) if mode.family() != candidate.mode.family() => None,
            (Fault::ForeignNumberAdmitted, mode) if differs(mode, candidate.mode) => None,
            (_, mode) => Some(mode),
        };
        let holds = |row: &&Row| row.pass.is_some();
        let holders = self.rows.iter().filter(holds).filter_map(mode);
        let ignored = match (self.fault, candidate.mode) {
            (Fault::SharedPassesWaiters, Mode::Shared)
            | (Fault::PermitsOvertake, Mode::Permits(_)) => waits,
            _ => false,
        };
        let passes = |row: &Row| {
            let foreign = row.mode.family() != candidate.mode.family();
            match self.fault {
                Fault::ForeignAdmitted | Fault::ForeignPassesWaiters => foreign,
                Fault::ForeignNumberAdmitted => differs(row.mode, candidate.mode),
                _ => false,
            }
        };
        let waiters = self.rows.iter().filter(|row| row.pass.is_none());
        let waiters = waiters.filter(|row| !ignored && !passes(row));
        let waiters = waiters.map(|row| self.waiter(row));
        let waits = waits || (self.is(Fault::NoWaitOvertakes) && candidate.priority > 0);
        let stuck = self
            .is(Fault::FamilyStuck)
            .then_some(self.used_as)
            .flatten();
        match stuck {
            Some(family) if family != candidate.mode.family() => Verdict::Foreign(family),
            _ => judge(&self.waiter(candidate), waits, holders, waiters),
        }
    }

    fn first(&self) -> Option<FencePass> {
        self.rows
            .iter()
            .filter_map(|row| row.pass)
            .min_by_key(|pass| pass.token())
    }

    /// Takes the lock away from holders of lower priority, if that is the fault.
    pub(super) fn displace(&mut self, candidate: &Row) -> bool {
        let lower = |row: &Row| row.pass.is_some() && row.priority < candidate.priority;
        let before = self.rows.len();
        if self.is(Fault::HolderDisplaced) {
            self.rows.retain(|row| !lower(row));
        }
        self.rows.len() < before
    }

    pub(super) fn draw(&mut self, mode: Mode) -> u64 {
        self.grants += 1;
        if self.is(Fault::TokenOfMode) {
            let [exclusive, shared, permits] = &mut self.tokens;
            let counter = match mode {
                Mode::Exclusive => exclusive,
                Mode::Shared => shared,
                Mode::Permits(_) => permits,
            };
            *counter += 1;
            return *counter;
        }
        let repeats = self.is(Fault::TokenRepeats) && self.grants.is_multiple_of(2);
        self.token += u64::from(!repeats);
        self.token
    }

    /// The row of a new request.
    pub(super) fn arrive(&mut self, request: &Request, session: u64, now: Instant) -> Row {
        self.arrivals += 1;
        let ttl = match self.fault {
            Fault::TtlCut => request.ttl().min(Duration::from_secs(2)),
            _ => request.ttl(),
        };
        let early = self
            .is(Fault::TokenOfArrival)
            .then(|| self.draw(request.mode()));
        let mut metadata = request.metadata().clone();
        if self.is(Fault::MetadataCut) {
            let short: String = metadata.as_str().chars().take(255).collect();
            metadata = Metadata::new(short).unwrap();
        }
        let mut row = Row {
            holder: request.entry().holder(),
            session,
            mode: request.mode(),
            priority: request.priority(),
            arrival: self.arrivals,
            early,
            pass: None,
            ttl,
            until: None,
            metadata,
            told: Arc::default(),
        };
        self.begin(&mut row, now);
        row
    }

    /// Begins the lease of a row anew.
    pub(super) fn begin(&self, row: &mut Row, now: Instant) {
        row.until = match self.fault {
            Fault::ExpiryNever => None,
            Fault::ExpiryEarly => Some(now + row.ttl * 3 / 4),
            Fault::ExpiryLate => Some(now + row.ttl * 3),
            _ => Some(now + row.ttl),
        };
    }

    pub(super) fn lease(&self, row: &Row, now: Instant) -> Lease {
        match self.fault {
            Fault::LeaseOverstated => Lease::new(now, row.ttl * 2),
            _ => Lease::new(now, row.ttl),
        }
    }

    /// Stores a row as a holder.
    pub(super) fn hold(&mut self, mut row: Row, now: Instant) -> Grant {
        let token = row.early.take().unwrap_or_else(|| self.draw(row.mode));
        let token = FencingToken::new(token);
        let held = self.rows.iter().filter_map(|row| row.pass);
        let lowest = held.clone().map(FencePass::token).chain([token]).min();
        let first = *self.floor.get_or_insert(token);
        let floor = match self.fault {
            Fault::FloorIsOwn => token,
            Fault::FloorOfThirdIsOwn if held.count() >= 2 => token,
            Fault::FloorStays => first,
            _ => lowest.unwrap_or(token),
        };
        let pass = FencePass::shared(token, floor).unwrap_or(FencePass::exclusive(token));
        row.pass = Some(pass);
        if self.is(Fault::MetadataLostOnGrant) {
            row.metadata = Metadata::default();
        }
        let grant = Grant::new(pass, self.lease(&row, now));
        self.used_as.get_or_insert(row.mode.family());
        self.rows.push(row);
        grant
    }

    pub(super) fn enter(&mut self, row: Row, now: Instant) -> Enqueued {
        let standing = self.standing(&row, now);
        if !self.is(Fault::WaiterForgotten) {
            self.rows.push(row);
        }
        Enqueued::Waiting(standing)
    }

    pub(super) fn standing(&self, row: &Row, now: Instant) -> Standing {
        let order = self.waiter(row).order();
        let before = |other: &&Row| match other.pass {
            Some(_) => true,
            None => !self.is(Fault::RecheckIgnoresWaiters) && self.waiter(other).order() < order,
        };
        let ends = self.rows.iter().filter(before).filter_map(|row| row.until);
        let recheck = match self.fault {
            Fault::RecheckTooSoon => Duration::ZERO,
            Fault::RecheckTooLate => TTL_MAX,
            _ => ends
                .min()
                .map_or(row.ttl, |end| end.saturating_duration_since(now)),
        };
        Standing::new(self.lease(row, now), recheck)
    }

    pub(super) fn claim(&mut self, holder: HolderId, now: Instant) -> Claimed {
        let Some(at) = self.at(holder) else {
            return Claimed::Gone;
        };
        let mut row = self.rows[at].clone();
        if !self.is(Fault::ClaimProlongsNothing) {
            self.begin(&mut row, now);
            self.rows[at].until = row.until;
        }
        if let Some(mut pass) = row.pass {
            if self.is(Fault::TokenRedrawn) {
                pass = FencePass::exclusive(FencingToken::new(self.draw(row.mode)));
                self.rows[at].pass = Some(pass);
            }
            return Claimed::Granted(Grant::new(pass, self.lease(&row, now)));
        }
        match self.judge(&row, true) {
            Verdict::Wait | Verdict::Foreign(_) if !self.is(Fault::ClaimDoesNotJudge) => {
                Claimed::Waiting(self.standing(&row, now))
            }
            _ => {
                self.rows.remove(at);
                row.told.notify_waiters();
                Claimed::Granted(self.hold(row, now))
            }
        }
    }

    pub(super) fn renew(&mut self, holder: HolderId, now: Instant) -> Renewed {
        let Some(at) = self.at(holder) else {
            return Renewed::Gone;
        };
        let mut row = self.rows[at].clone();
        let waits = row.pass.is_none();
        if waits && self.is(Fault::RenewIgnoresWaiters) {
            return Renewed::Gone;
        }
        if !(waits && self.is(Fault::RenewProlongsHoldersOnly)) {
            self.begin(&mut row, now);
            self.rows[at].until = row.until;
        }
        Renewed::Alive(self.lease(&row, now))
    }

    pub(super) fn inspect(&self, now: Instant) -> Inspection {
        let remaining = |row: &Row| match (self.fault, row.until) {
            (Fault::RemainingOverstated, _) | (_, None) => TTL_MAX,
            (Fault::RemainingZero, _) => Duration::ZERO,
            (_, Some(until)) => until.saturating_duration_since(now),
        };
        let mode = |row: &Row| match self.fault {
            Fault::InspectForgetsModes => Mode::Exclusive,
            _ => row.mode,
        };
        let lowest = self.first();
        let held = self.rows.iter().filter_map(|row| {
            let mut pass = row.pass?;
            if let (Fault::FloorRises, Some(lowest)) = (self.fault, lowest) {
                pass = FencePass::shared(pass.token(), lowest.token()).unwrap();
            }
            let metadata = row.metadata.clone();
            Some(Held::new(
                row.holder,
                mode(row),
                pass,
                remaining(row),
                metadata,
            ))
        });
        let queued = self
            .rows
            .iter()
            .filter(|row| row.pass.is_none())
            .map(|row| {
                let priority = match self.fault {
                    Fault::InspectIgnoresPriority => 0,
                    _ => row.priority,
                };
                let waiter = Waiter::new(row.holder, mode(row), priority, row.arrival);
                Queued::new(waiter, remaining(row), row.metadata.clone())
            });
        Inspection::new(held.collect(), queued.collect())
    }
}

/// Permits of two numbers in all.
fn differs(one: Mode, other: Mode) -> bool {
    let of = |mode| match mode {
        Mode::Permits(permits) => Some(Permits::of(permits)),
        Mode::Exclusive | Mode::Shared => None,
    };
    matches!((of(one), of(other)), (Some(one), Some(other)) if one != other)
}
