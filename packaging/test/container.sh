#!/usr/bin/env bash
# Runs the programs as the image does, without a container engine:
#   packaging/test/container.sh PROGRAMS
# A read-only root with nothing but the C library, certificates and the programs, as the image's base
# has it; an unprivileged user; mount and network namespaces of its own. It reads
# user, entry point and command from the Dockerfile, but does not build with it.
set -euo pipefail

[ $# -ge 1 ] || {
  echo "usage: packaging/test/container.sh PROGRAMS" >&2
  exit 2
}
# shellcheck source=packaging/test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
if [ "${INSIDE:-}" != yes ]; then
  [ "$(id -u)" = 0 ] || fail "namespaces of its own need root"
  make_base bookworm
  programs=$(realpath "$1")
  INSIDE=yes exec unshare --mount --net --propagation private "$0" "$programs"
fi
ip link set lo up
programs=$1
dockerfile=$root/packaging/container/Dockerfile
user=$(sed -n 's/^USER \([0-9]*\):.*/\1/p' "$dockerfile")
# The form of both is that of a JSON list of strings.
read -ra entry <<<"$(sed -n 's/^ENTRYPOINT \[\(.*\)\]$/\1/p' "$dockerfile" | tr -d '",')"
read -ra command <<<"$(sed -n 's/^CMD \[\(.*\)\]$/\1/p' "$dockerfile" | tr -d '",')"

WORK=$(mktemp -d "${TMPDIR:-/var/tmp}/prometheus-streams-test.XXXXXX")
ROOT=$WORK/root
pids=()
end() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  umount "$ROOT/var/lib/prometheus-streams" "$ROOT" 2>/dev/null || true
  rm -rf "$WORK"
}
trap end EXIT

mkdir -p "$ROOT"/{etc/prometheus-streams,lib64,lib/x86_64-linux-gnu,usr/bin,var/lib/prometheus-streams}
base=$BASES/bookworm
cp -L "$base/lib64/ld-linux-x86-64.so.2" "$ROOT/lib64/"
for library in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 libgcc_s.so.1; do
  cp -L "$base/lib/x86_64-linux-gnu/$library" "$ROOT/lib/x86_64-linux-gnu/"
done
for program in prometheus-streams prometheus-streams-poller prometheus-streams-receiver; do
  objcopy --strip-debug "$programs/$program" "$ROOT/usr/bin/$program"
done
cat >"$ROOT$CONFIG" <<'YAML'
identity: CLUSTER1
scrape_interval: 1s
monitor_port: 10000
monitor_address: 127.0.0.1
poller_stream: {urls: "nats://127.0.0.1:4222"}
receiver_stream: {urls: "nats://127.0.0.1:4222", client_id: receiver}
push_gateway: {url: "http://127.0.0.1:9091"}
spool: {dir: /var/lib/prometheus-streams/spool}
jobs: {node: {targets: [{url: "http://127.0.0.1:9100/metrics"}]}}
YAML
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount -t tmpfs -o "uid=$user,mode=750" tmpfs "$ROOT/var/lib/prometheus-streams"

step "the programs run"
expect "a version" 1 sh -c "chroot --userspec=$user:$user '$ROOT' /usr/bin/prometheus-streams --version | grep -c prometheus-streams"
expect "the check" "$CONFIG is good" chroot --userspec="$user:$user" "$ROOT" "${entry[0]}" check "$CONFIG"

for role in "${command[@]}" poller; do
  step "$role: ready with a bus"
  mkdir -p "$WORK/nats-$role"
  PATH=$PATH:/usr/sbin nats-server --addr 127.0.0.1 --port 4222 --jetstream --store_dir "$WORK/nats-$role" \
    >"$WORK/nats.log" 2>&1 &
  nats=$!
  pids+=("$nats")
  chroot --userspec="$user:$user" "$ROOT" "${entry[@]}" "$role" >"$WORK/$role.log" 2>&1 &
  pid=$!
  pids+=("$pid")
  tries=0
  until curl -fsS http://127.0.0.1:10000/-/ready >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 240 ] || fail "not ready: $(cat "$WORK/$role.log")"
    sleep 0.25
  done
  expect "the user" "$user" stat -c %u "/proc/$pid"
  expect "the health page" Healthy. curl -fsS http://127.0.0.1:10000/-/healthy
  step "$role: ends in order"
  kill -TERM "$pid"
  wait "$pid" || fail "$role ends with $?: $(cat "$WORK/$role.log")"
  grep -q "$role stopped" "$WORK/$role.log" || fail "it does not say so: $(cat "$WORK/$role.log")"
  kill "$nats"
  wait "$nats" 2>/dev/null || true
done
echo "container.sh: 5 steps passed"
