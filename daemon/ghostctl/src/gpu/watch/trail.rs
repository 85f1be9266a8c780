//! The last ten minutes of a card's temperature.
//!
//! Knows seconds and degrees. Invariant: nothing older is kept, and no second twice.

use std::collections::VecDeque;

use ghostllm_core::admin::{GpuHistory, GpuReport};

use crate::gpu::{history::second, spark};

/// In seconds.
const KEPT: i64 = 600;

#[derive(Debug, Default)]
pub(super) struct Trail {
    points: VecDeque<(i64, f64)>,
}

impl Trail {
    /// What the daemon has kept takes the place of what is here.
    pub(super) fn remembered(&mut self, history: &GpuHistory) {
        let newer = std::mem::take(&mut self.points);
        for point in &history.points {
            if let Some((at, celsius)) = second(&point.at).zip(point.celsius) {
                self.push(at, celsius);
            }
        }
        newer.into_iter().for_each(|(at, celsius)| self.push(at, celsius));
    }

    /// A card's temperature in a report.
    pub(super) fn told(&mut self, report: &GpuReport, index: u32) {
        let card = report.cards.iter().find(|card| card.index == index);
        let celsius = card.and_then(|card| card.gpu.celsius.value().copied());
        if let Some((at, celsius)) = second(&report.at).zip(celsius) {
            self.push(at, celsius);
        }
    }

    fn push(&mut self, at: i64, celsius: f64) {
        if self.points.back().is_some_and(|(last, _)| *last >= at) {
            return;
        }
        self.points.push_back((at, celsius));
        while self.points.front().is_some_and(|(first, _)| at - first > KEPT) {
            self.points.pop_front();
        }
    }

    /// Ten minutes until then, as so many columns.
    pub(super) fn columns(&self, until: i64, count: usize) -> Vec<Option<f64>> {
        spark::columns(self.points.iter().copied(), (until - KEPT, until), count)
    }

    /// The lowest and the highest.
    pub(super) fn ends(&self) -> Option<(f64, f64)> {
        spark::ends(self.points.iter().map(|(_, celsius)| *celsius))
    }
}

#[cfg(test)]
mod tests {
    use ghostllm_core::admin::{GpuHistory, GpuSpan};

    use super::Trail;
    use crate::gpu::sample::point;

    #[test]
    fn keeps_ten_minutes_and_puts_what_was_before_in_front() {
        let mut trail = Trail::default();
        trail.push(1_000, 70.0);
        trail.push(1_000, 71.0);
        let point = |at: &str, celsius| point(at.to_owned(), celsius);
        let points = vec![
            point("1970-01-01T00:10:00.5Z", Some(60.0)),
            point("1970-01-01T00:10:01Z", None),
            point("soon", Some(1.0)),
            point("1970-01-01T00:10:02Z", Some(61.0)),
        ];
        trail.remembered(&GpuHistory { version: 1, card: 0, span: GpuSpan::TenMinutes, points });
        assert_eq!(trail.points, [(600, 60.0), (602, 61.0), (1_000, 70.0)]);
        assert_eq!(trail.ends(), Some((60.0, 70.0)));
        trail.push(1_201, 72.0);
        assert_eq!(trail.points.front(), Some(&(602, 61.0)));
        assert_eq!(trail.columns(1_202, 3), [Some(61.0), Some(70.0), Some(72.0)]);
    }
}
