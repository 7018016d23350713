//! Steps that change nothing: renewals, inspection, and the wait for a change.

use futures_util::future::join_all;
use tokio::task::JoinSet;
use zookeeper_client::{Error, MultiReadResult};

use crate::lock::backend::{
    BackendError, BackendErrorKind, Entry, Held, Inspection, Queued, Renewed, Verb,
};
use crate::lock::name::LockName;

use super::call::Call;
use super::grant::{path, read};
use super::shared::{Shared, WATCHED_MAX};
use super::view::{Blocker, Node, View};

/// Nodes read by one request: a server refuses requests of more than a mebibyte, and a path takes up
/// to a kibibyte.
const CHUNK: usize = 512;

/// So often `changed` looks again by itself when what it wanted to watch was gone.
const LOOKS: usize = 3;

/// The longest name of an entry's node is shorter.
const CHILD_MAX: u32 = 128;

/// One proof of the session, and a look at each entry's node, all sent at once.
pub(super) async fn renew(
    shared: &Shared,
    entries: &[Entry],
) -> Vec<Result<Renewed, BackendError>> {
    if entries.is_empty() {
        return Vec::new();
    }
    let failed = |kind| move |_: &Entry| Err(BackendError::new(kind, Verb::Renew));
    let Ok(call) = shared.call(Verb::Renew).await else {
        let failed = failed(BackendErrorKind::Unavailable);
        return entries.iter().map(failed).collect();
    };
    let session = &call.session;
    // The first poll of each sends it: the proof goes first, so that what is seen is not older.
    let proved = call.read(session.prove(&shared.config.chroot));
    let seen = join_all(entries.iter().map(|entry| is_there(shared, &call, entry)));
    let (proved, seen) = futures_util::future::join(proved, seen).await;
    if !matches!(proved, Ok(Some(()))) {
        let failed = failed(BackendErrorKind::Indeterminate);
        return entries.iter().map(failed).collect();
    }
    let lease = session.lease();
    let answer = |(entry, seen): (&Entry, Result<bool, BackendError>)| {
        // It may have been given up meanwhile.
        if seen? && shared.ours.name(entry, session.id()).is_some() {
            return Ok(Renewed::Alive(lease));
        }
        shared.ours.forget(entry);
        shared.bells.ring(entry.holder());
        Ok(Renewed::Gone)
    };
    entries.iter().zip(seen).map(answer).collect()
}

async fn is_there(shared: &Shared, call: &Call, entry: &Entry) -> Result<bool, BackendError> {
    let client = &call.session.client;
    let Some(our) = shared.ours.name(entry, call.session.id()) else {
        return Ok(false);
    };
    let root = shared.root(entry.name());
    if let Some(node) = our.node {
        let stat = call.read(client.check_stat(&path(&root, &node))).await?;
        if stat.flatten().is_some() {
            return Ok(true);
        }
        // A claim whose answer was lost may have made another.
    }
    let view = call.glance(&root).await?;
    let mut own = view.all_of(entry.holder());
    let own = own.find(|node| node.child.session == call.session.id() && !view.is_void(node));
    Ok(own.is_some_and(|node| {
        shared
            .ours
            .found(entry, &node.name, node.holds(), call.session.id())
    }))
}

pub(super) async fn changed(shared: &Shared, entry: &Entry) -> Result<(), BackendError> {
    // What ends this very entry is told by this process, from here on.
    let listener = shared.bells.listen(entry.holder());
    let rung = listener.rung();
    tokio::select! {
        biased;
        () = rung => Ok(()),
        told = told(shared, entry) => told,
    }
}

/// Watches what stands in the way.
async fn told(shared: &Shared, entry: &Entry) -> Result<(), BackendError> {
    let root = shared.root(entry.name());
    let bytes = u32::try_from(root.len()).unwrap_or(u32::MAX);
    let bytes = bytes.saturating_add(CHILD_MAX).min(WATCHED_MAX);
    let mut share = shared.watched.try_acquire_many(bytes).ok();
    for _ in 0..LOOKS {
        let call = shared.call(Verb::Changed).await?;
        let client = &call.session.client;
        if !shared.ours.is_here(entry, call.session.id()) {
            return Ok(());
        }
        let view = call.glance(&root).await?;
        let watcher = match view.blocker(entry.holder()) {
            Blocker::None => return Ok(()),
            _ if share.is_none() => None,
            Blocker::Node(node) => {
                let node = path(&root, node);
                let watched = call.read(client.get_and_watch_data(&node)).await?;
                watched.map(|(_, _, watcher)| watcher)
            }
            Blocker::Any => {
                let watched = call.read(client.get_and_watch_children(&root)).await?;
                let is_same = |root: &zookeeper_client::Stat| {
                    view.root().is_some_and(|seen| seen.pzxid == root.pzxid)
                };
                let watched = watched.filter(|(_, root, _)| is_same(root));
                watched.map(|(_, _, watcher)| watcher)
            }
        };
        // Many may wait from here on.
        drop((view, call));
        if let Some(watcher) = watcher {
            // The client panics where its own task was dropped with its runtime, and this call is made in
            // another: a task of that runtime is dropped then.
            let mut watching = JoinSet::new();
            watching.spawn_on(watcher.changed(), &shared.runtime);
            watching.join_next().await;
            return Ok(());
        }
        if share.is_none() {
            // Until then the caller looks again from time to time by itself.
            share = shared.watched.acquire_many(bytes).await.ok();
        }
    }
    Ok(())
}

pub(super) async fn inspect(shared: &Shared, name: &LockName) -> Result<Inspection, BackendError> {
    let call = shared.call(Verb::Inspect).await?;
    let root = shared.root(name);
    while call.has_time() {
        let view = call.look(&root).await?;
        if let Some(inspection) = read_all(&call, &root, &view).await? {
            return Ok(inspection);
        }
    }
    Err(call.too_busy())
}

/// Reads what the names do not tell: it never changes, so it belongs to the instant of the list.
/// Answers nothing if a node is gone: then it is not known.
async fn read_all(
    call: &Call,
    root: &str,
    view: &View,
) -> Result<Option<Inspection>, BackendError> {
    let (mut holders, mut waiters) = (Vec::new(), Vec::new());
    let nodes: Vec<&Node> = view.holders().iter().chain(view.waiters()).collect();
    for chunk in nodes.chunks(CHUNK) {
        let mut reader = call.session.client.new_multi_reader();
        for node in chunk {
            let added = reader.add_get_data(&path(root, &node.name));
            added.map_err(|_| call.garbled("a node has a name that is none"))?;
        }
        let Some(read_now) = call.read(reader.commit()).await? else {
            return Ok(None);
        };
        for (node, result) in chunk.iter().zip(read_now) {
            let (bytes, stat) = match result {
                MultiReadResult::Data { data, stat } => (data, stat),
                MultiReadResult::Error { err: Error::NoNode } => return Ok(None),
                MultiReadResult::Error { .. } | _ => {
                    return Err(call.rejected("a node of the lock may not be read"));
                }
            };
            let garbled = || call.garbled("a node holds what was not understood");
            let (pass, metadata) = read(&bytes, stat.czxid).ok_or_else(garbled)?;
            let child = node.child;
            if node.holds() {
                let held = Held::new(child.holder, child.mode, pass, child.ttl, metadata);
                holders.push(held);
            } else {
                waiters.push(Queued::new(node.waiter(), child.ttl, metadata));
            }
        }
    }
    Ok(Some(Inspection::new(holders, waiters)))
}
