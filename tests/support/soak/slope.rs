//! How fast a figure grows: the median of all slopes between two samples (Theil and Sen), with the interval in which it lies.
//!
//! Knows samples. Refuses to know what they are of. Invariant: a few wild samples move nothing.

/// Samples at the most: their medians stand for more of them, since the slopes are as many as their pairs, and neighbours in time
/// tell little more than one of them.
const POINTS: usize = 240;
/// Two-sided 95 % of the normal distribution.
const Z: f64 = 1.959_964;

/// A slope, per hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// The median.
    pub per_hour: f64,
    /// Where it lies with 95 %, if samples are independent (Sen 1968): from here
    pub low: f64,
    /// to here.
    pub high: f64,
}

/// The slope of samples of (seconds, value), in the order of time; none of fewer than ten.
#[must_use]
pub fn theil_sen(samples: &[(f64, f64)]) -> Option<Slope> {
    let points = thinned(samples);
    let count = points.len();
    if count < 10 {
        return None;
    }
    let mut slopes = Vec::with_capacity(count * (count - 1) / 2);
    for (index, (at, value)) in points.iter().enumerate() {
        let later = points[index + 1..].iter().filter(|(then, _)| then > at);
        slopes.extend(later.map(|(then, other)| (other - value) / (then - at) * 3600.0));
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let (n, all) = (count as f64, slopes.len() as f64);
    // Kendall's variance without ties.
    let spread = Z * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is held between 0 and the count"
    )]
    let rank = |rank: f64| slopes.get(rank.max(0.0).min(all - 1.0).round() as usize).copied();
    Some(Slope {
        per_hour: median(&mut slopes.clone())?,
        low: rank((all - spread) / 2.0)?,
        high: rank((all + spread) / 2.0)?,
    })
}

/// As many points as are looked at, each the median of its neighbours.
fn thinned(samples: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let bucket = samples.len().div_ceil(POINTS).max(1);
    let medians = samples.chunks(bucket).filter_map(|chunk| {
        let mut times: Vec<f64> = chunk.iter().map(|(at, _)| *at).collect();
        let mut values: Vec<f64> = chunk.iter().map(|(_, value)| *value).collect();
        Some((median(&mut times)?, median(&mut values)?))
    });
    medians.collect()
}

/// The middle one, or the upper of the two.
#[must_use]
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sawtooth of one in height stands for what an allocator does.
    fn samples(count: u32, per_hour: f64) -> Vec<(f64, f64)> {
        let at = |second: u32| f64::from(second);
        (0..count)
            .map(|second| {
                (at(second), 12.0 + at(second) * per_hour / 3600.0 + f64::from(second * 7 % 60) / 60.0)
            })
            .collect()
    }

    #[test]
    fn a_leak_is_seen_and_a_sawtooth_is_none() {
        for per_hour in [0.0, 3.0] {
            let slope = theil_sen(&samples(1800, per_hour)).unwrap();
            assert!((slope.per_hour - per_hour).abs() < 0.2, "{slope:?}");
            assert!(slope.low <= slope.per_hour && slope.per_hour <= slope.high, "{slope:?}");
            assert!(slope.high - slope.low < 1.0, "{slope:?}");
        }
        assert!(theil_sen(&samples(1800, 3.0)).unwrap().low > 1.0);
        assert!(theil_sen(&samples(1800, 0.0)).unwrap().high < 1.0);
    }

    #[test]
    fn wild_samples_move_nothing_and_few_tell_nothing() {
        let mut wild = samples(1800, 0.0);
        for (_, value) in wild.iter_mut().step_by(10) {
            *value += 500.0;
        }
        assert!(theil_sen(&wild).unwrap().per_hour.abs() < 0.5);
        assert_eq!(theil_sen(&samples(9, 1.0)), None);
        assert_eq!(theil_sen(&[]), None);
    }

    #[test]
    fn a_short_run_says_how_little_it_knows() {
        let short = theil_sen(&samples(70, 0.0)).unwrap();
        let long = theil_sen(&samples(1800, 0.0)).unwrap();
        assert!(short.high - short.low > 5.0 * (long.high - long.low), "{short:?} {long:?}");
    }
}
