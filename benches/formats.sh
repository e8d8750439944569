#!/usr/bin/env bash
# Bytes and CPU time per sample, by format, as tables (docs/benchmarks.md says what they include).
#
# Starts node_exporter with all its collectors, Prometheus, VictoriaMetrics and Pushgateway on free
# ports, scrapes each FORMATS_PAGES_COUNT times at FORMATS_INTERVAL seconds, stops them, and measures
# all formats over these pages, over recorded ones and over synthetic ones.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

count=${FORMATS_PAGES_COUNT:-41}
interval=${FORMATS_INTERVAL:-1}

scripts/install-deps.sh
cargo build --release --locked --example formats

folder=$(mktemp -d)
pids=()
stop() {
  for pid in "${pids[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$folder"
}
trap stop EXIT

say() { printf 'formats: %s\n' "$*" >&2; }
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
start() {
  local name=$1
  shift
  "$@" >"$folder/$name.log" 2>&1 &
  pids+=("$!")
}
# Waits until a server answers.
await() {
  local name=$1 url=$2
  for _ in $(seq 100); do
    if curl -fs -o /dev/null "$url"; then return; fi
    sleep 0.1
  done
  tail -n 20 "$folder/$name.log" >&2
  say "$name does not answer at $url"
  exit 1
}

node=$(free_port)
prometheus=$(free_port)
victoria=$(free_port)
push=$(free_port)
cat >"$folder/prometheus.yml" <<YAML
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["127.0.0.1:$node"]}]
  - job_name: prometheus
    static_configs: [{targets: ["127.0.0.1:$prometheus"]}]
  - job_name: victoria
    static_configs: [{targets: ["127.0.0.1:$victoria"]}]
remote_write:
  - url: http://127.0.0.1:$victoria/api/v1/write
YAML

# Besides those that it has on by itself, all collectors that need no service, hardware or rights.
collectors=()
known=$(prometheus-node-exporter --help 2>&1)
for collector in buddyinfo cgroups drbd drm ethtool interrupts ksmd lnstat meminfo_numa mountstats \
  network_route processes qdisc slabinfo softirqs sysctl tcpstat zoneinfo; do
  if [[ $known =~ --collector\.$collector[[:space:]] ]]; then
    collectors+=("--collector.$collector")
  fi
done
start node prometheus-node-exporter "--web.listen-address=127.0.0.1:$node" "${collectors[@]}"
start victoria victoria-metrics "-httpListenAddr=127.0.0.1:$victoria" \
  "-storageDataPath=$folder/victoria" -retentionPeriod=1
# Debian's would read and write a file of the whole machine.
start push prometheus-pushgateway "--web.listen-address=127.0.0.1:$push" --persistence.file=
start prometheus prometheus "--config.file=$folder/prometheus.yml" \
  "--storage.tsdb.path=$folder/prometheus" "--web.listen-address=127.0.0.1:$prometheus"
await node "http://127.0.0.1:$node/metrics"
await victoria "http://127.0.0.1:$victoria/metrics"
await push "http://127.0.0.1:$push/metrics"
await prometheus "http://127.0.0.1:$prometheus/metrics"

# A batch job's group of metrics.
push_group() {
  printf '# TYPE job_seconds gauge\njob_seconds %s.%03d\n# TYPE job_rows counter\njob_rows %s\n' \
    "$((RANDOM % 90))" "$((RANDOM % 1000))" "$RANDOM" |
    curl -fs -X PUT --data-binary @- "http://127.0.0.1:$push/metrics/job/batch/part/$1"
}
for part in $(seq 20); do push_group "$part"; done

say "capturing $count pages of each, $interval s apart"
for _ in $(seq "$count"); do
  push_group "$((RANDOM % 20 + 1))"
  curl -fs -o /dev/null "http://127.0.0.1:$prometheus/api/v1/query?query=count(up)"
  for target in "node $node" "prometheus $prometheus" "victoria $victoria" "pushgateway $push"; do
    read -r name port <<<"$target"
    time=$(date +%s%3N)
    curl -fs -o "$folder/body" "http://127.0.0.1:$port/metrics"
    printf '%s %s %s\n' "$name" "$time" "$(stat -c %s "$folder/body")"
    cat "$folder/body"
  done
  sleep "$interval"
done >"$folder/pages"
zstd -q -3 --long=27 "$folder/pages" -o "$folder/pages.zst"

FORMATS_PAGES=$folder/pages.zst target/release/examples/formats
