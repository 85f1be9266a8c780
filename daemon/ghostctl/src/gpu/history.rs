//! `ghostctl gpu history`: what a card has been through.

use clap::{Args, ValueEnum};
use ghostllm_core::{
    admin::{GpuHistory, GpuPoint, GpuSpan, GpuState},
    routes::Admin,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{spark, state};
use crate::{
    arguments::Context,
    client::Question,
    exit::{Exit, Failure},
    output::{self, Screen, Tone, when},
};

/// Columns of a value's name and its unit, its lowest and its highest.
const HEAD: usize = 37;
/// A line of fewer columns says nothing.
const FEWEST: usize = 8;

/// What a card has been through: ten minutes by the second, or a day
#[derive(Debug, Args)]
#[command(after_help = "Of each column the highest is drawn, of the margin the lowest. A gap is a time\n\
                  of which nothing was read.\n\nExample:\n  ghostctl gpu history --card 1 --span 24h")]
pub(super) struct Arguments {
    /// The card's number, as ghostctl gpu shows it
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    card: u32,
    /// How far back: 10m or 24h
    #[arg(long, value_name = "SPAN", default_value = "10m", hide_possible_values = true)]
    span: Span,
}

/// How far back it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Span {
    #[value(name = "10m")]
    TenMinutes,
    #[value(name = "24h")]
    Day,
}

impl From<Span> for GpuSpan {
    fn from(span: Span) -> Self {
        match span {
            Span::TenMinutes => Self::TenMinutes,
            Span::Day => Self::Day,
        }
    }
}

impl Arguments {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let question = question(self.card, self.span.into());
        let answer = context.client.ask::<GpuHistory>(&question).await;
        let answer = answer.map_err(|failure| failure.if_missing("ghostctl gpu, which lists the cards"))?;
        context.show(&answer.json, |screen| drawn(&answer.what, screen))?;
        if !context.json && answer.what.points.is_empty() {
            output::say(&format!("Nothing was read of card {} in that time.", self.card));
        }
        Ok(Exit::Well)
    }
}

pub(super) fn question(card: u32, span: GpuSpan) -> Question {
    Question::new(Admin::GpuHistory).query(format!("card={card}&span={}", span.name()))
}

/// The second of a point, counted as Unix does.
pub(super) fn second(at: &str) -> Option<i64> {
    OffsetDateTime::parse(at, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp)
}

/// What most cards do not have: without a value it has no line.
const MEMORY: &str = "memory";
const HOTSPOT: &str = "hotspot";

type Value = fn(&GpuPoint) -> Option<f64>;

/// Points with their seconds.
type Points<'a> = Vec<(i64, &'a GpuPoint)>;

/// What is drawn: a name, its unit, the value, and whether its lowest counts and not its highest.
const LINES: [(&str, &str, Value, bool); 7] = [
    ("temperature", "°C", |point| point.celsius, false),
    (MEMORY, "°C", |point| point.memory_heat, false),
    (HOTSPOT, "°C", |point| point.hotspot, false),
    ("below slower", "°C", |point| point.margin, true),
    ("power", "W", |point| point.watts, false),
    ("busy", "%", |point| point.utilisation.map(f64::from), false),
    ("clock", "MHz", |point| point.clock.map(f64::from), false),
];

fn drawn(history: &GpuHistory, screen: &Screen) -> String {
    let points: Points<'_> =
        history.points.iter().filter_map(|point| Some((second(&point.at)?, point))).collect();
    let Some(((from, first), (to, last))) = points.first().zip(points.last()) else { return String::new() };
    let span = match history.span {
        GpuSpan::TenMinutes => 600,
        GpuSpan::Day => 86_400,
    };
    let heading =
        format!("card {}, {} to {} (UTC)", history.card, when::clock(&first.at), when::clock(&last.at));
    let mut out = screen.hanging("", Tone::Plain, &heading);
    let room = screen.width.saturating_sub(HEAD);
    // As wide as what there is: ten seconds are no line through ten minutes.
    let wanted = usize::try_from((to - from).max(1)).unwrap_or(usize::MAX);
    let columns = room.min(wanted).min(span);
    let is_missed = |name| name != MEMORY && name != HOTSPOT;
    for (name, unit, value, lowest) in LINES {
        if !is_missed(name) && points.iter().all(|(_, point)| value(point).is_none()) {
            continue;
        }
        out.push_str(&line(&points, (name, unit), (value, lowest), ((*from, *to), columns), screen));
    }
    out + &screen.hanging("states: ", Tone::Plain, &states(&history.points))
}

