//! Into the queue, and to the grant.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use zookeeper_client::CreateMode;

use crate::chance::random;
use crate::lock::backend::{BackendError, Claimed, Enqueued, Entry, Request, Standing, Verb};
use crate::lock::queue::{Mode, Verdict, Waiter};

use super::call::Call;
use super::child::Child;
use super::failure::{Refusal, failure};
use super::grant::{Candidate, data, grant, granted, path};
use super::shared::Shared;
use super::view::{Node, View};

/// So often a grant is tried before one who waits enters the queue, and one in the queue is answered
/// that it waits: each try fails because another one came first.
const TRIES: u32 = 12;

pub(super) async fn enqueue(shared: &Shared, request: &Request) -> Result<Enqueued, BackendError> {
    let mut call = shared.call(Verb::Enqueue).await?;
    let session = Arc::clone(&call.session);
    if request.ttl() > session.ttl {
        return Err(call.rejected(format!(
            "a TTL of {:?} is longer than the session's timeout of {:?}: see `session_timeout`",
            request.ttl(),
            session.ttl
        )));
    }
    let candidate = Candidate {
        entry: request.entry(),
        child: Child {
            holder: request.entry().holder(),
            mode: request.mode(),
            priority: request.priority(),
            session: session.id(),
            ttl: session.ttl,
        },
        metadata: request.metadata(),
        root: shared.root(request.entry().name()),
    };
    let is_new = shared
        .ours
        .enter(candidate.entry, candidate.metadata, session.id());
    let answer = place(shared, &mut call, &candidate, request.waits()).await;
    let is_nothing = match &answer {
        Ok(Enqueued::Held | Enqueued::Foreign(_)) => true,
        Ok(Enqueued::Granted(_) | Enqueued::Waiting(_)) => false,
        Err(error) => is_new && error.kind().is_definite(),
    };
    if is_nothing {
        shared.ours.forget(candidate.entry);
    }
    answer
}

/// Finds the entry a place: the one that it has, or a new one.
async fn place(
    shared: &Shared,
    call: &mut Call,
    candidate: &Candidate<'_>,
    waits: bool,
) -> Result<Enqueued, BackendError> {
    let newcomer = Waiter::new(
        candidate.child.holder,
        candidate.child.mode,
        candidate.child.priority,
        u64::MAX,
    );
    let (mut tries, mut is_sure) = (0, false);
    // Exclusively, those who come too late will not be let in at the next look either.
    let joins = candidate.child.mode != Mode::Exclusive;
    let (mut turn, mut known) = (None, None);
    loop {
        if tries > 0 && joins && turn.is_none() {
            turn = Some(call.within(shared.turn(&candidate.root)).await?);
        }
        let view = if is_sure {
            call.look(&candidate.root).await?
        } else {
            call.glance(&candidate.root).await?
        };
        if let Some(node) = present(call, candidate, &view).await? {
            if node.child.mode != candidate.child.mode {
                return Err(call.rejected("the id has an entry in another mode"));
            }
            drop(turn);
            let claimed = claim_on(shared, call, candidate).await?;
            return again(call, claimed);
        }
        if !shared.ours.is_here(candidate.entry, call.session.id()) {
            return Err(call.left());
        }
        match view.verdict(&newcomer, waits) {
            Verdict::Admit if tries < TRIES || !waits => {
                let known = turn.as_deref_mut().unwrap_or(&mut known);
                if let Some(grant) = grant(shared, call, candidate, &view, None, known).await? {
                    return Ok(Enqueued::Granted(grant));
                }
            }
            Verdict::Admit | Verdict::Wait if waits => {
                turn = None;
                if let Some(answer) = wait(shared, call, candidate, &view).await? {
                    return Ok(answer);
                }
            }
            // Nothing is written to say so; that the leader says so too makes it certain.
            Verdict::Admit | Verdict::Wait | Verdict::Foreign(_) if !is_sure => {
                is_sure = true;
                continue;
            }
            Verdict::Admit | Verdict::Wait => return Ok(Enqueued::Held),
            Verdict::Foreign(family) => return Ok(Enqueued::Foreign(family)),
        }
        (tries, is_sure) = (tries + 1, true);
        pause(call, tries).await?;
    }
}

/// The node that the entry has already. What a session before this one left under the same id is
/// removed.
async fn present<'a>(
    call: &mut Call,
    candidate: &Candidate<'_>,
    view: &'a View,
) -> Result<Option<&'a Node>, BackendError> {
    for node in view.all_of(candidate.child.holder) {
        if node.child.session == candidate.child.session {
            return Ok(Some(node));
        }
        call.remove(&path(&candidate.root, &node.name)).await?;
    }
    Ok(None)
}

/// Enters the queue, behind whoever came first: nothing is compared. Answers nothing if the lock's own
/// node is gone.
async fn wait(
    shared: &Shared,
    call: &mut Call,
    candidate: &Candidate<'_>,
    view: &View,
) -> Result<Option<Enqueued>, BackendError> {
    let session = Arc::clone(&call.session);
    let mut writes = session.client.new_multi_writer();
    let prefix = path(&candidate.root, &candidate.child.waiting());
    let mode = CreateMode::EphemeralSequential.with_acls(shared.config.acls());
    let prepared = writes
        .add_set_data(&candidate.root, b"", None)
        .and_then(|()| writes.add_create(&prefix, &data(None, candidate.metadata), &mode));
    prepared.map_err(|error| failure(error, Verb::Enqueue, false))?;
    let (root, created) = match call.change(writes).await? {
        Ok(changed) => changed,
        Err(Refusal::Missing | Refusal::Changed) => return Ok(None),
    };
    let node = created.rsplit('/').next().unwrap_or_default();
    if !shared
        .ours
        .found(candidate.entry, node, false, session.id())
    {
        call.remove(&created).await?;
        return Err(call.left());
    }
    // Every grant and arrival makes a version, and every end another count of changes.
    let was = view
        .root()
        .map(|was| (was.czxid, was.version.wrapping_add(1), was.cversion));
    if was == Some((root.czxid, root.version, root.cversion)) {
        let child = &candidate.child;
        let own = Waiter::new(child.holder, child.mode, child.priority, u64::MAX);
        return Ok(Some(Enqueued::Waiting(standing(call, view, &own))));
    }
    let claimed = claim_on(shared, call, candidate).await?;
    again(call, claimed).map(Some)
}

