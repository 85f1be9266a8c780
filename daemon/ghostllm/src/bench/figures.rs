//! What many answers come to: percentiles, and what the gateway costs beside the direct way.
//!
//! Knows numbers. Refuses to know where they come from. Invariants: a percentile is a value that was measured (nearest rank), and
//! is told only of as many as it takes to have one; the same numbers give the same figures, the bootstrap's included.

use ghostllm_core::admin::{BenchCost, BenchFigure};

/// One in ten, and one in a hundred, of fewer than these would be the worst of all by another name.
const LEAST_FOR_P90: usize = 10;
const LEAST_FOR_P99: usize = 100;
/// Of fewer, nobody can say how much they scatter.
const LEAST_FOR_NOISE: usize = 5;
/// The ends of the 95 % interval move by less than a tenth of its width from here on (Efron and Tibshirani, An Introduction to the
/// Bootstrap, section 14.2, have a thousand as the least).
const RESAMPLES: usize = 2000;
/// Any number: the figures are the same at each run over the same answers.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Which values are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    /// Small ones, as of times.
    Less,
    /// Large ones, as of rates.
    More,
}

/// The smallest value that at least `percent` of them are at most as large as.
pub(super) fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The figure of these values; none where there is none.
pub(super) fn figure(values: &[f64], better: Better) -> Option<BenchFigure> {
    let sorted = ordered(values, better);
    let of = |percent, least: usize| {
        percentile(&sorted, percent).filter(|_| sorted.len() >= least).map(thousandths)
    };
    Some(BenchFigure {
        count: sorted.len(),
        best: thousandths(*sorted.first()?),
        p50: thousandths(percentile(&sorted, 50)?),
        p90: of(90, LEAST_FOR_P90),
        p99: of(99, LEAST_FOR_P99),
        worst: thousandths(*sorted.last()?),
    })
}

/// How much worse the median through the gateway is; none where one of them is missing, or the direct one is zero.
pub(super) fn cost(gateway: &[f64], direct: &[f64], better: Better) -> Option<BenchCost> {
    let median = |values| percentile(&ordered(values, better), 50);
    let (through, beside) = (median(gateway)?, median(direct)?);
    let difference = worse(through, beside, better);
    let percent = percent(difference, beside)?;
    let interval = interval(gateway, direct, better);
    Some(BenchCost {
        difference: thousandths(difference),
        percent: thousandths(percent),
        low: interval.map(|(low, _)| thousandths(low)),
        high: interval.map(|(_, high)| thousandths(high)),
        beyond_noise: interval.map(|(low, high)| low > 0.0 || high < 0.0),
    })
}

/// To a thousandth: nothing here is measured closer than to a microsecond.
pub(super) fn thousandths(value: f64) -> f64 {
    // Plus zero, since minus zero is a strange sight.
    (value * 1000.0).round() / 1000.0 + 0.0
}

pub(super) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// From the best to the worst.
fn ordered(values: &[f64], better: Better) -> Vec<f64> {
    let mut sorted = sorted(values);
    if better == Better::More {
        sorted.reverse();
    }
    sorted
}

fn worse(through: f64, beside: f64, better: Better) -> f64 {
    match better {
        Better::Less => through - beside,
        Better::More => beside - through,
    }
}

fn percent(difference: f64, of: f64) -> Option<f64> {
    (of.abs() > f64::EPSILON).then(|| difference / of * 100.0)
}

/// Between which ends the difference lies in 95 of 100 resamples, in percent.
fn interval(gateway: &[f64], direct: &[f64], better: Better) -> Option<(f64, f64)> {
    if gateway.len().min(direct.len()) < LEAST_FOR_NOISE {
        return None;
    }
    let mut random = Random(SEED);
    let mut found: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let (through, beside) = (random.resampled(gateway, better)?, random.resampled(direct, better)?);
            percent(worse(through, beside, better), beside)
        })
        .collect();
    found.sort_by(f64::total_cmp);
    let end = |per_mille: usize| {
        found.get((found.len() * per_mille / 1000).min(found.len().saturating_sub(1))).copied()
    };
    Some((end(25)?, end(975)?))
}

