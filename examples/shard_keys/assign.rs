//! The main job: a line for each key.

use std::io::{self, BufWriter, IsTerminal, Write};

use tripod::ring::{Node, Placement, ReplicasError, ZonePolicy};

use crate::failure::Failure;
use crate::keys::{BUFFER_LEN, Keys};
use crate::options::Options;
use crate::survivors::Survivors;
use crate::{Ring, Seat, up_owner};

/// Writes each key with its node or nodes.
pub(crate) fn run<P: Placement>(ring: &Ring<P>, options: &Options) -> Result<(), Failure> {
    let any_down = ring.nodes().any(|node| node.payload().down);
    let Some(replicas) = options.replicas else {
        return lines(|key, out| {
            let owner = up_owner(ring, ring.hash(key), any_down);
            write_nodes(out, owner)
        });
    };
    let (replicas, zones) = (replicas.get(), options.zones());
    match zones {
        ZonePolicy::Spread | ZonePolicy::Strict if any_down => {
            let mut survivors = Survivors::new(ring, replicas, zones)?;
            lines(|key, out| write_nodes(out, survivors.replicas(ring.preference_list(key))))
        }
        ZonePolicy::Spread | ZonePolicy::Strict => {
            // Whether there are zones enough does not depend on the key: ask before any output.
            ring.replicas("", replicas, zones)?;
            lines(|key, out| {
                let nodes = ring.replicas(key, replicas, zones);
                write_nodes(out, nodes.map_err(refused)?)
            })
        }
        _ => lines(|key, out| {
            let walk = ring.preference_list(key);
            write_nodes(out, walk.filter(|node| !node.payload().down).take(replicas))
        }),
    }
}

type Out = BufWriter<io::StdoutLock<'static>>;

/// Writes a line for each key: the key, a tab, and what `write_value` writes.
fn lines(mut write_value: impl FnMut(&[u8], &mut Out) -> io::Result<()>) -> Result<(), Failure> {
    let stdout = io::stdout().lock();
    let mut keys = Keys::new(stdout.is_terminal());
    let mut out = BufWriter::with_capacity(BUFFER_LEN, stdout);
    while let Some(key) = keys.next()? {
        let mut line = || {
            out.write_all(key)?;
            out.write_all(b"\t")?;
            write_value(key, &mut out)?;
            out.write_all(b"\n")
        };
        line().map_err(Failure::Write)?;
    }
    out.flush().map_err(Failure::Write)
}

fn write_nodes<'a>(
    out: &mut Out,
    nodes: impl IntoIterator<Item = &'a Node<Seat>>,
) -> io::Result<()> {
    let mut between: &[u8] = b"";
    for node in nodes {
        out.write_all(between)?;
        out.write_all(node.id().as_str().as_bytes())?;
        between = b",";
    }
    Ok(())
}

fn refused(error: ReplicasError) -> io::Error {
    io::Error::other(error)
}