pub(super) async fn claim(shared: &Shared, entry: &Entry) -> Result<Claimed, BackendError> {
    let mut call = shared.call(Verb::Claim).await?;
    let Some(our) = shared.ours.name(entry, call.session.id()) else {
        return Ok(Claimed::Gone);
    };
    let root = shared.root(entry.name());
    let view = call.look(&root).await?;
    let Some(node) = own(&view, entry, &call) else {
        shared.ours.forget(entry);
        shared.bells.ring(entry.holder());
        return Ok(Claimed::Gone);
    };
    let candidate = Candidate {
        entry,
        child: node.child,
        metadata: &our.metadata,
        root,
    };
    let claimed = claim_in(shared, &mut call, &candidate, view).await?;
    if !matches!(claimed, Claimed::Waiting(_)) {
        // Others of this process may listen for the same entry.
        shared.bells.ring(entry.holder());
    }
    Ok(claimed)
}

async fn claim_on(
    shared: &Shared,
    call: &mut Call,
    candidate: &Candidate<'_>,
) -> Result<Claimed, BackendError> {
    let view = call.look(&candidate.root).await?;
    claim_in(shared, call, candidate, view).await
}

async fn claim_in(
    shared: &Shared,
    call: &mut Call,
    candidate: &Candidate<'_>,
    mut view: View,
) -> Result<Claimed, BackendError> {
    let (mut turn, mut known) = (None, None);
    for tries in 1.. {
        let Some(node) = own(&view, candidate.entry, call) else {
            shared.ours.forget(candidate.entry);
            return Ok(Claimed::Gone);
        };
        let (is_void, session) = (view.is_void(node), call.session.id());
        let is_here = if is_void {
            shared.ours.is_here(candidate.entry, session)
        } else {
            let (name, holds) = (&node.name, node.holds());
            shared.ours.found(candidate.entry, name, holds, session)
        };
        if !is_here {
            return Ok(Claimed::Gone);
        }
        if is_void {
            call.remove(&path(&candidate.root, &node.name)).await?;
            if let Some(family) = view.family().filter(|_| !node.holds()) {
                shared.ours.forget(candidate.entry);
                return Ok(Claimed::Foreign(family));
            }
        } else if node.holds() {
            if let Some(grant) = granted(call, &candidate.root, node).await? {
                // Asked for until now: so it is not removed while this lease is believed in.
                return match shared.ours.name(candidate.entry, session) {
                    Some(_) => Ok(Claimed::Granted(grant)),
                    None => Ok(Claimed::Gone),
                };
            }
        } else {
            let verdict = view.verdict(&node.waiter(), true);
            if verdict != Verdict::Admit || tries > TRIES || !call.has_time() {
                return Ok(Claimed::Waiting(standing(call, &view, &node.waiter())));
            }
            let name = Some(node.name.as_str());
            let known = turn.as_deref_mut().unwrap_or(&mut known);
            if let Some(grant) = grant(shared, call, candidate, &view, name, known).await? {
                return Ok(Claimed::Granted(grant));
            }
        }
        pause(call, tries).await?;
        if turn.is_none() {
            turn = Some(call.within(shared.turn(&candidate.root)).await?);
        }
        view = call.look(&candidate.root).await?;
    }
    Err(call.too_busy())
}

/// This entry's node, of this session.
fn own<'a>(view: &'a View, entry: &Entry, call: &Call) -> Option<&'a Node> {
    let mut nodes = view.all_of(entry.holder());
    nodes.find(|node| node.child.session == call.session.id())
}

/// Where a waiter stands.
fn standing(call: &Call, view: &View, waiter: &Waiter) -> Standing {
    // One that may hold, and was not let in for the haste of others, looks again at once.
    let recheck = match view.verdict(waiter, true) {
        Verdict::Admit => Some(Duration::ZERO),
        Verdict::Wait | Verdict::Foreign(_) => view.recheck(waiter),
    };
    Standing::new(call.session.lease(), recheck.unwrap_or(call.session.ttl))
}

/// Those who want the same at once do not try again at once. The first tries follow immediately: the
/// look was late.
async fn pause(call: &Call, tries: u32) -> Result<(), BackendError> {
    if !call.has_time() {
        return Err(call.too_busy());
    }
    if tries > 2 {
        let random = random() % u64::from(tries.min(16));
        sleep(Duration::from_millis(random)).await;
    }
    Ok(())
}

/// What a claim says of an entry, as an `enqueue` of it answers.
fn again(call: &Call, claimed: Claimed) -> Result<Enqueued, BackendError> {
    match claimed {
        Claimed::Granted(grant) => Ok(Enqueued::Granted(grant)),
        Claimed::Waiting(standing) => Ok(Enqueued::Waiting(standing)),
        Claimed::Foreign(family) => Ok(Enqueued::Foreign(family)),
        Claimed::Gone => Err(call.left()),
    }
}
