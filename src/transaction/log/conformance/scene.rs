//! What a case works with: a log of its own, and the processes that use it one after the other.

use std::sync::Arc;

use crate::conformance::{Failure, ensure};
use crate::transaction::id::{CoordinatorId, Epoch, TransactionId};
use crate::transaction::log::{
    AppendError, Durability, LiveRecord, Opened, Record, Reservation, Subject, SubjectKey,
    TransactionLog,
};

use super::Fixture;

pub(super) struct Scene<'a> {
    fixture: &'a dyn Fixture,
    name: String,
}

/// A process that has the log open.
pub(super) struct Process {
    pub(super) log: Arc<dyn TransactionLog>,
    pub(super) opened: Opened,
}

impl<'a> Scene<'a> {
    pub(super) fn new(fixture: &'a dyn Fixture, name: String) -> Self {
        Self { fixture, name }
    }

    /// Starts a process, after any before has died, and opens nothing.
    pub(super) async fn closed(&self) -> Result<Arc<dyn TransactionLog>, Failure> {
        Ok(self.fixture.start(&self.name).await?)
    }

    /// Starts a process, after any before has died, and opens the log.
    pub(super) async fn start(&self, hint: u64) -> Result<Process, Failure> {
        let log = self.closed().await?;
        let opened = log.open(hint).await?;
        Ok(Process { log, opened })
    }

    /// A process on a log that no other case has.
    pub(super) async fn other(&self) -> Result<Process, Failure> {
        let name = format!("{}-other", self.name);
        let log = self.fixture.start(&name).await?;
        let opened = log.open(0).await?;
        Ok(Process { log, opened })
    }

    /// The process dies, and the next finds this much alive: texts, in order.
    pub(super) async fn restart(&self, process: Process) -> Result<Process, Failure> {
        drop(process);
        self.start(0).await
    }
}

impl Process {
    pub(super) fn epoch(&self) -> Epoch {
        self.opened.epoch()
    }

    pub(super) async fn append(
        &self,
        records: Vec<Record>,
        durability: Durability,
    ) -> Result<(), AppendError> {
        let epoch = self.epoch();
        self.log.append(epoch, records, durability, None).await
    }

    pub(super) async fn forced(&self, records: Vec<Record>) -> Result<(), AppendError> {
        self.append(records, Durability::Forced).await
    }

    pub(super) async fn reserve(&self, bytes: u64) -> Result<Reservation, AppendError> {
        self.log.reserve(self.epoch(), bytes).await
    }

    /// What the opening gave back, as texts.
    pub(super) fn payloads(&self) -> Vec<String> {
        let live = self.opened.live().iter().map(LiveRecord::record);
        live.map(|record| String::from_utf8_lossy(record.payload()).into_owned())
            .collect()
    }

    #[track_caller]
    pub(super) fn holds(&self, expected: &[&str]) -> Result<(), Failure> {
        let payloads = self.payloads();
        ensure!(
            payloads == expected,
            "the log gave back {payloads:?} where it had to be {expected:?}"
        );
        Ok(())
    }
}

pub(super) fn saga(key: &str) -> Result<Subject, Failure> {
    Ok(Subject::Saga(SubjectKey::new(key)?))
}

pub(super) fn fact(key: &str) -> Result<Subject, Failure> {
    Ok(Subject::Fact(SubjectKey::new(key)?))
}

pub(super) fn transaction(coordinator: u128, epoch: Epoch, sequence: u64) -> Subject {
    let coordinator = CoordinatorId::from_u128(coordinator);
    Subject::Transaction(TransactionId::new(coordinator, epoch, sequence))
}

/// A record of the saga of this name, which says its text.
pub(super) fn says(key: &str, text: &str) -> Result<Record, Failure> {
    Ok(Record::new(saga(key)?, text)?)
}

pub(super) fn ends(key: &str) -> Result<Record, Failure> {
    Ok(Record::end(saga(key)?))
}
