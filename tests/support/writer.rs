//! A lane as a poller writes it, frame by frame, so that a test decides what is lost.

use std::sync::Arc;
use std::time::Duration;

use prometheus_streams::bus::{Kind, LaneId, Subject};
use prometheus_streams::clock::Clock;
use prometheus_streams::model::{Format, Labels};
use prometheus_streams::wire::{Column, LaneEncoder, Role, Shape, ShapeWriter, match_body};

use super::Bus;
use super::targets::counters;

/// Series of each target besides `sim_scrapes_total`.
const SERIES: usize = 8;

/// The writer of one lane; every frame has one scrape of each target.
pub(crate) struct LaneWriter {
    lane: LaneId,
    encoder: LaneEncoder,
    epoch: u64,
    begun_ms: i64,
    targets: Vec<Arc<Shape>>,
    /// Scrapes of each target so far.
    pub(crate) scrapes: u64,
    announced: u32,
}

impl LaneWriter {
    /// Begins a lane.
    pub(crate) fn new(publisher: &str, lane: u32, targets: &[&str]) -> Self {
        let begun_ms = Clock::system().now_ms();
        let epoch = begun_ms.unsigned_abs();
        let mut writer = Self {
            lane: LaneId {
                publisher: publisher.into(),
                lane,
            },
            encoder: LaneEncoder::new(epoch),
            epoch,
            begun_ms,
            targets: Vec::new(),
            scrapes: 0,
            announced: 0,
        };
        for target in targets {
            writer.add(target);
        }
        writer
    }

    /// Adds a target.
    pub(crate) fn add(&mut self, instance: &str) {
        let labels = Arc::new(Labels::of_target("sim", instance));
        let page = counters(self.scrapes + 1, SERIES);
        let shape = Shape::build(labels, page.as_bytes(), Format::Text).unwrap();
        self.targets.push(Arc::new(shape));
    }

    /// Publishes the shapes of all targets, all but the first as patches; returns the sequence.
    pub(crate) async fn announce(&mut self, bus: &Bus) -> u64 {
        let mut message = ShapeWriter::new();
        let (first, others) = self.targets.split_first().unwrap();
        message.whole(first);
        for shape in others {
            message.patch(shape, first);
        }
        self.announced += 1;
        let id = format!("{}/{}/s{}", self.lane, self.epoch, self.announced);
        self.store(bus, Kind::Shape, &id, message.finish()).await
    }

    /// Publishes a frame; returns its sequence.
    pub(crate) async fn write(&mut self, bus: &Bus, role: Role) -> u64 {
        self.scrapes += 1;
        let page = counters(self.scrapes, SERIES);
        let time_ms = self.begun_ms + i64::try_from(self.scrapes).unwrap();
        let mut frame = self.encoder.begin(role);
        for (target, shape) in (0..).zip(&self.targets) {
            let mut column = Column::default();
            match_body(shape.page(), page.as_bytes(), &mut column).unwrap();
            frame.columns(target, shape, (time_ms, Duration::from_millis(3)), &column);
        }
        let (header, payload) = frame.finish();
        let kind = if header.is_key() {
            Kind::Key
        } else {
            Kind::Delta
        };
        let id = format!("{}/{}/{}", self.lane, self.epoch, header.number);
        self.store(bus, kind, &id, payload).await
    }

    /// Publishes frames in groups of so many.
    pub(crate) async fn write_groups(&mut self, bus: &Bus, frames: u64, group: u64) {
        for _ in 0..frames {
            let role = if self.scrapes.is_multiple_of(group) {
                Role::Key
            } else {
                Role::Link
            };
            self.write(bus, role).await;
        }
    }

    async fn store(&self, bus: &Bus, kind: Kind, id: &str, payload: Vec<u8>) -> u64 {
        let lane = self.lane.clone();
        let subject = Subject { lane, kind }.write("prometheus");
        bus.store(subject, id, payload).await
    }
}
