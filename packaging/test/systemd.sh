#!/usr/bin/env bash
# shellcheck disable=SC2016
# Runs both services under a real systemd: packaging/test/systemd.sh PACKAGE [SUITE]
#
# systemd-nspawn boots a throw-away Debian in mount, process and network namespaces of its own, with
# the .deb and a real nats-server in it. Nothing outside of them is touched.
set -euo pipefail

[ $# -ge 1 ] || {
  echo "usage: packaging/test/systemd.sh PACKAGE [SUITE]" >&2
  exit 2
}
# shellcheck source=packaging/test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
package=$(realpath "$1") suite=${2:-bookworm}
command -v systemd-nspawn >/dev/null || fail "systemd-nspawn is missing; apt-get install systemd-container"

make_base "$suite-systemd" "systemd,systemd-sysv,dbus,adduser,nats-server,prometheus-node-exporter,ca-certificates"
open_root "$suite-systemd"
umount "$ROOT/proc"
install -D -m 644 "$package" "$ROOT/tmp/new.deb"
rm -f "$ROOT/usr/sbin/policy-rc.d"
chroot "$ROOT" dpkg -i /tmp/new.deb >"$ROOT/dpkg.log" 2>&1 || fail "cannot install: $(cat "$ROOT/dpkg.log")"
echo "127.0.0.1 localhost" >"$ROOT/etc/hosts"
# A bus with JetStream, and what is to be measured, are there from the start.
mkdir -p "$ROOT/etc/systemd/system/multi-user.target.wants" "$ROOT/var/lib/nats"
cat >"$ROOT/etc/systemd/system/bus.service" <<'UNIT'
[Service]
ExecStart=/usr/sbin/nats-server --addr 127.0.0.1 --port 4222 --jetstream --store_dir /var/lib/nats
UNIT
cat >"$ROOT/etc/systemd/system/exporter.service" <<'UNIT'
[Service]
ExecStart=/usr/bin/prometheus-node-exporter --web.listen-address=127.0.0.1:9100 --log.level=error
UNIT
for unit in nats-server prometheus-node-exporter; do
  ln -sf /dev/null "$ROOT/etc/systemd/system/$unit.service"
done
for unit in bus exporter; do
  ln -sf "../$unit.service" "$ROOT/etc/systemd/system/multi-user.target.wants/$unit.service"
done
cat >"$ROOT$CONFIG" <<'YAML'
identity: USDC1
scrape_interval: 1s
logfile:
poller_stream: {urls: "nats://127.0.0.1:4222"}
receiver_stream: {urls: "nats://127.0.0.1:4222", client_id: receiver}
push_gateway: {url: "http://127.0.0.1:9091"}
spool: {dir: /var/lib/prometheus-streams/spool}
jobs:
  node:
    targets:
      - url: http://localhost:9100/metrics
YAML

# A namespace of its own keeps the mounts away; its leader is the systemd inside.
unshare --mount --propagation private systemd-nspawn --quiet --directory "$ROOT" --boot \
  --private-network --register=no --keep-unit --machine=prometheus-streams-test --link-journal=no \
  --settings=no >"$WORK/console" 2>&1 </dev/null &
nspawn=$!
stop_machine() {
  local status=$?
  [ "$status" = 0 ] || [ -z "${leader:-}" ] || inside journalctl --no-pager -n 60 -o cat >&2 || true
  kill -TERM "$nspawn" 2>/dev/null || true
  [ -z "${leader:-}" ] || kill -KILL "$leader" 2>/dev/null || true
  wait "$nspawn" 2>/dev/null || true
  close_root
}
trap stop_machine EXIT

# Tries until it succeeds: a minute, and more on a machine that is busy.
eventually() { # WHAT COMMAND…
  local what=$1 tries=0
  shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    kill -0 "$nspawn" 2>/dev/null || fail "systemd-nspawn has ended: $(tail -n 5 "$WORK/console")"
    if [ "$tries" -gt "${PATIENCE:-240}" ]; then
      tail -n 20 "$WORK/console" >&2
      fail "$what does not happen"
    fi
    sleep 0.5
  done
}
find_leader() {
  local unshared
  leader=$(pgrep -P "$nspawn" | head -n 1)
  # The first child is the nspawn that `unshare` has become, or the systemd itself.
  while unshared=$(pgrep -P "$leader" | head -n 1) && [ "$(cat "/proc/$leader/comm")" != systemd ]; do
    leader=$unshared
  done
  [ "$(cat "/proc/$leader/comm")" = systemd ]
}
inside() {
  nsenter --target "$leader" --mount --uts --ipc --net --pid --root --wd -- \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"
}
is() { # UNIT PROPERTY VALUE
  [ "$(inside systemctl show --property "$2" --value "$1")" = "$3" ]
}
logged() { # UNIT TEXT
  # Not with -q, which ends at the first line, and journalctl with it by a signal.
  inside journalctl --no-pager -o cat -u "$1" | grep -- "$2" >/dev/null
}

