//! What each user of the hub may do and may not. Whatever is refused to one is done by another, so
//! that each of these tests would notice if nothing worked at all.

use std::time::Duration;

use async_nats::connection::State;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::hub::{BARE, Hub, Probe, create_copy, create_stream};
use crate::support::{Version, run, wait_until};
use crate::{SCENARIO, SOON};

const BOTH: [Version; 2] = [Version::Packaged, Version::Newest];

/// What changes a stream, or shows what is in it.
const STEERING: [&str; 5] = [
    "$JS.API.STREAM.UPDATE.PROMETHEUS",
    "$JS.API.STREAM.PURGE.PROMETHEUS",
    "$JS.API.STREAM.DELETE.PROMETHEUS",
    "$JS.API.STREAM.MSG.DELETE.PROMETHEUS",
    "$JS.API.STREAM.SNAPSHOT.PROMETHEUS",
];

const READING: [&str; 3] = [
    "$JS.API.STREAM.MSG.GET.PROMETHEUS",
    "$JS.API.DIRECT.GET.PROMETHEUS",
    "$JS.API.DIRECT.GET.PROMETHEUS.prometheus.USDC2.0.0.t",
];

const CONSUMING: [&str; 4] = [
    "$JS.API.CONSUMER.CREATE.PROMETHEUS",
    "$JS.API.CONSUMER.CREATE.PROMETHEUS.mine",
    "$JS.API.CONSUMER.DURABLE.CREATE.PROMETHEUS.mine",
    "$JS.API.CONSUMER.MSG.NEXT.PROMETHEUS.prometheus_receiver-prometheus",
];

fn consumer(config: &Value) -> Value {
    json!({"stream_name": "PROMETHEUS", "config": config})
}

#[test]
fn a_site_cannot_publish_as_another() {
    run(SCENARIO, async |lab| {
        for version in BOTH {
            let hub = Hub::start(lab, version).await;
            let admin = hub.connect("admin").await;
            create_stream(&admin).await;
            let (first, second) = (hub.connect("usdc1").await, hub.connect("usdc2").await);
            let script = hub.connect("usdc1-script").await;
            let bare = hub.connect(BARE).await;
            let stored = json!("PROMETHEUS");
            let own = first.publish("prometheus.USDC1.0.0.k", "1", "own").await;
            assert_eq!(own["stream"], stored, "{own}");
            let own = script.publish("prometheus.USDC1.0.0.t", "2", "own").await;
            assert_eq!(own["stream"], stored, "{own}");
            for subject in [
                "prometheus.USDC2.0.0.k",
                "prometheus.USDC2.0.0.t",
                // A dead letter of its own would not be believed, either.
                "prometheus.dead.USDC1.0.0.k",
                "prometheus.dead.0.0.k",
                "prometheus",
                "prometheus.USDC1",
                "prometheus.USDC1.0.0.k.k",
            ] {
                first.may_not_publish(subject, &json!("forged")).await;
                // It may say so within its account, but nobody hears it.
                bare.reaches_nobody(subject, &json!("forged")).await;
            }
            script
                .may_not_publish("prometheus.USDC1.0.0.k", &json!("forged"))
                .await;
            let expected = json!({"prometheus.USDC1.0.0.k": 1, "prometheus.USDC1.0.0.t": 1});
            assert_eq!(admin.subjects(">").await, expected);
            // What was refused to one site is right for the other.
            let own = second.publish("prometheus.USDC2.0.0.k", "3", "own").await;
            assert_eq!(own["stream"], stored, "{own}");
            assert_eq!(
                admin.subjects("prometheus.USDC2.>").await,
                json!({"prometheus.USDC2.0.0.k": 1})
            );
        }
    });
}

