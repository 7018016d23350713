//! Coordinators that outlive their machine: three processes share transactions and sagas, one is
//! killed and one is paused, and the others finish what they had begun.
//!
//! ```text
//! cargo run --release --features postgres --example failover -- \
//!     postgres://postgres:secret@127.0.0.1/postgres
//! ```
//!
//! It needs a server that prepares transactions (`max_prepared_transactions` above 0), and makes a
//! second database there, `failover_there`: money goes from the one to the other.
//!
//! How it works stands in `member.rs`, and is short: the **ring** says to which of the partitions a
//! job belongs; a **lock** for each partition elects who runs it; each partition has a **log** for
//! its transactions and one for its sagas, on the database, which whoever is elected opens with the
//! lock's fencing token as the least epoch. From then on the log refuses whoever had it before. The
//! lock makes it likely that only one works on a partition; the log makes it certain that only one
//! decides.

mod books;
mod demo;
mod member;
mod rest;
mod transfer;
mod trip;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

type Failure = Box<dyn Error + Send + Sync>;

const URL: &str = "postgres://postgres:secret@127.0.0.1/postgres";

#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
    /// The database; the URL ends in its name.
    #[arg(default_value = URL)]
    url: String,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(clap::Subcommand)]
enum Role {
    /// One of the processes: what the demonstration starts three of.
    Member(member::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let done = match options.role {
        Some(Role::Member(member)) => member::run(member).await,
        None => demo::run(&options.url).await,
    };
    let Err(error) = done else {
        return ExitCode::SUCCESS;
    };
    eprintln!("{error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    eprintln!(
        "start a server: docker run -p 5432:5432 -e POSTGRES_PASSWORD=secret postgres -c max_prepared_transactions=64"
    );
    ExitCode::FAILURE
}
