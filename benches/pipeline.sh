#!/usr/bin/env bash
# Costs of a whole poller and receiver run, as one table.
# Set PIPELINE_TARGETS, PIPELINE_SERIES, PIPELINE_INTERVAL, PIPELINE_SECONDS for another load.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install-deps.sh
cargo build --release --locked --bins --example pipeline
exec target/release/examples/pipeline
