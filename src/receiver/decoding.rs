//! From frames to records: the state of every lane of one feed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::parts::Parts;
use super::shapes::Shapes;
use crate::bus::LaneId;
use crate::wire::{self, DecodeError, DecodeSpace, Header, LaneDecoder, LaneFrame, Part, Record};

/// Lanes whose state is kept at once: a thousand sites of a hundred lanes.
const LANES_MAX: usize = 100_000;

/// The same for one site; the largest has some hundreds.
const SITE_LANES_MAX: usize = 10_000;

/// The targets of a site may not have more series than this together, or its lanes lose their
/// state in turn: a site of 10,000 targets has room for 6,000 series each, and it bounds what a
/// site can make us keep to two gigabytes.
const SITE_SERIES_MAX: usize = 64 << 20;

/// A lane's state that was not used for so long is dropped: what a poller spools is no older.
const IDLE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a frame gives no records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    /// It, or a later one, was decoded already.
    #[error("the frame was decoded before")]
    Repeated,
    /// Nothing of its lane was ever decoded: what it is coded against has left the stream.
    #[error("the frame's lane has not begun")]
    Orphaned(#[source] DecodeError),
    /// The subject says otherwise.
    #[error("the frame is not of the kind that its subject says")]
    Kind,
    /// There is no room for another lane.
    #[error("there are more lanes than anybody needs")]
    Lanes,
    /// It cannot be decoded.
    #[error("cannot decode the frame")]
    Decode(#[source] DecodeError),
}

impl FrameError {
    /// Returns the label value: a closed set.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Repeated => "behind",
            Self::Orphaned(_) => "orphaned",
            Self::Kind => "kind",
            Self::Lanes => "lanes",
            Self::Decode(error) => error.reason(),
        }
    }

    /// Tells whether nothing is wrong with the frame: something that it needs is not there.
    pub(super) fn is_want(self) -> bool {
        match self {
            Self::Orphaned(_) => true,
            Self::Decode(error) => is_want(error),
            Self::Repeated | Self::Kind | Self::Lanes => false,
        }
    }

    /// Tells whether frames behind it can be decoded again from a key frame on.
    pub(super) fn is_mended_by_key(self) -> bool {
        match self {
            Self::Orphaned(_) => true,
            Self::Decode(error) => !matches!(error, DecodeError::Version(_)),
            Self::Repeated | Self::Kind | Self::Lanes => false,
        }
    }
}

fn is_want(error: DecodeError) -> bool {
    matches!(
        error,
        DecodeError::NoBase { .. } | DecodeError::UnknownTarget(_) | DecodeError::UnknownShape(_)
    )
}

/// A frame that was decoded.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) header: Header,
    pub(super) records: Vec<Record>,
    /// Scrapes that will never be whole.
    pub(super) incomplete: u64,
}

/// The lanes of one feed.
pub(super) struct Decoding {
    shapes: Shapes,
    lanes: HashMap<LaneId, Lane>,
    sites: HashMap<Arc<str>, Site>,
    space: DecodeSpace,
}

/// What is kept of a lane.
struct Lane {
    decoder: LaneDecoder,
    /// Epoch and number of the frame that was decoded last.
    last: Option<(u64, u64)>,
    parts: Parts,
    series: usize,
    used: Instant,
}

/// What the lanes of a site take together.
#[derive(Debug, Default)]
struct Site {
    lanes: usize,
    series: usize,
    part_bytes: usize,
}

impl Decoding {
    pub(super) fn new(shapes: Shapes) -> Self {
        Self {
            shapes,
            lanes: HashMap::new(),
            sites: HashMap::new(),
            space: DecodeSpace::default(),
        }
    }