step "systemd boots"
eventually "a systemd" find_leader
eventually "the boot" inside systemctl is-active multi-user.target
eventually "the bus" is bus.service ActiveState active

for role in poller receiver; do
  unit=prometheus-streams-$role.service
  step "$role: started, ready, in its own user and sandbox"
  expect "not enabled" disabled inside systemctl is-enabled "$unit"
  inside systemctl start "$unit" || {
    inside journalctl --no-pager -u "$unit" >&2
    fail "$unit does not start"
  }
  expect "active" active inside systemctl is-active "$unit"
  pid=$(inside systemctl show --property MainPID --value "$unit")
  expect "the user" prometheus-streams inside stat -c %U "/proc/$pid"
  expect "no new privileges" "NoNewPrivs: 1" inside awk '/^NoNewPrivs:/ { print $1, $2 }' "/proc/$pid/status"
  expect "no capability" "CapEff: 0000000000000000" inside awk '/^CapEff:/ { print $1, $2 }' "/proc/$pid/status"
  expect "system calls are filtered" "Seccomp: 2" inside awk '/^Seccomp:/ { print $1, $2 }' "/proc/$pid/status"
  case $role in
    poller) work=scraping ;;
    receiver) work=delivering ;;
  esac
  eventually "the status \`$work\`" is "$unit" StatusText "$work"

  step "$role: pings the watchdog"
  stamp=$(inside systemctl show --property WatchdogTimestampMonotonic --value "$unit")
  [ "$stamp" != 0 ] || fail "no ping"
  newer() { [ "$(inside systemctl show --property WatchdogTimestampMonotonic --value "$unit")" -gt "$stamp" ]; }
  eventually "a newer ping" newer

  step "$role: reloads"
  inside systemctl reload "$unit" || fail "cannot reload"
  eventually "the reload" logged "$unit" "reading the configuration again"
  eventually "active again" is "$unit" ActiveState active
  cp "$ROOT$CONFIG" "$WORK/good"
  inside sh -c "echo 'nonsense: [' >>$CONFIG"
  if inside systemctl reload "$unit" 2>/dev/null; then
    fail "a bad file is taken"
  fi
  expect "active with the old file" active inside systemctl is-active "$unit"
  inside sh -c "cat >$CONFIG" <"$WORK/good"
done

step "the bus goes and comes back"
inside systemctl stop bus.service
eventually "the status of the poller" is prometheus-streams-poller.service StatusText "scraping; waiting for NATS"
eventually "the status of the receiver" is prometheus-streams-receiver.service StatusText "waiting for NATS"
step "a service starts while the bus is away"
inside systemctl restart prometheus-streams-receiver.service || fail "it does not start without NATS"
inside systemctl start bus.service
eventually "the status of the poller" is prometheus-streams-poller.service StatusText scraping
eventually "the status of the receiver" is prometheus-streams-receiver.service StatusText delivering

step "a program that hangs is killed by the watchdog, and starts again"
inside sh -c 'mkdir -p /run/systemd/system/prometheus-streams-poller.service.d &&
  printf "[Service]\nWatchdogSec=3s\nTimeoutAbortSec=2s\n" >/run/systemd/system/prometheus-streams-poller.service.d/test.conf'
inside systemctl daemon-reload
inside systemctl restart prometheus-streams-poller.service
pid=$(inside systemctl show --property MainPID --value prometheus-streams-poller.service)
inside sh -c "kill -STOP $pid"
another() {
  is prometheus-streams-poller.service ActiveState active &&
    [ "$(inside systemctl show --property MainPID --value prometheus-streams-poller.service)" != "$pid" ]
}
eventually "another process" another
# The journal has it a moment later.
eventually "the watchdog's word" logged prometheus-streams-poller.service "Watchdog timeout"

for role in poller receiver; do
  unit=prometheus-streams-$role.service
  step "$role: stops in order"
  inside systemctl stop "$unit"
  expect "how it ended" success inside systemctl show --property Result --value "$unit"
  eventually "the last word of the $role" logged "$unit" "$role stopped"
done
log=$root/target/packages/systemd-$suite.log
inside journalctl --no-pager -o cat -u prometheus-streams-poller.service -u prometheus-streams-receiver.service >"$log"
if grep -i -e panicked -e 'permission denied' -e 'not permitted' -e 'scrape failed' "$log"; then
  fail "the sandbox is in the way"
fi

step "purged while both run"
inside systemctl start prometheus-streams-poller.service prometheus-streams-receiver.service
inside dpkg -P prometheus-streams >/dev/null 2>&1 || fail "cannot purge"
expect "the services" inactive inside systemctl is-active prometheus-streams-poller.service

echo "systemd.sh: $suite with $(inside systemctl --version | head -n 1): all steps passed"