fn line(
    points: &[(i64, &GpuPoint)],
    (name, unit): (&str, &str),
    (value, lowest): (Value, bool),
    (ends, columns): ((i64, i64), usize),
    screen: &Screen,
) -> String {
    let sign = if lowest { -1.0 } else { 1.0 };
    let points = points.iter().filter_map(|(at, point)| Some((*at, value(point)?)));
    let Some((low, high)) = spark::ends(points.clone().map(|(_, value)| value)) else {
        return screen.hanging(&format!("{name:<14}"), Tone::Plain, "not read");
    };
    if columns < FEWEST {
        return screen.hanging(&format!("{name:<14}"), Tone::Plain, &format!("{low:.0} to {high:.0} {unit}"));
    }
    let head = format!("{name:<14}{low:>6.0} to {high:>6.0} {unit:<6}");
    let signed = points.map(|(at, value)| (at, sign * value));
    let drawn: Vec<_> =
        spark::columns(signed, ends, columns).into_iter().map(|one| one.map(|one| sign * one)).collect();
    let line = format!("{head}{}", spark::line(&drawn, (low, high)));
    format!("{}\n", line.trim_end())
}

/// How much of what was read it was in each state, the longest first.
fn states(points: &[GpuPoint]) -> String {
    let mut counts: Vec<(GpuState, usize)> = Vec::new();
    for point in points {
        match counts.iter_mut().find(|(known, _)| *known == point.state) {
            Some((_, count)) => *count += 1,
            None => counts.push((point.state, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let told = counts.iter().map(|(known, count)| {
        let percent = (count * 100 / points.len().max(1)).max(1);
        format!("{} {percent} %", state(*known).0)
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use ghostllm_core::admin::{GpuHistory, GpuPoint, GpuSpan, GpuState};

    use super::drawn;
    use crate::output::{Screen, text};

    fn history(points: u32) -> GpuHistory {
        let point = |second: u32| GpuPoint {
            at: format!("2026-11-30T10:{:02}:{:02}Z", second / 60, second % 60),
            celsius: Some(f64::from(60 + second / 30)),
            memory_heat: None,
            hotspot: (second == 7).then_some(95.0),
            margin: Some(f64::from(30 - second / 30)),
            watts: Some(f64::from(300 + second % 50)),
            utilisation: None,
            clock: Some(1980),
            state: if second > 500 { GpuState::Warm } else { GpuState::Cool },
            throttles: None,
        };
        GpuHistory {
            version: 1,
            card: 3,
            span: GpuSpan::TenMinutes,
            points: (0..points).map(point).collect(),
        }
    }

    #[test]
    fn shows_each_value_as_a_line_with_its_ends() {
        let expected = "\
card 3, 2026-11-30 10:00:00 to 2026-11-30 10:09:59 (UTC)
temperature       60 to     79 °C    ▁▁▁▁▂▂▂▂▂▃▃▃▃▃▄▄▄▄▅▅▅▅▅▆▆▆▆▆▆▇▇▇▇▇████
hotspot           95 to     95 °C
below slower      11 to     30 °C    ████▇▇▇▇▇▆▆▆▆▆▅▅▅▅▄▄▄▄▄▃▃▃▃▃▃▂▂▂▂▂▁▁▁▁
power            300 to    349 W     
busy          not read
clock           1980 to   1980 MHz   
states: cool 83 %, warm 16 %
";
        let drawn = drawn(&history(600), &Screen::of_test(80, ""));
        let shape = |text: &str| {
            text.lines()
                .map(|line| line.chars().take(37).collect::<String>().trim_end().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(shape(&drawn), shape(expected), "{drawn}");
    }

    #[test]
    fn is_never_wider_than_the_screen() {
        for width in 20..130 {
            for points in [0, 1, 5, 600] {
                let drawn = drawn(&history(points), &Screen::of_test(width, ""));
                for line in drawn.lines() {
                    assert!(text::width(line) <= width, "{width}: {line:?}");
                }
            }
        }
    }
}
