//! Out of the lock, and out of the queue.

use futures_util::future::join_all;

use crate::lock::backend::{BackendError, Entry, Verb};
use crate::lock::fence::FencingToken;
use crate::lock::name::LockName;

use super::call::{Call, token};
use super::grant::path;
use super::shared::Shared;
use super::view::Node;

pub(super) async fn release(shared: &Shared, entry: &Entry) -> Result<bool, BackendError> {
    let mut call = shared.call(Verb::Release).await?;
    let root = shared.root(entry.name());
    let our = shared.ours.get(entry);
    let known = our.filter(|our| our.holds).and_then(|our| our.node);
    let node = match known {
        Some(node) => Some(node),
        None => holder(&call, &root, entry).await?,
    };
    let Some(node) = node else {
        return Ok(false);
    };
    let held = call.remove(&path(&root, &node)).await?;
    shared.ours.forget(entry);
    shared.bells.ring(entry.holder());
    Ok(held)
}

/// What the node is called by which this id holds.
async fn holder(call: &Call, root: &str, entry: &Entry) -> Result<Option<String>, BackendError> {
    let view = call.look(root).await?;
    let mut holders = view.holders().iter();
    let node = holders.find(|node| node.child.holder == entry.holder());
    Ok(node.map(|node| node.name.clone()))
}

pub(super) async fn leave(shared: &Shared, entry: &Entry) -> Result<(), BackendError> {
    // From here on, an `enqueue` under way undoes what it does, and what it has no part in any more,
    // a request that lingers on a lost connection, is found by the task that looks for such nodes.
    shared.ours.forget(entry);
    shared.bells.ring(entry.holder());
    let mut call = shared.call(Verb::Leave).await?;
    let root = shared.root(entry.name());
    // Requests of a session are done in their order: what was sent before is seen.
    let view = call.look(&root).await?;
    let nodes = view
        .all_of(entry.holder())
        .map(|node| path(&root, &node.name));
    for node in nodes {
        call.remove(&node).await?;
    }
    shared.bells.ring(entry.holder());
    Ok(())
}

pub(super) async fn force_release(
    shared: &Shared,
    name: &LockName,
    fencing_token: FencingToken,
) -> Result<bool, BackendError> {
    let mut call = shared.call(Verb::ForceRelease).await?;
    let root = shared.root(name);
    let view = call.look(&root).await?;
    let granted = async |node: &Node| {
        let path = path(&root, &node.name);
        let stat = call.read(call.session.client.check_stat(&path)).await?;
        let is_it = stat
            .flatten()
            .is_some_and(|stat| token(stat.czxid) == fencing_token);
        Ok::<_, BackendError>(is_it.then_some(path))
    };
    // All are sent at once.
    let found = join_all(view.holders().iter().map(granted)).await;
    for path in found {
        if let Some(path) = path? {
            return call.remove(&path).await;
        }
    }
    Ok(false)
}