#[test]
fn a_site_cannot_read_what_another_sends() {
    run(SCENARIO, async |lab| {
        for version in BOTH {
            let hub = Hub::start(lab, version).await;
            let admin = hub.connect("admin").await;
            create_stream(&admin).await;
            let (first, second) = (hub.connect("usdc1").await, hub.connect("usdc2").await);
            let bare = hub.connect(BARE).await;
            for subject in [
                ">",
                "*.>",
                "prometheus.>",
                "prometheus.USDC2.>",
                "prometheus.USDC2.0.0.k",
                "prometheus-request.>",
                "prometheus-request.USDC2.*",
                "$JS.>",
                "$SYS.>",
            ] {
                first.may_not_subscribe(subject).await;
            }
            // Whoever listens to everything hears what is said in the account, and nothing else.
            let mut everything = bare.listen(">").await;
            second
                .publish("prometheus.USDC2.0.0.k", "1", "secret")
                .await;
            first.publish("prometheus.USDC1.0.0.k", "2", "own").await;
            let heard = everything.next().await.unwrap();
            assert_eq!(&*heard.payload, b"own");
            for subject in READING {
                first.may_not_publish(subject, &json!({"seq": 1})).await;
                bare.is_not_answered(subject, &json!({"seq": 1})).await;
            }
            let mine = consumer(&json!({"name": "mine", "ack_policy": "none"}));
            for subject in CONSUMING {
                first.may_not_publish(subject, &mine).await;
                bare.is_not_answered(subject, &mine).await;
            }
            let message = admin.api(READING[0], &json!({"seq": 1})).await.unwrap();
            assert_eq!(message["message"]["subject"], "prometheus.USDC2.0.0.k");
            for subject in [
                "$JS.API.STREAM.NAMES",
                "$JS.API.STREAM.LIST",
                "$JS.API.CONSUMER.NAMES.PROMETHEUS",
                "$JS.API.CONSUMER.LIST.PROMETHEUS",
                "$SYS.REQ.SERVER.PING",
            ] {
                first.may_not_publish(subject, &json!({})).await;
            }
            // The look with which a poller starts shows nothing.
            for probe in [&first, &bare] {
                let subject = "$JS.API.STREAM.INFO.PROMETHEUS";
                let look = probe.api(subject, &json!({"subjects_filter": ">"})).await;
                assert!(look.unwrap_err().contains("not enabled for account"));
            }
            // The rest of what was heard: the account's own.
            while let Ok(Some(message)) =
                tokio::time::timeout(Duration::ZERO, everything.next()).await
            {
                let subject = message.subject.as_str();
                assert_ne!(&*message.payload, b"secret", "{subject}");
            }
        }
    });
}

#[test]
fn a_site_cannot_steer() {
    run(SCENARIO, async |lab| {
        for version in BOTH {
            let hub = Hub::start(lab, version).await;
            let admin = hub.connect("admin").await;
            create_stream(&admin).await;
            let (first, second) = (hub.connect("usdc1").await, hub.connect("usdc2").await);
            let (bare, receiver) = (hub.connect(BARE).await, hub.connect("receiver").await);
            first.publish("prometheus.USDC1.0.0.k", "1", "own").await;
            for subject in STEERING {
                first.may_not_publish(subject, &json!({})).await;
                bare.reaches_nobody(subject, &json!({})).await;
            }
            first
                .may_not_publish("$JS.API.STREAM.CREATE.MINE", &json!({"name": "MINE"}))
                .await;
            first
                .may_not_publish("$JS.ACK.PROMETHEUS.x.1.1.1.1.1", &json!("+ACK"))
                .await;
            // Requests for key frames come from the center, and reach the site that they are for.
            let mut requests = second.listen("prometheus-request.USDC2.*").await;
            let mut own = first.listen("prometheus-request.USDC1.*").await;
            first
                .may_not_publish("prometheus-request.USDC2.0", &json!("forged"))
                .await;
            bare.reaches_nobody("prometheus-request.USDC2.0", &json!("forged"))
                .await;
            for subject in ["prometheus-request.USDC2.7", "prometheus-request.USDC1.8"] {
                receiver.client.publish(subject, "".into()).await.unwrap();
            }
            let heard = requests.next().await.unwrap();
            assert_eq!(heard.subject.as_str(), "prometheus-request.USDC2.7");
            let heard = own.next().await.unwrap();
            assert_eq!(heard.subject.as_str(), "prometheus-request.USDC1.8");
            assert_eq!(
                admin.subjects(">").await,
                json!({"prometheus.USDC1.0.0.k": 1})
            );
            admin.api(STEERING[1], &json!({})).await.unwrap();
            assert_eq!(admin.subjects(">").await, Value::Null);
        }
    });
}

#[test]
fn a_receiver_can_neither_speak_for_a_site_nor_change_the_stream() {
    run(SCENARIO, async |lab| {
        for version in BOTH {
            let hub = Hub::start(lab, version).await;
            let (admin, receiver) = (hub.connect("admin").await, hub.connect("receiver").await);
            create_stream(&admin).await;
            let before = admin
                .api("$JS.API.STREAM.INFO.PROMETHEUS", &json!({}))
                .await;
            let dead = "prometheus.dead.USDC1.0.0.k";
            receiver.publish(dead, "1", "dead").await;
            for subject in ["prometheus.USDC1.0.0.k", "prometheus.dead.0.0.k"] {
                receiver.may_not_publish(subject, &json!("forged")).await;
            }
            for subject in STEERING {
                receiver.may_not_publish(subject, &json!({})).await;
            }
            receiver
                .may_not_publish("$JS.API.STREAM.CREATE.OTHER", &json!({"name": "OTHER"}))
                .await;
            // A consumer delivers to no subject that a site would be believed on.
            let push = json!({"ack_policy": "none", "deliver_subject": "prometheus.USDC1.0.0.k"});
            let refused = receiver
                .api("$JS.API.CONSUMER.CREATE.PROMETHEUS", &consumer(&push))
                .await;
            refused.unwrap_err();
            receiver.may_not_subscribe("prometheus.>").await;
            assert_eq!(admin.subjects(">").await, json!({dead: 1}));
            let after = admin
                .api("$JS.API.STREAM.INFO.PROMETHEUS", &json!({}))
                .await;
            assert_eq!(after.unwrap()["config"], before.unwrap()["config"]);
        }
    });
}

