//! The statement that fences a row, as the documentation has it, on a real server.

use crate::server::postgres::PostgresServer;

/// The statement, from the documentation of `FencedResource`.
fn statement() -> String {
    let source = include_str!("../../src/lock/fence.rs");
    let (_, after) = source.split_once("/// ```sql\n").unwrap();
    let (block, _) = after.split_once("/// ```\n").unwrap();
    let lines = block.lines().map(|line| line.trim_start_matches("///"));
    let lines = lines.map(|line| line.split("--").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// Writes a balance by it. Says whether it was written.
fn write(server: &PostgresServer, balance: i64, floor: u64, token: u64) -> bool {
    let prepare = format!(
        "PREPARE write (bigint, bigint, int, bigint) AS {};",
        statement()
    );
    let answer = server.query(&format!(
        "{prepare} EXECUTE write ({balance}, {floor}, 1, {token})"
    ));
    match answer.last().map(String::as_str) {
        Some("UPDATE 1") => true,
        Some("UPDATE 0") => false,
        _ => panic!("{answer:?}"),
    }
}

#[test]
fn the_documented_statement_admits_whom_the_gate_admits() {
    let server = PostgresServer::start();
    server.query("CREATE TABLE account (id int PRIMARY KEY, balance bigint, fence bigint)");
    server.query("INSERT INTO account VALUES (1, 0, 0)");
    let mut gate = tripod::lock::FenceGate::new(0);
    // Exclusive ones in order, a stale one, readers of one floor, and an exclusive one after them.
    let passes = [
        (3, 3),
        (5, 5),
        (4, 4),
        (7, 7),
        (9, 7),
        (8, 7),
        (7, 7),
        (10, 10),
        (9, 7),
    ];
    for (balance, (token, floor)) in (1..).zip(passes) {
        let [fencing, lowest] = [token, floor].map(tripod::lock::FencingToken::new);
        let pass = tripod::lock::FencePass::shared(fencing, lowest).unwrap();
        let admitted = gate.write(pass, |value| *value = balance).is_ok();
        assert_eq!(
            write(&server, balance, floor, token),
            admitted,
            "{token} of {floor}"
        );
        let rows = server.query("SELECT balance, fence FROM account");
        assert_eq!(rows, [format!("{}|{}", gate.read(), gate.floor())]);
    }
    assert_eq!(*gate.read(), 8);
}
