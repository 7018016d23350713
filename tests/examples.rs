//! The examples do what they say, as a user would run them.
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Where cargo puts the examples that it builds along with the tests.
fn example(name: &str) -> Command {
    let mut path: PathBuf = std::env::current_exe().expect("the test knows where it is");
    path.pop();
    path.pop();
    path.extend(["examples", name]);
    assert!(
        path.exists(),
        "{name} is not built: run `cargo build --examples` first"
    );
    Command::new(path)
}

fn run(mut command: Command, input: &[u8]) -> Output {
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the example starts");
    let mut stdin = child.stdin.take().expect("it was piped");
    // An example that refuses its options does not read its input.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("the example ends")
}

fn shard_keys(options: &str, input: &[u8]) -> Output {
    let mut command = example("shard_keys");
    command.args(options.split_whitespace());
    run(command, input)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the output is text")
}

fn lines(count: u32) -> String {
    (0..count).fold(String::new(), |lines, i| lines + &format!("user:{i}\n"))
}

#[test]
fn quickstart_explains_itself_in_sixty_lines() {
    let output = run(example("quickstart"), b"");
    assert!(output.status.success());
    let lines = text(&output.stdout).lines().count();
    assert!((10..=60).contains(&lines), "{lines} lines");
}

#[test]
fn a_trip_is_compensated_or_goes_on_where_its_process_died() {
    let output = run(example("book_trip"), b"");
    assert!(output.status.success());
    let text = text(&output.stdout);
    let (first, second) = text.split_once("A process that dies").expect("two trips");
    assert!(first.contains("compensated, because of card") && first.contains("hotel is cancelled"));
    let (died, went_on) = second.split_once("The next one").expect("a death");
    assert!(died.contains("the process dies") && !died.contains("completed"));
    assert!(went_on.contains("completed") && !went_on.contains("is charged"));
    assert!(text.contains("flowchart LR"));
}

#[test]
fn what_helps_against_a_lack_of_isolation_helps() {
    let output = run(example("isolation"), b"");
    assert!(output.status.success());
    let text = text(&output.stdout);
    for shown in [
        "order 1 is placed\n  placing is completed\n  shipping is completed",
        "order 2 is rejected\n  placing is compensated\n  shipping is compensated",
        "A compensation that restores: compensated, 10 of 8 are left",
        "A compensation that adds: compensated, 8 of 8 are left",
        "The price has changed meanwhile: false. Buying is completed",
        "The price has changed meanwhile: true. Buying is compensated",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
}

#[test]
fn a_step_behind_a_queue_is_done_once_or_cancelled() {
    let output = run(example("queue_steps"), b"");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let text = text(&output.stdout);
    let (ada, rest) = text.split_once("Bob").expect("the first trip");
    let (bob, rest) = rest.split_once("Cyd").expect("the second trip");
    let (cyd, dan) = rest.split_once("Dan").expect("two more trips");
    assert!(
        ada.contains("room 2") && ada.contains("completed"),
        "{text}"
    );
    assert!(bob.contains("I take it back") && bob.contains("because of the card"));
    assert_eq!(cyd.matches("I am asked to book").count(), 2, "{text}");
    assert_eq!(cyd.matches("I give away room 1").count(), 1, "{text}");
    assert!(cyd.contains("completed") && !cyd.contains("take it back"));
    assert!(dan.contains("because of the room") && !dan.contains("pays"));
}

#[test]
fn seats_are_confirmed_cancelled_and_never_held_by_a_late_try() {
    let output = run(example("tcc_reservation"), b"");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).lines().count() > 5);
}

#[test]
fn quickstart_shows_a_trip_that_is_compensated() {
    let output = run(example("quickstart"), b"");
    let text = text(&output.stdout);
    assert!(text.contains("room 101 is cancelled") && text.contains("because of charge"));
}

#[test]
fn quickstart_shows_the_stale_holder_refused() {
    let output = run(example("quickstart"), b"");
    let text = text(&output.stdout);
    assert!(
        text.contains("refused, fencing token 2 is below the floor 3"),
        "{text}"
    );
}

#[test]
fn fenced_writer_refuses_the_late_writer() {
    let output = run(example("fenced_writer"), b"");
    assert!(output.status.success());
    let text = text(&output.stdout);
    assert!(
        text.contains("fencing token 1 is below the floor 2"),
        "{text}"
    );
    assert!(text.contains("balance: 100"), "{text}");
}

#[test]
fn leaders_succeed_one_another_though_one_dies() {
    let output = run(example("leader_election"), b"");
    assert!(output.status.success());
    let text = text(&output.stdout);
    for line in [
        "ada       elected for term 1",
        "bob       elected for term 2",
        "cyd       elected for term 3",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn shard_keys_writes_each_key_with_its_node_in_input_order() {
    let keys = lines(1000);
    let output = shard_keys("--node a --node b=2", keys.as_bytes());
    assert!(output.status.success());
    let lines: Vec<_> = text(&output.stdout)
        .lines()
        .map(|line| line.split_once('\t'))
        .collect();
    for (line, key) in lines.iter().zip(keys.lines()) {
        let (written, node) = line.expect("a key and a node");
        assert_eq!(written, key);
        assert!(["a", "b"].contains(&node));
    }
    assert_eq!(lines.len(), 1000);
}

#[test]
fn shard_keys_takes_keys_that_are_not_text() {
    let output = shard_keys("--node only", b"\xff\xfe\nlast without newline");
    assert_eq!(
        output.stdout,
        b"\xff\xfe\tonly\nlast without newline\tonly\n"
    );
}

#[test]
fn shard_keys_gives_a_replica_to_each_zone_and_skips_what_is_down() {
    let options = "--replicas 2 --zones strict --node a@x --node b@x!down --node c@y";
    let output = shard_keys(options, b"k\n");
    let line = text(&output.stdout).trim_end();
    assert!(["k\ta,c", "k\tc,a"].contains(&line), "{line}");
}

#[test]
fn shard_keys_counts_what_moves_to_a_newcomer() {
    let keys = lines(10_000);
    let output = shard_keys("--node a --node b --summary --then-add c", keys.as_bytes());
    let summary = text(&output.stdout);
    assert!(summary.contains("10000 keys"), "{summary}");
    assert!(summary.contains("33.333% ideal"), "{summary}");
}

#[test]
fn shard_keys_counts_a_node_that_leaves_and_comes_back_as_one() {
    let options = "--node a=2 --node b --summary --then-remove a --then-add a=1";
    let output = shard_keys(options, lines(1000).as_bytes());
    let moves = text(&output.stdout)
        .lines()
        .filter(|line| line.starts_with("a     b"));
    assert_eq!(moves.count(), 1, "{}", text(&output.stdout));
}

#[test]
fn shard_keys_refuses_what_makes_no_ring() {
    let refusals = [
        "--node a --node a",
        "--node a=0 --node b=0",
        "--node a=many",
        "--node a!down",
        "--node a --no-such-option",
        "--node a --then-add b",
        "--node a=4294967295",
        "--node a,b",
        "--placement ketama --vnodes 7 --node a",
        "",
    ];
    for options in refusals {
        let output = shard_keys(options, b"k\n");
        assert_eq!(output.status.code(), Some(2), "{options}");
        assert!(output.stdout.is_empty(), "{options}");
        assert_eq!(text(&output.stderr).lines().count(), 1, "{options}");
    }
}

#[test]
fn ring_picture_draws_an_svg() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("ring.svg");
    let mut command = example("ring_picture");
    command.arg(&path);
    assert!(run(command, b"").status.success());
    let svg = std::fs::read_to_string(&path).expect("the picture was written");
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
}
