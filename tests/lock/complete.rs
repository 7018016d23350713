//! No store without the suite, and without its line in the essay's table.

use std::fs;
use std::path::{Path, PathBuf};

/// All files of Rust under this folder, but for the suite's own.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("backend/conformance") {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn texts(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
        &mut found,
    );
    found
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn every_store_runs_the_suite_and_stands_in_the_table() {
    let sources = texts("src/lock/backend");
    let lines = sources.iter().flat_map(|text| text.lines());
    let stores: Vec<&str> = lines
        .filter_map(|line| {
            line.strip_prefix("impl LockBackend for ")?
                .split([' ', '{'])
                .next()
        })
        .collect();
    assert!(stores.contains(&"MemoryBackend"), "{stores:?}");
    let tests = texts("tests/lock");
    let essay = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lock/mod.rs"));
    let essay = essay.unwrap();
    for store in stores {
        let runs = |test: &String| test.contains("conformance::run(") && test.contains(store);
        assert!(tests.iter().any(runs), "no test runs the suite on {store}");
        let tells = |line: &str| line.starts_with("//! |") && line.contains(store);
        assert!(
            essay.lines().any(tells),
            "{store} is not in the essay's table"
        );
    }
}
