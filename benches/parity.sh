#!/usr/bin/env bash
# A Prometheus and us on one set of targets, by one prometheus.yml; what both stored, compared.
# Takes six minutes. Options go to the program: `--seconds N` for another length, `--only JOB,JOB`
# for some of the jobs, `--reference PROGRAM` for another Prometheus than the distribution's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install-deps.sh
cargo build --release --locked --bins --example parity
exec target/release/examples/parity "$@"
