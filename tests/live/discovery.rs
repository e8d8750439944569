//! Targets that a real name server names.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use prometheus_streams::clock::Clock;
use prometheus_streams::discover::dns::{Record, Resolver, Settings};
use prometheus_streams::discover::{self, Discovery, Groups};
use prometheus_streams::telemetry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::support::{Lab, NameServer, run, wait_until};
use crate::{SCENARIO, SOON};

const RECORDS: &str = "\
_metrics._tcp SRV 0 0 9100 one
_metrics._tcp SRV 0 0 9200 two.elsewhere.
alias CNAME one
one A 192.0.2.1
one AAAA 2001:db8::1
mail MX 5 mx.example.test.
empty TXT nothing
";

fn source(lab: &Lab, server: &NameServer, name: &str, record: Record) -> discover::Settings {
    let file: PathBuf = lab.file("resolv", "conf");
    fs::write(
        &file,
        "search nowhere.test example.test\nnameserver 127.0.0.1\n",
    )
    .unwrap();
    discover::Settings::Dns(Settings {
        names: vec![name.to_owned()],
        record,
        port: 80,
        refresh_interval: Duration::from_millis(200),
        resolver: Resolver {
            file,
            port: server.port,
        },
    })
}

/// The targets with all their labels, one a line.
fn shown(groups: &Groups) -> Vec<String> {
    let targets = groups.iter().flat_map(|group| &group.targets);
    let label = |(name, value): &(String, String)| format!("{name}={value}");
    let target = |labels: &Vec<(String, String)>| {
        let mut labels: Vec<String> = labels.iter().map(label).collect();
        labels.sort();
        labels.join(" ")
    };
    targets.map(target).collect()
}

async fn once(source: discover::Settings) -> Result<Vec<String>, String> {
    let registry = telemetry::Metrics::new();
    let metrics = registry.register("discover", |registry| {
        discover::Metrics::register(registry, Clock::system())
    });
    let discovery = Discovery::new("job", &[source], metrics).unwrap();
    let (groups, failures) = discovery.once(SOON).await;
    match failures.first() {
        None => Ok(shown(&groups)),
        Some((_, error)) => Err(telemetry::chain(error)),
    }
}

#[test]
fn every_type_of_record_is_read_from_a_real_server() {
    run(SCENARIO, async |lab| {
        let mut records = RECORDS.to_owned();
        for number in 0..600 {
            writeln!(records, "many A 198.18.{}.{}", number / 256, number % 256).unwrap();
        }
        let server = NameServer::start(lab, &records).await;
        let ask = async |name: &str, record| once(source(lab, &server, name, record)).await;
        assert_eq!(
            ask("_metrics._tcp", Record::Srv).await.unwrap(),
            [
                "__address__=one.example.test:9100 __meta_dns_name=_metrics._tcp \
                 __meta_dns_srv_record_port=9100 \
                 __meta_dns_srv_record_target=one.example.test.",
                "__address__=two.elsewhere:9200 __meta_dns_name=_metrics._tcp \
                 __meta_dns_srv_record_port=9200 __meta_dns_srv_record_target=two.elsewhere.",
            ]
        );
        let alias = ["__address__=192.0.2.1:80 __meta_dns_name=alias"];
        assert_eq!(ask("alias", Record::A).await.unwrap(), alias);
        let one = ["__address__=[2001:db8::1]:80 __meta_dns_name=one.example.test."];
        assert_eq!(ask("one.example.test.", Record::Aaaa).await.unwrap(), one);
        let mail = [
            "__address__=mx.example.test:80 __meta_dns_mx_record_target=mx.example.test. \
                     __meta_dns_name=mail",
        ];
        assert_eq!(ask("mail", Record::Mx).await.unwrap(), mail);
        let zone = [
            "__address__=ns.example.test:80 __meta_dns_name=example.test \
                     __meta_dns_ns_record_target=ns.example.test.",
        ];
        assert_eq!(ask("example.test", Record::Ns).await.unwrap(), zone);
        assert!(ask("empty", Record::A).await.unwrap().is_empty());
        // Too long for a datagram.
        assert_eq!(ask("many", Record::A).await.unwrap().len(), 600);
        // The server has no such zone, and says so for all names in it.
        let refused = ask("one.nowhere.test.", Record::A).await.unwrap_err();
        assert!(refused.contains("Refused"), "{refused}");
    });
}

#[test]
fn targets_stay_while_the_server_is_away_and_go_when_their_name_is_gone() {
    run(SCENARIO, async |lab| {
        let mut server = NameServer::start(lab, RECORDS).await;
        let registry = telemetry::Metrics::new();
        let metrics = registry.register("discover", |registry| {
            discover::Metrics::register(registry, Clock::system())
        });
        let settings = source(lab, &server, "_metrics._tcp.example.test.", Record::Srv);
        let discovery = Discovery::new("job", &[settings], metrics).unwrap();
        let (sender, groups) = watch::channel(None);
        let stop = CancellationToken::new();
        let running = tokio::spawn(discovery.run(sender, stop.clone()));
        let count = || {
            groups
                .borrow()
                .as_ref()
                .map_or(0, |groups| shown(groups).len())
        };
        let comes = async |expected| {
            wait_until(SOON, "targets", async || match count() {
                found if found == expected => Ok(()),
                found => Err(format!("{found} targets, not {expected}")),
            })
            .await;
        };
        comes(2).await;
        server.stop();
        wait_until(SOON, "failures", async || {
            let page = registry.encode().unwrap();
            let line = page.lines().find_map(|line| {
                line.strip_prefix(
                    r#"prometheus_streams_discover_failures_total{job="job",kind="dns"} "#,
                )
            });
            let failures: u64 = line.unwrap().parse().unwrap();
            if failures >= 3 { Ok(()) } else { Err(page) }
        })
        .await;
        assert_eq!(count(), 2);
        server
            .restart(lab, "_metrics._tcp SRV 0 0 9100 one\n")
            .await;
        comes(1).await;
        server.restart(lab, "").await;
        comes(0).await;
        stop.cancel();
        running.await.unwrap();
    });
}
