//! Frames of a lane are numbered, so that a gap is seen.

use std::collections::HashMap;

use crate::bus::LaneId;
use crate::wire::Header;

/// Lanes whose numbers are remembered; a lane beyond is not watched.
const LANES_MAX: usize = 100_000;

/// The last frame of each lane.
#[derive(Debug, Default)]
pub(super) struct Numbering(HashMap<LaneId, Last>);

#[derive(Debug, Clone, Copy)]
struct Last {
    epoch: u64,
    number: u64,
}

impl Numbering {
    /// Notes a frame; returns how many are missing before it.
    ///
    /// A new epoch begins at 1. Of a lane that was not seen before nothing is known: its first
    /// frames may have left the stream long ago. An older epoch, or a number that was passed, is
    /// a repetition.
    pub(super) fn note(&mut self, lane: &LaneId, header: &Header) -> u64 {
        let here = Last {
            epoch: header.epoch,
            number: header.number,
        };
        match self.0.get_mut(lane) {
            Some(last) if last.epoch == here.epoch && here.number > last.number => {
                let missing = here.number - last.number - 1;
                *last = here;
                missing
            }
            Some(last) if here.epoch > last.epoch => {
                *last = here;
                here.number.saturating_sub(1)
            }
            Some(_) => 0,
            None => {
                if self.0.len() < LANES_MAX {
                    self.0.insert(lane.clone(), here);
                }
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_missing() {
        let lane = LaneId {
            publisher: "USDC1".into(),
            lane: 0,
        };
        let mut numbering = Numbering::default();
        let mut note = |epoch, number| {
            numbering.note(
                &lane,
                &Header {
                    epoch,
                    number,
                    base: number,
                },
            )
        };
        assert_eq!(note(1, 17), 0, "nothing is known of a lane's past");
        assert_eq!(note(1, 18), 0);
        assert_eq!(note(1, 21), 2);
        assert_eq!(note(1, 19), 0, "a repetition");
        assert_eq!(note(2, 1), 0);
        assert_eq!(note(3, 4), 3);
        assert_eq!(note(2, 9), 0, "an old poller's last word");
    }
}
