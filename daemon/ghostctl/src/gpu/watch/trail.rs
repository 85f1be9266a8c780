//! The last ten minutes of a card's temperatures.
//!
//! Knows seconds and degrees. Invariant: nothing older is kept, and no second twice.

use std::collections::VecDeque;

use ghostllm_core::admin::{GpuHistory, GpuPlace, GpuReport, GpuState};

use crate::gpu::{history::second, spark};

/// In seconds.
const KEPT: i64 = 600;

/// Degrees Celsius, in the order of [`GpuPlace::ALL`].
type Places = [Option<f64>; GpuPlace::ALL.len()];

#[derive(Debug, Default)]
pub(super) struct Trail {
    points: VecDeque<(i64, Places)>,
}

impl Trail {
    /// What the daemon has kept takes the place of what is here.
    pub(super) fn remembered(&mut self, history: &GpuHistory) {
        let newer = std::mem::take(&mut self.points);
        for point in &history.points {
            if let Some(at) = second(&point.at) {
                self.push(at, [point.celsius, point.memory_heat, point.hotspot]);
            }
        }
        newer.into_iter().for_each(|(at, places)| self.push(at, places));
    }

    /// A card's temperatures in a report; of one that does not answer they are none of then.
    pub(super) fn told(&mut self, report: &GpuReport, index: u32) {
        let card = report.cards.iter().find(|card| card.index == index);
        let card = card.filter(|card| card.late_s.is_none() && card.state != GpuState::Stale);
        if let Some((at, card)) = second(&report.at).zip(card) {
            self.push(at, GpuPlace::ALL.map(|place| card.sensor(place).celsius.value().copied()));
        }
    }

    fn push(&mut self, at: i64, places: Places) {
        let is_known = self.points.back().is_some_and(|(last, _)| *last >= at);
        if is_known || places.iter().all(Option::is_none) {
            return;
        }
        self.points.push_back((at, places));
        while self.points.front().is_some_and(|(first, _)| at - first > KEPT) {
            self.points.pop_front();
        }
    }

    fn of(&self, place: GpuPlace) -> impl Iterator<Item = (i64, f64)> {
        let points = self.points.iter();
        points.filter_map(move |(at, places)| Some((*at, places.get(place as usize).copied().flatten()?)))
    }

    /// Ten minutes of that place until then, as so many columns.
    pub(super) fn columns(&self, place: GpuPlace, until: i64, count: usize) -> Vec<Option<f64>> {
        spark::columns(self.of(place), (until - KEPT, until), count)
    }

    /// The lowest and the highest of that place.
    pub(super) fn ends(&self, place: GpuPlace) -> Option<(f64, f64)> {
        spark::ends(self.of(place).map(|(_, celsius)| celsius))
    }
}

#[cfg(test)]
mod tests {
    use ghostllm_core::admin::{GpuHistory, GpuPlace, GpuReading, GpuSpan, GpuState};

    use super::Trail;
    use crate::gpu::sample::{card, point, radeon, report};

    const CHIP: GpuPlace = GpuPlace::Chip;

    #[test]
    fn keeps_ten_minutes_and_puts_what_was_before_in_front() {
        let mut trail = Trail::default();
        trail.push(1_000, [Some(70.0), None, None]);
        trail.push(1_000, [Some(71.0), None, None]);
        let point = |at: &str, celsius| point(at.to_owned(), celsius);
        let mut hotspot = point("1970-01-01T00:10:02Z", Some(61.0));
        hotspot.hotspot = Some(80.0);
        let points = vec![
            point("1970-01-01T00:10:00.5Z", Some(60.0)),
            point("1970-01-01T00:10:01Z", None),
            point("soon", Some(1.0)),
            hotspot,
        ];
        trail.remembered(&GpuHistory { version: 1, card: 0, span: GpuSpan::TenMinutes, points });
        let kept = |trail: &Trail, place| trail.of(place).collect::<Vec<_>>();
        assert_eq!(kept(&trail, CHIP), [(600, 60.0), (602, 61.0), (1_000, 70.0)]);
        assert_eq!(kept(&trail, GpuPlace::Hotspot), [(602, 80.0)]);
        assert_eq!((trail.ends(CHIP), trail.ends(GpuPlace::Memory)), (Some((60.0, 70.0)), None));
        trail.push(1_201, [Some(72.0), None, None]);
        assert_eq!(kept(&trail, CHIP).first(), Some(&(602, 61.0)));
        assert_eq!(trail.columns(CHIP, 1_202, 3), [Some(61.0), Some(70.0), Some(72.0)]);
    }

    #[test]
    fn what_a_silent_card_said_last_is_not_what_it_says_now() {
        let told = |change: fn(&mut ghostllm_core::admin::GpuCard)| {
            let (mut trail, mut one) = (Trail::default(), radeon(0));
            change(&mut one);
            trail.told(&report(vec![card(1), one]), 0);
            GpuPlace::ALL.map(|place| trail.ends(place).map(|(low, _)| low))
        };
        assert_eq!(told(|_| {}), [Some(54.0), Some(80.0), Some(111.0)]);
        assert_eq!(
            told(|one| one.gpu.celsius = GpuReading::Missing(String::new())),
            [None, Some(80.0), Some(111.0)]
        );
        assert_eq!(told(|one| one.late_s = Some(3.0)), [None; 3]);
        assert_eq!(told(|one| one.state = GpuState::Stale), [None; 3]);
    }
}
