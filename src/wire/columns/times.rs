//! Explicit timestamps of a scrape.
//!
//! An exporter that writes them writes few distinct ones: a timestamp is predicted by what became
//! of the last one that had the same base, so each distinct one costs once.

use super::model::{TIME_LENGTH, TIME_SAME, TIME_SIGN, TOP};
use super::numbers::Signed;
use super::{Column, HAS_TIME, Mode, Model};
use crate::wire::number::ABSENT;
use crate::wire::range::Coder;

/// Slots for distinct timestamps: some times the number of containers of a machine.
const SLOTS: usize = 4096;

/// Slots that are looked at before a timestamp counts as new.
const PROBES: usize = 8;

/// A multiplier that spreads near numbers: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Codes the timestamps of the series that have both the flag and a value.
///
/// `bases` are those of the base and, afterwards, these, unless the mode keeps them. The
/// scrape's own time is where a fresh one starts.
pub(in crate::wire) fn code_times<C: Coder>(
    (coder, model): (&mut C, &mut Model),
    (mode, scrape_ms): (Mode, i64),
    flags: &[u8],
    bases: &mut [i64],
    column: &mut Column,
) {
    let number = Signed {
        sign: TIME_SIGN,
        top: TOP,
    };
    let mut seen: Vec<Option<(i64, i64)>> = vec![None; SLOTS];
    let (mut previous, mut last_move) = (0_i64, 0_i64);
    let scales = column.scales.iter();
    let series = flags.iter().zip(scales).zip(&mut column.times).zip(bases);
    for (((flags, scale), time), base) in series {
        if flags & HAS_TIME == 0 || *scale == ABSENT {
            continue;
        }
        let is_fresh = mode == Mode::Fresh;
        let (key, start) = if is_fresh {
            (previous, scrape_ms)
        } else {
            (*base, *base)
        };
        let slot = slot_of(&seen, key);
        let known = seen.get(slot).copied().flatten();
        let known = known.filter(|(known, _)| *known == key);
        let predicted = known.map_or_else(|| start.wrapping_add(last_move), |(_, time)| time);
        let context = TIME_SAME + usize::from(known.is_some());
        if coder.bit(model, context, *time == predicted) {
            *time = predicted;
        } else {
            let residual = time.wrapping_sub(predicted);
            let residual = number.whole(coder, model, TIME_LENGTH, residual);
            *time = predicted.wrapping_add(residual);
        }
        last_move = time.wrapping_sub(start);
        previous = *time;
        if let Some(slot) = seen.get_mut(slot) {
            *slot = Some((key, *time));
        }
        if matches!(mode, Mode::Fresh | Mode::Chained) {
            *base = *time;
        }
    }
}

/// Returns the slot of a key: its own, a free one, or the last that was looked at.
fn slot_of(seen: &[Option<(i64, i64)>], key: i64) -> usize {
    let spread = key.cast_unsigned().wrapping_mul(SPREAD) >> 52;
    let mut slot = usize::try_from(spread).unwrap_or(0);
    for _ in 0..PROBES {
        match seen.get(slot) {
            Some(Some((known, _))) if *known != key => slot = (slot + 1) % SLOTS,
            _ => break,
        }
    }
    slot
}
