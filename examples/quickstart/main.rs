//! A short tour, without any server: a ring and what moves in it; a lock that is lost to a pause;
//! a transfer whose process is killed half-way; a trip that is cancelled.
//!
//! ```text
//! cargo run --release --example quickstart
//! ```

#[path = "../bank_transfer/bank.rs"]
mod bank;
mod lock;
mod ring;
mod transfer;
mod trip;

use std::error::Error;

use transfer::die_at;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let runtime = tokio::runtime::Runtime::new()?;
    if let Some(directory) = transfer::doomed() {
        return runtime.block_on(transfer::die(&directory));
    }
    ring::tour()?;
    println!();
    runtime.block_on(lock::tour())?;
    println!();
    runtime.block_on(transfer::tour())?;
    println!();
    runtime.block_on(trip::tour())
}
