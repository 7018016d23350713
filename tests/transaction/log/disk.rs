//! A disk that forgets what was not synced, and fails when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use tripod::transaction::log::{Storage, StorageFile, StorageLock};

/// What a disk writes as one, in bytes.
pub(super) const SECTOR: usize = 512;

/// What goes wrong at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The power goes with the call: how much of it is done, the reboot decides.
    Crash,
    /// The call fails, and may have done a part.
    Once(ErrorKind),
    /// So do all after it.
    From(ErrorKind),
}

/// What a disk or a log on it does wrong: each must be caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    SyncsNothing,
    SyncsNoNames,
    TriesAgainAfterAFailedSync,
    LocksNothing,
    WritesAreReadBackWrong,
}

/// What a loss of power leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// All of it: only the process died.
    Nothing,
    /// None of it.
    Everything,
    /// Some sectors and some names.
    Some(u64),
}

/// A small generator: the same numbers for the same seed, on every machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// `splitmix64`
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

#[derive(Clone, Debug, Default)]
struct Inode {
    cache: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
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
pub(super) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
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
    pub(super) fn fork(&self) -> Self {
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

    pub(super) fn lying(self, lie: Option<Lie>) -> Self {
        self.state().lie = lie;
        self
    }

    pub(super) fn calls(&self) -> u64 {
        self.state().calls
    }

    pub(super) fn is_crashed(&self) -> bool {
        self.state().crashed
    }

    pub(super) fn faults_met(&self) -> u64 {
        self.state().faults_met
    }

    /// Lets the call of this number fail, counted from now on.
    pub(super) fn fail_at(&self, call: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.calls + call, fault));
    }

    pub(super) fn heal(&self) {
        self.state().fault = None;
    }

    /// So many bytes are all that the disk holds.
    pub(super) fn limit(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    pub(super) fn used(&self) -> u64 {
        self.state().used()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// The file's content, durable or not.
    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.inodes[state.names[name]].cache.clone()
    }

    /// Replaces a file's content, durably.
    pub(super) fn put(&self, name: &str, bytes: Vec<u8>) {
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
    pub(super) fn reboot(&self, loss: Loss) {
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
        let mut dice = match loss {
            Loss::Some(seed) => Dice::new(seed),
            Loss::Nothing | Loss::Everything => Dice::new(0),
        };
        let mut keep = || match loss {
            Loss::Nothing => true,
            Loss::Everything => false,
            Loss::Some(_) => dice.coin(),
        };
        for inode in &mut self.inodes {
            inode.settle(&mut keep);
        }
        let pending = std::mem::take(&mut self.pending);
        for op in pending {
            if keep() {
                apply(&mut self.durable_names, op);
            }
        }
        if loss == Loss::Nothing {
            self.durable_names = self.names.clone();
        } else {
            for inode in &mut self.inodes {
                inode.cache.clone_from(&inode.durable);
            }
            self.names = self.durable_names.clone();
        }
        self.fault = None;
        self.crashed = false;
        self.locked = false;
        self.boot += 1;
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

/// Fast without optimisation too.
fn grow(bytes: &mut Vec<u8>, len: usize) {
    let zeros = vec![0; len - bytes.len()];
    bytes.extend_from_slice(&zeros);
}

impl Inode {
    /// Makes the dirty sectors durable that are kept, and forgets about the others.
    fn settle(&mut self, mut keep: impl FnMut() -> bool) {
        for sector in std::mem::take(&mut self.dirty) {
            if !keep() {
                continue;
            }
            let start = sector * SECTOR;
            let end = (start + SECTOR).min(self.cache.len());
            if start >= end {
                self.durable.truncate(start);
                continue;
            }
            if self.durable.len() < end {
                grow(&mut self.durable, end);
            }
            self.durable[start..end].copy_from_slice(&self.cache[start..end]);
        }
    }

    fn write(&mut self, offset: usize, bytes: &[u8], mut keep: impl FnMut() -> bool) {
        let end = offset + bytes.len();
        if self.cache.len() < end {
            grow(&mut self.cache, end);
        }
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            if !keep() {
                continue;
            }
            let from = offset.max(sector * SECTOR);
            let to = end.min((sector + 1) * SECTOR);
            self.cache[from..to].copy_from_slice(&bytes[from - offset..to - offset]);
            self.dirty.insert(sector);
        }
    }
}

impl Storage for Disk {
    fn lock(&self, _create: bool) -> io::Result<Option<Box<dyn StorageLock>>> {
        let mut state = self.state();
        let boot = state.boot;
        if let Some(kind) = state.call(boot)? {
            return Err(kind.into());
        }
        if state.locked && state.lie != Some(Lie::LocksNothing) {
            return Ok(None);
        }
        state.locked = true;
        let disk = self.clone();
        Ok(Some(Box::new(Lock { disk, boot })))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        let boot = state.boot;
        match state.call(boot)? {
            None => Ok(state.names.keys().cloned().collect()),
            Some(kind) => Err(kind.into()),
        }
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.state();
        let boot = state.boot;
        let failure = state.call(boot)?;
        if failure.is_some() && !state.crashed && state.dice.coin() {
            return Err(ErrorKind::Other.into());
        }
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.change(NameOp::Set(name.into(), inode));
        match failure {
            None => Ok(Box::new(Open {
                disk: self.clone(),
                boot,
                inode,
            })),
            Some(kind) => Err(kind.into()),
        }
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.state();
        let boot = state.boot;
        if let Some(kind) = state.call(boot)? {
            return Err(kind.into());
        }
        let inode = *state.names.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(Open {
            disk: self.clone(),
            boot,
            inode,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(|state| {
            let inode = *state.names.get(from).ok_or(ErrorKind::NotFound)?;
            state.change(NameOp::Move(from.into(), to.into(), inode));
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(|state| {
            if !state.names.contains_key(name) {
                return Err(ErrorKind::NotFound.into());
            }
            state.change(NameOp::Drop(name.into()));
            Ok(())
        })
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.change(|state| {
            if state.lie != Some(Lie::SyncsNoNames) {
                state.sync_names();
            }
            Ok(())
        })
    }
}

impl Disk {
    /// A change of names, which may fail before or after it was made.
    fn change(&self, change: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state();
        let boot = state.boot;
        let Some(kind) = state.call(boot)? else {
            return change(&mut state);
        };
        if state.dice.coin() {
            let _ = change(&mut state);
        }
        Err(kind.into())
    }
}

#[derive(Debug)]
struct Lock {
    disk: Disk,
    boot: u64,
}

impl StorageLock for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.boot == self.boot {
            state.locked = false;
        }
    }
}

#[derive(Debug)]
struct Open {
    disk: Disk,
    boot: u64,
    inode: usize,
}

impl StorageFile for Open {
    fn length(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        match state.call(self.boot)? {
            None => Ok(state.inodes[self.inode].cache.len() as u64),
            Some(kind) => Err(kind.into()),
        }
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Some(kind) = state.call(self.boot)? {
            return Err(kind.into());
        }
        let start = usize::try_from(offset).unwrap();
        let from = state.inodes[self.inode]
            .cache
            .get(start..start + bytes.len());
        bytes.copy_from_slice(from.ok_or(ErrorKind::UnexpectedEof)?);
        if state.lie == Some(Lie::WritesAreReadBackWrong)
            && let Some(byte) = bytes.get_mut(100)
        {
            *byte ^= 4;
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut guard = self.disk.state();
        let state = &mut *guard;
        let failure = state.call(self.boot)?;
        let whole = failure.is_none() || state.crashed;
        let (inode, dice) = (&mut state.inodes[self.inode], &mut state.dice);
        inode.write(usize::try_from(offset).unwrap(), bytes, || {
            whole || dice.coin()
        });
        failure.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn preallocate(&mut self, len: u64) -> io::Result<()> {
        let mut guard = self.disk.state();
        let state = &mut *guard;
        let failure = state.call(self.boot)?;
        let before = state.inodes[self.inode].cache.len() as u64;
        let more = len.saturating_sub(before);
        if state.used().saturating_add(more) > state.capacity {
            return Err(ErrorKind::StorageFull.into());
        }
        let whole = failure.is_none() || state.crashed;
        let (inode, dice) = (&mut state.inodes[self.inode], &mut state.dice);
        let zeros = vec![0; usize::try_from(len).unwrap()];
        inode.cache.truncate(zeros.len());
        inode.write(0, &zeros, || whole || dice.coin());
        failure.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut guard = self.disk.state();
        let state = &mut *guard;
        let failure = state.call(self.boot)?;
        if state.lie == Some(Lie::SyncsNothing) {
            return failure.map_or(Ok(()), |kind| Err(kind.into()));
        }
        let (inode, dice) = (&mut state.inodes[self.inode], &mut state.dice);
        match failure {
            None => inode.settle(|| true),
            // What was dirty counts as clean from now on, written or not.
            Some(_) if !state.crashed => inode.settle(|| dice.coin()),
            Some(_) => {}
        }
        match failure {
            Some(_) if state.lie == Some(Lie::TriesAgainAfterAFailedSync) && !state.crashed => {
                Ok(())
            }
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        }
    }
}
