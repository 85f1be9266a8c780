//! A row of values as a line of blocks.
//!
//! Knows numbers and columns. Invariant: a time without a value is a gap, and no column shows what was not there.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The highest value of each of so many equal parts of the time between, the oldest first; none where a part has no value.
pub(super) fn columns(
    points: impl Iterator<Item = (i64, f64)>,
    (from, to): (i64, i64),
    count: usize,
) -> Vec<Option<f64>> {
    let mut columns = vec![None; count];
    let span = (to - from).max(1);
    for (at, value) in points.filter(|(at, _)| (from..=to).contains(at)) {
        let place =
            usize::try_from((at - from).saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)) / span);
        let place = place.unwrap_or(0).min(count.saturating_sub(1));
        if let Some(column) = columns.get_mut(place) {
            *column = Some(column.map_or(value, |there: f64| there.max(value)));
        }
    }
    bridged(columns)
}

/// More columns than readings: a gap of a column or two between two readings is none.
fn bridged(mut columns: Vec<Option<f64>>) -> Vec<Option<f64>> {
    const NONE_YET: usize = 3;
    let mut last: Option<(usize, f64)> = None;
    for place in 0..columns.len() {
        let Some(value) = columns.get(place).copied().flatten() else { continue };
        if let Some((before, old)) = last.filter(|(before, _)| place - before <= NONE_YET) {
            columns.iter_mut().take(place).skip(before + 1).for_each(|column| *column = Some(old));
        }
        last = Some((place, value));
    }
    columns
}

/// The lowest and the highest.
pub(super) fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// Which of so many steps a value is between two others, 0 the lowest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "steps are few, and the share is held between 0 and 1"
)]
pub(super) fn step(value: f64, (low, high): (f64, f64), steps: u64) -> u64 {
    let share = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
    (share * steps.saturating_sub(1) as f64).round() as u64
}

/// One letter for each value.
pub(super) fn line(values: &[Option<f64>], ends: (f64, f64)) -> String {
    let letter = |value: &Option<f64>| match value {
        Some(value) => usize::try_from(step(*value, ends, 8)).ok().and_then(|step| BLOCKS.get(step)).copied(),
        None => None,
    };
    values.iter().map(|value| letter(value).unwrap_or(' ')).collect()
}

#[cfg(test)]
mod tests {
    use super::{columns, ends, line};

    #[test]
    fn each_column_has_its_highest_and_a_pause_is_a_gap() {
        let points = [(0, 1.0), (1, 3.0), (2, 2.0), (50, 8.0), (99, 5.0), (100, 4.0), (101, 9.0), (-1, 9.0)];
        let drawn = columns(points.into_iter(), (0, 100), 10);
        assert_eq!(drawn, [Some(3.0), None, None, None, None, Some(8.0), None, None, None, Some(5.0)]);
        assert_eq!(line(&drawn, (1.0, 8.0)), "▃    █   ▅");
        assert_eq!(ends(drawn.into_iter().flatten()), Some((3.0, 8.0)));
        assert_eq!(columns(points.into_iter(), (0, 0), 0), []);
    }

    #[test]
    fn readings_farther_apart_than_columns_are_one_line() {
        let points = [(0, 1.0), (2, 2.0), (9, 3.0)];
        let drawn = columns(points.into_iter(), (0, 10), 10);
        assert_eq!(drawn, [Some(1.0), Some(1.0), Some(2.0), None, None, None, None, None, None, Some(3.0)]);
        assert_eq!(line(&[Some(4.0); 3], (4.0, 4.0)), "▁▁▁");
    }
}
