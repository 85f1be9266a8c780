//! One card: a panel, a small panel, or a line.
//!
//! Knows a card's readings, its last ten minutes, and what is wrong with it. Invariant: what was not read has no bar, and says why where there
//! is room.

use ghostllm_core::{
    admin::{GpuCard, GpuMaker, GpuPlace, GpuReading, GpuShared, GpuState},
    text::size,
};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Block, Paragraph, Sparkline},
};

use super::{
    grid::Form,
    trail::Trail,
    view::{Palette, wrapped},
};
use crate::{
    gpu::{
        spark, state, state_of,
        text::{instances, slower, speed},
        wrong::Fault,
    },
    output::{Tone, text},
};

/// Columns of what is measured, and of how much it is.
const LABEL: usize = 7;
const VALUE: usize = 9;
/// Columns of what stands behind a bar, where there is room.
const NOTE: usize = 18;
const ROOM_FOR_NOTE: usize = 50;
/// A panel so wide has a state's words; a narrower one has a word.
const ROOM_FOR_WORDS: usize = 60;
/// Gauges of a panel.
const GAUGES: u16 = 4;
/// Blocks of an eighth of a column and more.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// A card, and what is drawn with it.
pub(super) struct Drawn<'a> {
    pub(super) card: &'a GpuCard,
    pub(super) trail: &'a Trail,
    /// The second of the report.
    pub(super) until: i64,
    pub(super) fault: Option<&'a Fault>,
    pub(super) palette: Palette,
}

/// Something that is measured.
struct Gauge {
    label: &'static str,
    value: Result<String, String>,
    /// 0 to 1, where it is a part of something.
    share: Option<f64>,
    note: String,
    tone: Tone,
}

