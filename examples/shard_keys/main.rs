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
mod summary;
mod survivors;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use tripod::ring::{HashRing, Node, Placement, Sha256V1, Xxh3V1};

use failure::Failure;
use options::{NodeOption, Options, PlacementName};

/// What a ring of this program keeps with each node.
#[derive(Clone, Copy, Debug)]
struct Seat {
    /// The node's number, to count by.
    number: usize,
    /// Whether lookups skip it.
    down: bool,
}

type Ring<P> = HashRing<Seat, P>;

fn main() -> ExitCode {
    let options = Options::parse();
    match options.check().and_then(|()| dispatch(&options)) {
        // Whoever reads our output has enough of it: that is no failure.
        Err(Failure::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            // Nobody is left to tell when standard error is closed as well.
            let _ = writeln!(io::stderr(), "error: {failure}");
            failure.exit_code()
        }
        Ok(()) => ExitCode::SUCCESS,
    }
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

fn seated(option: &NodeOption, number: usize) -> Node<Seat> {
    let down = option.down;
    option.node.clone().with_payload(Seat { number, down })
}

/// Makes sure that every key will find a node.
fn check_owners<P: Placement>(ring: &Ring<P>) -> Result<(), Failure> {
    let mut owners = ring.preference_list("").peekable();
    if owners.peek().is_none() {
        let reason = if ring.nodes().all(|node| node.weight() == 0) {
            "no node owns keys: every weight is 0"
        } else {
            "no node owns keys: the placement gives nobody a vnode"
        };
        return Err(Failure::refused(reason));
    }
    if owners.all(|node| node.payload().down) {
        return Err(Failure::refused("every node that owns keys is down"));
    }
    Ok(())
}

/// The node for the key with this hash: its owner, or the next one that is not down.
fn up_owner<P: Placement>(ring: &Ring<P>, hash: u64, any_down: bool) -> Option<&Node<Seat>> {
    if any_down {
        let mut walk = ring.preference_list_of_hash(hash);
        walk.find(|node| !node.payload().down)
    } else {
        ring.owner_of_hash(hash)
    }
}
