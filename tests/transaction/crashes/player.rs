//! This program as a coordinator's process, as its parent sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};

use crate::bank::Bank;
use crate::watched::Flaw;

/// Longer than a process waits for anything.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// What coordinators have said of transfers since the books were last checked.
#[derive(Debug, Default)]
pub struct Claims {
    pub committed: BTreeSet<String>,
    pub aborted: BTreeSet<String>,
    /// Of all, how many were said to be what, since the beginning.
    pub counts: BTreeMap<&'static str, u64>,
}

/// What a process is at.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing is under way. So many points were passed.
    Rests(u64),
    /// It has done what it was to do, past so many points.
    Ends(u64),
    /// It has killed itself there.
    Died(String),
    /// It was killed.
    Killed,
}

pub struct Player {
    child: Child,
    orders: ChildStdin,
    lines: Receiver<String>,
}

impl Player {
    /// Starts one, which dies at this point of its recovery.
    pub fn start(bank: &Bank, log: &Path, die_at: u64, flaw: Option<Flaw>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["coordinator", "--postgres", &bank.postgres.url()]);
        command
            .args(["--mysql", &bank.mysql.url(), "--log"])
            .arg(log);
        command.args(["--die-at", &die_at.to_string()]);
        if let Some(flaw) = flaw.and_then(|flaw| flaw.to_possible_value()) {
            command.args(["--flaw", flaw.get_name()]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            orders: child.stdin.take().unwrap(),
            child,
            lines,
        }
    }

    /// Gives it an order. One that is dead obeys none.
    pub fn tell(&mut self, order: &str) {
        let _ = writeln!(self.orders, "{order}");
    }

    /// Reads what it says, until it is at an end of something.
    pub fn listen(&mut self, claims: &mut Claims) -> Result<Said, String> {
        let mut died = None;
        loop {
            let Ok(line) = self.lines.recv_timeout(SILENCE_MAX) else {
                return self.ended(died);
            };
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb {
                "rests" => return Ok(Said::Rests(rest.parse().unwrap())),
                "ends" => return Ok(Said::Ends(rest.parse().unwrap())),
                "dies" => died = Some(rest.to_owned()),
                "stuck" => return Err(line),
                _ => claims.hear(verb, rest),
            }
        }
    }

    /// How it ended, if it did.
    fn ended(&mut self, died: Option<String>) -> Result<Said, String> {
        for _ in 0..200 {
            match self.child.try_wait().unwrap() {
                Some(_) if died.is_some() => return Ok(Said::Died(died.unwrap_or_default())),
                Some(status) if status.success() || status.code().is_some() => {
                    return Err(format!("the coordinator ended by itself: {status}"));
                }
                Some(_) => return Ok(Said::Killed),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        Err("the coordinator says nothing".into())
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Claims {
    fn hear(&mut self, verb: &str, rest: &str) {
        let name = rest.split(' ').next().unwrap_or_default().to_owned();
        let verb = match verb {
            "committed" => {
                self.committed.insert(name);
                "committed"
            }
            "aborted" => {
                self.aborted.insert(name);
                "aborted"
            }
            "unknown" => "unknown",
            "idle" => "not begun",
            other => panic!("{other} {rest}"),
        };
        *self.counts.entry(verb).or_default() += 1;
    }
}