impl Drawn<'_> {
    pub(super) fn draw(&self, frame: &mut Frame<'_>, form: Form, place: Rect) {
        if form == Form::Line {
            frame.render_widget(Paragraph::new(self.line(usize::from(place.width))), place);
            return;
        }
        let block = self.block(usize::from(place.width));
        let inside = block.inner(place);
        frame.render_widget(block, place);
        if self.is_dark() {
            let words = wrapped(
                "",
                &self.dark(),
                usize::from(inside.width),
                usize::from(inside.height),
                Style::new(),
            );
            frame.render_widget(Paragraph::new(words), inside);
        } else if form == Form::Whole {
            self.whole(frame, inside);
        } else {
            self.small(frame, inside);
        }
    }

    fn block(&self, width: usize) -> Block<'static> {
        let (words, tone) = state_of(self.card);
        let words = if width < ROOM_FOR_WORDS { brief(self.card.state) } else { words };
        let style = self.palette.of(tone);
        let room = width.saturating_sub(text::width(words) + 7);
        let name = text::cut(&text::clean(&format!("{} {}", self.card.index, name(self.card))), room);
        let block = Block::bordered().border_style(border(self.card.state, style));
        let block =
            block.title_top(Line::from(Span::styled(format!(" {name} "), self.palette.of(Tone::Head))));
        block.title_top(Line::from(Span::styled(format!(" {words} "), style)).right_aligned())
    }

    /// Whether it tells nothing that could be drawn.
    fn is_dark(&self) -> bool {
        let card = self.card;
        card.gpu.celsius.missing().is_some()
            && card.power.watts.missing().is_some()
            && card.utilisation.core.missing().is_some()
    }

    fn dark(&self) -> String {
        match self.fault {
            Some(fault) => format!("{}. Next: {}", fault.what, fault.next),
            None => self.card.gpu.celsius.missing().unwrap_or_default().to_owned(),
        }
    }

    fn whole(&self, frame: &mut Frame<'_>, room: Rect) {
        let rest = room.height.saturating_sub(GAUGES);
        let width = usize::from(room.width);
        // As many lines as its words take, but the ten minutes' line has the most of the room.
        let least = if rest >= 4 { 2 } else { 1 };
        let words = wrapped("", &self.words(), width, usize::from(least.max(rest / 3)), Style::new());
        let high = u16::try_from(words.len()).unwrap_or(rest).max(least);
        let parts = [Constraint::Length(GAUGES), Constraint::Min(0), Constraint::Length(high)];
        let [gauges, line, below] = Layout::vertical(parts).areas(room);
        // A processor has neither power nor clocks here, and none of them is missed.
        let is_shown = |gauge: &Gauge| gauge.value.is_ok() || self.card.maker != GpuMaker::Processor;
        let gauges_shown = self.gauges().into_iter().filter(is_shown);
        let drawn: Vec<Line<'_>> = gauges_shown.map(|gauge| gauge.line(width, self.palette)).collect();
        frame.render_widget(Paragraph::new(drawn), gauges);
        self.trail(frame, line);
        frame.render_widget(Paragraph::new(words), below);
    }

    fn small(&self, frame: &mut Frame<'_>, room: Rect) {
        let parts = [Constraint::Length(1), Constraint::Min(0)];
        let [first, line] = Layout::vertical(parts).areas(room);
        let bar = usize::from(room.width).saturating_sub(34);
        frame.render_widget(Paragraph::new(self.numbers(bar)), first);
        self.trail(frame, line);
    }

    fn line(&self, width: usize) -> Line<'static> {
        let (_, tone) = state(self.card.state);
        let index = format!("{:>3} ", self.card.index);
        let state = format!("{:<10}", brief(self.card.state));
        // A name is worth more than a bar, and nothing is worth more than its numbers.
        let bar = if width >= 72 { 10 } else { 0 };
        let taken = text::width(&index) + text::width(&state) + bar + 34;
        let room = width.saturating_sub(taken);
        let full = text::clean(name(self.card));
        let cut = if room > 1 { text::cut(&full, room - 1) } else { String::new() };
        let gap = " ".repeat(room.saturating_sub(text::width(&cut)));
        let mut spans =
            vec![Span::raw(format!("{index}{cut}{gap}")), Span::styled(state, self.palette.of(tone))];
        spans.extend(self.numbers(bar).spans);
        Line::from(spans)
    }

    /// Temperature, a bar of it, power, how busy, and memory: 34 columns and the bar.
    fn numbers(&self, bar: usize) -> Line<'static> {
        let card = self.card;
        let heat = heat(card);
        let told = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let celsius = told(heat.value.ok());
        let watts = told(card.power.watts.value().map(|watts| format!("{watts:.0} W")));
        let busy = told(card.utilisation.core.value().map(|core| format!("{core} %")));
        let memory = told(memory(card).0.value().map(|used| size(*used)));
        Line::from(vec![
            Span::raw(format!("{celsius:>7} ")),
            Span::styled(filled(heat.share, bar), self.palette.of(heat.tone)),
            Span::raw(format!("{watts:>8}{busy:>7}{memory:>11}")),
        ])
    }

    /// The last ten minutes of its temperature where it is nearest to getting slower; as high as the place is where it does.
    fn trail(&self, frame: &mut Frame<'_>, place: Rect) {
        let nearest = self.card.nearest();
        let Some((low, high)) = self.trail.ends(nearest) else { return };
        let high = limit(self.card, nearest).map_or(high, |(_, limit)| high.max(limit));
        let steps = u64::from(place.height) * 8;
        let columns = self.trail.columns(nearest, self.until, usize::from(place.width));
        // The lowest is a line as well, and no gap.
        let step = |value: f64| spark::step(value, (low - 2.0, high), steps).max(1);
        let bars: Vec<Option<u64>> = columns.into_iter().map(|value| value.map(step)).collect();
        let style = self.palette.of(state(self.card.state).1);
        frame.render_widget(Sparkline::default().data(bars).max(steps.max(1)).style(style), place);
    }

    fn gauges(&self) -> [Gauge; 4] {
        let card = self.card;
        let clock = card.clocks.core.value().map(|now| {
            card.clocks.core_most.value().map_or(format!("{now} MHz"), |most| format!("{now} of {most} MHz"))
        });
        let power = share(&card.power.watts, &card.power.limit, |watts| *watts);
        let (used, total) = memory(card);
        let memory = share(&used, &total, |bytes| *bytes as f64);
        [
            heat(card),
            Gauge {
                label: "power",
                value: read(&card.power.watts, |watts| format!("{watts:.0} W")),
                share: power,
                note: card.power.limit.value().map_or(String::new(), |limit| format!("of {limit:.0} W")),
                tone: Tone::Plain,
            },
            Gauge {
                label: "memory",
                value: read(&used, |used| size(*used)),
                share: memory,
                note: total.value().map_or(String::new(), |total| format!("of {}", size(*total))),
                tone: Tone::Plain,
            },
            Gauge {
                label: "busy",
                value: read(&card.utilisation.core, |core| format!("{core} %")),
                share: card.utilisation.core.value().map(|core| f64::from(*core) / 100.0),
                note: clock.unwrap_or_default(),
                tone: Tone::Plain,
            },
        ]
    }

    /// What there is to say of it, the most urgent first.
    fn words(&self) -> String {
        let card = self.card;
        let place = card.nearest();
        let whose = if place == GpuPlace::Chip { String::new() } else { format!(", {}", place.name()) };
        let range = self.trail.ends(place);
        let range = range.map(|(low, high)| format!("10 min{whose}: {low:.0} to {high:.0} °C"));
        let fan = card.fan.value().map(|fan| format!("fan {fan} %"));
        let late = card.late_s.map(|late| format!("no answer for {late:.0} s"));
        let soon = slower(card).map(|when| format!("slower {when}"));
        let who = card.processes.count.value().map(|count| match count {
            1 => "1 process".to_owned(),
            count => format!("{count} processes"),
        });
        let shared = card.memory.shared.map(|_| "its memory is the machine's".to_owned());
        let parts = instances(card).map(|parts| format!("instances {parts}"));
        [late, soon, speed(card), range, fan, who, shared, parts]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("; ")
    }
}

