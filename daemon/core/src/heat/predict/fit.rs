//! Curves through the last readings.
//!
//! Knows least squares: for a given time constant the curve is a straight line in `e^(-t/tau)`, so that both of its other numbers come
//! from sums. Invariant: a curve that no sums give (all readings at one moment) has no say.

use super::{HORIZON, Outlook, Point, Span};

/// The time constants that are tried, in seconds, each 1.3 times the one before; the last is as good as a straight line.
const TAUS: [f64; 20] = [
    4.0, 5.2, 6.8, 8.8, 11.4, 14.9, 19.3, 25.1, 32.6, 42.4, 55.1, 71.7, 93.2, 121.0, 158.0, 205.0, 266.0,
    346.0, 450.0, 2500.0,
];
/// Those, and the one between them that fits best.
const CURVES: usize = TAUS.len() + 1;
/// The time constant that is thought likeliest before anything was read, in seconds, and by how many times others are as likely as makes
/// one standard deviation: a chip under its lid takes seconds, a sink with its fan one to three minutes (V100s level off within 60 s in
/// bradrlaw/ai-server#15, two RTX 3090 take some 200 s in noonghunna/club-3090#178), a machine's air longer.
const THOUGHT: (f64, f64) = (80.0, 2.0);
/// The least variance of a reading that is believed, in square degrees: whole degrees alone have 1/12, and a sensor has its noise.
const VARIANCE: f64 = 0.15;
/// Readings that are no further from their curve than this, squared and in the mean, may be of one load: whole degrees, and noise of
/// half a degree on top.
const ONE_LOAD: f64 = 1.0 / 12.0 + 0.25;
/// The last so many readings may be off together by so many degrees at the most, if the load has not changed.
const TAIL: (usize, f64) = (4, 0.6);
/// A curve through whole degrees is nowhere known to less than this, in degrees.
const WIDTH: f64 = 0.5;

/// One curve: `margin(t) = end + rest e^(-t/tau)`, with t in seconds since the last reading.
#[derive(Debug, Clone, Copy)]
struct Curve {
    tau: f64,
    end: f64,
    rest: f64,
    /// The share of its say; all together have 1.
    say: f64,
}

/// The curves through the same readings.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    curves: [Curve; CURVES],
    /// The mean of the squared distances of the readings from the best one.
    error: f64,
    /// The mean distance of the last readings from that.
    tail: f64,
}

/// The sums of a line through readings.
#[derive(Default)]
struct Sums {
    count: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    yy: f64,
}

impl Fit {
    /// The curves through these; none where there are none.
    pub(super) fn of<'a>(points: impl Iterator<Item = &'a Point> + Clone) -> Option<Self> {
        let last = points.clone().last()?.at;
        let count = points.clone().fold(0.0, |count, _| count + 1.0);
        let tried = TAUS.map(|tau| curve(points.clone(), last, tau));
        let between = curve(points.clone(), last, best_tau(&tried)?);
        let mut curves = [between; CURVES];
        for (place, tried) in curves.iter_mut().zip(tried) {
            *place = tried;
        }
        let (best, least) = curves.into_iter().min_by(|(_, one), (_, other)| one.total_cmp(other))?;
        let variance = (least / count).max(VARIANCE);
        let said = curves.map(|(curve, error)| Curve {
            say: (thought(curve.tau) - (error - least) / (2.0 * variance)).exp(),
            ..curve
        });
        let all: f64 = said.iter().map(|curve| curve.say).sum();
        let curves = said.map(|curve| Curve { say: curve.say / all, ..curve });
        let (tail, _) = TAIL;
        let skipped = points.clone().count().saturating_sub(tail);
        let behind = points.skip(skipped).map(|point| point.margin - best.at(point.at - last));
        let (off, of) = behind.fold((0.0, 0.0), |(off, of), one| (off + one, of + 1.0));
        Some(Self { curves, error: least / count, tail: off / of })
    }

    /// Whether the readings may be of one load.
    pub(super) fn fits(&self) -> bool {
        let (_, most) = TAIL;
        self.error <= ONE_LOAD && self.tail.abs() <= most
    }

    /// Degrees Celsius a second at the last reading: the mean of what the curves say.
    pub(super) fn slope(&self) -> f32 {
        let slope: f64 = self.curves.iter().map(|curve| -curve.say * curve.rest / curve.tau).sum();
        #[expect(clippy::cast_possible_truncation, reason = "a slope needs no more digits than a reading")]
        let slope = slope as f32;
        slope
    }

    /// When the margin reaches this level, seen from so many seconds after the last reading; from below where it is to `rise`.
    pub(super) fn reaches(&self, level: f64, ahead: f64, rise: bool) -> Outlook {
        let now: f64 = self.curves.iter().map(|curve| curve.say * curve.at(ahead)).sum();
        if is_there(now, level, rise) {
            return Outlook::Reached;
        }
        let seconds = self.share_say(level, ahead, rise, 0.5);
        if seconds >= HORIZON.as_secs_f64() {
            return Outlook::Never;
        }
        let nearer = if rise { level - WIDTH } else { level + WIDTH };
        let further = if rise { level + WIDTH } else { level - WIDTH };
        let earliest = self.share_say(nearer, ahead, rise, 0.1);
        let latest = self.share_say(further, ahead, rise, 0.9);
        #[expect(clippy::cast_possible_truncation, reason = "seconds ahead, of 600 at the most")]
        let short = |seconds: f64| seconds.min(HORIZON.as_secs_f64()) as f32;
        Outlook::In(Span { seconds: short(seconds), earliest: short(earliest), latest: short(latest) })
    }

    /// The seconds by which, as so much of all say has it, this level is reached; without end where it never is.
    fn share_say(&self, level: f64, ahead: f64, rise: bool, share: f64) -> f64 {
        let mut when = self.curves.map(|curve| (curve.until(level, ahead, rise), curve.say));
        when.sort_unstable_by(|(one, _), (other, _)| one.total_cmp(other));
        let mut before: Option<(f64, f64)> = None;
        let mut all = 0.0;
        for (seconds, say) in when {
            let middle = all + say / 2.0;
            all += say;
            if middle < share {
                before = Some((seconds, middle));
                continue;
            }
            // Between the two curves that the share lies between; where the later one never comes, the nearer.
            return match before {
                Some((earlier, below)) if seconds.is_finite() => {
                    earlier + (seconds - earlier) * (share - below) / (middle - below)
                }
                Some((earlier, below)) if share - below < middle - share => earlier,
                _ => seconds,
            };
        }
        before.map_or(f64::INFINITY, |(seconds, _)| seconds)
    }
}

