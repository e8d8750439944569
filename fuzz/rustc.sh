#!/usr/bin/env bash
# Stands before the compiler (`RUSTC_WRAPPER`) and instruments the crates whose decoders are fuzzed,
# so that libFuzzer sees which inputs reach something new. All others are built as they are for the
# package's tests, whose build serves for them.
set -euo pipefail

case " $* " in
*" --crate-name prometheus_streams "* | *" --crate-name prometheus_streams_fuzz "* | \
  *" --crate-name granit_parser "* | *" --crate-name fast_float2 "*)
  set -- "$@" --cfg=fuzzing \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
  ;;
esac
exec "$@"
