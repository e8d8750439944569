#!/usr/bin/env bash
# One fleet, three ways to the centre: our poller and receiver, vmagent, Prometheus as an agent.
# Set COMPARE_TARGETS, COMPARE_SERIES, COMPARE_INTERVAL, COMPARE_SECONDS, COMPARE_ROUNDS for
# another load.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install-deps.sh
cargo build --release --locked --bins --example compare
exec target/release/examples/compare
