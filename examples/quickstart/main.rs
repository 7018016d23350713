//! A short tour, without any server: a ring and what moves in it; a lock that is lost to a pause.
//!
//! ```text
//! cargo run --release --example quickstart
//! ```

mod lock;
mod ring;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    ring::tour()?;
    println!();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(lock::tour())
}
