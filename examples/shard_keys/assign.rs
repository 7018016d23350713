//! The main job: a line for each key.

use std::io::{self, BufWriter, IsTerminal, Write};

use tripod::ring::{Node, Placement, ZonePolicy};

use crate::failure::Failure;
use crate::keys::{BUFFER_LEN, Keys};
use crate::options::Options;
use crate::seat::{Ring, Seat, up_owner};

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
    if zones == ZonePolicy::Any {
        lines(|key, out| {
            let walk = ring.preference_list(key);
            write_nodes(out, walk.filter(|node| !node.payload().down).take(replicas))
        })
    } else {
        let down = |node: &Node<Seat>| node.payload().down;
        // Whether there are zones enough does not depend on the key: ask before any output.
        ring.replicas_excluding("", replicas, zones, down)?;
        lines(|key, out| {
            let nodes = if any_down {
                ring.replicas_excluding(key, replicas, zones, down)?
            } else {
                ring.replicas(key, replicas, zones)?
            };
            write_nodes(out, nodes)
        })
    }
}

type Out = BufWriter<io::StdoutLock<'static>>;

/// Writes a line for each key: the key, a tab, and what `write_value` writes.
fn lines(
    mut write_value: impl FnMut(&[u8], &mut Out) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let stdout = io::stdout().lock();
    let mut keys = Keys::new(stdout.is_terminal());
    let mut out = BufWriter::with_capacity(BUFFER_LEN, stdout);
    while let Some(key) = keys.next()? {
        write(&mut out, key)?;
        write(&mut out, b"\t")?;
        write_value(key, &mut out)?;
        write(&mut out, b"\n")?;
    }
    out.flush().map_err(Failure::Write)
}

fn write_nodes<'a>(
    out: &mut Out,
    nodes: impl IntoIterator<Item = &'a Node<Seat>>,
) -> Result<(), Failure> {
    let mut between: &[u8] = b"";
    for node in nodes {
        write(out, between)?;
        write(out, node.id().as_str().as_bytes())?;
        between = b",";
    }
    Ok(())
}

fn write(out: &mut Out, bytes: &[u8]) -> Result<(), Failure> {
    out.write_all(bytes).map_err(Failure::Write)
}
