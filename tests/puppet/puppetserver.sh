#!/bin/bash
# Runs a puppetserver as a certificate authority in a folder of its own, on 127.0.0.1 alone.
#
#   puppetserver.sh setup DIR PORT   makes configuration and CA
#   puppetserver.sh run DIR          runs until it is killed
#   puppetserver.sh ca DIR ...       the CA's own command line, such as `ca DIR sign --certname NAME`
#
# Nothing outside of DIR is written, and what Debian's package has configured is not touched.
set -euo pipefail

package=/usr/share/puppetserver
packaged=/etc/puppet/puppetserver

# The package's user, if there is one to become: a CA has no business to be root.
as_puppet() {
    if [ "$(id -u)" = 0 ] && id puppet >/dev/null 2>&1; then
        runuser -u puppet -- "$@"
    else
        "$@"
    fi
}

setup() {
    local dir=$1 port=$2
    mkdir -p "$dir"/{conf.d,services.d,ssl,code,var/jruby-gems,run,log}
    cp "$packaged"/services.d/*.cfg "$dir/services.d/"
    cp "$packaged"/conf.d/{auth,metrics,web-routes}.conf "$dir/conf.d/"
    cat >"$dir/puppet.conf" <<CONF
[main]
certname = localhost
server = localhost
ca_port = $port
serverport = $port
ssldir = $dir/ssl
cadir = $dir/ca
vardir = $dir/var
confdir = $dir
codedir = $dir/code
rundir = $dir/run
logdir = $dir/log
CONF
    cat >"$dir/conf.d/global.conf" <<CONF
global: { logging-config: $dir/logback.xml }
CONF
    cat >"$dir/conf.d/ca.conf" <<CONF
certificate-authority: {
    allow-subject-alt-names: true
    allow-authorization-extensions: false
}
CONF
    cat >"$dir/conf.d/webserver.conf" <<CONF
webserver: { client-auth: want, ssl-host: "127.0.0.1", ssl-port: $port }
CONF
    cat >"$dir/conf.d/puppetserver.conf" <<CONF
jruby-puppet: {
    ruby-load-path: [/usr/lib/puppetserver/ruby/vendor_ruby]
    gem-home: $dir/var/jruby-gems
    gem-path: [$dir/var/jruby-gems, "/usr/lib/puppetserver/vendored-jruby-gems"]
    server-conf-dir: $dir
    server-code-dir: $dir/code
    server-var-dir: $dir/var
    server-run-dir: $dir/run
    server-log-dir: $dir/log
    max-active-instances: 1
}
http-client: {}
profiler: { enabled: false }
CONF
    cat >"$dir/logback.xml" <<CONF
<configuration>
  <appender name="FILE" class="ch.qos.logback.core.FileAppender">
    <file>$dir/log/puppetserver.log</file>
    <encoder><pattern>%d %-5p [%c{2}] %m%n</pattern></encoder>
  </appender>
  <root level="info"><appender-ref ref="FILE"/></root>
</configuration>
CONF
    if [ "$(id -u)" = 0 ] && id puppet >/dev/null 2>&1; then
        chown -R puppet: "$dir"
    fi
    as_puppet puppetserver ca setup --config "$dir/puppet.conf" \
        --certname localhost --subject-alt-names localhost,puppet
}

run() {
    local dir=$1
    cd "$package"
    # 0.6 GB and one to two minutes of start; the second compiler would make it longer.
    as_puppet /usr/bin/java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx768m \
        -Djruby.logger.class=com.puppetlabs.jruby_utils.jruby.Slf4jLogger \
        -Djruby.lib=/usr/share/jruby/lib -XX:ErrorFile="$dir/log/hs_err.log" \
        -jar "$package/puppetserver.jar" \
        --config "$dir/conf.d" --bootstrap-config "$dir/services.d" \
        --restart-file "$dir/run/restartcounter"
}

ca() {
    local dir=$1
    shift
    local command=$1
    shift
    as_puppet puppetserver ca "$command" --config "$dir/puppet.conf" "$@"
}

command=${1:?setup, run or ca}
shift
case $command in
setup | run | ca) "$command" "$@" ;;
*)
    echo "no such command: $command" >&2
    exit 2
    ;;
esac
