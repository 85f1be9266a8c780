//! How a figure is spread, drawn in letters: for each leg a hill, and the middle half of the answers below it, over one axis.
//!
//! Knows numbers and a screen. Refuses to know what was measured. Invariants: no line is wider than the screen; wherever an answer
//! lies on the axis, something is drawn; what lies beyond the axis is told in words.

use super::{
    figures::{percentile, sorted},
    screen::{Screen, Tone},
};

/// Rows of a hill.
const ROWS: usize = 3;
/// Levels of a row: eighths in Unicode.
const LEVELS: usize = 8;
/// Columns for the names of the legs, with what stands around them.
const MARGIN: usize = 10;
/// Columns for a tick of the axis and its number, at the least.
const TICK: usize = 9;
/// An answer that is farther from the middle half than so many times its width would squeeze all others into a corner.
const FAR: f64 = 6.0;

/// One leg's values.
pub(super) struct Series<'a> {
    /// What it is called, in at most seven letters.
    pub(super) name: &'a str,
    /// Its colour.
    pub(super) tone: Tone,
    /// The values, in any order.
    pub(super) values: &'a [f64],
}

/// Draws them; nothing where there are no values.
pub(super) fn draw(title: &str, legs: &[Series<'_>], screen: &Screen) -> String {
    let Some(axis) = Axis::over(legs, screen.width.saturating_sub(MARGIN + 1)) else { return String::new() };
    let hills: Vec<Vec<f64>> = legs.iter().map(|leg| axis.hill(leg.values)).collect();
    let highest = hills.iter().flatten().copied().fold(0.0, f64::max);
    let mut out = format!("{}\n", screen.toned(title, Tone::Head));
    for (leg, hill) in legs.iter().zip(&hills) {
        let taken = axis.taken(leg.values);
        let levels: Vec<usize> =
            hill.iter().zip(&taken).map(|(height, taken)| level(*height, highest, *taken)).collect();
        for row in (0..ROWS).rev() {
            let bar: String =
                levels.iter().map(|level| cell(level.saturating_sub(row * LEVELS), screen)).collect();
            line(
                &mut out,
                if row == ROWS / 2 { leg.name } else { "" },
                &screen.toned(bar.trim_end(), leg.tone),
                screen,
            );
        }
        line(&mut out, "", axis.middle(leg.values, screen).trim_end(), screen);
    }
    out.push_str(&axis.drawn(screen));
    for leg in legs {
        out.push_str(&axis.beyond(leg));
    }
    out
}

fn line(out: &mut String, name: &str, drawn: &str, screen: &Screen) {
    let border = screen.either("│", "|");
    let text = format!("{name:>width$} {border}{drawn}", width = MARGIN - 1);
    out.push_str(text.trim_end());
    out.push('\n');
}

/// How high a column is, in levels of all rows together; where an answer lies it is one at the least.
fn level(height: f64, highest: f64, taken: bool) -> usize {
    let full = ROWS * LEVELS;
    let share = if highest > 0.0 { height / highest } else { 0.0 };
    let found = (1..=full).rev().find(|level| share * to_float(full) >= to_float(*level) - 0.5);
    found.unwrap_or(0).max(usize::from(taken))
}

fn cell(level: usize, screen: &Screen) -> char {
    const EIGHTHS: [char; LEVELS + 1] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ASCII: [char; LEVELS + 1] = [' ', '.', '.', '.', ':', ':', ':', '#', '#'];
    let cells = screen.either(&EIGHTHS, &ASCII);
    cells.get(level.min(LEVELS)).copied().unwrap_or(' ')
}

/// A count of columns or answers, all of them far below where a float loses one.
fn to_float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// What lies from left to right.
struct Axis {
    low: f64,
    high: f64,
    columns: usize,
}

impl Axis {
    /// From the least to the largest value of all legs, but for those that are far from all others.
    fn over(legs: &[Series<'_>], columns: usize) -> Option<Self> {
        let mut ends: Option<(f64, f64)> = None;
        for leg in legs {
            let sorted = sorted(leg.values);
            let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { continue };
            let (quarter, three) = (percentile(&sorted, 25)?, percentile(&sorted, 75)?);
            let far = (three - quarter) * FAR;
            // Where most are the same, any other would be far.
            let (low, high) =
                if far > 0.0 { (first.max(quarter - far), last.min(three + far)) } else { (*first, *last) };
            ends = Some(ends.map_or((low, high), |(least, most)| (low.min(least), high.max(most))));
        }
        let (low, high) = ends?;
        // A tenth of the value on each side where all are the same, and something where that is zero.
        let around = if high > low { (high - low) * 0.02 } else { (low.abs() * 0.1).max(0.5) };
        Some(Self { low: (low - around).max(0.0f64.min(low)), high: high + around, columns })
    }

    /// Which column a value lies in; none if it lies beyond the ends.
    fn column(&self, value: f64) -> Option<usize> {
        let share = (value - self.low) / (self.high - self.low);
        let last = self.columns.saturating_sub(1);
        let near = (share * to_float(last)).round();
        (0.0..=1.0).contains(&share).then(|| (0..=last).find(|column| to_float(*column) >= near)).flatten()
    }

    fn taken(&self, values: &[f64]) -> Vec<bool> {
        let mut taken = vec![false; self.columns];
        for column in values.iter().filter_map(|value| self.column(*value)) {
            if let Some(place) = taken.get_mut(column) {
                *place = true;
            }
        }
        taken
    }

    /// How dense the values are at each column: a kernel density as in a violin plot, each value a bell.
    fn hill(&self, values: &[f64]) -> Vec<f64> {
        let width = (self.high - self.low) / to_float(self.columns.saturating_sub(1).max(1));
        let bell = bandwidth(values).max(width);
        let at = |column: usize| {
            let here = self.low + width * to_float(column);
            let sum: f64 = values.iter().map(|value| (-0.5 * ((here - value) / bell).powi(2)).exp()).sum();
            sum / (to_float(values.len()).max(1.0) * bell)
        };
        (0..self.columns).map(at).collect()
    }

    /// The middle half of the values, and their median.
    fn middle(&self, values: &[f64], screen: &Screen) -> String {
        let sorted = sorted(values);
        let at = |percent| percentile(&sorted, percent).and_then(|value| self.column(value));
        let (Some(from), Some(median), Some(to)) = (at(25), at(50), at(75)) else { return String::new() };
        let mark = |column: usize| match column {
            column if column == median => screen.either('●', 'o'),
            column if column == from => screen.either('├', '|'),
            column if column == to => screen.either('┤', '|'),
            column if column > from && column < to => screen.either('─', '-'),
            _ => ' ',
        };
        (0..self.columns).map(mark).collect()
    }

    /// The axis with its numbers.
    fn drawn(&self, screen: &Screen) -> String {
        let step = self.step();
        let decimals = (0..=3).find(|decimals| is_whole(step * 10f64.powi(*decimals))).unwrap_or(3);
        let decimals = usize::try_from(decimals).unwrap_or_default();
        let first = (self.low / step).ceil();
        let mut ruler = vec![screen.either('─', '-'); self.columns];
        let mut numbers = vec![' '; self.columns];
        // No more ticks than columns, whatever the numbers are.
        for number in 0..self.columns {
            let value = (first + to_float(number)) * step;
            let Some(column) = self.column(value) else { break };
            if let Some(place) = ruler.get_mut(column) {
                *place = screen.either('┬', '+');
            }
            let text = format!("{value:.decimals$}");
            let from = column.saturating_sub(text.len() / 2).min(self.columns.saturating_sub(text.len()));
            // Two numbers with nothing between them would be one.
            let free = numbers.iter().skip(from.saturating_sub(1)).all(|place| *place == ' ');
            if let Some(room) = numbers.get_mut(from..from + text.len()).filter(|_| free) {
                room.iter_mut().zip(text.chars()).for_each(|(place, letter)| *place = letter);
            }
        }
        let (ruler, numbers): (String, String) = (ruler.iter().collect(), numbers.iter().collect());
        let corner = screen.either('└', '+');
        let numbers = format!("{}{numbers}", " ".repeat(MARGIN + 1));
        format!("{}{corner}{ruler}\n{}\n", " ".repeat(MARGIN), numbers.trim_end())
    }

    /// From one tick to the next: 1, 2 or 5 times a power of ten.
    fn step(&self) -> f64 {
        let most = to_float((self.columns / TICK).max(1));
        let least = (self.high - self.low) / most;
        let power = 10f64.powf(least.log10().floor());
        [1.0, 2.0, 5.0, 10.0]
            .map(|times| times * power)
            .into_iter()
            .find(|step| *step >= least)
            .unwrap_or(least)
    }

    /// What does not lie on it.
    fn beyond(&self, leg: &Series<'_>) -> String {
        let outside: Vec<f64> =
            leg.values.iter().copied().filter(|value| self.column(*value).is_none()).collect();
        let farthest = sorted(&outside);
        let (Some(least), Some(most)) = (farthest.first(), farthest.last()) else { return String::new() };
        let range =
            if outside.len() == 1 { format!("{most:.1}") } else { format!("{least:.1} to {most:.1}") };
        format!("{:>width$}   {} beyond this axis: {range}\n", leg.name, outside.len(), width = MARGIN - 1)
    }
}

fn is_whole(value: f64) -> bool {
    (value - value.round()).abs() < 1e-6
}

/// How wide a bell is: Silverman's rule of thumb (Density Estimation, 1986, equation 3.31), in its form that few far values do not widen.
fn bandwidth(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let count = to_float(sorted.len()).max(1.0);
    let mean = sorted.iter().sum::<f64>() / count;
    let deviation = (sorted.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    let quartiles =
        percentile(&sorted, 75).zip(percentile(&sorted, 25)).map(|(three, one)| (three - one) / 1.34);
    let scatter =
        quartiles.filter(|scatter| *scatter > 0.0).map_or(deviation, |scatter| scatter.min(deviation));
    0.9 * scatter * count.powf(-0.2)
}

#[cfg(test)]
#[path = "plot_tests.rs"]
mod tests;
