//! The flight recorder's records, for people: a list, and of one of them its minutes as lines over time and as a table.
//!
//! Refuses to find anything out. Invariants: no line is wider than 80 columns but where a name is; nothing that comes from outside is obeyed
//! by a terminal; a second that was not read is a gap, never a 0.

use ghostllm_core::{
    admin::{
        Flight, FlightCard, FlightFrame, FlightRecord, FlightThresholds, Flights, GpuByClass, GpuGate,
        GpuReason, GpuState,
    },
    heat::{Reason, Throttles, flight::RECORDS},
    text::long,
};

use super::super::text::{counted, hanging};
use crate::log::OneLine;

/// Columns of a line over time.
const COLUMNS: usize = 48;
/// Rows of the table, which is to fit on a screen or two.
const ROWS: usize = 40;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws them.
pub(crate) fn drawn(flights: &Flights) -> String {
    let mut out = list(flights);
    if let Some(flight) = &flights.shown {
        out.push('\n');
        out.push_str(&minutes(flight));
    }
    out
}

fn list(flights: &Flights) -> String {
    let room = &flights.directory;
    if flights.records.is_empty() {
        let none = format!(
            "none in {room}. A daemon makes one there when a card is lost, slowed down by its heat or from outside, or near its end, and when \
             it ends abruptly while one is near a limit"
        );
        return hanging("flights", &none);
    }
    let shown = flights.shown.as_ref().map(|shown| shown.name.as_str());
    let most =
        format!("{} in {room}, the newest first; {RECORDS} at the most are kept", flights.records.len());
    let mut out = hanging("flights", &most);
    for record in &flights.records {
        let mark = if Some(record.name.as_str()) == shown { '>' } else { ' ' };
        out.push_str(&format!("{mark} {}\n", OneLine(&record.name)));
        out.push_str(&hanging("", &told(record)));
    }
    out
}

/// What is to be said of a record in the list.
fn told(record: &FlightRecord) -> String {
    if let Some(fault) = &record.fault {
        return format!("cannot be read: {fault}");
    }
    let name = record.card_name.as_deref().filter(|name| !name.is_empty());
    let card = match (record.card, name) {
        (Some(card), Some(name)) => format!("card {card} ({name})"),
        (Some(card), None) => format!("card {card}"),
        (None, _) => "a card".to_owned(),
    };
    let what = match (record.what, record.running) {
        (Some(what), _) => what.words(),
        (None, _) => "near its limit, and nothing more up to now",
    };
    let length = long(record.seconds.unwrap_or_default().into());
    let running = if record.running {
        let written = record.written.as_deref().unwrap_or("an unknown time");
        format!(
            "; not ended: last written at {written}, by a daemon that runs, or by one that ended abruptly, which the next start makes a \
             record of"
        )
    } else {
        String::new()
    };
    format!("{}, {card}: {what} ({length}){running}", record.at.as_deref().unwrap_or("at an unknown time"))
}

fn minutes(flight: &Flight) -> String {
    let mut out = hanging("record", &flight.name);
    out.push_str(&hanging("card", &card(&flight.card)));
    for (number, event) in flight.events.iter().enumerate() {
        let later = if number == 0 { String::new() } else { format!(", {:.0} s later", event.offset_s) };
        let label = if number == 0 { "happened" } else { "" };
        out.push_str(&hanging(label, &format!("{}{later}: {}", event.at, event.words)));
    }
    let heat =
        [("chip", &flight.card.gpu), ("memory", &flight.card.memory), ("hotspot", &flight.card.hotspot)];
    let known: Vec<String> = heat.iter().filter_map(|(what, of)| limits(what, of)).collect();
    let none = "the card tells none of its thresholds".to_owned();
    out.push_str(&hanging("limits", &if known.is_empty() { none } else { known.join("; ") }));
    let (Some(first), Some(last)) = (flight.frames.first(), flight.frames.last()) else {
        out.push_str(&hanging("minutes", "nothing was read in them"));
        return out;
    };
    let ends = (first.offset_s, last.offset_s);
    out.push_str(&axis(flight, ends));
    for (label, value) in series() {
        out.push_str(&line(label, flight, ends, value));
    }
    out.push('\n');
    out.push_str(&table(flight));
    out
}

/// The times at both ends, and a mark for each thing that happened.
fn axis(flight: &Flight, ends: (f64, f64)) -> String {
    let (first, last) = (clock(ends.0), clock(ends.1));
    let mut axis: Vec<char> = format!("{first:<half$}{last:>half$}", half = COLUMNS / 2).chars().collect();
    for event in &flight.events {
        if let Some(free) = axis.get_mut(column(event.offset_s, ends)).filter(|place| **place == ' ') {
            *free = '▼';
        }
    }
    format!("\n{:11}{}   least    most\n", "", axis.into_iter().collect::<String>())
}