#[test]
fn an_operator_reads_and_reaches_nobody() {
    run(SCENARIO, async |lab| {
        for version in BOTH {
            let hub = Hub::start(lab, version).await;
            let (admin, operator) = (hub.connect("admin").await, hub.connect("operator").await);
            let (site, receiver) = (hub.connect("usdc1").await, hub.connect("receiver").await);
            create_copy(&operator).await;
            create_stream(&admin).await;
            site.publish("prometheus.USDC1.0.0.k", "1", "data").await;
            wait_for(&operator, &json!({"prometheus-copy.USDC1.0.0.k": 1})).await;
            let created = operator
                .api(
                    "$JS.API.CONSUMER.CREATE.PROMETHEUS",
                    &consumer(&json!({"ack_policy": "none", "deliver_policy": "last"})),
                )
                .await;
            let name = created.unwrap()["name"].as_str().unwrap().to_owned();
            assert_eq!(&*operator.pull(&name).await.payload, b"data");

            // Whatever is done to the copy is done to nothing else.
            let durable = "prometheus_receiver-prometheus";
            let named = json!({"durable_name": durable, "ack_policy": "explicit"});
            let subject = format!("$JS.API.CONSUMER.CREATE.PROMETHEUS.{durable}");
            receiver.api(&subject, &consumer(&named)).await.unwrap();
            let info = format!("$JS.API.CONSUMER.INFO.PROMETHEUS.{durable}");
            let before = receiver.api(&info, &json!({})).await.unwrap();
            let mut requests = site.listen("prometheus-request.USDC1.*").await;
            for subject in ["prometheus-request.USDC1.0", "_INBOX.any"] {
                let push = json!({"ack_policy": "none", "deliver_subject": subject});
                let push = consumer(&push);
                let created = operator
                    .api("$JS.API.CONSUMER.CREATE.PROMETHEUS", &push)
                    .await;
                created.unwrap();
                operator.client.publish(subject, "".into()).await.unwrap();
            }
            let other = json!({
                "name": durable, "ack_policy": "explicit", "filter_subject": "prometheus-copy.x",
            });
            let created = operator
                .api("$JS.API.CONSUMER.CREATE.PROMETHEUS", &consumer(&other))
                .await;
            created.unwrap();
            operator
                .may_not_publish("prometheus-copy.USDC1.0.0.k", &json!("forged"))
                .await;
            operator
                .reaches_nobody("prometheus.USDC1.0.0.k", &json!("forged"))
                .await;
            for subject in ["$JS.API.STREAM.PURGE", "$JS.API.STREAM.DELETE"] {
                let subject = format!("{subject}.PROMETHEUS");
                operator.api(&subject, &json!({})).await.unwrap();
            }
            let after = receiver.api(&info, &json!({})).await.unwrap();
            assert_eq!(after["config"], before["config"]);
            assert_eq!(after["delivered"], before["delivered"]);
            assert_eq!(
                admin.subjects(">").await,
                json!({"prometheus.USDC1.0.0.k": 1})
            );
            receiver
                .client
                .publish("prometheus-request.USDC1.7", "".into())
                .await
                .unwrap();
            let heard = requests.next().await.unwrap();
            assert_eq!(heard.subject.as_str(), "prometheus-request.USDC1.7");
        }
    });
}

#[test]
fn who_is_taken_away_from_the_hub_is_cut_off_at_once() {
    run(SCENARIO, async |lab| {
        for version in BOTH {
            let hub = Hub::start(lab, version).await;
            create_stream(&hub.connect("admin").await).await;
            let (first, second) = (hub.connect("usdc1").await, hub.connect("usdc2").await);
            first.publish("prometheus.USDC1.0.0.k", "1", "own").await;
            hub.change("sites/USDC1.conf", "user: \"usdc1\"", "user: \"usdc1-new\"");
            wait_until(SOON, "the user is cut off", async || {
                match first.client.connection_state() {
                    State::Connected => Err("connected".to_owned()),
                    State::Pending | State::Disconnected => Ok(()),
                }
            })
            .await;
            // Others go on.
            second.publish("prometheus.USDC2.0.0.k", "2", "own").await;
        }
    });
}

/// Waits until a stream has these messages.
async fn wait_for(probe: &Probe, expected: &Value) {
    wait_until(SOON, "the copy is made", async || {
        let subjects = probe.subjects(">").await;
        if subjects == *expected {
            Ok(())
        } else {
            Err(subjects.to_string())
        }
    })
    .await;
}
