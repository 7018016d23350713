#!/usr/bin/env bash
# Measures everything in one run, the peers too, and prints the figures. Leave the machine alone
# meanwhile. What the tests need must be installed: tests/run.sh does that.
set -euo pipefail
cd "$(dirname "$0")/.."

peers=benches/peers/Cargo.toml
cargo bench --locked --all-features --no-run
cargo build --locked --release --manifest-path $peers

errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
# Without Criterion's own lines: they are times of this machine, and not ratios.
figures() {
    "$@" 2>"$errors" | { grep -vE '^Benchmarking|^Warning|^[a-z_0-9]+/|thrpt: |time: +\[|change: +\[|^ +\[|Performance has|No change in|noise threshold|^Found |\) (low|high) (mild|severe)|^$' || true; } \
        || { cat "$errors" >&2; exit 1; }
}

echo "commit $(git rev-parse --short HEAD), $(nproc) processors, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)"
for bench in ring shares lock transaction stores renewals; do
    printf '\n== %s\n' "$bench"
    figures cargo bench --locked --all-features --bench "$bench"
done
for peer in peers locks sagas; do
    printf '\n== beside others: %s\n' "$peer"
    figures cargo run --locked --release --manifest-path $peers --bin "$peer"
done
printf '\n== beside others: locks on Redis\n'
figures cargo run --locked --release --manifest-path $peers --bin locks -- redis
