//! A sink that hangs or talks nonsense waits alone; what it refuses is counted.

use std::sync::Arc;

use serde_json::json;

use crate::fleet::{Fleet, Repeats, Scale};
use crate::support::{
    Answer, Behavior, Endpoint, NatsServer, Program, Pushgateway, SiteTarget, Targets, Version,
    poller_config, receiver_config, run, wait_until,
};
use crate::{SCENARIO, SOON};

/// What a receiver may take at most while sinks take nothing, in a debug build.
const RESIDENT_BYTES_MAX: u64 = 300 << 20;

#[test]
fn sinks_that_hang_or_talk_nonsense_do_not_hold_up_the_others() {
    run(SCENARIO, async |lab| {
        let scale = Scale::from_environment();
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let (good, hanging, mad) = (
            Endpoint::start().await,
            Endpoint::start().await,
            Endpoint::start().await,
        );
        hanging.set(Answer::Hang);
        mad.set(Answer::Garbage);
        let mut config = receiver_config(&nats.url());
        config["remote_write"] = json!([
            {"name": "hanging", "url": hanging.url(), "remote_timeout": "2s"},
            {"name": "good", "url": good.url()},
            {"name": "mad", "url": mad.url()},
        ]);
        let receiver = Program::receiver(lab, config);
        let mut fleet = Fleet::start(lab, &nats.url(), scale).await;
        fleet.scraped(scale.scrapes).await;
        fleet.stop().await;
        fleet.arrived(&good, Repeats::None).await;
        assert!(hanging.requests() > 0 && mad.requests() > 0);
        let resident = receiver.resident_bytes_max();
        assert!(
            resident < RESIDENT_BYTES_MAX,
            "the receiver took {resident} bytes"
        );
        // Once they come to their senses they get everything, too.
        hanging.set(Answer::Accept);
        mad.set(Answer::Accept);
        fleet.arrived(&hanging, Repeats::None).await;
        fleet.arrived(&mad, Repeats::None).await;
    });
}

#[test]
fn a_push_that_the_gateway_refuses_is_counted_and_holds_up_nobody() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let pushgateway = Pushgateway::start(lab).await;
        // The gateway exposes a gauge of that name itself.
        let clash = "# TYPE go_goroutines counter\ngo_goroutines 1\n";
        let behaviors = vec![Behavior::Fixed(Arc::from(clash)), Behavior::Counters(1)];
        let targets = Targets::start(behaviors).await;
        let mut config = receiver_config(&nats.url());
        config["push_gateway"] = json!({"url": pushgateway.url(), "publisher_label": true});
        let receiver = Program::receiver(lab, config);
        let clashing = SiteTarget::new("clashing", targets.url(0));
        let list = [clashing, SiteTarget::new("good", targets.url(1))];
        let _poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &list));
        wait_until(SOON, "the refused push is counted", async || {
            let labels = [("sink", "pushgateway")];
            let rejected = receiver.metric("receiver_rejected_total", &labels).await;
            if rejected >= 2.0 {
                Ok(())
            } else {
                Err(format!("{rejected}"))
            }
        })
        .await;
        wait_until(SOON, "the other target's values go on", async || {
            let group = [("instance", "good"), ("publisher", "USDC1")];
            let pushed = pushgateway.page().await?.sum("sim_scrapes_total", &group);
            if pushed >= Some(4.0) {
                Ok(())
            } else {
                Err(format!("{pushed:?}"))
            }
        })
        .await;
    });
}
