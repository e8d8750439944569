//! The stream: made as documented, or asked for.

use std::time::Duration;

use async_nats::jetstream::stream::{RetentionPolicy, StorageType};
use serde_json::json;

use crate::support::{
    Behavior, Bus, Endpoint, Lab, NatsServer, Program, SiteTarget, Targets, Version, nobody,
    poller_config, receiver_config, run, wait_until,
};
use crate::{SCENARIO, SOON};

#[test]
fn a_missing_stream_is_created_as_documented() {
    run(SCENARIO, async |lab| created(lab, Version::Packaged).await);
}

#[test]
fn a_missing_stream_is_created_at_the_newest_server() {
    run(SCENARIO, async |lab| created(lab, Version::Newest).await);
}

async fn created(lab: &Lab, version: Version) {
    let nats = NatsServer::start(lab, version).await;
    let _poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &nobody()));
    let bus = Bus::connect(&nats.url()).await;
    let info = wait_until(SOON, "the stream is there", async || bus.info().await).await;
    let config = info.config;
    assert_eq!(config.name, "PROMETHEUS");
    assert_eq!(config.subjects, ["prometheus.>"]);
    assert_eq!(config.storage, StorageType::File);
    assert_eq!(config.retention, RetentionPolicy::Limits);
    assert_eq!(config.max_age, Duration::from_secs(600));
    assert_eq!(config.duplicate_window, Duration::from_secs(120));
    assert_eq!(config.num_replicas, 1);
}

#[test]
fn a_missing_stream_that_may_not_be_created_is_an_error_with_advice() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let mut config = poller_config("USDC1", &nats.url(), &nobody());
        config["poller_stream"]["manage"] = false.into();
        let poller = Program::poller(lab, config);
        let mut config = receiver_config(&nats.url());
        config["receiver_stream"]["manage"] = false.into();
        config["push_gateway"] = json!({"url": "http://127.0.0.1:9"});
        let receiver = Program::receiver(lab, config);
        for mut program in [poller, receiver] {
            let status = program.exited(SOON).await;
            assert_eq!(status.code(), Some(1));
            let log = program.log();
            assert!(log.contains("nats stream add PROMETHEUS"), "{log}");
        }
        let bus = Bus::connect(&nats.url()).await;
        assert!(bus.info().await.is_err());
    });
}

#[test]
fn an_existing_stream_is_left_as_it_is() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let bus = Bus::connect(&nats.url()).await;
        bus.create_stream("prometheus.>").await;
        let before = bus.info().await.unwrap().config;
        let endpoint = Endpoint::start().await;
        let targets = Targets::start(vec![Behavior::Counters(1)]).await;
        let list = [SiteTarget::new("t", targets.url(0))];
        let _poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &list));
        let mut config = receiver_config(&nats.url());
        config["remote_write"] = json!([{"name": "recorder", "url": endpoint.url()}]);
        let _receiver = Program::receiver(lab, config);
        wait_until(SOON, "scrapes arrive", async || {
            let samples = endpoint.samples("sim_scrapes_total", "t");
            if samples.is_empty() {
                Err(String::new())
            } else {
                Ok(())
            }
        })
        .await;
        assert_eq!(bus.info().await.unwrap().config, before);
    });
}

#[test]
fn a_stream_that_was_lost_with_its_server_is_created_and_read_anew() {
    run(SCENARIO, async |lab| {
        let mut nats = NatsServer::start(lab, Version::Packaged).await;
        let targets = Targets::start(vec![Behavior::Counters(1)]).await;
        let endpoint = Endpoint::start().await;
        let mut config = receiver_config(&nats.url());
        config["receiver_stream"]["storage"] = "memory".into();
        config["remote_write"] = json!([{"name": "recorder", "url": endpoint.url()}]);
        let _receiver = Program::receiver(lab, config);
        let target = SiteTarget::new("one", targets.url(0));
        let mut config = poller_config("USDC1", &nats.url(), &[target]);
        config["poller_stream"]["storage"] = "memory".into();
        let _poller = Program::poller(lab, config);
        endpoint.receives("one", 5, SOON).await;
        nats.stop();
        nats.restart(lab).await;
        let before = targets.served(0);
        endpoint.receives("one", 3, SOON).await;
        wait_until(SOON, "what was scraped since arrives", async || {
            let samples = endpoint.samples("sim_scrapes_total", "one");
            let last = samples.last().map_or(0.0, |sample| sample.value);
            #[expect(clippy::cast_precision_loss, reason = "a small count")]
            let goal = (before + 2) as f64;
            if last >= goal {
                Ok(())
            } else {
                Err(format!("{last} of {goal}"))
            }
        })
        .await;
    });
}
