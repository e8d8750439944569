#!/bin/bash
# Enrollment with a real Puppet CA, from an empty folder to data that flows by mutual TLS.
#
# Starts a puppetserver, a nats-server and a Pushgateway on free ports of 127.0.0.1, in a folder
# that is removed at the end, and prints what it has seen. `PROGRAMS` names the folder of our own
# programs; without it they are built. docs/enroll.md has what a run has printed.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=$PWD/tests/puppet
puppet=$here/puppetserver.sh
programs=${PROGRAMS:-}
if [ -z "$programs" ]; then
    cargo build --locked --bins
    programs=$PWD/target/debug
fi
tools=${PROMETHEUS_STREAMS_TOOLS:-$PWD/target/tools}
nats_server=$tools/nats-server-2.15
[ -x "$nats_server" ] || nats_server=$(PATH=$PATH:/usr/sbin command -v nats-server)

dir=$(mktemp -d /tmp/prometheus-streams-puppet.XXXXXX)
chmod 755 "$dir"
declare -A pids=()

finish() {
    local status=$?
    for name in "${!pids[@]}"; do
        # A session of its own each, since some of them start others.
        kill -- "-${pids[$name]}" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    if [ "$status" != 0 ]; then
        echo "FAILED; the ends of the logs:" >&2
        tail -n 15 "$dir"/*.log "$dir"/ca/log/puppetserver.log >&2 || true
    fi
    rm -rf "$dir"
    exit "$status"
}
trap finish EXIT

now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f s", b - a }'; }
say() { echo "== $*"; }
fail() {
    echo "NOT SEEN: $*" >&2
    exit 1
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# start NAME COMMAND...: runs it in the background, with its output in NAME.log
start() {
    local name=$1
    shift
    setsid "$@" >>"$dir/$name.log" 2>&1 &
    pids[$name]=$!
}

stop() {
    kill -- "-${pids[$1]}"
    wait "${pids[$1]}" 2>/dev/null || true
    unset "pids[$1]"
}

# eventually SECONDS WHAT COMMAND...: repeats it until it succeeds
eventually() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "$what"
        sleep 0.2
    done
}

enroll() { "$programs/prometheus-streams" enroll "$@" --ca "localhost:$ca_port" "${trust[@]}"; }
# refuses WORDS COMMAND...: it fails, and says so
refuses() {
    local words=$1 said
    shift
    if said=$("$@" 2>&1); then
        fail "it is refused with \`$words\`: $said"
    fi
    grep -- "$words" >/dev/null <<<"$said" || fail "it is refused with \`$words\`: $said"
}
sign() { "$puppet" ca "$dir/ca" sign --certname "$1"; }
has() { grep -q -- "$2" "$dir/$1.log"; }
serial() { openssl x509 -in "$1" -noout -serial; }
page() { curl -sf "http://127.0.0.1:$1/metrics"; }
metric() { page "$1" | awk -v name="$2" 'index($1, name) == 1 && !seen++ { print $2 }'; }
pushed() { metric "$gateway_port" push_time_seconds; }

is_up() { [ "$(curl -sk "https://localhost:$ca_port/status/v1/simple")" = running ]; }
ask_nats() { curl -sf "http://127.0.0.1:$nats_monitor/$1"; }
is_published() { awk -v n="$(metric "$poller_port" prometheus_streams_poller_published_total)" 'BEGIN { exit !(n > 3) }'; }
is_pushed_after() { awk -v a="$1" -v b="$(pushed)" 'BEGIN { exit !(b != "" && b > a) }'; }

# flows WHAT: scrapes that are made from now on arrive at the Pushgateway
flows() {
    local from
    from=$(date +%s)
    eventually 60 "$1" is_pushed_after "$from"
    say "$1"
}

start_nats() {
    cat >"$dir/nats.conf" <<CONF
listen: 127.0.0.1:$nats_port
http: 127.0.0.1:$nats_monitor
jetstream { store_dir: $dir/jetstream }
tls {
  ca_file: $dir/$1/certs/ca.pem
  cert_file: $dir/$1/certs/$1.pem
  key_file: $dir/$1/private_keys/$1.pem
  verify: true
}
CONF
    start nats "$nats_server" -c "$dir/nats.conf"
    eventually 30 "nats-server starts" ask_nats healthz
}

if ! command -v puppetserver >/dev/null; then
    apt-get install -y --no-install-recommends puppetserver
fi
ca_port=$(free_port) nats_port=$(free_port) nats_monitor=$(free_port)
gateway_port=$(free_port) poller_port=$(free_port) receiver_port=$(free_port)

say "$(puppetserver --version), $("$nats_server" --version), $(openssl version), $("$programs/prometheus-streams" --version)"
began=$(now)
"$puppet" setup "$dir/ca" "$ca_port" >"$dir/setup.log"
start puppetserver "$puppet" run "$dir/ca"
eventually 300 "puppetserver starts" is_up
say "a puppetserver with a CA of its own runs after $(since "$began")"
fingerprint=$(sha256sum "$dir/ca/ca/ca_crt.pem" | cut -d' ' -f1)
trust=(--ca-fingerprint "$fingerprint")

# --- What is refused.
refuses "must be lower case" enroll Upper.example.net --dir "$dir/refused"
refuses "its fingerprint is not" "$programs/prometheus-streams" enroll a.example.net \
    --dir "$dir/refused" --ca "localhost:$ca_port" --waitforcert 0 \
    --ca-fingerprint "$(echo other | sha256sum | cut -d' ' -f1)"
[ ! -e "$dir/refused/certs/ca.pem" ] || fail "a refused CA is not stored"
say "upper case and another fingerprint are refused"

# --- A server's certificate, with a further name, on an EC key.
if enroll nats1.example.net --dir "$dir/nats1.example.net" --dns-alt-name localhost --waitforcert 0; then
    fail "an unsigned certificate is no success"
fi
sign nats1.example.net
enroll nats1.example.net --dir "$dir/nats1.example.net" --waitforcert 0

# --- A certificate on an RSA key as Puppet makes it, which is waited for.
receiver=receiver.example.net
mkdir -p "$dir/receiver/private_keys"
openssl genrsa -traditional -out "$dir/receiver/private_keys/$receiver.pem" 4096 2>/dev/null
key=$(sha256sum "$dir/receiver/private_keys/$receiver.pem")
start enroll-receiver "$programs/prometheus-streams" enroll $receiver --dir "$dir/receiver" \
    --ca "localhost:$ca_port" "${trust[@]}" --waitforcert 1 --extension pp_role=receiver
eventually 30 "the request is submitted" has enroll-receiver "is not signed yet"
sign $receiver
began=$(now)
eventually 30 "the certificate arrives" test -e "$dir/receiver/certs/$receiver.pem"
say "an RSA key that was there: the certificate arrives $(since "$began") after it was signed"
[ "$key" = "$(sha256sum "$dir/receiver/private_keys/$receiver.pem")" ] || fail "the key is left alone"
openssl x509 -in "$dir/receiver/certs/$receiver.pem" -noout -text | grep -A1 34380.1.1.13 | grep receiver >/dev/null ||
    fail "the trusted fact is in the certificate"
for files in "nats1.example.net nats1.example.net" "receiver $receiver"; do
    read -r folder name <<<"$files"
    openssl verify -crl_check_all -CAfile "$dir/$folder/certs/ca.pem" \
        -CRLfile "$dir/$folder/crl.pem" "$dir/$folder/certs/$name.pem"
    [ "$(stat -c %a "$dir/$folder/private_keys/$name.pem")" != 644 ] || fail "the key is private"
done

# --- A poller that enrolls itself, a receiver, and a nats-server that wants certificates.
start_nats nats1.example.net
# Without a file of its own Debian's would write one of the whole machine.
start gateway prometheus-pushgateway --web.listen-address "127.0.0.1:$gateway_port" --persistence.file=
cat >"$dir/poller.yaml" <<CONF
identity: site1
scrape_interval: 1s
monitor_port: $poller_port
monitor_address: 127.0.0.1
tls: {scheme: puppet, identity: poller.example.net, ssl_dir: $dir/poller}
enroll: {ca: localhost:$ca_port, ca_fingerprint: $fingerprint, wait: 1s, crl_refresh: 2s}
poller_stream: {urls: "tls://localhost:$nats_port"}
jobs: {self: {targets: [{name: poller, url: "http://127.0.0.1:$poller_port/metrics"}]}}
CONF
cat >"$dir/receiver.yaml" <<CONF
identity: centre
monitor_port: $receiver_port
monitor_address: 127.0.0.1
tls: {scheme: puppet, identity: $receiver, ssl_dir: $dir/receiver}
receiver_stream: {urls: "tls://localhost:$nats_port"}
push_gateway: {url: "http://127.0.0.1:$gateway_port"}
CONF
start poller "$programs/prometheus-streams-poller" --config "$dir/poller.yaml"
start receiver "$programs/prometheus-streams-receiver" --config "$dir/receiver.yaml"
eventually 30 "the poller submits its request" has poller "is not signed yet"
[ "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$poller_port/-/ready")" = 503 ] ||
    fail "the poller is not ready without a certificate"
sign poller.example.net
eventually 60 "the poller publishes" is_published
flows "a poller that enrolled itself and a receiver talk mutual TLS to nats-server"
ask_nats "connz?auth=true" | grep -o '"CN=[a-z.]*"' | sort -u | tr '\n' ' ' || true
echo

# --- Renewal, where the CA refuses it, and where it takes a second request.
refuses "the CA does not renew" enroll poller.example.net --dir "$dir/poller" --renew \
    --renew-before 20y --waitforcert 0
say "a CA that renews nothing is named, with what can be done"
stop puppetserver
echo "allow_duplicate_certs = true" >>"$dir/ca/puppet.conf"
eventually 60 "the poller says that the CA is away" has poller "enrollment cannot go on"
flows "data flows while the CA is away"
start puppetserver "$puppet" run "$dir/ca"
eventually 300 "puppetserver starts again" is_up
old=$(serial "$dir/poller/certs/poller.example.net.pem")
from=$(metric "$poller_port" prometheus_streams_poller_published_total)
start renew "$programs/prometheus-streams" enroll poller.example.net --dir "$dir/poller" \
    --ca "localhost:$ca_port" "${trust[@]}" --renew --renew-before 20y --waitforcert 1
eventually 30 "the second request is submitted" has renew "is not signed yet"
sign poller.example.net
eventually 30 "the next certificate arrives" has renew "is enrolled"
new=$(serial "$dir/poller/certs/poller.example.net.pem")
[ "$old" != "$new" ] || fail "the certificate is another one"
flows "renewed from $old to $new with allow_duplicate_certs; data flows"
stop nats
start_nats nats1.example.net
flows "after a new connection with the new certificate, too"
certificate=$(openssl x509 -in "$dir/poller/certs/poller.example.net.pem" -outform der | sha256sum | cut -d' ' -f1)
ask_nats "connz?auth=true" >"$dir/connz.log"
if grep -q cert_sha256 "$dir/connz.log"; then
    grep -q "$certificate" "$dir/connz.log" || fail "nats-server was shown the new certificate"
    say "nats-server was shown the new certificate"
fi
to=$(metric "$poller_port" prometheus_streams_poller_published_total)
say "the same poller has published $from scrapes before and $to after"

# --- Revocation of the server, which the poller learns by itself and the receiver is told.
"$puppet" ca "$dir/ca" revoke --certname nats1.example.net
revoked_at=$(now)
is_listed() { openssl crl -in "$dir/poller/crl.pem" -noout -text | grep "Serial Number: $serial_of_nats" >/dev/null; }
serial_of_nats=$(serial "$dir/nats1.example.net/certs/nats1.example.net.pem" | cut -d= -f2)
eventually 60 "the running poller fetches the lists" is_listed
say "the running poller has the new list $(since "$revoked_at") after the revocation"
enroll $receiver --dir "$dir/receiver" --renew
stop nats
start_nats nats1.example.net
eventually 60 "the poller refuses the revoked server" has poller "Revoked"
eventually 60 "the receiver refuses the revoked server" has receiver "Revoked"
say "poller and receiver refuse the server whose certificate was revoked"

# --- And a server with a good one is taken again.
enroll nats2.example.net --dir "$dir/nats2.example.net" --dns-alt-name localhost --waitforcert 0 || true
sign nats2.example.net
enroll nats2.example.net --dir "$dir/nats2.example.net" --waitforcert 0
stop nats
start_nats nats2.example.net
flows "with another certificate data flows again"

# --- A revoked client is told so, by the CA and by its own files.
"$puppet" ca "$dir/ca" revoke --certname $receiver
# The list is fetched all the same.
enroll $receiver --dir "$dir/receiver" --renew >/dev/null
refuses "was revoked" enroll $receiver --dir "$dir/receiver"
say "a client whose certificate was revoked is told so, with the remedy"
page "$poller_port" | grep '^prometheus_streams_enroll'
say "all seen"
