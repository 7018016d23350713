//! Assigns keys to nodes: reads keys, one a line, and writes `key<TAB>node`.
//!
//! ```text
//! find / -xdev -type f | cargo run --release --example shard_keys -- \
//!     --node a --node b=2 --node c --summary --then-add d
//! ```
//!
//! Keys are bytes. Memory is constant, whatever the input. The placements of nginx and
//! libmemcached need `--features interop`.

mod assign;
mod failure;
mod keys;
mod moves;
mod options;
mod seat;
mod summary;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use tripod::ring::{HashRing, Placement, Sha256V1, Xxh3V1};

use failure::Failure;
use options::{Options, PlacementName};
use seat::{check_owners, seated};

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(help) if !help.use_stderr() => help.exit(),
        Err(error) => return stop(&Failure::from(error)),
    };
    match options.check().and_then(|()| dispatch(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has enough of it: that is no failure.
        Err(Failure::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => stop(&failure),
    }
}

fn stop(failure: &Failure) -> ExitCode {
    // Nobody is left to tell when standard error is closed as well.
    let _ = writeln!(io::stderr(), "error: {failure}");
    failure.exit_code()
}

/// Chooses the placement once, so that the loop over the keys is compiled for each.
fn dispatch(options: &Options) -> Result<(), Failure> {
    match options.placement {
        PlacementName::Sha256 => run(Sha256V1, options),
        PlacementName::Xxh3 => run(Xxh3V1, options),
        #[cfg(feature = "interop")]
        PlacementName::Nginx => run(tripod::ring::Nginx, options),
        #[cfg(feature = "interop")]
        PlacementName::Ketama => run(tripod::ring::Ketama, options),
        #[cfg(feature = "interop")]
        PlacementName::KetamaWeighted => run(tripod::ring::KetamaWeighted, options),
        #[cfg(not(feature = "interop"))]
        PlacementName::Nginx | PlacementName::Ketama | PlacementName::KetamaWeighted => {
            Err(Failure::refused(
                "this placement is not built in: add --features interop to cargo's options",
            ))
        }
    }
}

fn run<P: Placement + Clone>(placement: P, options: &Options) -> Result<(), Failure> {
    let mut builder = HashRing::builder_with(placement);
    if let Some(vnodes) = options.vnodes {
        builder = builder.vnodes(vnodes);
    }
    let nodes = options.nodes.iter().enumerate();
    let nodes = nodes.map(|(number, option)| seated(option, number));
    let ring = builder.nodes(nodes).build()?;
    check_owners(&ring)?;
    if options.summary {
        summary::run(&ring, options)
    } else {
        assign::run(&ring, options)
    }
}