fn card(card: &FlightCard) -> String {
    let name = if card.name.is_empty() { "unknown" } else { &card.name };
    let mut parts = vec![format!("{} {name}", card.index)];
    parts.extend(
        [&card.uuid, &card.bus].into_iter().filter(|part| !part.is_empty() && **part != card.name).cloned(),
    );
    if !card.driver.is_empty() {
        parts.push(format!("driver {}", card.driver));
    }
    parts.extend(card.clock.map(|clock| format!("up to {clock} MHz")));
    parts.join(", ")
}

fn limits(what: &str, of: &FlightThresholds) -> Option<String> {
    let parts = [
        of.soft.map(|at| format!("its driver lowers clocks from {at:.0} °C")),
        of.slowdown.map(|at| format!("its hardware from {at:.0} °C")),
        of.shutdown.map(|at| format!("off at {at:.0} °C")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("{what}: {}", parts.join(", ")))
}

type Value = fn(&FlightFrame) -> Option<f64>;

/// What has a line over time, where anything of it was read.
fn series() -> [(&'static str, Value); 10] {
    [
        ("chip °C", |frame| frame.celsius),
        ("memory °C", |frame| frame.memory_celsius),
        ("hotspot °C", |frame| frame.hotspot_celsius),
        ("°C left", |frame| frame.to_slower),
        ("watts", |frame| frame.watts),
        ("MHz", |frame| frame.clock.map(f64::from)),
        ("busy %", |frame| frame.utilisation.map(f64::from)),
        ("fan %", |frame| frame.fan.map(f64::from)),
        ("running", |frame| Some(f64::from(frame.running.interactive) + f64::from(frame.running.background))),
        ("waiting", |frame| Some(f64::from(frame.waiting.interactive) + f64::from(frame.waiting.background))),
    ]
}

/// A value over time; nothing where it was never read, or always 0.
fn line(label: &str, flight: &Flight, ends: (f64, f64), value: Value) -> String {
    let values = || flight.frames.iter().filter_map(value);
    let (Some(least), Some(most)) = (values().reduce(f64::min), values().reduce(f64::max)) else {
        return String::new();
    };
    if most == 0.0 && least == 0.0 {
        return String::new();
    }
    let mut columns = [None; COLUMNS];
    for frame in &flight.frames {
        let (Some(value), Some(column)) = (value(frame), columns.get_mut(column(frame.offset_s, ends)))
        else {
            continue;
        };
        // The farthest from what is harmless, so that a peak of a second is seen: of what is to be high, the lowest.
        let worst = if matches!(label, "°C left" | "MHz") { f64::min } else { f64::max };
        *column = Some(column.map_or(value, |there| worst(there, value)));
    }
    let drawn: String =
        columns.iter().map(|value| value.map_or(' ', |value| block(value, least, most))).collect();
    format!("{label:<11}{drawn} {least:>7.0} {most:>7.0}\n")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "columns are few, and the share is held between 0 and 1"
)]
fn share(value: f64, (least, most): (f64, f64), steps: usize) -> usize {
    let share = if most > least { ((value - least) / (most - least)).clamp(0.0, 1.0) } else { 0.0 };
    (share * steps.saturating_sub(1) as f64).round() as usize
}

fn column(offset: f64, ends: (f64, f64)) -> usize {
    share(offset, ends, COLUMNS)
}

fn block(value: f64, least: f64, most: f64) -> char {
    // What never changes is neither low nor high.
    let height = if most > least { share(value, (least, most), BLOCKS.len()) } else { BLOCKS.len() / 2 };
    BLOCKS.get(height).copied().unwrap_or(' ')
}

/// `-4:05`, from what happened first on.
fn clock(offset: f64) -> String {
    let sign = if offset < -0.5 { '-' } else { '+' };
    let seconds = format!("{:.0}", offset.abs()).parse::<u64>().unwrap_or_default();
    format!("{sign}{}:{:02}", seconds / 60, seconds % 60)
}

/// The seconds that say something: the first and the last, each at which what the card was, why, or the gate changed, and others between, the
/// closer the nearer to what happened.
fn rows(frames: &[FlightFrame]) -> Vec<&FlightFrame> {
    let mut kept: Vec<(&FlightFrame, bool)> = Vec::new();
    for (place, frame) in frames.iter().enumerate() {
        let is_end = place == 0 || place + 1 == frames.len();
        let changed = place.checked_sub(1).and_then(|before| frames.get(before)).is_some_and(|before| {
            (before.state, before.gate, &before.throttles) != (frame.state, frame.gate, &frame.throttles)
        });
        let every = match frame.offset_s.abs() {
            near if near < 5.0 => 1.0,
            near if near < 60.0 => 10.0,
            _ => 30.0,
        };
        let due = kept.last().is_none_or(|(last, _)| frame.offset_s - last.offset_s >= every - 0.5);
        if is_end || changed || due {
            kept.push((frame, is_end || changed));
        }
    }
    // What flaps all the time would fill screens: then the farthest from what happened go, the unchanged first.
    while kept.len() > ROWS {
        let rank = |(_, (frame, firm)): &(usize, &(&FlightFrame, bool))| (!*firm, frame.offset_s.abs());
        let farthest = kept.iter().enumerate().skip(1).take(kept.len() - 2).max_by(|one, other| {
            let (one, other) = (rank(one), rank(other));
            one.0.cmp(&other.0).then(one.1.total_cmp(&other.1))
        });
        let Some((place, _)) = farthest else { break };
        kept.remove(place);
    }
    kept.into_iter().map(|(frame, _)| frame).collect()
}

fn table(flight: &Flight) -> String {
    let rows = rows(&flight.frames);
    let told = |reason: &Reason| rows.iter().any(|row| tells(row, *reason));
    // A letter for each, since a row has no room for words.
    let reasons: Vec<(char, Reason)> = ('a'..).zip(Reason::ALL.into_iter().filter(told)).collect();
    let mut out = "  time chip mem spot left watts  MHz busy fan run wait  may  what it was\n".to_owned();
    for frame in &rows {
        out.push_str(&row(frame, &reasons));
    }
    if !reasons.is_empty() {
        out.push('\n');
    }
    for (number, (letter, reason)) in reasons.iter().enumerate() {
        let words = format!("{letter} {}: {}", reason.name().replace('_', " "), reason.words());
        out.push_str(&hanging(if number == 0 { "reasons" } else { "" }, &words));
    }
    let counts = counted(flight.frames.len(), "second");
    let made =
        format!("{counts}, at {} by ghostllm {}; --json has each of them", flight.made, flight.program);
    out.push_str(&hanging("kept", &made));
    out
}

fn row(frame: &FlightFrame, reasons: &[(char, Reason)]) -> String {
    // Minus zero would be shown as -0.
    let whole = |value: f64| format!("{:.0}", value.round() + 0.0);
    let number = |value: Option<f64>| value.map_or("-".to_owned(), whole);
    let all = |by: GpuByClass| by.interactive.saturating_add(by.background);
    let may = match (frame.gate, frame.limits) {
        (Some(GpuGate::Hold), _) => "hold".to_owned(),
        (Some(GpuGate::Refuse), _) => "none".to_owned(),
        (_, Some(limits)) => all(limits).to_string(),
        (_, None) => "-".to_owned(),
    };
    let line = format!(
        "{:>6}{:>5}{:>4}{:>5}{:>5}{:>6}{:>5}{:>5}{:>4}{:>4}{:>5}{may:>5}  {}",
        clock(frame.offset_s),
        number(frame.celsius),
        number(frame.memory_celsius),
        number(frame.hotspot_celsius),
        number(frame.to_slower),
        number(frame.watts),
        number(frame.clock.map(f64::from)),
        number(frame.utilisation.map(f64::from)),
        number(frame.fan.map(f64::from)),
        all(frame.running),
        all(frame.waiting),
        state(frame, reasons),
    );
    line.trim_end().to_owned() + "\n"
}

/// `HEAT ac`, what it was and the letters of its reasons; what is no news is in small letters.
fn state(frame: &FlightFrame, reasons: &[(char, Reason)]) -> String {
    let state = match frame.state {
        GpuState::Cool => "cool",
        GpuState::ThrottledByPower => "power",
        GpuState::Warm => "warm",
        GpuState::Unknown => "unknown",
        GpuState::Stale => "silent",
        GpuState::ThrottledByBrake => "BRAKE",
        GpuState::ThrottledByHeat => "HEAT",
        GpuState::Lost => "LOST",
    };
    let letters: String =
        reasons.iter().filter(|(_, reason)| tells(frame, *reason)).map(|(letter, _)| letter).collect();
    format!("{state} {letters}")
}

/// Whether this is among the reasons that are worth telling of that second.
fn tells(frame: &FlightFrame, reason: Reason) -> bool {
    let has = |reason: &Reason| frame.throttles.iter().flatten().any(|one| *one == GpuReason::from(*reason));
    Reason::ALL.into_iter().filter(has).collect::<Throttles>().told().any(|told| told == reason)
}

#[cfg(test)]
mod tests;