impl Curve {
    fn at(&self, t: f64) -> f64 {
        self.end + self.rest * (-t / self.tau).exp()
    }

    /// Seconds from `ahead` until it is at this level; without end where it never is.
    fn until(&self, level: f64, ahead: f64, rise: bool) -> f64 {
        let here = self.at(ahead);
        if is_there(here, level, rise) {
            return 0.0;
        }
        let left = (level - self.end) / (here - self.end);
        if left > 0.0 && left < 1.0 { -self.tau * left.ln() } else { f64::INFINITY }
    }
}

fn is_there(margin: f64, level: f64, rise: bool) -> bool {
    if rise { margin >= level } else { margin <= level }
}

/// The time constant that fits best: where the parabola through the errors of the best one tried and of its neighbours, over the logarithms
/// of the three, is lowest. Else a curve a sixth off would have all the say, long before its error is worth a word.
fn best_tau(tried: &[(Curve, f64); TAUS.len()]) -> Option<f64> {
    let errors = || tried.iter().map(|(_, error)| *error).enumerate();
    let (best, _) = errors().min_by(|(_, one), (_, other)| one.total_cmp(other))?;
    let at = |place: usize| tried.get(place).map(|(curve, error)| (curve.tau.ln(), *error));
    let (x, y) = at(best)?;
    let sides = best.checked_sub(1).and_then(at).zip(at(best + 1));
    let lowest = sides.map_or(x, |((x0, y0), (x1, y1))| {
        let (right, left) = ((x - x0) * (y - y1), (x - x1) * (y - y0));
        x - ((x - x0) * right - (x - x1) * left) / (2.0 * (right - left))
    });
    Some(if lowest.is_finite() { lowest.exp() } else { x.exp() })
}

/// How likely a time constant is thought, as a natural logarithm: normal in the logarithm of itself.
fn thought(tau: f64) -> f64 {
    let (likeliest, times) = THOUGHT;
    let off = (tau / likeliest).ln() / times.ln();
    -off * off / 2.0
}

/// The curve of this time constant that is nearest to these readings, and the sum of the squares of what they are off it.
fn curve<'a>(points: impl Iterator<Item = &'a Point> + Clone, last: f64, tau: f64) -> (Curve, f64) {
    let (first, level) = points.clone().next().map_or((last, 0.0), |point| (point.at, point.margin));
    // From the first reading on, so that nothing is above 1: from the last one back, `e^(90/4)` would be among the sums.
    let x = |at: f64| ((first - at) / tau).exp();
    let sums = points.fold(Sums::default(), |sums, point| {
        let (x, y) = (x(point.at), point.margin - level);
        Sums {
            count: sums.count + 1.0,
            x: sums.x + x,
            y: sums.y + y,
            xx: sums.xx + x * x,
            xy: sums.xy + x * y,
            yy: sums.yy + y * y,
        }
    });
    let spread = sums.xx - sums.x * sums.x / sums.count;
    let together = sums.xy - sums.x * sums.y / sums.count;
    let all = sums.yy - sums.y * sums.y / sums.count;
    // Readings at one moment have no slope.
    let slope = if spread > 0.0 { together / spread } else { 0.0 };
    let end = level + (sums.y - slope * sums.x) / sums.count;
    (Curve { tau, end, rest: slope * x(last), say: 0.0 }, (all - slope * together).max(0.0))
}
