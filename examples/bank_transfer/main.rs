//! Money between two banks, a process that dies in the middle of it, and what comes back.
//!
//! ```text
//! cargo run --release --example bank_transfer
//! ```
//!
//! Nothing is needed beside a directory: the coordinator's log is a file, and so is each bank. The
//! program starts itself again as the process that dies.

mod bank;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bank::Bank;
use tripod::transaction::log::{FileLog, FileLogOptions};
use tripod::transaction::two_phase::{CommitOutcome, Coordinator, Filter};

const MONEY: i64 = 1000;

/// Says to a child where its files are, and at which call it is to die.
const DIRECTORY: &str = "BANK_TRANSFER_DIRECTORY";
const DEATH: &str = "BANK_TRANSFER_DEATH";

fn main() -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return work(&PathBuf::from(directory));
    }
    let directory = std::env::temp_dir().join(format!("bank-transfer-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    println!("Two banks, each with {MONEY}. Transfers between them commit in both, or in neither.");
    for (death, meaning) in [
        ("", "undisturbed"),
        (
            "commit 5",
            "killed when the decision is durable and no bank has been told",
        ),
        (
            "commit 4",
            "killed when one bank has been told, and the other has not",
        ),
        ("", "undisturbed again"),
    ] {
        println!("\nA process, {meaning}:");
        let mut child = Command::new(std::env::current_exe()?);
        let status = child
            .env(DIRECTORY, &directory)
            .env(DEATH, death)
            .status()?;
        println!("  it ended: {status}");
        assert_eq!(status.success(), death.is_empty());
        let [north, south] = banks(&directory)?;
        let (north, south) = (north.total(), south.total());
        println!(
            "  in the files: north {north}, south {south}, together {}",
            north + south
        );
    }
    let [north, south] = banks(&directory)?;
    let sum = north.total() + south.total();
    println!("\nThe sum is {sum}: nothing was lost, and nothing was made.");
    assert_eq!(sum, 2 * MONEY);
    std::fs::remove_dir_all(&directory)?;
    Ok(ExitCode::SUCCESS)
}

fn banks(directory: &Path) -> Result<[Bank; 2], Box<dyn Error + Send + Sync>> {
    let north = Bank::open("north", &directory.join("north"), &[("alice", MONEY)])?;
    let south = Bank::open("south", &directory.join("south"), &[("bob", MONEY)])?;
    Ok([north, south])
}

/// What the process does that may die.
#[tokio::main]
async fn work(directory: &Path) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let [north, south] = banks(directory)?;
    let log = FileLog::start(directory.join("log"), FileLogOptions::default())?;
    let coordinator = Coordinator::open(log)
        .participant(north.clone())
        .participant(south.clone())
        .await?;
    let recovering = coordinator.list(Filter::All).len();
    while !coordinator.list(Filter::All).is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!(
        "  found {recovering} transactions in doubt and settled them: north {}, south {}",
        north.total(),
        south.total()
    );

    CALLS.store(0, Ordering::Relaxed);
    for money in [10, 20, 5000, 30] {
        let mut transfer = coordinator.begin().await?;
        let from = transfer.enlist(&north).await?;
        let to = transfer.enlist(&south).await?;
        from.add("alice", -money);
        to.add("bob", money);
        match transfer.commit().await {
            CommitOutcome::Committed { .. } => println!("  {money:>4} transferred"),
            CommitOutcome::Aborted {
                reason,
                participant,
            } => {
                let who = participant
                    .map(|name| format!(" of {name}"))
                    .unwrap_or_default();
                println!("  {money:>4} not transferred: {reason:?}{who}");
            }
            CommitOutcome::Unknown(id) => println!("  {money:>4}: ask later for {id}"),
        }
    }
    let shutdown = coordinator.shutdown(Duration::from_secs(5)).await?;
    println!("  shut down with {} unfinished", shutdown.unfinished);
    Ok(ExitCode::SUCCESS)
}

/// How often a bank was told to commit.
static CALLS: AtomicU32 = AtomicU32::new(0);

/// Ends the process at once, as `kill -9` does, if this is the call at which it is to die.
fn die_at(call: &str) {
    let death = std::env::var(DEATH).unwrap_or_default();
    let number = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    if death == format!("{call} {number}") {
        println!("  … and dies");
        std::process::abort();
    }
}
