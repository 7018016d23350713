#!/usr/bin/env bash
# Checks everything: formatting, lints, the dependency tree, tests, examples, docs.
# Installs what is missing on a Debian machine that has Rust; changes no file of the project.
set -euo pipefail
# Golden files are compared here, never written.
unset TRIPOD_BLESS
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# need PROGRAM PACKAGE...: installs the packages where the program is missing.
need() {
    local program=$1
    shift
    command -v "$program" >/dev/null && return
    step "installing $*: $program is missing"
    as_root apt-get -o DPkg::Lock::Timeout=500 update -q
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=500 install -q -y --no-install-recommends "$@"
}

need cc gcc libc6-dev
# Tests start servers of their own; Debian keeps PostgreSQL's programs out of the path.
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || need postgres postgresql
need mariadbd mariadb-server
need redis-server redis-server
need redis-sentinel redis-sentinel
need pgbouncer pgbouncer
need etcd etcd-server
need java default-jre-headless
[ -e /usr/share/java/zookeeper.jar ] || need zookeeper.jar zookeeper
need openssl openssl
# Power is cut under a file system that a test makes and mounts.
need mkfs.ext4 e2fsprogs
need mount mount
need unshare util-linux
# The client of etcd is generated from the protocol's description when it is built.
need protoc protobuf-compiler libprotobuf-dev
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

# The features of Cargo.toml, a line each.
features() {
    sed -n '/^\[features\]/,/^\[/s/^\([a-z][a-z0-9_-]*\) *=.*/\1/p' Cargo.toml | grep -vx default
}

step "formatting"
cargo fmt --check
cargo fmt --check --manifest-path benches/peers/Cargo.toml

step "lints: no features, each feature, all features"
cargo clippy --locked --all-targets -- -D warnings
for feature in $(features); do
    cargo clippy --locked --all-targets --features "$feature" -- -D warnings
done
cargo clippy --locked --all-targets --all-features -- -D warnings

cargo clippy --locked --manifest-path benches/peers/Cargo.toml -- -D warnings

step "no dependency needs a later Rust than Cargo.toml says"
ours=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
latest=$(cargo metadata --locked --format-version 1 --all-features | grep -o '"rust_version":"[0-9.]*"' \
    | cut -d'"' -f4 | sort -V | tail -n 1)
echo "rust-version $ours, the latest of any dependency $latest"
if [ "$(printf '%s.0\n%s.0\n' "$ours" "$latest" | cut -d. -f1-3 | sort -V | tail -n 1)" != "$ours.0" ]; then
    echo "a dependency needs Rust $latest" >&2
    exit 1
fi

step "default dependency tree"
tree=$(cargo tree --locked --edges normal --target all --prefix none --format '{p}' | awk '{print $1, $2}' | sort -u | grep -v '^tripod ')
echo "$tree"
count=$(echo "$tree" | wc -l)
echo "$count crates"
[ "$count" -le 45 ] || { echo "the default tree has $count crates, more than 45" >&2; exit 1; }
for optional in crc32fast etcd-client md-5 mysql_async redis serde tokio-postgres zookeeper-client; do
    if echo "$tree" | grep -q "^$optional "; then
        echo "$optional must not be in the default tree" >&2
        exit 1
    fi
done

step "benches compile"
cargo bench --locked --no-run

step "docs"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --all-features

step "documentation's examples: default features"
cargo test --locked --doc
step "tests: all features"
cargo test --locked --all-features
step "simulation of locks, optimised: 100,000 schedules"
cargo test --locked --release --test simulation -- --nocapture schedules
step "model of two-phase commit, optimised: its largest systems"
cargo test --locked --release --test transaction -- --nocapture two_phase::model
step "simulation of two-phase commit, optimised: 100,000 schedules"
cargo test --locked --release --test transaction_simulation -- --nocapture
step "all passed"
