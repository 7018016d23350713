//! The demonstration: starts three members, gives them work, kills one, pauses one, and looks.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tripod::lock::PostgresBackend;
use tripod::transaction::log::PostgresLog;
use tripod::transaction::participant::PostgresParticipant;

use crate::Failure;
use crate::books::{ACCOUNTS, Books, Job};
use crate::member::{partitions, ring};
use crate::rest::rest;

const TTL: Duration = Duration::from_secs(2);
const PARTITIONS: u32 = 6;
const JOBS: u32 = 1200;

/// Without anything done for so long, something hangs; a machine that is only busy is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A member's process, which ends with this one.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) async fn run(url: &str) -> Result<(), Failure> {
    PostgresBackend::migrate(url).await?;
    PostgresLog::migrate(url).await?;
    PostgresParticipant::migrate(url).await?;
    let books = Books::make(url).await?;
    PostgresParticipant::migrate(Books::there(url)?).await?;

    let [mut a, b, _c] = [start(url, "a")?, start(url, "b")?, start(url, "c")?];
    let working = tokio::spawn({
        let url = url.to_owned();
        async move { give_work(&url).await }
    });
    println!("a, b and c share {PARTITIONS} partitions; each is run by who holds its lock");
    sleep(2 * TTL).await;
    for name in ["a", "b", "c"] {
        println!("  {name} runs {}", run_by(&books, name).await?.join(", "));
    }

    println!("a is killed (kill -9), in the middle of whatever it does");
    let left = run_by(&books, "a").await?;
    a.0.kill()?;
    a.0.wait()?;
    followed(&books, "a", &left).await?;
    let a = start(url, "a")?;
    println!("a is started again, and stands behind the others");

    println!("b is paused past its lease, and does not know it");
    let left = run_by(&books, "b").await?;
    signal(&b, Signal::Stop)?;
    followed(&books, "b", &left).await?;
    signal(&b, Signal::Cont)?;
    println!("b goes on: what it was about to decide is refused by the logs of its successors");

    working.await??;
    // A job is done once it is so in the one database; the other is told in a moment.
    let left = rest(&books, PATIENCE).await?;
    if !left.is_empty() {
        return Err(format!("it hangs: {}", some(left)).into());
    }
    let tally = books.tally().await?;
    let tally = tally.iter().map(|(how, jobs)| format!("{jobs} {how}"));
    println!("of {JOBS} jobs: {}", tally.collect::<Vec<_>>().join(", "));
    drop(a);
    let wrong = books.audit(url).await?;
    if !wrong.is_empty() {
        return Err(wrong.join("\n").into());
    }
    let tenures = books.tenures().await?;
    let tenures: i64 = tenures.iter().map(|it| it.number).sum();
    println!(
        "partitions changed hands {} times",
        tenures - i64::from(PARTITIONS)
    );
    println!("nothing lost, nothing twice, no money made");
    Ok(())
}

fn start(url: &str, name: &str) -> Result<Process, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["member", "--url", url, "--name", name]);
    command.args(["--partitions", &PARTITIONS.to_string()]);
    command.args(["--ttl-ms", &TTL.as_millis().to_string()]);
    Ok(Process(command.stdout(Stdio::null()).spawn()?))
}

/// Adds jobs, each to the partition that the ring says.
async fn give_work(url: &str) -> Result<(), Failure> {
    let books = Books::open(url).await?;
    let ring = ring(partitions(PARTITIONS))?;
    for number in 0..JOBS {
        let is_trip = number % 5 == 0;
        let kind = if is_trip { "trip" } else { "transfer" };
        let job = Job {
            id: format!("{kind}-{number}"),
            kind: kind.into(),
            account: i32::try_from(number)? % ACCOUNTS + 1,
            amount: i64::from(number) * 37 % 100 + 1,
        };
        let partition = ring.owner(&job.id).ok_or("no partitions")?;
        books.add(partition.id().as_str(), &job).await?;
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// The partitions on which this member was the last to begin.
async fn run_by(books: &Books, name: &str) -> Result<Vec<String>, Failure> {
    let tenures = books.tenures().await?.into_iter();
    let own = tenures.filter(|tenure| tenure.member == name);
    Ok(own.map(|tenure| tenure.partition).collect())
}

/// Waits until others run all that this member ran.
async fn followed(books: &Books, name: &str, left: &[String]) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let still = run_by(books, name).await?;
        if still.is_empty() {
            break;
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("it hangs: nobody follows {name} on {}", some(still)).into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    let took = began.elapsed().as_secs_f64() / TTL.as_secs_f64();
    println!("  others run {} after {took:.1} TTLs", left.join(", "));
    Ok(())
}

/// The first of these: enough to find out what is the matter.
fn some(names: impl IntoIterator<Item = String>) -> String {
    let names: Vec<_> = names.into_iter().take(20).collect();
    names.join(", ")
}

#[derive(Clone, Copy)]
enum Signal {
    Stop,
    Cont,
}

#[cfg(unix)]
fn signal(process: &Process, signal: Signal) -> Result<(), Failure> {
    use rustix::process::{Pid, kill_process};
    let id = i32::try_from(process.0.id())?;
    let id = Pid::from_raw(id).ok_or("no process")?;
    let signal = match signal {
        Signal::Stop => rustix::process::Signal::STOP,
        Signal::Cont => rustix::process::Signal::CONT,
    };
    Ok(kill_process(id, signal)?)
}

#[cfg(not(unix))]
fn signal(_: &Process, _: Signal) -> Result<(), Failure> {
    Err("this system pauses no processes".into())
}
