//! A bad target's scrape fails with its reason; all other targets go on.

use std::net::Ipv6Addr;

use serde_json::{Value, json};

use crate::support::{
    Behavior, Endpoint, NatsServer, Program, Targets, Version, free_port, receiver_config, run,
    wait_until,
};
use crate::{SCENARIO, SOON};

/// What a poller may take at most while targets send it all they can, in a debug build.
const RESIDENT_BYTES_MAX: u64 = 400 << 20;

/// Each bad target with the outcomes that name what is wrong with it. Which limit an endless body
/// runs into first depends on how fast the machine is.
const BAD: [(&str, Behavior, &[&str]); 10] = [
    ("hangs", Behavior::Hang, &["timeout"]),
    ("endless", Behavior::Endless, &["body_too_large", "timeout"]),
    ("bomb", Behavior::GzipBomb, &["body_too_large", "timeout"]),
    ("garbage", Behavior::Garbage, &["broken"]),
    ("garbage_body", Behavior::GarbageBody, &["bad_syntax"]),
    ("html", Behavior::Html, &["bad_syntax"]),
    ("half_way", Behavior::HalfWay, &["broken"]),
    ("redirects", Behavior::RedirectLoop, &["redirect"]),
    ("sorry", Behavior::Status(500), &["status"]),
    ("drips", Behavior::Drip, &["timeout"]),
];

#[test]
fn bad_targets_fail_with_their_reasons_and_the_others_go_on() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let endpoint = Endpoint::start().await;
        let mut config = receiver_config(&nats.url());
        config["remote_write"] = json!([{"name": "recorder", "url": endpoint.url()}]);
        let _receiver = Program::receiver(lab, config);

        let behaviors = BAD.iter().map(|(_, behavior, _)| behavior.clone());
        let bad = Targets::start(behaviors.collect()).await;
        let good = Targets::start(vec![Behavior::Counters(3)]).await;
        let six = Targets::start_at(Ipv6Addr::LOCALHOST.into(), vec![Behavior::Counters(3)]).await;
        let mut jobs = serde_json::Map::new();
        for (n, (name, _, _)) in BAD.iter().enumerate() {
            jobs.insert((*name).to_owned(), job(name, &bad.url(n)));
        }
        let closed = format!("http://127.0.0.1:{}/", free_port());
        jobs.insert("refused".to_owned(), job("refused", &closed));
        jobs.insert("good".to_owned(), job("good", &good.url(0)));
        jobs.insert("six".to_owned(), job("six", &six.url(0)));
        let poller = json!({
            "identity": "USDC1",
            "scrape_interval": "1s",
            "poller_stream": {"urls": nats.url(), "topic": "prometheus"},
            "jobs": jobs,
        });
        let poller = Program::poller(lab, poller);

        let refused: [(&str, &[&str]); 1] = [("refused", &["refused"])];
        let expected = BAD.iter().map(|(name, _, outcomes)| (*name, *outcomes));
        for (name, outcomes) in expected.chain(refused) {
            wait_until(SOON, name, async || {
                let page = poller.metrics().await?;
                let outcome = |outcome: &&&str| {
                    let labels = [("job", name), ("outcome", **outcome)];
                    page.sum("prometheus_streams_poller_scrapes_total", &labels) > Some(0.0)
                };
                let counted = outcomes.iter().any(|wanted| outcome(&wanted));
                let seen = page
                    .0
                    .keys()
                    .filter(|labels| labels.get("job").is_some_and(|job| job == name));
                if counted {
                    Ok(())
                } else {
                    Err(format!("{:?}", seen.collect::<Vec<_>>()))
                }
            })
            .await;
            wait_until(SOON, "a failed scrape is told", async || {
                let ups = endpoint.samples("up", name);
                let down = ups.last().is_some_and(|sample| sample.value == 0.0);
                if down {
                    Ok(())
                } else {
                    Err(format!("{name}: {ups:?}"))
                }
            })
            .await;
            assert!(endpoint.samples("half_a_page", name).is_empty());
        }
        for name in ["good", "six"] {
            wait_until(SOON, "the good targets go on", async || {
                let samples = endpoint.samples("sim_scrapes_total", name);
                if samples.len() >= 5 {
                    Ok(())
                } else {
                    Err(format!("{name}: {samples:?}"))
                }
            })
            .await;
        }
        let resident = poller.resident_bytes_max();
        assert!(
            resident < RESIDENT_BYTES_MAX,
            "the poller took {resident} bytes"
        );
    });
}

fn job(name: &str, url: &str) -> Value {
    json!({"targets": [{"name": name, "url": url}]})
}
