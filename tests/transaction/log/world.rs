//! A log on a disk, run step by step, and the model that watches it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tripod::transaction::Epoch;
use tripod::transaction::log::{
    AppendError, Durability, FileLog, FileLogOptions, LogError, LogWriter, Opened, Record,
    TransactionLog,
};

use super::disk::{Disk, Loss};
use super::model::Model;

/// Runs a future on a log whose writer stands by: polls one, steps the other.
pub(super) fn drive<T>(writer: &mut LogWriter, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            return answer;
        }
        assert!(writer.step(), "nothing is queued and nothing is answered");
    }
}

type Appending<'a> = Pin<Box<dyn Future<Output = Result<(), AppendError>> + Send + 'a>>;

pub(super) struct World {
    pub(super) disk: Disk,
    pub(super) log: FileLog,
    pub(super) writer: LogWriter,
    pub(super) model: Model,
    pub(super) epoch: Option<Epoch>,
}

/// Short segments, so that they are followed by the next soon.
pub(super) fn options() -> FileLogOptions {
    FileLogOptions::default()
        .segment_len(4096)
        .full_pause(Duration::ZERO)
}

impl World {
    pub(super) fn new(disk: Disk, model: Model) -> Self {
        Self::with(disk, model, options())
    }

    pub(super) fn with(disk: Disk, model: Model, options: FileLogOptions) -> Self {
        let (log, writer) = FileLog::on(disk.clone(), options);
        Self {
            disk,
            log,
            writer,
            model,
            epoch: None,
        }
    }

    /// Opens the log. The inner error is the log's; the outer is a broken law.
    pub(super) fn open(&mut self, hint: u64) -> Result<Result<Opened, LogError>, String> {
        self.epoch = None;
        let opened = drive(&mut self.writer, self.log.open(hint));
        if let Ok(opened) = &opened {
            self.model.opened(opened, hint)?;
            self.epoch = Some(opened.epoch());
        }
        Ok(opened)
    }

    /// Opens a log of which the model knows nothing.
    pub(super) fn open_unwatched(&mut self) -> Result<Opened, LogError> {
        drive(&mut self.writer, self.log.open(0))
    }

    /// Appends all these at the same time, in this order.
    pub(super) fn append(
        &mut self,
        appends: Vec<(Vec<Record>, Durability)>,
    ) -> Vec<Result<(), AppendError>> {
        let Some(epoch) = self.epoch else {
            return Vec::new();
        };
        // Several at the same time have room already: who has to ask for it is overtaken, and the
        // model would not know the order.
        let alone = appends.len() == 1;
        let mut appends: Vec<_> = appends.into_iter().map(|append| (append, None)).collect();
        for ((records, _), space) in &mut appends {
            let bytes = records.iter().map(Record::space).sum();
            if !alone {
                let reserved = drive(&mut self.writer, self.log.reserve(epoch, bytes));
                let Ok(reserved) = reserved else {
                    return Vec::new();
                };
                *space = Some(reserved);
            }
        }
        let mut context = Context::from_waker(Waker::noop());
        let mut running: Vec<(usize, bool, Appending<'_>)> = Vec::new();
        let mut answers = Vec::new();
        for ((records, durability), space) in appends {
            let number = self.model.submit(epoch, &records);
            let forced = durability == Durability::Forced;
            let mut future = self.log.append(epoch, records, durability, space);
            // Each is queued before the next is made, unless it has to ask for room.
            match future.as_mut().poll(&mut context) {
                Poll::Ready(answer) => {
                    self.model.answer(number, &answer, forced);
                    answers.push(answer);
                }
                Poll::Pending => running.push((number, forced, future)),
            }
        }
        while !running.is_empty() {
            let worked = self.writer.step();
            let before = running.len();
            let mut waiting = Vec::new();
            for (number, forced, mut future) in running {
                match future.as_mut().poll(&mut context) {
                    Poll::Ready(answer) => {
                        self.model.answer(number, &answer, forced);
                        answers.push(answer);
                    }
                    Poll::Pending => waiting.push((number, forced, future)),
                }
            }
            running = waiting;
            assert!(worked || running.len() < before, "appends hang");
        }
        answers
    }

    pub(super) fn close(&mut self) -> Option<Result<(), LogError>> {
        let epoch = self.epoch.take()?;
        while self.writer.step() {}
        let closed = drive(&mut self.writer, self.log.close(epoch));
        if closed.is_ok() {
            self.model.closed();
        }
        Some(closed)
    }

    /// Another process, after this one died.
    pub(super) fn restart(self, loss: Loss) -> Self {
        let Self {
            disk, model, log, ..
        } = self;
        drop(log);
        disk.reboot(loss);
        Self::new(disk, model)
    }

    /// The same as it is now, on a disk of its own, for a process that is about to start.
    pub(super) fn fork(disk: &Disk, model: &Model) -> Self {
        Self::new(disk.fork(), model.clone())
    }
}