/// SplitMix64 (Steele, Lea and Flood 2014): even enough for drawing samples, and a dozen lines.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// The median of as many values, drawn with replacement.
    fn resampled(&mut self, values: &[f64], better: Better) -> Option<f64> {
        let count = u64::try_from(values.len()).ok().filter(|count| *count > 0)?;
        let mut drawn: Vec<f64> = (0..values.len())
            .filter_map(|_| values.get(usize::try_from(self.next() % count).ok()?).copied())
            .collect();
        let half = drawn.len().div_ceil(2);
        let rank = match better {
            Better::Less => half.checked_sub(1)?,
            Better::More => drawn.len() - half,
        };
        let (_, median, _) = drawn.select_nth_unstable_by(rank, f64::total_cmp);
        Some(*median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up_to(count: u32) -> Vec<f64> {
        (1..=count).map(f64::from).collect()
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let hundred = up_to(100);
        for (percent, value) in [(1, 1.0), (50, 50.0), (90, 90.0), (99, 99.0), (100, 100.0)] {
            assert_eq!(percentile(&hundred, percent), Some(value));
        }
        // The examples of the rank's usual definition: 15, 20, 35, 40, 50.
        let five = [15.0, 20.0, 35.0, 40.0, 50.0];
        for (percent, value) in [(5, 15.0), (30, 20.0), (40, 20.0), (50, 35.0), (100, 50.0)] {
            assert_eq!(percentile(&five, percent), Some(value), "{percent}");
        }
        assert_eq!(percentile(&[7.0], 0), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn a_percentile_of_too_few_is_not_told() {
        let figure = |count| figure(&up_to(count), Better::Less).unwrap();
        assert_eq!((figure(9).p90, figure(10).p90), (None, Some(9.0)));
        assert_eq!((figure(99).p99, figure(100).p99), (None, Some(99.0)));
        assert_eq!((figure(1).p50, figure(1).best, figure(1).worst), (1.0, 1.0, 1.0));
        assert!(super::figure(&[], Better::Less).is_none());
    }

    #[test]
    fn the_tail_of_a_rate_is_the_slow_end() {
        let mut shuffled = up_to(100);
        shuffled.rotate_left(37);
        let rate = figure(&shuffled, Better::More).unwrap();
        assert_eq!((rate.best, rate.p50, rate.p90, rate.p99), (100.0, 51.0, Some(11.0), Some(2.0)));
        assert_eq!(rate.worst, 1.0);
    }

    #[test]
    fn the_gateway_s_cost_is_that_of_the_medians() {
        let direct: Vec<f64> = up_to(40).iter().map(|value| 100.0 + value / 100.0).collect();
        let gateway: Vec<f64> = direct.iter().map(|value| value + 10.0).collect();
        let time = cost(&gateway, &direct, Better::Less).unwrap();
        assert_eq!((time.difference, time.percent), (10.0, 9.98));
        assert_eq!(time.beyond_noise, Some(true));
        let (low, high) = (time.low.unwrap(), time.high.unwrap());
        assert!(low <= time.percent && time.percent <= high && high - low < 1.0, "{time:?}");
        // A rate that is higher through the gateway costs less than nothing.
        let rate = cost(&gateway, &direct, Better::More).unwrap();
        assert_eq!((rate.percent, rate.beyond_noise), (-9.979, Some(true)));
        assert_eq!(cost(&gateway, &direct, Better::Less), Some(time), "the same figures each time");
    }

    #[test]
    fn what_scatters_more_than_it_differs_is_noise() {
        let wide: Vec<f64> = up_to(32).iter().map(|value| 50.0 + value * 7.0 % 40.0).collect();
        let shifted: Vec<f64> = wide.iter().map(|value| value + 1.0).collect();
        let cost = cost(&shifted, &wide, Better::Less).unwrap();
        assert_eq!(cost.beyond_noise, Some(false), "{cost:?}");
        assert!(cost.low.unwrap() < 0.0 && cost.high.unwrap() > 0.0, "{cost:?}");
    }

    #[test]
    fn of_too_few_or_of_nothing_no_cost_is_made_up() {
        let four = cost(&[2.0; 4], &[1.0; 9], Better::Less).unwrap();
        assert_eq!((four.percent, four.low, four.beyond_noise), (100.0, None, None));
        assert!(cost(&[], &[1.0], Better::Less).is_none() && cost(&[1.0], &[], Better::Less).is_none());
        assert!(cost(&[1.0; 9], &[0.0; 9], Better::Less).is_none(), "percent of nothing");
        let equal = cost(&[3.0; 9], &[3.0; 9], Better::Less).unwrap();
        assert_eq!(
            (equal.percent, equal.low, equal.high, equal.beyond_noise),
            (0.0, Some(0.0), Some(0.0), Some(false))
        );
    }
}
