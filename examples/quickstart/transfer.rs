//! The third part of the tour: money moves in two banks, or in none, whoever dies.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tripod::transaction::log::{FileLog, FileLogOptions};
use tripod::transaction::two_phase::{Coordinator, Filter};

use crate::bank::Bank;

/// Says to a process that it is to die half-way, and where.
const DIRECTORY: &str = "QUICKSTART_DIES_IN";

type AnyError = Box<dyn Error + Send + Sync>;

/// Where this process is to die, if it was started for that.
pub(crate) fn doomed() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

/// Ends the process at once, as `kill -9` does.
pub(crate) fn die_at(call: &str) {
    if doomed().is_some() && call == "commit" {
        std::process::abort();
    }
}

pub(crate) async fn tour() -> Result<(), AnyError> {
    println!("A transfer between two banks commits in both or in neither (two-phase commit).");
    let directory = std::env::temp_dir().join(format!("quickstart-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let mut process = Command::new(std::env::current_exe()?);
    let status = process.env(DIRECTORY, &directory).status()?;
    let [north, south] = banks(&directory)?;
    println!("  a process prepares both, writes its decision, and is killed ({status})");
    println!(
        "  north {}, south {}: the money is reserved, and nobody has it yet",
        north.total(),
        south.total()
    );
    let coordinator = open(&directory, &north, &south).await?;
    println!("  the next process reads the log, finds the decision, and tells both banks");
    while !coordinator.list(Filter::All).is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!(
        "  north {}, south {}: the sum is still {}",
        north.total(),
        south.total(),
        north.total() + south.total()
    );
    println!(
        "  all branches commit, or none, however often anybody dies; but readers may see one first"
    );
    let _ = coordinator.shutdown(Duration::from_secs(5)).await?;
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

/// What the process does that dies.
pub(crate) async fn die(directory: &Path) -> Result<(), AnyError> {
    let [north, south] = banks(directory)?;
    let coordinator = open(directory, &north, &south).await?;
    let mut transfer = coordinator.begin().await?;
    let from = transfer.enlist(&north).await?;
    let to = transfer.enlist(&south).await?;
    from.add("alice", -40);
    to.add("bob", 40);
    let outcome = transfer.commit().await;
    Err(format!("it lives, and says {outcome:?}").into())
}

fn banks(directory: &Path) -> Result<[Bank; 2], AnyError> {
    let north = Bank::open("north", &directory.join("north"), &[("alice", 100)])?;
    let south = Bank::open("south", &directory.join("south"), &[("bob", 100)])?;
    Ok([north, south])
}

async fn open(directory: &Path, north: &Bank, south: &Bank) -> Result<Coordinator, AnyError> {
    let log = FileLog::start(directory.join("log"), FileLogOptions::default())?;
    let opening = Coordinator::open(log).participant(north.clone());
    Ok(opening.participant(south.clone()).await?)
}
