//! The command line.

use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;

use clap::{Parser, ValueEnum};
use tripod::ring::{Node, NodeId, ZonePolicy};

use crate::failure::{Failure, chain};

const NODE: &str = "NAME[=WEIGHT][@ZONE][!down]";

/// Reads keys, one a line, from standard input and writes `key<TAB>node`, in their order.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// How nodes and keys are placed on the circle.
    #[arg(long, value_enum, default_value_t = PlacementName::Sha256)]
    pub(crate) placement: PlacementName,

    /// Vnodes for each unit of weight [default: 160; libmemcached fixes it].
    #[arg(long, value_name = "N")]
    pub(crate) vnodes: Option<NonZeroU32>,

    /// A node; give one option each. Weight 1 unless given; a node marked !down is skipped.
    #[arg(long = "node", value_name = NODE, required = true)]
    pub(crate) nodes: Vec<NodeOption>,

    /// Writes this many nodes for each key, `key<TAB>node,node,…`, the owner first.
    #[arg(long, value_name = "R")]
    pub(crate) replicas: Option<NonZeroUsize>,

    /// How replicas are spread over zones [default: any].
    #[arg(long, value_enum)]
    zones: Option<ZonesName>,

    /// Prints how many keys each node gets, beside its exact share, instead of the keys.
    #[arg(long)]
    pub(crate) summary: bool,

    /// With --summary: also prints what moves when this node joins. May be repeated.
    #[arg(long, value_name = NODE)]
    pub(crate) then_add: Vec<NodeOption>,

    /// With --summary: also prints what moves when this node leaves. May be repeated.
    #[arg(long, value_name = "NAME", value_parser = id)]
    pub(crate) then_remove: Vec<NodeId>,
}

impl Options {
    /// Refuses options that do not go together.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let refusals = [
            (
                self.changes() && !self.summary,
                "--then-add and --then-remove need --summary",
            ),
            (
                self.replicas.is_some() && self.summary,
                "--summary counts owners: it does not go with --replicas",
            ),
            (
                self.zones.is_some() && self.replicas.is_none(),
                "--zones needs --replicas",
            ),
        ];
        match refusals.iter().find(|(refused, _)| *refused) {
            Some((_, reason)) => Err(Failure::refused(*reason)),
            None => Ok(()),
        }
    }

    /// Whether a change of nodes is to be tried.
    pub(crate) fn changes(&self) -> bool {
        !self.then_add.is_empty() || !self.then_remove.is_empty()
    }

    pub(crate) fn zones(&self) -> ZonePolicy {
        match self.zones {
            None | Some(ZonesName::Any) => ZonePolicy::Any,
            Some(ZonesName::Spread) => ZonePolicy::Spread,
            Some(ZonesName::Strict) => ZonePolicy::Strict,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PlacementName {
    /// SHA-256
    Sha256,
    /// XXH3, the fast one
    Xxh3,
    /// As nginx's `hash … consistent` (feature interop)
    Nginx,
    /// As libmemcached's KETAMA (feature interop)
    Ketama,
    /// As libmemcached's `KETAMA_WEIGHTED` (feature interop)
    KetamaWeighted,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ZonesName {
    /// Zones are not looked at
    Any,
    /// Over as many zones as there are
    Spread,
    /// Each replica in a zone of its own
    Strict,
}

/// A node as given on the command line.
#[derive(Clone, Debug)]
pub(crate) struct NodeOption {
    pub(crate) node: Node,
    pub(crate) down: bool,
}

impl FromStr for NodeOption {
    type Err = String;

    /// Takes the parts off from the right, so that names may have any of `:`, `[`, `]`, `=` and
    /// `@` in them: `[::1]:80=2@rack-1!down`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (text, down) = match text.rsplit_once('!') {
            Some((text, "down")) => (text, true),
            Some((_, mark)) => return Err(format!("`!{mark}` is no mark; there is only `!down`")),
            None => (text, false),
        };
        let (text, zone) = match text.rsplit_once('@') {
            Some((_, "")) => return Err("the zone after `@` is empty".to_owned()),
            Some((_, zone)) if zone.contains('=') => {
                return Err("the weight goes before the zone".to_owned());
            }
            Some((text, zone)) => (text, Some(zone)),
            None => (text, None),
        };
        let (name, weight) = match text.rsplit_once('=') {
            Some((name, weight)) => (name, parse_weight(weight)?),
            None => (text, 1),
        };
        let mut node = Node::from(id(name)?).with_weight(weight);
        if let Some(zone) = zone {
            node = node.with_zone(zone);
        }
        Ok(Self { node, down })
    }
}

fn parse_weight(text: &str) -> Result<u32, String> {
    let weight = text.parse();
    weight
        .map_err(|error| format!("the weight `{text}` is not a number from 0 to 2^32 - 1: {error}"))
}

fn id(name: &str) -> Result<NodeId, String> {
    if name.contains([',', '\t', '\n']) {
        return Err("a comma, a tab or a line break in a name would garble the output".to_owned());
    }
    NodeId::new(name).map_err(|error| chain(&error))
}
