//! A disk that forgets what was not synced, and fails when it is told to.

mod dice;
mod inode;
mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use inode::Inode;

pub(crate) use dice::Dice;

/// What a disk writes as one, in bytes.
pub(crate) const SECTOR: usize = 512;

/// What goes wrong at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The power goes with the call: how much of it is done, the reboot decides.
    Crash,
    /// The call fails, and may have done a part.
    Once(ErrorKind),
    /// So do all after it.
    From(ErrorKind),
}

/// What a disk or a log on it does wrong: each must be caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    SyncsNothing,
    SyncsNoNames,
    TriesAgainAfterAFailedSync,
    ReadsWrongly,
}

/// What a loss of power leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// All of it: only the process died.
    Nothing,
    /// None of it.
    Everything,
    /// Some sectors and some names.
    Some(u64),
    /// So too, and bits are flipped in what was not synced.
    #[allow(dead_code, reason = "not all who include this use it")]
    Garbled(u64),
}

#[derive(Clone, Debug)]
enum NameOp {
    Set(String, usize),
    Move(String, String, usize),
    Drop(String),
}

#[derive(Clone, Debug)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending: Vec<NameOp>,
    calls: u64,
    fault: Option<(u64, Fault)>,
    faults_met: u64,
    crashed: bool,
    boot: u64,
    locked: bool,
    capacity: u64,
    lie: Option<Lie>,
    dice: Dice,
}

#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending: Vec::new(),
            calls: 0,
            fault: None,
            faults_met: 0,
            crashed: false,
            boot: 0,
            locked: false,
            capacity: u64::MAX,
            lie: None,
            dice: Dice::new(seed),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Another disk with the same content.
    pub(crate) fn fork(&self) -> Self {
        let mut state = self.state();
        let State {
            inodes,
            names,
            durable_names,
            pending,
            ..
        } = &mut *state;
        if pending.is_empty() {
            let reached: BTreeSet<_> = names.values().chain(durable_names.values()).collect();
            for (number, inode) in inodes.iter_mut().enumerate() {
                if !reached.contains(&number) {
                    *inode = Inode::default();
                }
            }
        }
        Self(Arc::new(Mutex::new(state.clone())))
    }

    pub(crate) fn lying(self, lie: Option<Lie>) -> Self {
        self.state().lie = lie;
        self
    }

    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }

    pub(crate) fn is_crashed(&self) -> bool {
        self.state().crashed
    }

    pub(crate) fn faults_met(&self) -> u64 {
        self.state().faults_met
    }

    /// Lets the call of this number fail, counted from now on.
    pub(crate) fn fail_at(&self, call: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.calls + call, fault));
    }

    pub(crate) fn heal(&self) {
        self.state().fault = None;
    }

    /// So many bytes are all that the disk holds.
    pub(crate) fn limit(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    pub(crate) fn used(&self) -> u64 {
        self.state().used()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// The file's content, durable or not.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.inodes[state.names[name]].cache.clone()
    }

    /// Replaces a file's content, durably.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        state.inodes.push(Inode {
            durable: bytes.clone(),
            cache: bytes,
            dirty: BTreeSet::new(),
        });
        let inode = state.inodes.len() - 1;
        state.names.insert(name.into(), inode);
        state.durable_names.insert(name.into(), inode);
    }

    /// Starts the machine again; whoever used the disk before is gone.
    pub(crate) fn reboot(&self, loss: Loss) {
        let mut state = self.state();
        state.reboot(loss);
    }
}

impl State {
    fn used(&self) -> u64 {
        let mut inodes: Vec<_> = self
            .names
            .values()
            .chain(self.durable_names.values())
            .collect();
        inodes.sort_unstable();
        inodes.dedup();
        let len = |inode: &usize| {
            let Inode { cache, durable, .. } = &self.inodes[*inode];
            cache.len().max(durable.len()) as u64
        };
        inodes.into_iter().map(len).sum()
    }

    /// Counts a call. `Ok(true)`: it is to fail after doing what it may.
    fn call(&mut self, boot: u64) -> io::Result<Option<ErrorKind>> {
        if self.crashed || boot != self.boot {
            return Err(io::Error::other("the power is off"));
        }
        let call = self.calls;
        self.calls += 1;
        let Some((at, fault)) = self.fault else {
            return Ok(None);
        };
        match fault {
            Fault::Crash if call == at => {
                self.crashed = true;
                self.faults_met += 1;
                Ok(Some(ErrorKind::Other))
            }
            Fault::Once(kind) if call == at => {
                self.faults_met += 1;
                Ok(Some(kind))
            }
            Fault::From(kind) if call >= at => {
                self.faults_met += 1;
                Ok(Some(kind))
            }
            Fault::Crash | Fault::Once(_) | Fault::From(_) => Ok(None),
        }
    }

    fn reboot(&mut self, loss: Loss) {
        match loss {
            // The system goes on: it still has what was not synced, and may lose it later.
            Loss::Nothing => {}
            Loss::Everything => self.lose(|| false),
            Loss::Some(seed) => {
                let mut dice = Dice::new(seed);
                self.lose(|| dice.coin());
            }
            Loss::Garbled(seed) => {
                let mut dice = Dice::new(seed);
                for inode in &mut self.inodes {
                    inode.garble(&mut dice);
                }
                self.lose(|| dice.coin());
            }
        }
        self.fault = None;
        self.crashed = false;
        self.locked = false;
        self.boot += 1;
    }

    fn lose(&mut self, mut keep: impl FnMut() -> bool) {
        for inode in &mut self.inodes {
            inode.settle(&mut keep);
            inode.cache.clone_from(&inode.durable);
        }
        for op in std::mem::take(&mut self.pending) {
            if keep() {
                apply(&mut self.durable_names, op);
            }
        }
        self.names = self.durable_names.clone();
    }

    fn sync_names(&mut self) {
        for op in std::mem::take(&mut self.pending) {
            apply(&mut self.durable_names, op);
        }
    }

    fn change(&mut self, op: NameOp) {
        apply(&mut self.names, op.clone());
        self.pending.push(op);
    }
}

fn apply(names: &mut BTreeMap<String, usize>, op: NameOp) {
    match op {
        NameOp::Set(name, inode) => {
            names.insert(name, inode);
        }
        // One step: whoever finds the file under its new name finds this one.
        NameOp::Move(from, to, inode) => {
            names.remove(&from);
            names.insert(to, inode);
        }
        NameOp::Drop(name) => {
            names.remove(&name);
        }
    }
}
