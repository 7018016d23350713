#!/usr/bin/env bash
# Checks everything: formatting, lints, the dependency tree, tests, examples, docs.
# Installs what is missing on a Debian machine that has Rust; changes no file of the project.
set -euo pipefail
# Golden files are compared here, never written.
unset TRIPOD_BLESS
cd "$(dirname "$0")/.."

step() { printf '\n== %s (after %s s)\n' "$*" $SECONDS; }

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

# Built once, not again and again; a backtrace needs no more than the lines.
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=line-tables-only

# The features of Cargo.toml, a line each.
features() {
    sed -n '/^\[features\]/,/^\[/s/^\([a-z][a-z0-9_-]*\) *=.*/\1/p' Cargo.toml | grep -vx default
}

step "formatting"
cargo fmt --check
cargo fmt --check --manifest-path benches/peers/Cargo.toml

step "lints: everything, with no features and with all"
cargo clippy --locked --all-targets -- -D warnings
cargo clippy --locked --all-targets --all-features -- -D warnings

step "lints of the library as others depend on it, without what its tests bring: no features, each, all"
cargo clippy --locked --lib -- -D warnings
for feature in $(features); do
    cargo clippy --locked --lib --features "$feature" -- -D warnings
done
cargo clippy --locked --lib --all-features -- -D warnings

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
[ "$count" -le 48 ] || { echo "the default tree has $count crates, more than 48" >&2; exit 1; }
for optional in crc32fast etcd-client md-5 metrics mysql_async redis tokio-postgres zookeeper-client; do
    if echo "$tree" | grep -q "^$optional "; then
        echo "$optional must not be in the default tree" >&2
        exit 1
    fi
done

target=$(cargo metadata --locked --no-deps --format-version 1 | grep -o '"target_directory":"[^"]*"' | cut -d'"' -f4)
packages=$target/package

step "the package: small, without tests, and builds from its own archive"
rm -rf "$packages"/tripod-*
cargo package --locked --no-verify --allow-dirty --quiet
size=$(stat -c %s "$packages"/tripod-*.crate)
echo "$size bytes"
[ "$size" -le 1000000 ] || { echo "the package has $size bytes, more than a million" >&2; exit 1; }
if tar tzf "$packages"/tripod-*.crate | grep -E '^[^/]*/(tests|benches)/'; then
    echo "no tests belong into the package" >&2
    exit 1
fi
# As new: what is in an archive has one age, and cargo goes by that.
tar xzmf "$packages"/tripod-*.crate -C "$packages"
(cd "$packages"/tripod-*/ && cargo check --locked --all-features --lib --examples --target-dir "$target")

# After a change to what Cargo.toml needs, written anew in such a directory by
# `RUSTC_BOOTSTRAP=1 cargo update -Zdirect-minimal-versions`.
step "the library builds with the least versions that Cargo.toml allows"
least=$target/least
rm -rf "$least/src"
mkdir -p "$least"
cp -r src README.md "$least"
cp tests/least.lock "$least/Cargo.lock"
sed '/^\[dev-dependencies\]/,/^\[features\]/{/^\[features\]/!d}; /^\[\[/,/^$/d' Cargo.toml >"$least/Cargo.toml"
cargo check --locked --all-features --manifest-path "$least/Cargo.toml" --target-dir "$least/target"

step "docs"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --all-features

all() { cargo test --locked --no-fail-fast --all-features "$@"; }
step "benches compile, those beside peers too"
cargo build --locked --all-features --benches
cargo check --locked --manifest-path benches/peers/Cargo.toml
step "tests compile"
all --no-run

# Waits for processes and servers most of the time: it runs beside the others.
beside=transaction_crashes
# Three minutes in which members are killed and paused, with the machine to themselves.
alone=transaction_failover
# What takes long: below, optimised.
long="simulation transaction_core transaction_simulation"
apart=$(printf '%s\n' $beside $alone $long)
tests=$(ls tests/*.rs | sed 's|.*/\(.*\)\.rs|\1|'; sed -n '/^\[\[test\]\]/,/^$/s/^name = "\(.*\)"/\1/p' Cargo.toml)
output=$(mktemp)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -f "$output"' EXIT
# Those of stores wait most of the time.
export RUST_TEST_THREADS=4
step "tests: all features"
# Cargo itself and no function, so that it is what the trap ends.
cargo test --locked --all-features --test $beside >"$output" 2>&1 &
all --lib $(grep -vxF "$apart" <<<"$tests" | sed 's/^/--test /')
step "tests: all features, $beside"
wait $! || { cat "$output"; exit 1; }
cat "$output"
step "tests: all features, $alone"
TRIPOD_SECONDS=180 all --test $alone
step "documentation's examples: default features, all features"
cargo test --locked --doc
all --doc

# Only this crate is built anew. Sums that overflow are caught here too.
optimised() {
    CARGO_PROFILE_DEV_OPT_LEVEL=2 CARGO_PROFILE_DEV_DEBUG_ASSERTIONS=false all "$@"
}
step "what takes long, optimised: models, crashes of the log, 100,000 schedules of each simulation"
optimised $(sed 's/[^ ]*/--test &/g' <<<"$long") -- --nocapture
step "all passed"
