//! A trip is a saga: `cargo run --example book_trip`
//!
//! Hotel and flight are booked at once, then the card is charged, and then a mail is sent. What
//! happens is written to a log in a temporary directory, and this program starts itself again as
//! the process that dies.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::time::Duration;

use tripod::transaction::log::{FileLog, FileLogOptions};
use tripod::transaction::saga::{
    Definition, DefinitionError, Retry, Run, SagaKey, SagaOutcome, Sagas, Step, StepError,
};

/// What the saga is started with: who travels, and how much the card has.
type Trip = (String, u32);

/// A service: it remembers what it has done under which key, in a file a key. So a repeated call
/// changes nothing, and what was cancelled before it came is refused.
#[derive(Clone)]
struct Service {
    name: &'static str,
    directory: PathBuf,
}

impl Service {
    fn new(name: &'static str, directory: &Path) -> Self {
        let directory = directory.join(name);
        let _ = fs::create_dir_all(&directory);
        Self { name, directory }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.directory.join(key.replace('/', "_"))
    }

    fn book(&self, run: &Run<Trip>) -> Result<String, StepError> {
        let (who, _) = run.input();
        let path = self.path(&run.key());
        if fs::read(&path).is_ok_and(|mark| mark == b"cancelled") {
            return Err(StepError::failed("it was cancelled before"));
        }
        println!("  {} for {who} (try {})", self.name, run.attempt());
        fs::write(path, who)?;
        Ok(format!("{}-{who}", self.name))
    }

    /// The mark stays, so that a booking that comes late is refused.
    fn cancel(&self, run: &Run<Trip>) -> Result<(), StepError> {
        println!("  {} is cancelled", self.name);
        fs::write(self.path(&run.action_key()), "cancelled")?;
        Ok(())
    }

    fn step(&self) -> Step<Trip, String> {
        let (service, other) = (self.clone(), self.clone());
        let book = move |run: Run<Trip>| std::future::ready(service.book(&run));
        let cancel = move |run: Run<Trip>, _| std::future::ready(other.cancel(&run));
        Step::new(self.name, 1, book).compensate(cancel)
    }
}

async fn charge(run: Run<Trip>) -> Result<u32, StepError> {
    let (who, card) = run.input();
    let hotel: String = run.output("hotel")?;
    if *card < 100 {
        println!("  card of {who} is refused");
        return Err(StepError::failed("the card has less than 100"));
    }
    println!("  card of {who} is charged 100, for {hotel}");
    Ok(100)
}

/// Once the card is charged the mail is sent, whatever it takes.
async fn mail(run: Run<Trip>) -> Result<String, StepError> {
    if env::var_os("DIES").is_some() {
        println!("  the process dies");
        exit(9);
    }
    let charged: u32 = run.output("card")?;
    println!("  mail to {}: {charged} charged", run.input().0);
    Ok("sent".into())
}

fn definition(directory: &Path) -> Result<Definition<Trip>, DefinitionError> {
    let none: [&str; 0] = [];
    Definition::builder("trip", 1)
        .step(Service::new("hotel", directory).step())
        .step(Service::new("flight", directory).step().after(none))
        .step(
            Step::new("card", 1, charge)
                .pivot()
                .after(["hotel", "flight"]),
        )
        .step(
            Step::new("mail", 1, mail)
                .retriable()
                .retry(Retry::forever()),
        )
        .build()
}

async fn book(directory: &Path, who: &str, card: u32) -> Result<(), Box<dyn Error>> {
    let definition = definition(directory)?;
    let log = FileLog::start(directory.join("log"), FileLogOptions::default())?;
    let sagas = Sagas::open(log).register(&definition).await?;
    // Whoever asks again under the same key gets the same trip.
    let key = SagaKey::new(format!("trip of {who}"))?;
    let input = (who.to_owned(), card);
    let saga = sagas.start(&definition, &key, &input).await?;
    match saga.outcome().await? {
        SagaOutcome::Completed(_) => println!("completed"),
        SagaOutcome::Compensated { step, .. } => {
            let step = step.as_deref().unwrap_or("somebody");
            println!("compensated, because of {step}");
        }
        SagaOutcome::Abandoned => println!("given up"),
    }
    if let Some(status) = sagas.status(&key) {
        println!("{}", status.to_mermaid());
    }
    sagas.shutdown(Duration::from_secs(1)).await?;
    Ok(())
}

/// Starts this program again, to book a trip in the same directory.
fn book_elsewhere(directory: &Path, dies: bool) -> Result<bool, Box<dyn Error>> {
    let mut again = Command::new(env::current_exe()?);
    again.env("DIRECTORY", directory);
    if dies {
        again.env("DIES", "before the mail");
    }
    Ok(again.status()?.success())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    if let Some(directory) = env::var_os("DIRECTORY") {
        return book(Path::new(&directory), "Grace", 500).await;
    }
    let directory = env::temp_dir().join(format!("tripod-book-trip-{}", std::process::id()));
    println!("A card without money: what was booked is cancelled.");
    book(&directory, "Ada", 20).await?;
    println!("A process that dies once the card is charged:");
    let lived = book_elsewhere(&directory, true)?;
    assert!(!lived, "it dies");
    println!("The next one goes on where it was, and charges nothing twice:");
    assert!(book_elsewhere(&directory, false)?, "it goes on");
    fs::remove_dir_all(directory)?;
    Ok(())
}
