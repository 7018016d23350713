//! The machine of a process: its disk, what fails there, and the writer of its log.

use std::future::{pending, poll_fn};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tripod::BoxFuture;
use tripod::transaction::log::{AppendError, FileLog, FileLogOptions, LogWriter};

use crate::chronicle::{Chronicle, ms};
use crate::counts::Count;
use crate::disk::{Disk, Fault, Loss};
use crate::process::{Moment, Process};
use crate::random::Random;

/// Whose every log is: drawn at random it would tell each run another story.
pub const COORDINATOR: u128 = 0x0003_0001_0004;

/// The most that the files of a log may take that holds next to nothing, in bytes.
const LOG_MAX: u64 = 64 << 10;

/// What a life is to be like.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub dies: Option<(Moment, u64)>,
    /// At which call of the disk what goes wrong.
    pub fault: Option<(u64, Fault)>,
    /// Whether the disk takes no more than it holds.
    pub full: bool,
    /// After how many milliseconds the disk is well again.
    pub heals: u64,
    /// Counted from the first failure on.
    pub patient: bool,
}

impl Plan {
    pub fn draw(random: &mut Random, moments: &[Moment]) -> Self {
        let fault = match random.below(20) {
            0..8 => None,
            8..14 => Some(Fault::Crash),
            14..17 => Some(Fault::Once(ErrorKind::Other)),
            17 => Some(Fault::From(ErrorKind::Other)),
            18 => Some(Fault::Once(ErrorKind::StorageFull)),
            _ => Some(Fault::From(ErrorKind::StorageFull)),
        };
        let magnitude = random.within(1, 7);
        let call = random.below(1 << magnitude);
        let dies = random.chance(350).then(|| Moment::draw(random, moments));
        Self {
            dies,
            fault: fault.map(|fault| (call, fault)),
            full: random.chance(100),
            heals: random.within(20, 250),
            patient: false,
        }
    }
}

/// What a loss of power is to leave.
pub fn loss(random: &mut Random) -> Loss {
    match random.below(6) {
        0 => Loss::Nothing,
        1 => Loss::Everything,
        2 | 3 => Loss::Some(random.next()),
        _ => Loss::Garbled(random.next()),
    }
}

/// The way to a log: who goes it is watched, and may die on it.
#[derive(Clone, Debug)]
pub struct Line {
    pub page: Arc<Chronicle>,
    pub process: Arc<Process>,
    /// Tells the writer that there may be something to do.
    poke: Arc<Notify>,
}

impl Line {
    pub fn new(page: &Arc<Chronicle>, process: &Arc<Process>) -> Self {
        Self {
            page: Arc::clone(page),
            process: Arc::clone(process),
            poke: Arc::new(Notify::new()),
        }
    }

    /// A log on this disk, written for as long as the process lives.
    pub fn log(&self, disk: &Disk, plan: &Plan, tasks: &mut JoinSet<()>) -> FileLog {
        let (log, writer) = FileLog::on(disk.clone(), options());
        tasks.spawn(self.clone().write(writer, disk.clone()));
        fail(&self.page, disk, plan, tasks);
        log
    }

    /// Polls, and lets the writer know.
    pub async fn poked<T>(&self, mut future: BoxFuture<'_, T>, handed: Option<Moment>) -> T {
        let answer = poll_fn(|context| {
            let polled = future.as_mut().poll(context);
            self.poke.notify_one();
            if polled.is_pending()
                && let Some(moment) = handed
            {
                self.process.passes(&self.page, moment);
            }
            polled
        });
        let answer = answer.await;
        self.alive().await;
        answer
    }

    /// The dead do not go on.
    pub async fn alive(&self) {
        if self.process.is_dead() {
            pending::<()>().await;
        }
    }

    pub async fn passes(&self, moment: Moment) {
        self.process.passes(&self.page, moment);
        self.alive().await;
    }

    /// What the log answered; its failures are the process's trouble.
    pub fn see<T>(&self, answer: &Result<T, AppendError>) {
        match answer {
            Ok(_) | Err(AppendError::Full { .. } | AppendError::TooLarge { .. }) => {}
            Err(error) => {
                if matches!(error, AppendError::Superseded { .. }) {
                    self.page.count(Count::ZombieAppend);
                }
                self.page
                    .say(|| format!("process {}: {error:?}", self.process.number));
                self.process.trouble();
            }
        }
    }

    /// Writes for as long as the process lives, a step at a time.
    async fn write(self, mut writer: LogWriter, disk: Disk) {
        let (page, process) = (&self.page, &self.process);
        while !process.is_dead() {
            self.poke.notified().await;
            loop {
                sleep(ms(page.within(0, 1))).await;
                if process.is_dead() || !writer.step() {
                    break;
                }
                if disk.is_crashed() {
                    page.count(Count::KilledAtDisk);
                    process.die(page, "in a call of the disk");
                }
            }
        }
    }
}

/// Short segments, so that they are followed by the next soon; and no pause before a full disk is
/// asked again, as that one goes by the clock of the machine.
fn options() -> FileLogOptions {
    FileLogOptions::default()
        .segment_len(4096)
        .full_pause(Duration::ZERO)
}

/// Lets the disk fail, and recover from it.
fn fail(page: &Arc<Chronicle>, disk: &Disk, plan: &Plan, tasks: &mut JoinSet<()>) {
    if let Some((call, fault)) = plan.fault {
        disk.fail_at(call, fault);
    }
    if plan.full {
        page.count(Count::DiskFull);
        disk.limit(disk.used());
    }
    let (disk, before) = (disk.clone(), disk.faults_met());
    let (heals, patient) = (plan.heals, plan.patient);
    let page = Arc::clone(page);
    tasks.spawn(async move {
        while patient && disk.faults_met() == before {
            sleep(ms(10)).await;
        }
        sleep(ms(heals)).await;
        if disk.is_crashed() {
            return;
        }
        if disk.faults_met() > before {
            page.count(Count::DiskFailure);
        }
        heal(&disk);
    });
}

/// Nothing fails any more.
pub fn heal(disk: &Disk) {
    disk.heal();
    disk.limit(u64::MAX);
}

/// The process is gone: this is what the next one finds.
pub fn restart(page: &Chronicle, disk: &Disk, loss: Loss) {
    disk.limit(u64::MAX);
    disk.reboot(loss);
    if loss != Loss::Nothing {
        page.count(Count::PowerCut);
    }
}

pub fn is_small(page: &Chronicle, disk: &Disk) {
    let bytes = disk.used();
    if bytes > LOG_MAX {
        page.wrong(format!("the log takes {bytes} bytes"));
    }
}
