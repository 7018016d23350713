//! This program as a coordinator's process, as its parent sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};

use crate::server::Directory;
use crate::watched::Flaw;

/// Longer than a process waits for anything.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// What coordinators have said of transfers.
#[derive(Debug, Default)]
pub struct Claims {
    /// Since the books were last checked.
    pub committed: BTreeSet<String>,
    /// Since the beginning: nothing of them may ever happen.
    pub aborted: BTreeSet<String>,
    /// How many were said to be what since the beginning.
    pub counts: BTreeMap<&'static str, u64>,
}

/// What a process is at.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing is under way. So many points were passed.
    Rests(u64),
    /// It does not come to rest, and says why.
    Stuck(String),
    /// It has done what it was to do, past these points.
    Ends(Vec<String>),
    /// It has killed itself there.
    Died(String),
    /// It was killed.
    Killed,
}

/// Where coordinators work, one after the other.
pub struct Place {
    pub postgres: String,
    pub mysql: String,
    pub log: Directory,
    pub flaw: Option<Flaw>,
}

pub struct Player {
    child: Child,
    orders: ChildStdin,
    lines: Receiver<String>,
}

impl Player {
    /// Starts one, which dies at this point of its recovery.
    pub fn start(place: &Place, die_at: u64) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["coordinator", "--postgres", &place.postgres]);
        command.args(["--mysql", &place.mysql, "--log"]);
        command.arg(place.log.path());
        command.args(["--die-at", &die_at.to_string()]);
        let flaw = place.flaw.and_then(|flaw| flaw.to_possible_value());
        if let Some(flaw) = flaw {
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
        let (mut died, mut passed) = (None, Vec::new());
        loop {
            let Ok(line) = self.lines.recv_timeout(SILENCE_MAX) else {
                return self.ended(died);
            };
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb {
                "rests" => return Ok(Said::Rests(rest.parse().unwrap())),
                "passed" => passed.push(rest.to_owned()),
                "ends" => return Ok(Said::Ends(passed)),
                "dies" => died = Some(rest.to_owned()),
                "stuck" => return Ok(Said::Stuck(line)),
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

    /// Kills it. Once it is gone, its log is free.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.kill();
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
