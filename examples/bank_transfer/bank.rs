//! A bank whose accounts are in one file: a participant written by hand, in an afternoon.
//!
//! The file is a journal: a line for each thing that has to outlive the process, on disk before it
//! is answered. `Ledger` decides what the answer is; reading the file is giving the same lines to it
//! again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tripod::BoxFuture;
use tripod::transaction::log::Persistence;
use tripod::transaction::participant::{
    Enlist, Ledger, Opening, Participant, ParticipantError, ParticipantOpenError, Reply, Report,
    Request, Row, Vote,
};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, ParticipantName};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A handle of a bank; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Bank {
    name: ParticipantName,
    books: Arc<Mutex<Books>>,
}

/// What a branch asks for: what is put on an account, or taken off it.
pub(crate) struct Order {
    bank: Bank,
    branch: BranchId,
}

#[derive(Debug)]
struct Books {
    journal: File,
    ledger: Ledger,
    accounts: BTreeMap<String, i64>,
    /// What branches that are not over will change.
    orders: BTreeMap<BranchId, Vec<(String, i64)>>,
}

impl Bank {
    /// Opens the bank that this file keeps, or a new one with these accounts.
    pub(crate) fn open(name: &str, file: &Path, accounts: &[(&str, i64)]) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        let options = options.create(true).read(true).append(true);
        let mut books = Books {
            journal: options.open(file)?,
            ledger: Ledger::default(),
            accounts: accounts
                .iter()
                .map(|(who, money)| ((*who).into(), *money))
                .collect(),
            orders: BTreeMap::new(),
        };
        books.replay()?;
        Ok(Self {
            name: ParticipantName::new(name)?,
            books: Arc::new(Mutex::new(books)),
        })
    }

    /// All the money that is committed.
    pub(crate) fn total(&self) -> i64 {
        self.with(|books| books.accounts.values().sum())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Books) -> T) -> T {
        look(&mut self.books.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask(&self, branch: BranchId, request: Request) -> Result<Reply, ParticipantError> {
        let answer = self.with(|books| books.answer(branch, request));
        answer.map_err(ParticipantError::unknown)
    }

    fn report(&self, branch: BranchId, request: Request) -> Result<Report, ParticipantError> {
        match self.ask(branch, request)? {
            Reply::Report(report) => Ok(report),
            Reply::Vote(_) => Ok(Report::Unknown),
        }
    }
}

impl Order {
    /// Puts so much on this account; takes it off, if it is below zero.
    pub(crate) fn add(&self, account: &str, money: i64) {
        self.bank.with(|books| {
            if let Some(order) = books.orders.get_mut(&self.branch) {
                order.push((account.into(), money));
            }
        });
    }
}

impl Books {
    /// Does what a coordinator asks for, and keeps it before it is said.
    fn answer(&mut self, branch: BranchId, request: Request) -> io::Result<Reply> {
        let works = matches!(self.ledger.row(branch), Some(Row::Working { .. }));
        if request == Request::Prepare && works && !self.covers(branch) {
            self.keep(&format!("abort {branch}"))?;
            return Ok(Reply::Vote(Vote::No(
                "the account does not cover it".into(),
            )));
        }
        let verb = match request {
            Request::Prepare => "prepare",
            Request::CommitOnePhase => "commit-one-phase",
            Request::Commit => "commit",
            Request::Abort => "abort",
            Request::Settle => "settle",
        };
        let mut line = format!("{verb} {branch}");
        if works {
            for (account, money) in self.orders.get(&branch).into_iter().flatten() {
                let _ = write!(line, " {account}={money}");
            }
        }
        self.keep(&line)?
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Whether the accounts stand this branch and all that are prepared beside it.
    fn covers(&self, branch: BranchId) -> bool {
        let prepared = |id: &BranchId| self.ledger.row(*id) == Some(Row::Prepared) || *id == branch;
        let mut accounts = self.accounts.clone();
        for (_, order) in self.orders.iter().filter(|(id, _)| prepared(id)) {
            for (account, money) in order {
                *accounts.entry(account.clone()).or_default() += money;
            }
        }
        accounts.values().all(|money| *money >= 0)
    }

    /// Writes a line, makes it durable, and then takes it to heart.
    fn keep(&mut self, line: &str) -> io::Result<Option<Reply>> {
        self.journal.write_all(format!("{line}\n").as_bytes())?;
        self.journal.sync_data()?;
        Ok(self.take(line))
    }

    /// What a line says; while running, and when the journal is read again.
    fn take(&mut self, line: &str) -> Option<Reply> {
        let mut words = line.split(' ');
        let verb = words.next()?;
        let number = |word: &str| u64::from_str_radix(word, 16).ok();
        let long = |word: &str| u128::from_str_radix(word, 16).ok();
        if verb == "open" || verb == "forget" {
            let coordinator = CoordinatorId::from_u128(long(words.next()?)?);
            let epoch = Epoch::new(number(words.next()?)?)?;
            if verb == "open" {
                let _ = self.ledger.open(coordinator, epoch, long(words.next()?)?);
            } else {
                self.ledger
                    .forget(coordinator, (epoch, number(words.next()?)?));
            }
            return None;
        }
        let branch = words.next()?.parse().ok()?;
        let request = match verb {
            "prepare" => Request::Prepare,
            "commit-one-phase" => Request::CommitOnePhase,
            "commit" => Request::Commit,
            "abort" => Request::Abort,
            "settle" => Request::Settle,
            _ => return None,
        };
        if matches!(request, Request::Prepare | Request::CommitOnePhase) {
            let order = words.filter_map(|word| word.split_once('='));
            let order = order.filter_map(|(who, money)| Some((who.into(), money.parse().ok()?)));
            let order: Vec<(String, i64)> = order.collect();
            if !order.is_empty() && self.ledger.work(branch, false).is_ok() {
                self.orders.insert(branch, order);
            }
        }
        let reply = self.ledger.answer(branch, request);
        if self.ledger.row(branch) == Some(Row::Committed) {
            for (account, money) in self.orders.remove(&branch).unwrap_or_default() {
                *self.accounts.entry(account).or_default() += money;
            }
        } else if self.ledger.row(branch) != Some(Row::Prepared) {
            self.orders.remove(&branch);
        }
        Some(reply)
    }

    /// Reads the journal. A last line without an end was never answered, and is cut off.
    fn replay(&mut self) -> io::Result<()> {
        let mut text = String::new();
        self.journal.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        for line in text.get(..whole).unwrap_or_default().lines() {
            self.take(line);
        }
        self.journal
            .set_len(u64::try_from(whole).unwrap_or_default())?;
        self.journal.seek(SeekFrom::End(0))?;
        Ok(())
    }
}

impl Participant for Bank {
    fn name(&self) -> &ParticipantName {
        &self.name
    }

    fn persistence(&self) -> Persistence {
        Persistence::Storage
    }

    fn lists(&self) -> bool {
        true
    }

    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<(), ParticipantOpenError>> {
        let (coordinator, epoch, nonce) = (opening.coordinator(), opening.epoch(), opening.nonce());
        Box::pin(async move {
            self.with(|books| {
                books.ledger.clone().open(coordinator, epoch, nonce)?;
                let line = format!("open {coordinator} {:x} {nonce:x}", epoch.as_u64());
                let kept = books.keep(&line);
                kept.map_err(|error| ParticipantOpenError::Unknown(error.into()))?;
                Ok(())
            })
        })
    }

    fn prepare(&self, branch: BranchId) -> BoxFuture<'_, Result<Vote, ParticipantError>> {
        Box::pin(async move {
            match self.ask(branch, Request::Prepare)? {
                Reply::Vote(vote) => Ok(vote),
                Reply::Report(_) => Ok(Vote::Unknown),
            }
        })
    }

    fn commit_one_phase(&self, id: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(async move { self.report(id, Request::CommitOnePhase) })
    }

    fn commit(&self, id: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(async move {
            crate::die_at("commit");
            self.report(id, Request::Commit)
        })
    }

    fn abort(&self, id: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(async move { self.report(id, Request::Abort) })
    }

    fn settle(&self, id: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(async move { self.report(id, Request::Settle) })
    }

    fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> BoxFuture<'_, Result<Vec<BranchId>, ParticipantError>> {
        Box::pin(async move { Ok(self.with(|books| books.ledger.in_doubt(coordinator, before))) })
    }

    fn forget(
        &self,
        coordinator: CoordinatorId,
        (epoch, sequence): (Epoch, u64),
    ) -> BoxFuture<'_, Result<(), ParticipantError>> {
        let line = format!("forget {coordinator} {:x} {sequence:x}", epoch.as_u64());
        Box::pin(async move {
            let kept = self.with(|books| books.keep(&line));
            kept.map_err(ParticipantError::unknown)?;
            Ok(())
        })
    }
}

impl Enlist for Bank {
    type Branch = Order;

    fn work(&self, branch: BranchId) -> BoxFuture<'_, Result<Order, ParticipantError>> {
        Box::pin(async move {
            let begun = self.with(|books| {
                books.ledger.work(branch, false)?;
                books.orders.insert(branch, Vec::new());
                Ok::<_, tripod::transaction::participant::Settled>(())
            });
            begun.map_err(ParticipantError::refused)?;
            let bank = self.clone();
            Ok(Order { bank, branch })
        })
    }
}
