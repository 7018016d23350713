//! The members, as processes, and what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

pub const NAMES: [&str; 3] = ["a", "b", "c"];

/// How the library, and then the member, tells that a log has refused a record or to be opened again.
const REFUSAL: &str = "another has opened the log";

/// What members have said of what became of things.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// Transactions.
    pub committed: BTreeSet<String>,
    pub aborted: BTreeSet<String>,
    /// How many were said to be what.
    pub counts: BTreeMap<String, u64>,
    /// How often it was said that a log refuses one whom another has followed.
    pub refusals: u64,
}

pub struct Member {
    child: Child,
    name: &'static str,
}

impl Member {
    pub fn start(
        name: &'static str,
        url: &str,
        partitions: u32,
        ttl_ms: u64,
        heedless: bool,
        claims: &Arc<Mutex<Claims>>,
    ) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["member", "--url", url, "--name", name]);
        command.args(["--partitions", &partitions.to_string()]);
        command.args(["--ttl-ms", &ttl_ms.to_string()]);
        if heedless {
            command.arg("--heedless");
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let claims = Arc::clone(claims);
        let tells = std::env::var_os("TRIPOD_TELL").is_some();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if tells {
                    println!("{:?} {name}: {line}", std::time::SystemTime::now());
                }
                claims.lock().hear(&line);
            }
        });
        Self { child, name }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Whether it has ended by itself.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Claims {
    fn hear(&mut self, line: &str) {
        let mut words = line.split(' ');
        let verb = words.next().unwrap_or_default().to_owned();
        let name = words.next().unwrap_or_default().to_owned();
        match verb.as_str() {
            "committed" => drop(self.committed.insert(name)),
            "aborted" => drop(self.aborted.insert(name)),
            "tells" | "leaves" if line.contains(REFUSAL) => self.refusals += 1,
            _ => {}
        }
        *self.counts.entry(verb).or_default() += 1;
    }
}