    /// Returns the shapes.
    pub(super) fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// Decodes the next frame of a lane, whose subject says whether it is a key frame.
    ///
    /// After an error the lane's state is what it was, but for the parts of scrapes: the next one
    /// of them was in the frame.
    pub(super) fn frame(
        &mut self,
        id: &LaneId,
        is_key: bool,
        payload: &[u8],
    ) -> Result<Decoded, FrameError> {
        let header = wire::header(payload).map_err(FrameError::Decode)?;
        if header.is_key() != is_key {
            return Err(FrameError::Kind);
        }
        let site = self.sites.entry(Arc::clone(&id.publisher)).or_default();
        let known = self.lanes.get_mut(id);
        let is_new = known.is_none();
        let mut begun = Lane::new();
        let lane = known.unwrap_or(&mut begun);
        lane.used = Instant::now();
        let (decoder, space) = (&mut lane.decoder, &mut self.space);
        let shapes = &self.shapes;
        let decoded = match shapes.look(|shapes| decoder.decode_in(payload, shapes, space)) {
            Ok(frame) => lane.take(frame, shapes, site),
            Err(error) => {
                lane.parts.clear(&mut site.part_bytes);
                Err(lane.judge(error, header))
            }
        };
        // A lane is remembered only when it has shown that it is one.
        if is_new && decoded.is_ok() {
            if self.lanes.len() >= LANES_MAX || site.lanes >= SITE_LANES_MAX {
                begun.leave(site);
                return Err(FrameError::Lanes);
            }
            site.lanes += 1;
            self.lanes.insert(id.clone(), begun);
        } else if site.lanes == 0 {
            self.sites.remove(&id.publisher);
        }
        decoded
    }

    /// Drops the state of lanes that nothing was heard of for long.
    pub(super) fn forget_idle(&mut self) {
        let sites = &mut self.sites;
        self.lanes.retain(|id, lane| {
            let is_idle = lane.used.elapsed() > IDLE_MAX;
            if is_idle && let Some(site) = sites.get_mut(&id.publisher) {
                lane.leave(site);
                site.lanes -= 1;
            }
            !is_idle
        });
        sites.retain(|_, site| site.lanes > 0);
    }
}

impl Lane {
    fn new() -> Self {
        Self {
            decoder: LaneDecoder::default(),
            last: None,
            parts: Parts::default(),
            series: 0,
            used: Instant::now(),
        }
    }

    /// Gives back what the lane takes of its site's share.
    fn leave(&mut self, site: &mut Site) {
        self.parts.clear(&mut site.part_bytes);
        site.series -= self.series;
        self.series = 0;
    }

    /// Makes records of a frame.
    fn take(
        &mut self,
        frame: LaneFrame,
        shapes: &Shapes,
        site: &mut Site,
    ) -> Result<Decoded, FrameError> {
        let header = frame.header;
        self.last = Some((header.epoch, header.number));
        let series = self.decoder.series();
        site.series = site.series - self.series + series;
        self.series = series;
        if site.series > SITE_SERIES_MAX {
            self.decoder = LaneDecoder::default();
            self.leave(site);
            return Err(FrameError::Decode(DecodeError::TooLarge));
        }
        let mut decoded = Decoded {
            header,
            records: Vec::with_capacity(frame.entries.len()),
            incomplete: 0,
        };
        let mut part = None;
        for entry in frame.entries {
            match entry.into_record() {
                Ok(record) => {
                    let part = part.take();
                    self.put(part, record, &mut decoded, (shapes, &mut *site));
                }
                Err(of) => part = Some(of),
            }
        }
        Ok(decoded)
    }

    /// Says what an error means for this lane.
    fn judge(&self, error: DecodeError, header: Header) -> FrameError {
        let is_behind = |(epoch, number)| header.epoch == epoch && header.number <= number;
        match error {
            DecodeError::Behind(_) => FrameError::Repeated,
            // What follows a repeated key frame is a repetition as well.
            _ if is_want(error) && self.last.is_some_and(is_behind) => FrameError::Repeated,
            _ if is_want(error) && self.decoder.at().is_none() => FrameError::Orphaned(error),
            _ => FrameError::Decode(error),
        }
    }

    fn put(
        &mut self,
        part: Option<Part>,
        record: Record,
        decoded: &mut Decoded,
        (shapes, site): (&Shapes, &mut Site),
    ) {
        match (part, record) {
            (Some(part), Record::Scrape(scrape)) => {
                let joined = self.parts.add(part, scrape, shapes, &mut site.part_bytes);
                decoded.incomplete += joined.incomplete;
                decoded.records.extend(joined.scrape.map(Record::Scrape));
            }
            (_, record) => {
                if let Record::Scrape(scrape) = &record {
                    let given_up = self.parts.give_up(&scrape.target, &mut site.part_bytes);
                    decoded.incomplete += given_up;
                }
                decoded.records.push(record);
            }
        }
    }
}
