#!/usr/bin/env bash
# Runs the fuzz targets: each reads its kept corpus, then mutates it for SECONDS.
#
#   scripts/fuzz.sh [SECONDS [TARGET...]]
#
# New inputs go to a folder of their own below `target/fuzz`, never into the corpus. A crash, a run
# of over ten seconds for one input, or too much memory fails, and says where the input is kept.
# FUZZ_SEED makes the mutator do the same each time, as far as it gets; without, it differs.
# With FUZZ_MERGE=1 nothing is fuzzed, but the corpus is replaced by the smallest part of itself, of
# fresh seeds and of what the last run found, that covers as much.
#
# libFuzzer needs an instrumented build. cargo-fuzz asks a nightly compiler for it; the options of
# code generation in `fuzz/rustc.sh` are the same ones, without the sanitizers, and stable compilers
# have them. Dependencies are those of `cargo test`, whose build is used again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-60}
shift || true
targets=("$@")
if [ "${#targets[@]}" = 0 ]; then
  targets=(config exposition frame lane matching protobuf round_trip shape spool subject)
fi

out=$PWD/target/fuzz
say() { printf 'fuzz: %s\n' "$*" >&2; }

# The largest input that the mutator makes, and that the corpus keeps.
input_max=16384
kept_max=4096

build() {
  RUSTC_WRAPPER=$PWD/fuzz/rustc.sh cargo build --locked --quiet --bins \
    --manifest-path fuzz/Cargo.toml --target-dir target
}

program() { printf 'target/debug/%s' "$1"; }

# Runs one target; its log is shown only when something is wrong. xargs calls it, through a shell.
# shellcheck disable=SC2317
run() {
  local target=$1 status=0 log=$out/$1.log
  rm -rf "$out/found/$target"
  mkdir -p "$out/found/$target" "$out/crashes/$target" "fuzz/corpus/$target"
  local limits=(-timeout=10 -rss_limit_mb=1024 "-max_len=$input_max")
  if [ "$seconds" = 0 ]; then
    limits+=(-runs=0)
  else
    limits+=("-max_total_time=$seconds")
  fi
  if [ -n "${FUZZ_SEED:-}" ]; then
    limits+=("-seed=$FUZZ_SEED")
  fi
  "$(program "$target")" "${limits[@]}" -print_final_stats=1 \
    "-artifact_prefix=$out/crashes/$target/" \
    "$out/found/$target" "fuzz/corpus/$target" >"$log" 2>&1 || status=$?
  if [ "$status" != 0 ]; then
    tail -n 40 "$log" >&2
    say "$target fails; the input is kept in $out/crashes/$target, the log is $log"
    return 1
  fi
  local covered runs
  covered=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  printf '%-12s %10s runs, %s\n' "$target" "$runs" "$covered"
}

# Makes a target's corpus anew.
merge() {
  local target=$1 fresh
  fresh=$(mktemp -d -p "$out")
  # By branches alone: how often each is taken would make it ten times as large.
  "$(program "$target")" -set_cover_merge=1 -use_counters=0 "-max_len=$kept_max" -timeout=10 \
    "$fresh" "fuzz/corpus/$target" "$out/seeds/$target" "$out/found/$target" >"$out/$target.merge.log" 2>&1
  rm -rf "fuzz/corpus/$target"
  mv "$fresh" "fuzz/corpus/$target"
  chmod 755 "fuzz/corpus/$target"
  say "$target: $(find "fuzz/corpus/$target" -type f | wc -l) inputs"
}

mkdir -p "$out"
build
# The spool's folders belong into memory, where there is any such place.
if [ -w /dev/shm ]; then
  TMPDIR=$(mktemp -d -p /dev/shm)
else
  TMPDIR=$(mktemp -d)
fi
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

if [ "${FUZZ_MERGE:-}" = 1 ]; then
  rm -rf "$out/seeds"
  "$(program seeds)" "$out/seeds"
  for target in "${targets[@]}"; do
    mkdir -p "$out/found/$target" "fuzz/corpus/$target"
    merge "$target"
  done
  exit
fi

# As many at once as there are cores; the first failure is told at the end.
failed=0
export -f run program say
export seconds out input_max
# shellcheck disable=SC2016
printf '%s\n' "${targets[@]}" |
  xargs -P "$(nproc)" -I {} bash -euo pipefail -c 'run "$1"' _ {} || failed=1
exit "$failed"
