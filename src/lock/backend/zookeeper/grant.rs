//! A grant: one transaction, and what it leaves for others to read.

use std::sync::Arc;

use zookeeper_client::{CreateMode, Error, MultiWriter};

use crate::lock::backend::{BackendError, Entry, Grant, Metadata, Verb};
use crate::lock::fence::{FencePass, FencingToken};

use super::call::{Call, Known, token};
use super::child::{Child, State};
use super::failure::{Refusal, failure};
use super::shared::Shared;
use super::view::{Node, View};

/// What is entered or granted.
pub(super) struct Candidate<'a> {
    pub(super) entry: &'a Entry,
    pub(super) child: Child,
    pub(super) metadata: &'a Metadata,
    /// The path of the lock's own node.
    pub(super) root: String,
}

/// Grants, if the lock is as it was seen: its version tells every grant and arrival since. What ended
/// since then changes no verdict, for fewer stand in the way; and that the holder with the lowest
/// fencing token is still there, which the floor is taken from, is part of the comparison.
pub(super) async fn grant(
    shared: &Shared,
    call: &mut Call,
    candidate: &Candidate<'_>,
    view: &View,
    waiter: Option<&str>,
    known: &mut Known,
) -> Result<Option<Grant>, BackendError> {
    if view.root().is_some_and(|seen| seen.version == -1) {
        // To the server, -1 is no comparison.
        call.step_on(&candidate.root).await?;
        return Ok(None);
    }
    let oldest = view.oldest().map(|node| path(&candidate.root, &node.name));
    let mut floor = None;
    if let Some(oldest) = &oldest {
        floor = call.token_of(oldest, known).await?;
        if floor.is_none() {
            return Ok(None);
        }
    }
    let state = view.root().map_or(
        State {
            made: 0,
            version: 0,
        },
        |root| State {
            made: root.czxid,
            version: root.version,
        },
    );
    let name = candidate.child.holding(state);
    let node = path(&candidate.root, &name);
    let waiter = waiter.map(|waiter| path(&candidate.root, waiter));
    let session = Arc::clone(&call.session);
    let mut writes = session.client.new_multi_writer();
    let change = Change {
        candidate,
        node: &node,
        floor,
        oldest: oldest.as_deref(),
        waiter: waiter.as_deref(),
    };
    let prepared = change.write(&mut writes, shared, view);
    prepared.map_err(|error| failure(error, Verb::Claim, false))?;
    let (root, _) = match call.change(writes).await? {
        Ok(changed) => changed,
        Err(Refusal::Missing) if view.root().is_none() => {
            let mode = CreateMode::Persistent.with_acls(shared.config.acls());
            call.make(&shared.config.chroot, &mode).await?;
            return Ok(None);
        }
        Err(Refusal::Missing | Refusal::Changed) => return Ok(None),
    };
    let is_void = view.root().is_some_and(|seen| seen.czxid != root.czxid);
    let is_here = if is_void {
        shared.ours.is_here(candidate.entry, session.id())
    } else {
        let ours = &shared.ours;
        ours.found(candidate.entry, &name, true, session.id())
    };
    if is_void || !is_here {
        call.remove(&node).await?;
    }
    if !is_here {
        return Err(call.left());
    }
    if is_void {
        return Ok(None);
    }
    let token = token(root.mzxid);
    let pass = FencePass::shared(token, floor.unwrap_or(token));
    let pass = pass.map_err(|error| {
        call.garbled("a floor is above its token")
            .with_source(error)
    })?;
    Ok(Some(Grant::new(pass, call.session.lease())))
}

/// What a grant writes.
struct Change<'a> {
    candidate: &'a Candidate<'a>,
    node: &'a str,
    floor: Option<FencingToken>,
    oldest: Option<&'a str>,
    waiter: Option<&'a str>,
}

impl Change<'_> {
    fn write(
        &self,
        writes: &mut MultiWriter<'_>,
        shared: &Shared,
        view: &View,
    ) -> Result<(), Error> {
        let (acls, root) = (shared.config.acls(), &self.candidate.root);
        if let Some(seen) = view.root() {
            writes.add_set_data(root, b"", Some(seen.version))?;
        } else {
            writes.add_create(root, b"", &CreateMode::Container.with_acls(acls))?;
            writes.add_set_data(root, b"", None)?;
        }
        if let Some(oldest) = self.oldest {
            writes.add_check_version(oldest, -1)?;
        }
        if let Some(waiter) = self.waiter {
            writes.add_delete(waiter, None)?;
        }
        let data = data(self.floor, self.candidate.metadata);
        writes.add_create(self.node, &data, &CreateMode::Ephemeral.with_acls(acls))
    }
}

/// The grant that a holder has.
pub(super) async fn granted(
    call: &Call,
    root: &str,
    node: &Node,
) -> Result<Option<Grant>, BackendError> {
    let client = &call.session.client;
    let Some((data, stat)) = call.read(client.get_data(&path(root, &node.name))).await? else {
        return Ok(None);
    };
    let (pass, _) = read(&data, stat.czxid).ok_or_else(|| call.garbled("a holder's data"))?;
    Ok(Some(Grant::new(pass, call.session.lease())))
}

pub(super) fn path(root: &str, node: &str) -> String {
    format!("{root}/{node}")
}

/// What is in a node: the floor, where it is not the holder's own token, and the metadata.
pub(super) fn data(floor: Option<FencingToken>, metadata: &Metadata) -> Vec<u8> {
    let floor = floor.map_or(0, FencingToken::as_u64);
    format!("{floor}\n{}", metadata.as_str()).into_bytes()
}

/// What is in the node that this transaction made.
pub(super) fn read(data: &[u8], zxid: i64) -> Option<(FencePass, Metadata)> {
    let text = std::str::from_utf8(data).ok()?;
    let (floor, metadata) = text.split_once('\n')?;
    let token = token(zxid);
    let pass = match floor.parse().ok()? {
        0 => FencePass::exclusive(token),
        floor => FencePass::shared(token, FencingToken::new(floor)).ok()?,
    };
    Some((pass, Metadata::new(metadata).ok()?))
}
