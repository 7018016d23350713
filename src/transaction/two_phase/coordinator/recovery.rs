//! Opening: once the log has told of the epochs before, the participants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::codec::{self, Found};
use super::engine::{Engine, Memory};
use super::error::OpenError;
use super::keeper;
use super::member::Member;
use super::options::Options;
use super::run::Run;
use crate::chance::random_wide;
use crate::transaction::id::Epoch;
use crate::transaction::log::{
    Durability, LiveRecord, Opened, Persistence, Record, TransactionLog,
};
use crate::transaction::name::ParticipantName;
use crate::transaction::participant::{Opening, Participant, ParticipantOpenError};
use crate::transaction::two_phase::book::{Book, Entry, Recovered};
use crate::transaction::two_phase::branch::Progress;

/// Takes over what the epochs before this one have left. `Ok` once transactions may begin: what is
/// in doubt is settled in the background. `again`: this coordinator had the epoch before.
pub(super) async fn take_over(
    opened: Opened,
    log: &Arc<dyn TransactionLog>,
    participants: &[Arc<dyn Participant>],
    options: Options,
    memory: Memory,
    again: bool,
) -> Result<Arc<Engine>, OpenError> {
    suit(&opened, participants, options)?;
    let (coordinator, epoch) = (opened.coordinator(), opened.epoch());
    let opening = Opening::new(coordinator, epoch, random_wide());
    let members = introduce(participants, opening, options, again).await?;

    let (entries, known) = read(opened.into_live());
    name(log, epoch, &members, &known).await?;
    let Recovered {
        mut book,
        actions,
        broken,
        unreadable,
    } = Book::recover(coordinator, epoch, entries);
    for impossible in broken {
        tracing::error!(%impossible, "a transaction's records make no sense: it is left alone");
    }
    for id in unreadable {
        tracing::error!(transaction = %id, "a record cannot be read: the transaction is left alone");
    }
    for name in members.keys() {
        book.named(name.clone());
    }

    let recovered = actions.iter().map(|(id, _)| *id).collect();
    let engine = Engine::new(
        (coordinator, epoch),
        Arc::clone(log),
        members,
        options,
        (book, recovered),
        memory,
    );
    let engine = Arc::new(engine);
    tracing::info!(%coordinator, %epoch, recovered = actions.len(), "coordinator opened");
    for (id, actions) in actions {
        // For its end. Where there is no room now, there may be when it is written.
        let space = engine.reserve().await.ok();
        let run = adopt(&engine, Run::new(id, space));
        engine.perform_later(&run, actions);
    }
    keeper::start(&engine, opening);
    Ok(engine)
}

/// Whether the log outlives what it decides about.
fn suit(
    opened: &Opened,
    participants: &[Arc<dyn Participant>],
    options: Options,
) -> Result<(), OpenError> {
    if opened.persistence() == Persistence::Storage || options.volatile_log {
        return Ok(());
    }
    let durable = |it: &&Arc<dyn Participant>| it.persistence() == Persistence::Storage;
    match participants.iter().find(durable) {
        Some(durable) => Err(OpenError::Volatile(durable.name().clone())),
        None => Ok(()),
    }
}

/// Tells every participant of the epoch, all at once. Those that cannot be reached are told later.
async fn introduce(
    participants: &[Arc<dyn Participant>],
    opening: Opening,
    options: Options,
    again: bool,
) -> Result<BTreeMap<ParticipantName, Arc<Member>>, OpenError> {
    let told = participants.iter().map(async |participant| {
        let member = Member::new(Arc::clone(participant), options.requests_max);
        let name = participant.name().clone();
        match timeout(options.open_timeout, participant.open(opening)).await {
            Ok(Ok(())) => member.opened(),
            Ok(Err(ParticipantOpenError::Unknown(error))) => {
                tracing::warn!(participant = %name, %error, "not reached; it is tried again");
            }
            Err(_) => tracing::warn!(participant = %name, "no answer; it is tried again"),
            // One that has become unfit does not stop the others.
            Ok(Err(ParticipantOpenError::Unfit(error))) if again => {
                tracing::error!(participant = %name, %error, "unfit; it is tried again");
            }
            Ok(Err(source)) => return Err(OpenError::Participant { name, source }),
        }
        Ok((name, Arc::new(member)))
    });
    join_all(told).await.into_iter().collect()
}

/// What the log tells, and the names that it holds.
fn read(live: Vec<LiveRecord>) -> (Vec<Entry>, BTreeSet<ParticipantName>) {
    let mut known = BTreeSet::new();
    let mut entries = Vec::new();
    for record in live {
        match codec::decode(record.record()) {
            Found::Entry(entry) => {
                if let Entry::Named(name) = &entry {
                    known.insert(name.clone());
                }
                entries.push(entry);
            }
            Found::Unreadable(id) => entries.push(Entry::Unreadable(id)),
            Found::Foreign => {}
        }
    }
    (entries, known)
}

/// Makes the participants' names durable, so that whoever opens the log next knows whom to scan.
async fn name(
    log: &Arc<dyn TransactionLog>,
    epoch: Epoch,
    members: &BTreeMap<ParticipantName, Arc<Member>>,
    known: &BTreeSet<ParticipantName>,
) -> Result<(), OpenError> {
    let new = members.keys().filter(|name| !known.contains(*name));
    let facts = new.map(|name| Record::new(codec::fact(name)?, Vec::new()));
    let facts = facts.collect::<Result<Vec<_>, _>>()?;
    if !facts.is_empty() {
        log.append(epoch, facts, Durability::Forced, None).await?;
    }
    for name in known.iter().filter(|name| !members.contains_key(*name)) {
        tracing::warn!(
            participant = %name,
            "a participant of earlier days is not registered: what it has in doubt is not looked after"
        );
    }
    Ok(())
}

/// Adds a transaction that is under way already.
fn adopt(engine: &Engine, run: Run) -> Arc<Run> {
    let run = Arc::new(run);
    let mut state = engine.state.lock();
    if let Some(transaction) = state.book.transaction(run.id) {
        for branch in transaction.branches() {
            let member = engine.members.get(branch.participant());
            run.know(branch.number(), member.cloned());
            if let Progress::Parked(reason) = branch.progress() {
                engine.tell_parked(&run, branch.number(), reason);
            }
        }
    }
    state.runs.insert(run.id, Arc::clone(&run));
    drop(state);
    run
}