impl Gauge {
    fn line(self, width: usize, palette: Palette) -> Line<'static> {
        let label = format!("{:<LABEL$}", self.label);
        let value = match self.value {
            Ok(value) => value,
            Err(why) => {
                let room = width.saturating_sub(LABEL);
                return Line::from(format!("{label}{}", text::cut(&text::clean(&why), room)));
            }
        };
        let note = if width >= ROOM_FOR_NOTE { NOTE } else { 0 };
        let bar = width.saturating_sub(LABEL + VALUE + 1 + note);
        let mut spans = vec![
            Span::raw(format!("{label}{value:>VALUE$} ")),
            Span::styled(filled(self.share, bar), palette.of(self.tone)),
        ];
        if note > 0 {
            spans.push(Span::raw(format!(" {}", text::cut(&self.note, NOTE - 1))));
        }
        Line::from(spans)
    }
}

/// Where it is nearest to getting slower.
fn heat(card: &GpuCard) -> Gauge {
    let nearest = card.nearest();
    let slower = limit(card, nearest);
    Gauge {
        label: if nearest == GpuPlace::Chip { "heat" } else { nearest.name() },
        value: read(&card.sensor(nearest).celsius, |celsius| format!("{celsius:.0} °C")),
        share: slower.filter(|(_, at)| *at > 0.0).map(|(celsius, at)| celsius / at),
        note: slower.map_or(String::new(), |(_, at)| format!("slower at {at:.0} °C")),
        tone: state(card.state).1,
    }
}

/// How hot that place is, and from where the card gets slower by it.
fn limit(card: &GpuCard, place: GpuPlace) -> Option<(f64, f64)> {
    let sensor = card.sensor(place);
    let celsius = *sensor.celsius.value()?;
    Some((celsius, celsius + sensor.to_slower()?))
}

/// What is used of its memory, and all of it: its own, or the machine's where it shares that.
fn memory(card: &GpuCard) -> (GpuReading<u64>, GpuReading<u64>) {
    match card.memory.shared {
        Some(GpuShared { total, used }) => (GpuReading::Value(used), GpuReading::Value(total)),
        None => (card.memory.used.clone(), card.memory.total.clone()),
    }
}

fn read<T>(reading: &GpuReading<T>, words: impl Fn(&T) -> String) -> Result<String, String> {
    match reading {
        GpuReading::Value(value) => Ok(words(value)),
        GpuReading::Missing(why) => Err(why.clone()),
    }
}

fn share<T>(part: &GpuReading<T>, whole: &GpuReading<T>, number: impl Fn(&T) -> f64) -> Option<f64> {
    let (part, whole) = (number(part.value()?), number(whole.value()?));
    (whole > 0.0).then_some(part / whole)
}

/// A bar of so many columns; without a share there is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "columns are few, and the share is held between 0 and 1"
)]
fn filled(share: Option<f64>, columns: usize) -> String {
    let Some(share) = share.filter(|share| share.is_finite()) else { return " ".repeat(columns) };
    let eighths = (share.clamp(0.0, 1.0) * (columns * 8) as f64).round() as usize;
    let (whole, part) = (eighths / 8, eighths % 8);
    let mut bar = "█".repeat(whole);
    if part > 0 {
        bar.extend(EIGHTHS.get(part));
    }
    let rest = columns.saturating_sub(whole + usize::from(part > 0));
    bar + &"░".repeat(rest)
}

/// Without what most of them begin with.
fn name(card: &GpuCard) -> &str {
    let name = card.name.as_deref().unwrap_or("has not answered yet");
    name.strip_prefix("NVIDIA ").unwrap_or(name)
}

/// A state in ten columns.
fn brief(state: GpuState) -> &'static str {
    match state {
        GpuState::Cool => "cool",
        GpuState::ThrottledByPower => "power cap",
        GpuState::Warm => "warm",
        GpuState::Unknown => "unknown",
        GpuState::Stale => "silent",
        GpuState::ThrottledByBrake => "brake",
        GpuState::ThrottledByHeat => "hot",
        GpuState::Lost => "lost",
    }
}

/// The edge of a card that is well is no matter of colour.
fn border(state: GpuState, style: Style) -> Style {
    match state {
        GpuState::Cool | GpuState::ThrottledByPower | GpuState::Unknown => Style::new(),
        GpuState::Warm
        | GpuState::Stale
        | GpuState::ThrottledByBrake
        | GpuState::ThrottledByHeat
        | GpuState::Lost => style,
    }
}
