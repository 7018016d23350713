//! The log in a real directory, with its thread.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tripod::transaction::log::{
    AppendError, Durability, FileLog, FileLogOptions, LogError, Record, TransactionLog,
};

use super::script::saga;

/// A directory that goes with its owner.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tripod-log-{}-{number}", process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options() -> FileLogOptions {
    FileLogOptions::default().segment_len(1 << 16)
}

fn record(number: u64) -> Vec<Record> {
    vec![Record::new(saga(number), vec![1; 100]).unwrap()]
}

#[tokio::test]
async fn many_at_once_are_all_there_after_reopening() {
    let scratch = Scratch::new();
    let path = scratch.path().join("a/b");
    let log = FileLog::start(&path, options()).unwrap();
    let opened = log.open(0).await.unwrap();
    let epoch = opened.epoch();
    let appends = (0..500).map(|number| {
        let log = log.clone();
        tokio::spawn(async move {
            log.append(epoch, record(number), Durability::Forced, None)
                .await
        })
    });
    for append in appends.collect::<Vec<_>>() {
        append.await.unwrap().unwrap();
    }
    log.close(epoch).await.unwrap();
    let again = FileLog::start(&path, options().create(false)).unwrap();
    let found = again.open(0).await.unwrap();
    assert_eq!(found.coordinator(), opened.coordinator());
    assert_eq!(found.epoch().as_u64(), 2);
    let mut subjects: Vec<_> = found
        .live()
        .iter()
        .map(|live| live.record().subject().clone())
        .collect();
    subjects.sort();
    let mut expected: Vec<_> = (0..500).map(saga).collect();
    expected.sort();
    assert_eq!(subjects, expected);
}

#[tokio::test]
async fn a_log_has_one_user_at_a_time() {
    let scratch = Scratch::new();
    let first = FileLog::start(scratch.path(), options()).unwrap();
    let epoch = first.open(0).await.unwrap().epoch();
    let second = FileLog::start(scratch.path(), options()).unwrap();
    let refused = second.open(0).await;
    assert!(matches!(refused, Err(LogError::Locked)), "{refused:?}");
    first
        .append(epoch, record(1), Durability::Forced, None)
        .await
        .unwrap();
    first.close(epoch).await.unwrap();
    assert_eq!(second.open(0).await.unwrap().live().len(), 1);
    let closed = first
        .append(epoch, record(2), Durability::Forced, None)
        .await;
    assert!(matches!(closed, Err(AppendError::Closed)), "{closed:?}");
}

#[tokio::test]
async fn files_of_others_are_left_alone() {
    let scratch = Scratch::new();
    let foreign = ["notes.txt", "0-1.segment", "x.segment.bak", "segment"];
    for name in foreign {
        fs::write(scratch.path().join(name), name).unwrap();
    }
    fs::create_dir(scratch.path().join("lost+found")).unwrap();
    for epoch in 1..4 {
        let log = FileLog::start(scratch.path(), options()).unwrap();
        let opened = log.open(0).await.unwrap();
        assert_eq!(opened.epoch().as_u64(), epoch);
        log.close(opened.epoch()).await.unwrap();
    }
    for name in foreign {
        assert_eq!(
            fs::read(scratch.path().join(name)).unwrap(),
            name.as_bytes()
        );
    }
}

#[tokio::test]
async fn segments_of_two_logs_in_one_directory_are_refused() {
    let (one, other) = (Scratch::new(), Scratch::new());
    for scratch in [&one, &other] {
        let log = FileLog::start(scratch.path(), options()).unwrap();
        let epoch = log.open(0).await.unwrap().epoch();
        log.close(epoch).await.unwrap();
    }
    for entry in fs::read_dir(other.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().ends_with(".segment") {
            fs::copy(entry.path(), one.path().join(entry.file_name())).unwrap();
        }
    }
    let refused = FileLog::start(one.path(), options()).unwrap().open(0).await;
    assert!(matches!(refused, Err(LogError::Mixed)), "{refused:?}");
}

#[tokio::test]
async fn a_log_that_must_be_there_is_not_created() {
    let scratch = Scratch::new();
    for path in [scratch.path().to_path_buf(), scratch.path().join("absent")] {
        let log = FileLog::start(&path, options().create(false)).unwrap();
        let opened = log.open(0).await;
        assert!(matches!(opened, Err(LogError::Missing)), "{opened:?}");
    }
    assert!(!scratch.path().join("absent").exists());
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let path = scratch.path().join("log");
    let log = FileLog::start(&path, options()).unwrap();
    log.open(0).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let mut files = 0;
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap().path();
        assert_eq!(mode(&entry), 0o600, "{}", entry.display());
        files += 1;
    }
    assert_eq!(files, 3, "lock, segment, spare");
}

#[tokio::test]
async fn a_dropped_append_happens_whole_or_not_at_all_and_holds_nothing_up() {
    let scratch = Scratch::new();
    let log: Arc<dyn TransactionLog> = Arc::new(FileLog::start(scratch.path(), options()).unwrap());
    let epoch = log.open(0).await.unwrap().epoch();
    for number in 0..200 {
        let both = vec![
            record(2 * number).remove(0),
            record(2 * number + 1).remove(0),
        ];
        let append = log.append(epoch, both, Durability::Forced, None);
        let _ = futures_util::FutureExt::now_or_never(append);
    }
    log.append(epoch, record(1000), Durability::Forced, None)
        .await
        .unwrap();
    let opened = log.open(0).await.unwrap();
    assert_eq!(opened.live().len() % 2, 1, "a half of one is there");
    assert!(opened.live().len() > 1);
}
