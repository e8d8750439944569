//! A sink that hangs or talks nonsense waits alone.

use serde_json::json;

use crate::SCENARIO;
use crate::fleet::{Fleet, Repeats, Scale};
use crate::support::{Answer, Endpoint, NatsServer, Program, Version, receiver_config, run};

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
