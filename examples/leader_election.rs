//! Three candidates for one office: the first resigns, the second dies, the third takes over.
//!
//! ```text
//! cargo run --release --example leader_election
//! ```

use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::time::{Instant, sleep};
use tripod::lock::{Election, Leadership, Locks, MemoryBackend};

/// How long the office is vacant when a leader dies.
const TTL: Duration = Duration::from_millis(300);

type Failure = Box<dyn Error + Send + Sync>;

/// What a leader does until its time is over.
type Term = fn(Leadership) -> tripod::BoxFuture<'static, Result<(), Failure>>;

fn main() -> Result<(), Failure> {
    let store = Arc::new(MemoryBackend::new());
    let began = Instant::now();
    let candidates: [(&str, Term); 3] = [("ada", resigns), ("bob", dies), ("cyd", resigns)];

    // A thread with a runtime of its own stands for a process.
    let mut processes = Vec::new();
    for (name, term) in candidates {
        let election = election(&store)?;
        processes.push(thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread()
                .enable_time()
                .build()?;
            runtime.block_on(async {
                let leadership = election.campaign(name).await?;
                say(
                    began,
                    name,
                    &format!("elected for term {}", leadership.term()),
                );
                term(leadership).await
            })?;
            say(began, name, "leaves");
            Ok::<(), Failure>(())
        }));
        thread::sleep(Duration::from_millis(10));
    }

    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(observe(began, election(&store)?))?;
    for process in processes {
        process.join().map_err(|_| "a candidate panicked")??;
    }
    Ok(())
}

fn election(store: &Arc<MemoryBackend>) -> Result<Election, Failure> {
    let locks = Locks::new(Arc::clone(store));
    Ok(Election::new(&locks, "scheduler")?.with_ttl(TTL)?)
}

/// Watches until the office is vacant.
async fn observe(began: Instant, election: Election) -> Result<(), Failure> {
    let mut observer = election.observe();
    while let Some(leader) = observer.changed().await? {
        let seen = format!("sees {} lead, term {}", leader.proposal(), leader.term());
        say(began, "observer", &seen);
    }
    say(began, "observer", "sees nobody lead");
    Ok(())
}

fn resigns(leadership: Leadership) -> tripod::BoxFuture<'static, Result<(), Failure>> {
    Box::pin(async move {
        // The work of a leader: each command carries the term, and is refused where a later one
        // has been seen.
        sleep(TTL).await;
        leadership.check()?;
        leadership.resign().await?;
        Ok(())
    })
}

/// Ends with its runtime, and so with its renewals, and tells nobody.
fn dies(leadership: Leadership) -> tripod::BoxFuture<'static, Result<(), Failure>> {
    Box::pin(async move {
        sleep(TTL).await;
        std::mem::forget(leadership);
        Ok(())
    })
}

fn say(began: Instant, who: &str, what: &str) {
    println!("{:>5} ms  {who:<9} {what}", began.elapsed().as_millis());
}
