//! The stored messages of one lane, one after the other.

use super::{Style, header, outline, part, record, shape};
use crate::wire::{Body, DecodeError, LaneDecoder, Outline, ShapeEntry, ShapeError, ShapeStore};

/// What the messages of a lane need of those before them.
#[derive(Default)]
pub struct Lane {
    shapes: ShapeStore,
    decoder: LaneDecoder,
}

/// Why a message cannot be shown as a whole.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// It is neither a frame nor a message of shapes.
    #[error("cannot decode the message: {0}")]
    Message(DecodeError),
    /// It is a frame, and what it needs is not there.
    #[error("cannot decode the frame: {source}")]
    Frame {
        /// What is missing.
        source: DecodeError,
        /// What can be shown without it.
        shown: String,
    },
    /// It is a message of shapes, and what they need is not there.
    #[error("cannot read the shapes: {source}")]
    Shapes {
        /// What is missing.
        source: ShapeError,
        /// What can be shown without it.
        shown: String,
    },
}

impl LaneError {
    /// Returns what can be shown in spite of it.
    pub fn shown(&self) -> &str {
        match self {
            Self::Message(_) => "",
            Self::Frame { shown, .. } | Self::Shapes { shown, .. } => shown,
        }
    }
}

impl Lane {
    /// Learns the shapes of a message; tells whether there were any that were not known.
    pub fn learn_shapes(&mut self, payload: &[u8]) -> bool {
        let known = self.shapes.len();
        // Frames and shapes begin alike; whatever is no message of shapes has none.
        if Outline::read(payload).is_err() {
            self.shapes.read(payload).unwrap_or_default();
        }
        self.shapes.len() > known
    }

    /// Returns the next message as text.
    pub fn show(&mut self, payload: &[u8], style: Style) -> Result<String, LaneError> {
        let error = match self.decoder.decode(payload, &self.shapes) {
            Ok(frame) => {
                let mut records = 0;
                let mut shown = String::new();
                for entry in frame.entries {
                    match entry.into_record() {
                        Err(of) => shown.push_str(&part(of)),
                        Ok(each) => {
                            let each = each.map(|body: Body| body.to_text());
                            shown.push_str(&record(&each, None, style));
                            records += 1;
                        }
                    }
                }
                return Ok(header(frame.header, records) + &shown);
            }
            Err(error) => error,
        };
        // The check of a frame says what it is, not that it is of any use here.
        if let Ok(frame) = Outline::read(payload) {
            let shown = outline(&frame, None, style);
            return Err(LaneError::Frame {
                source: error,
                shown,
            });
        }
        let Ok(entries) = ShapeEntry::list(payload) else {
            return Err(LaneError::Message(error));
        };
        let read = self.shapes.read(payload);
        let shapes = entries.into_iter();
        let shown = shapes.map(|entry| {
            let found = self.shapes.get(entry.id);
            shape(entry, found.map(|found| &**found), style)
        });
        let shown = shown.collect();
        match read {
            Ok(_) => Ok(shown),
            Err(source) => Err(LaneError::Shapes { source, shown }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::model::{Format, Labels};
    use crate::wire::{LaneEncoder, Role, Shape, ShapeWriter};

    /// Two shapes in a message each, the second a patch; a key frame and its successor.
    fn messages() -> [Vec<u8>; 4] {
        let shape = |instance: &str| {
            let lines: Vec<String> = (0..50).map(|n| format!("series_{n} {n}\n")).collect();
            let body = lines.concat();
            let target = Arc::new(Labels::of_target("node", instance));
            Arc::new(Shape::build(target, body.as_bytes(), Format::Text).unwrap())
        };
        let (first, second) = (shape("a"), shape("b"));
        let mut whole = ShapeWriter::new();
        whole.whole(&first);
        let mut patch = ShapeWriter::new();
        assert!(patch.patch(&second, &first));
        let mut lane = LaneEncoder::new(1);
        let mut frame = |time_ms| {
            let mut frame = lane.begin(Role::Link);
            frame.columns(7, &second, (time_ms, Duration::ZERO), second.template());
            frame.finish().1
        };
        [whole.finish(), patch.finish(), frame(1), frame(2)]
    }

    #[test]
    fn messages_are_shown_one_after_the_other() {
        let mut lane = Lane::default();
        let [whole, patch, key, link] = messages().map(|message| {
            let shown = lane.show(&message, Style::Labeled).unwrap();
            shown.lines().take(2).collect::<Vec<_>>().join("\n")
        });
        assert!(whole.starts_with("# shape "), "{whole}");
        assert!(
            whole.contains(" of {instance=\"a\",job=\"node\"}: 50 series\n"),
            "{whole}"
        );
        assert!(patch.contains(": 50 series, a patch of "), "{patch}");
        assert!(key.starts_with("# key frame 1, epoch 1, base 1, 1 records\n# scrape of {"));
        assert!(link.starts_with("# delta frame 2, epoch 1, base 1, 1 records\n# scrape of {"));
    }

    #[test]
    fn without_the_others_a_message_shows_what_it_says_itself() {
        let [_, patch, _, link] = messages();
        let mut lane = Lane::default();
        let error = lane.show(&link, Style::Labeled).unwrap_err();
        assert_eq!(
            error.shown(),
            "# delta frame 2, epoch 1, base 1, 1 records\n\
             # scrape of target number 7 at 2: its base or its shape is not there\n"
        );
        let error = lane.show(&patch, Style::Labeled).unwrap_err();
        assert!(error.shown().contains(", a patch of "), "{}", error.shown());
        assert!(error.shown().ends_with(": that is not there\n"));
        let error = lane.show(b"no frame", Style::Labeled).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot decode the message: frame version 110 is unknown; this program reads version 1"
        );
    }

    #[test]
    fn shapes_are_learned_whatever_their_order() {
        let [whole, patch, key, _] = messages();
        let mut lane = Lane::default();
        assert!(!lane.learn_shapes(&patch), "its base is not known");
        assert!(!lane.learn_shapes(&key), "a frame");
        assert!(lane.learn_shapes(&whole));
        assert!(lane.learn_shapes(&patch));
        lane.show(&key, Style::Raw).unwrap();
    }
}
