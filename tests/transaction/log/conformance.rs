//! The suite for logs, on the logs of this crate, and what it covers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tripod::BoxFuture;
use tripod::transaction::log::conformance::{Fixture, Report, run};
use tripod::transaction::log::{Directory, FileLog, LogError, MemoryLog, Storage, TransactionLog};

use super::directory::Scratch;
use super::disk::{Disk, Loss};
use super::world::options;
use crate::law;

type Started = Result<Arc<dyn TransactionLog>, LogError>;

#[derive(Default)]
struct InMemory(Mutex<HashMap<String, MemoryLog>>);

impl Fixture for InMemory {
    fn start<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Started> {
        Box::pin(async move {
            let mut logs = self.0.lock().unwrap();
            let log = logs.entry(name.into()).or_default();
            log.crash();
            Ok(Arc::new(log.clone()) as Arc<dyn TransactionLog>)
        })
    }
}

/// Logs in files, each with its storage and the thread that writes to it.
struct InFiles<S> {
    make: fn(&Scratch, &str) -> S,
    crash: fn(&S),
    scratch: Scratch,
    logs: Mutex<HashMap<String, (S, JoinHandle<()>)>>,
}

impl<S: Storage + Clone> InFiles<S> {
    fn new(make: fn(&Scratch, &str) -> S, crash: fn(&S)) -> Self {
        Self {
            make,
            crash,
            scratch: Scratch::new(),
            logs: Mutex::default(),
        }
    }
}

impl<S: Storage + Clone> Fixture for InFiles<S> {
    fn start<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Started> {
        Box::pin(async move {
            let mut logs = self.logs.lock().unwrap();
            let storage = match logs.remove(name) {
                Some((storage, thread)) => {
                    (self.crash)(&storage);
                    // Its handles are gone, so it ends.
                    thread.join().unwrap();
                    storage
                }
                None => (self.make)(&self.scratch, name),
            };
            let (log, writer) = FileLog::on(storage.clone(), options());
            let thread = thread::spawn(move || writer.run());
            logs.insert(name.into(), (storage, thread));
            Ok(Arc::new(log) as Arc<dyn TransactionLog>)
        })
    }
}

async fn in_memory() -> Report {
    run(&InMemory::default()).await
}

#[tokio::test]
async fn a_log_in_memory_obeys_the_law() {
    in_memory().await.into_result().unwrap();
}

#[tokio::test]
async fn a_log_in_a_directory_obeys_the_law() {
    let fixture = InFiles::new(
        |scratch, name| Arc::new(Directory::new(scratch.path().join(name))),
        |_| (),
    );
    run(&fixture).await.into_result().unwrap();
}

#[tokio::test]
async fn a_log_on_a_disk_that_forgets_obeys_the_law() {
    for loss in [
        |disk: &Disk| disk.reboot(Loss::Everything),
        |disk: &Disk| {
            disk.reboot(Loss::Some(17));
        },
    ] {
        let fixture = InFiles::new(|_, _| Disk::new(1), loss);
        run(&fixture).await.into_result().unwrap();
    }
}

/// Sentences of the law that no test can try through the trait, and why.
const UNTESTED: [(&str, &str); 13] = [
    (
        "A durable log of records: the contract between a coordinator and what outlives it.",
        "a summary",
    ),
    (
        "An implementor obeys every sentence here and at the methods; the feature `conformance` \
         has a test for each.",
        "it is about the others",
    ),
    (
        "**Durable** is what outlives the process and a loss of power, as far as `Persistence` \
         goes.",
        "a definition",
    ),
    (
        "After an append or a sync has failed, nothing is appended until the log is opened again.",
        "errors need storage that fails",
    ),
    (
        "What any error lets the caller conclude stands at `AppendError` and `LogError`.",
        "errors need storage that fails",
    ),
    (
        "Every call ends by itself.",
        "every case that ends tries it",
    ),
    ("The log is not open.", "errors need storage that fails"),
    (
        "The epoch may have been used up; nobody has acted in it.",
        "errors need storage that fails",
    ),
    (
        "What is left of it is given back.",
        "it shows on a full log only, and logs have room of any size",
    ),
    (
        "For whoever had the log open in that epoch.",
        "it is about the caller",
    ),
    (
        "Any other error is one of `open`.",
        "errors need storage that fails",
    ),
    ("Nothing was set aside.", "errors need a log that is full"),
    ("What was durable stands.", "errors need storage that fails"),
];

#[tokio::test]
async fn every_sentence_of_the_law_has_a_case() {
    let source = include_str!("../../../src/transaction/log/mod.rs");
    let law = law::sentences(source, "/// A durable log", "/// When an append returns");
    law::is_covered(&law, &in_memory().await, &UNTESTED);
}
