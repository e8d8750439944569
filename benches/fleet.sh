#!/usr/bin/env bash
# 10,000 targets of 1,000 series each minute: which scrapes are missed, and what it costs, beside
# vmagent on the same targets. Takes about twenty minutes.
# Set FLEET_TARGETS, FLEET_SERIES, FLEET_INTERVAL, FLEET_ROUNDS for another load.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Each target has a connection of its own.
ulimit -n "$(ulimit -Hn)"

scripts/install-deps.sh
cargo build --release --locked --bins --example fleet
exec target/release/examples/fleet
