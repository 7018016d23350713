//! The examples against real servers, and without one.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::server::free_port;
use crate::server::mariadb::MariadbServer;
use crate::server::postgres::PostgresServer;

/// Runs an example that cargo has built along with the tests.
fn example(name: &str, urls: &[String]) -> Output {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.extend(["examples", name]);
    let output = Command::new(path).args(urls).output();
    output.expect("it is built: run `cargo build --all-features --examples` first")
}

fn works(name: &str, urls: &[String], says: &str) {
    let output = example(name, urls);
    let printed = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{printed}{errors}");
    assert!(printed.contains(says), "{printed}");
    let nobody = format!("postgres://postgres@127.0.0.1:{}/postgres", free_port());
    let output = example(name, &[nobody]);
    assert!(!output.status.success());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("start "), "{errors}");
}

#[test]
fn three_members_share_work_and_finish_that_of_one_killed_and_one_paused() {
    let server = PostgresServer::start_with(&["max_prepared_transactions=64"]);
    let urls = [server.url()];
    works("failover", &urls, "nothing lost, nothing twice");
}

/// One after the other: each keeps its log in a directory of its name.
#[test]
fn two_databases_and_own_connection_run_and_say_what_to_start() {
    let postgres = PostgresServer::start_with(&["max_prepared_transactions=8"]);
    let mariadb = MariadbServer::start();
    let temporary = std::env::temp_dir();
    for directory in ["two-databases", "own-connection"] {
        // Left by whoever ran it before, on other servers.
        let _ = std::fs::remove_dir_all(temporary.join(directory));
    }
    let urls = [postgres.url(), mariadb.url()];
    works("two_databases", &urls, "alice 940, bob 60: together 1000");
    works("own_connection", &urls[..1], "sold so far: 2");
}
