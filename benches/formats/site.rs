//! Whole messages of a site: all bytes on its NATS connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_streams::bus::{Kind, LaneId, Subject};
use prometheus_streams::wire::{Role, ShapeWriter};

use crate::fleet::{Fleet, GROUP, Scrape, TARGETS, WARM, repeat, target};
use crate::ours::{Message, Sender};
use crate::pages::Page;

/// Targets of one lane; a site of 500 has two.
const LANE_TARGETS: usize = 250;

/// Frames of a lane in an interval of 15 s, one each second.
const FRAMES: usize = 15;

/// What publishing one message takes on the connection, both ways, besides its payload:
///
/// ```text
/// HPUB <subject> <reply> <header bytes> <all bytes>\r\n
/// NATS/1.0\r\nNats-Msg-Id: <id>\r\n\r\n<payload>\r\n
/// MSG <reply> <sid> <bytes>\r\n
/// {"stream":"PROMETHEUS","seq":<sequence>}\r\n
/// ```
fn envelope(kind: Kind, number: usize, payload: usize) -> usize {
    let lane = LaneId {
        publisher: "USDC1".into(),
        lane: 1,
    };
    let id = format!("{lane}/1700000000000/{number}");
    let subject = Subject { lane, kind }.write("prometheus");
    // As long as the client's own: two random parts of 22 characters.
    let reply = format!("_INBOX.{}.{}", "x".repeat(22), "x".repeat(22));
    let headers = format!("NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n");
    let all = headers.len() + payload;
    let publish = format!("HPUB {subject} {reply} {} {all}\r\n", headers.len());
    let answer = r#"{"stream":"PROMETHEUS","seq":12345678}"#;
    let ack = format!("MSG {reply} 1 {}\r\n{answer}\r\n", answer.len());
    publish.len() + headers.len() + "\r\n".len() + ack.len()
}

/// Bytes of one lane in five minutes.
#[derive(Default)]
struct Bytes {
    frames: usize,
    shapes: usize,
    envelopes: usize,
    messages: usize,
}

impl Bytes {
    fn add(&mut self, message: &Message) {
        self.messages += 1;
        let (kind, payload) = match message {
            Message::Shapes(payload) => {
                self.shapes += payload.len();
                (Kind::Shape, payload)
            }
            Message::Frame(payload) => {
                self.frames += payload.len();
                (Kind::Delta, payload)
            }
        };
        self.envelopes += envelope(kind, 100_000 + self.messages, payload.len());
    }
}

/// Announces the shapes of a lane's targets, a share in each interval.
fn announce(sender: &Sender, kinds: &[usize], tick: usize, bytes: &mut Bytes) {
    let shapes = sender.shapes(0..kinds.len());
    let mut writer = ShapeWriter::thorough();
    for at in (tick..kinds.len()).step_by(repeat() as usize) {
        let mut kin = (0..at).filter(|other| kinds[*other] == kinds[at]);
        match (kin.next(), kin.next()) {
            (Some(first), second) => {
                let second = second.map(|second| &*shapes[second]);
                writer.sibling(&shapes[at], &shapes[first], second);
            }
            (None, _) => writer.whole(&shapes[at]),
        }
    }
    bytes.add(&Message::Shapes(writer.finish()));
}

fn lane(role: Role, fleets: &[Fleet]) -> (Bytes, usize) {
    // Kinds of targets by turns, so that every second has some of each.
    let kinds: Vec<usize> = (0..LANE_TARGETS).map(|at| at % fleets.len()).collect();
    let labels: Vec<_> = (0..LANE_TARGETS)
        .map(|at| target(&fleets[kinds[at]].name, at / fleets.len()))
        .collect();
    let mut sender = Sender::new(LANE_TARGETS);
    let (mut bytes, mut samples) = (Bytes::default(), 0);
    let scrape_of = |tick: usize, at: usize| {
        let fleet = &fleets[kinds[at]];
        let known = at / fleets.len() % TARGETS;
        let scrape = match tick.checked_sub(WARM) {
            None => &fleet.warm[tick][known],
            Some(tick) => &fleet.counted[tick][known],
        };
        Scrape {
            target: at,
            time_ms: scrape.time_ms + (at % FRAMES) as i64 * 1000,
            body: Arc::clone(&scrape.body),
        }
    };
    for tick in 0..WARM + GROUP {
        let is_counted = tick >= WARM;
        for second in 0..FRAMES {
            let scrapes: Vec<Scrape> = (second..LANE_TARGETS)
                .step_by(FRAMES)
                .map(|at| scrape_of(tick, at))
                .collect();
            // All of a group's first interval is kept, so that each target has a base.
            let role = match (tick == 0 || tick == WARM, second) {
                (true, 0) => Role::Key,
                (true, _) => Role::Link,
                (false, _) => role,
            };
            let mut messages = Vec::new();
            sender.send(role, &labels, scrapes.iter(), &mut messages);
            if is_counted {
                for message in &messages {
                    bytes.add(message);
                }
            }
        }
        if is_counted {
            announce(&sender, &kinds, tick - WARM, &mut bytes);
        }
    }
    for (at, kind) in kinds.iter().enumerate() {
        let known = at / fleets.len() % TARGETS;
        let counted = fleets[*kind].counted.iter().map(|tick| &tick[known]);
        samples += counted
            .map(|scrape| crate::fleet::samples(&scrape.body))
            .sum::<usize>();
    }
    (bytes, samples)
}

pub(crate) fn report(pages: &BTreeMap<String, Vec<Page>>) {
    let fleets = crate::fleets(pages);
    println!("\n### A site of 500 targets at 15 s: two lanes of 250, frames of 1 s\n");
    println!(
        "| | bytes per sample, all | frames | shapes | envelopes and acks | messages in 5 min |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for (name, role) in [("chained", Role::Link), ("chain-free", Role::Leaf)] {
        let (bytes, samples) = lane(role, &fleets);
        let per_sample = |bytes: usize| bytes as f64 / samples as f64;
        println!(
            "| {name} | **{:.3}** | {:.3} | {:.3} | {:.3} | {} |",
            per_sample(bytes.frames + bytes.shapes + bytes.envelopes),
            per_sample(bytes.frames),
            per_sample(bytes.shapes),
            per_sample(bytes.envelopes),
            bytes.messages * 2,
        );
    }
    println!("\nThe goal is 0.45 chained.");
}
