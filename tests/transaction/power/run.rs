//! Starts the child, cuts the power under it, and looks at what is left.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, sleep};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::child;
use super::known::Known;
use super::syncs::Syncs;
use super::volume::Volume;

/// What happened. Cuts under which nothing is going on prove nothing.
#[derive(Debug, Default)]
pub struct Report {
    cuts: u64,
    /// Before the log was open.
    early: u64,
    acknowledged: u64,
    untold: u64,
}

impl Report {
    pub fn is_enough(&self) -> bool {
        self.acknowledged > 3 * self.cuts && self.early > self.cuts / 50 && self.untold > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cuts,
            early,
            acknowledged,
            untold,
        } = self;
        write!(
            f,
            "{cuts} power cuts, {early} of them while the log was opened; {acknowledged} appends \
             acknowledged, {untold} more found"
        )
    }
}

/// Cuts the power so often, and looks at the log after each. An error says what is wrong with it.
pub fn cut(syncs: Syncs, cycles: u64, seed: u64, report: &mut Report) -> Result<(), String> {
    let mut volume = Volume::new()?;
    let mut known = Known::default();
    for cycle in 0..cycles {
        let moment = Moment::of(seed.wrapping_add(cycle));
        let open = once(&mut volume, syncs, moment, &mut known);
        report.cuts += 1;
        report.acknowledged = known.acks;
        report.untold = known.untold;
        let open = open.map_err(|what| format!("{what} (cycle {cycle})"))?;
        report.early += u64::from(!open);
    }
    // The last cut is looked at too.
    let open = once(
        &mut volume,
        syncs,
        Moment::Working(Duration::ZERO),
        &mut known,
    )?;
    open.then_some(())
        .ok_or_else(|| "the log does not open".into())
}

/// When the power is cut.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the process began, whatever it does.
    Early(Duration),
    /// So long after its log was open.
    Working(Duration),
}

impl Moment {
    fn of(seed: u64) -> Self {
        let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let micros = mixed % 30_000;
        match mixed / 30_000 % 4 {
            0 => Self::Early(Duration::from_micros(micros / 2)),
            _ => Self::Working(Duration::from_micros(micros)),
        }
    }
}

/// One life of the machine. Answers whether its log was open when the power went.
fn once(
    volume: &mut Volume,
    syncs: Syncs,
    moment: Moment,
    known: &mut Known,
) -> Result<bool, String> {
    let (mut child, lines) = Life::start(volume, syncs);
    let mut open = false;
    let wait = match moment {
        Moment::Early(wait) => wait,
        Moment::Working(wait) => {
            while !open {
                let line = lines.recv().map_err(|_| "the child has ended")?;
                open = known.hear(&line)?;
            }
            wait
        }
    };
    sleep(wait);
    child.stop()?;
    volume.cut();
    child.end();
    // The child wrote these before it was stopped.
    for line in lines {
        open |= known.hear(&line)?;
    }
    volume.mount_again();
    Ok(open)
}

/// A child, which ends with its owner.
struct Life(Child);

impl Life {
    /// Starts it, and hears what it writes.
    fn start(volume: &Volume, syncs: Syncs) -> (Self, Receiver<String>) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(child::ROLE).arg(volume.log()).arg(syncs.name());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (lines, heard) = channel();
        thread::spawn(move || {
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|read| read > 0) {
                // What has no end was not acknowledged yet.
                if let Some(whole) = line.strip_suffix('\n') {
                    let _ = lines.send(whole.to_owned());
                }
                line.clear();
            }
        });
        (Self(child), heard)
    }

    /// Stops all its threads, so that none is told of a sync that the cut prevents.
    fn stop(&self) -> Result<(), String> {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::STOP).unwrap();
        match waitpid(Some(pid), WaitOptions::UNTRACED).unwrap() {
            Some((_, status)) if status.stopped() => Ok(()),
            other => Err(format!("the child has ended before the power: {other:?}")),
        }
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end();
    }
}
