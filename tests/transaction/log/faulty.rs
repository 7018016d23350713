//! Logs that break the law in one way each: the suite must tell.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a fault concerns one place, and no other"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tripod::BoxFuture;
use tripod::transaction::Epoch;
use tripod::transaction::log::conformance::{CaseReport, Fixture, run};
use tripod::transaction::log::{
    AppendError, Durability, LiveRecord, LogError, MemoryLog, Opened, Record, Reservation,
    TransactionLog,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    IgnoresTheHint,
    UsesAnEpochTwice,
    TakesAnyEpoch,
    AnswersBeforeItIsDurable,
    ForgetsWhatWasNotForced,
    AppendsHalf,
    AppendsBackwards,
    NeverEnds,
    EndsByAge,
    EndsByNumber,
    NamesItselfAsWriter,
    ClosesAnyEpoch,
    StaysOpen,
    TakesTooMuch,
    TakesTheLogBack,
    RaisesBeforeItRefuses,
    TakesItselfForAnother,
    CreatesWhereItReopens,
}

const FAULTS: [Fault; 18] = [
    Fault::IgnoresTheHint,
    Fault::UsesAnEpochTwice,
    Fault::TakesAnyEpoch,
    Fault::AnswersBeforeItIsDurable,
    Fault::ForgetsWhatWasNotForced,
    Fault::AppendsHalf,
    Fault::AppendsBackwards,
    Fault::NeverEnds,
    Fault::EndsByAge,
    Fault::EndsByNumber,
    Fault::NamesItselfAsWriter,
    Fault::ClosesAnyEpoch,
    Fault::StaysOpen,
    Fault::TakesTooMuch,
    Fault::TakesTheLogBack,
    Fault::RaisesBeforeItRefuses,
    Fault::TakesItselfForAnother,
    Fault::CreatesWhereItReopens,
];

#[derive(Clone, Debug)]
struct Faulty {
    fault: Fault,
    log: MemoryLog,
    /// The epoch that the log really has, and the one that was told.
    epoch: Arc<Mutex<Option<(Epoch, Epoch)>>>,
}

impl Faulty {
    fn real(&self, epoch: Epoch) -> Epoch {
        match *self.epoch.lock().unwrap() {
            Some((real, _)) if self.fault == Fault::TakesAnyEpoch => real,
            Some((real, told)) if told == epoch => real,
            Some(_) | None => epoch,
        }
    }

    fn opened(&self, opened: Opened) -> Opened {
        let (id, real, persistence) = (opened.coordinator(), opened.epoch(), opened.persistence());
        let mut told = real;
        let mut live = opened.into_live();
        let before = *self.epoch.lock().unwrap();
        match (self.fault, before) {
            (Fault::UsesAnEpochTwice, Some((_, before))) => told = before,
            (Fault::EndsByAge, _) => {
                live.retain(|live| live.epoch().as_u64() + 2 > real.as_u64());
            }
            (Fault::EndsByNumber, _) => drop(live.drain(..live.len().saturating_sub(50))),
            (Fault::NamesItselfAsWriter, _) => {
                let renamed = |live: LiveRecord| LiveRecord::new(real, live.into_record());
                live = live.into_iter().map(renamed).collect();
            }
            _ => {}
        }
        *self.epoch.lock().unwrap() = Some((real, told));
        Opened::new(id, told, live, persistence)
    }
}

impl TransactionLog for Faulty {
    fn open(&self, hint: u64) -> BoxFuture<'_, Result<Opened, LogError>> {
        let hint = if self.fault == Fault::IgnoresTheHint {
            0
        } else {
            hint
        };
        Box::pin(async move { Ok(self.opened(self.log.open(hint).await?)) })
    }

    fn reopen(&self, after: Epoch) -> BoxFuture<'_, Result<Opened, LogError>> {
        Box::pin(async move {
            let real = *self.epoch.lock().unwrap();
            let after = match (self.fault, real) {
                (Fault::TakesTheLogBack, Some((real, _))) => real,
                (Fault::TakesItselfForAnother, Some((real, _))) if real != after => {
                    return Err(LogError::Superseded { epoch: after });
                }
                (Fault::CreatesWhereItReopens, None) => {
                    return Ok(self.opened(self.log.open(0).await?));
                }
                _ => self.real(after),
            };
            let reopened = self.log.reopen(after).await;
            if self.fault == Fault::RaisesBeforeItRefuses && reopened.is_err() {
                let _ = self.log.open(0).await;
            }
            Ok(self.opened(reopened?))
        })
    }

    fn append(
        &self,
        epoch: Epoch,
        mut records: Vec<Record>,
        mut durability: Durability,
        space: Option<Reservation>,
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        match self.fault {
            Fault::AnswersBeforeItIsDurable => durability = Durability::Unforced,
            Fault::ForgetsWhatWasNotForced if durability == Durability::Unforced => records.clear(),
            Fault::AppendsHalf => records.truncate(1),
            Fault::AppendsBackwards => records.reverse(),
            Fault::NeverEnds => records.retain(|record| !record.ends()),
            Fault::TakesTooMuch => records.truncate(2),
            _ => {}
        }
        self.log
            .append(self.real(epoch), records, durability, space)
    }

    fn reserve(&self, epoch: Epoch, bytes: u64) -> BoxFuture<'_, Result<Reservation, AppendError>> {
        self.log.reserve(self.real(epoch), bytes)
    }

    fn close(&self, epoch: Epoch) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            let current = *self.epoch.lock().unwrap();
            match (self.fault, current) {
                (Fault::StaysOpen, _) => Ok(()),
                (Fault::ClosesAnyEpoch, Some((real, _))) => {
                    let _ = self.log.close(real).await;
                    Ok(())
                }
                _ => self.log.close(self.real(epoch)).await,
            }
        })
    }
}

struct Faults {
    fault: Fault,
    logs: Mutex<HashMap<String, Faulty>>,
}

impl Fixture for Faults {
    fn start<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn TransactionLog>, LogError>> {
        Box::pin(async move {
            let mut logs = self.logs.lock().unwrap();
            let log = logs.entry(name.into()).or_insert_with(|| Faulty {
                fault: self.fault,
                log: MemoryLog::new(),
                epoch: Arc::default(),
            });
            log.log.crash();
            Ok(Arc::new(log.clone()) as Arc<dyn TransactionLog>)
        })
    }
}

#[tokio::test]
async fn every_broken_law_is_told() {
    for fault in FAULTS {
        let faults = Faults {
            fault,
            logs: Mutex::default(),
        };
        let report = run(&faults).await;
        let caught: Vec<_> = report.failures().map(CaseReport::name).collect();
        println!("{fault:?}: {}", caught.join(", "));
        assert!(!caught.is_empty(), "{fault:?} is not told");
    }
}
