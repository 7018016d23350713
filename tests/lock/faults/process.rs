//! Processes of this very program, and signals to them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

/// A process that writes lines, and ends with its owner.
pub struct Player<T> {
    child: Child,
    lines: Arc<Mutex<Vec<T>>>,
    holds: Arc<AtomicUsize>,
    reader: Option<JoinHandle<()>>,
}

/// What is read of lines.
pub trait Witness: Sized + Send + 'static {
    /// A line, if it is whole.
    fn read(line: &str) -> Option<Self>;

    /// How many locks more it says are held from now on.
    fn holds(&self) -> isize;
}

impl<T: Witness> Player<T> {
    /// Starts it in this role. `first` is given its first line.
    pub fn start(arguments: &[String], first: impl FnOnce(&str)) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        first(line.trim_end());
        let (lines, holds) = (
            Arc::<Mutex<Vec<T>>>::default(),
            Arc::<AtomicUsize>::default(),
        );
        let (pages, held) = (Arc::clone(&lines), Arc::clone(&holds));
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|read| read > 0) {
                let whole = line.strip_suffix('\n').and_then(T::read);
                if let Some(witness) = whole {
                    let before = held.load(Ordering::Relaxed);
                    held.store(
                        before.saturating_add_signed(witness.holds()),
                        Ordering::Relaxed,
                    );
                    pages.lock().push(witness);
                }
                line.clear();
            }
        });
        Self {
            child,
            lines,
            holds,
            reader: Some(reader),
        }
    }

    /// Whether it holds a lock just now, as far as it has said.
    pub fn holds(&self) -> bool {
        self.holds.load(Ordering::Relaxed) > 0
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, and answers all that it has written.
    pub fn end(mut self) -> Vec<T> {
        self.kill();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        std::mem::take(&mut *self.lines.lock())
    }

    /// Whether it ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl<T> Player<T> {
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl<T> Drop for Player<T> {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Stops a process and all that it started.
pub fn pause(pid: u32) {
    signal(pid, Signal::STOP);
}

/// Lets them go on.
pub fn resume(pid: u32) {
    signal(pid, Signal::CONT);
}

fn signal(pid: u32, signal: Signal) {
    for pid in family(pid) {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        // It may have ended meanwhile.
        let _ = kill_process(pid, signal);
    }
}

/// A process and its descendants.
fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(parent) = family.get(at) {
        let children = format!("/proc/{parent}/task/{parent}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        family.extend(
            children
                .split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
        at += 1;
    }
    family
}
