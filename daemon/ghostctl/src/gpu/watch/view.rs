//! What is drawn: the governor, the requests, what is wrong, and the cards.
//!
//! Knows the last report and when it came. Refuses to know the terminal and the daemon. Invariants: a colour never says what the words do not;
//! what is old says so; nothing that the daemon says is obeyed by the terminal.

use std::collections::BTreeMap;

use ghostllm_core::admin::{GpuHistory, GpuReport};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::Paragraph,
};
use time::OffsetDateTime;

use super::{card, grid, trail::Trail};
use crate::{
    exit::Failure,
    gpu::{
        history::second,
        severity,
        text::{decided, requests},
        wrong,
    },
    output::{Tone, text, when},
};

/// An answer that is older than this, in seconds, is said to be old: two questions were not answered.
const OLD: i64 = 3;
/// The most lines of the governor's words.
const GOVERNOR: usize = 2;
/// The most lines of how many run and wait, where there are so many lines: on a narrow screen one has no room for those that wait.
const REQUESTS: usize = 3;
const ROOMY: usize = 16;
/// The most lines of a fault beside cards; `ghostctl gpu` has all of it.
const FAULT: usize = 2;

/// What is known.
#[derive(Debug)]
pub(super) struct Watched {
    /// Now.
    pub(super) now: OffsetDateTime,
    report: Option<GpuReport>,
    /// When that came, by the clock of `now`.
    heard: Option<OffsetDateTime>,
    /// Why there was none since, and what to do.
    failed: Option<(String, String)>,
    trails: BTreeMap<u32, Trail>,
    /// The first card that is seen, where not all are.
    first: usize,
    palette: Palette,
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    coloured: bool,
}

impl Palette {
    /// How a tone is drawn.
    pub(super) fn of(self, tone: Tone) -> Style {
        let style = Style::new();
        if !self.coloured {
            return if matches!(tone, Tone::Bad | Tone::Head) {
                style.add_modifier(Modifier::BOLD)
            } else {
                style
            };
        }
        match tone {
            Tone::Plain => style,
            Tone::Head => style.add_modifier(Modifier::BOLD),
            Tone::Good => style.fg(Color::Green),
            Tone::Amiss => style.fg(Color::Yellow),
            Tone::Bad => style.fg(Color::Red).add_modifier(Modifier::BOLD),
        }
    }
}

impl Watched {
    pub(super) fn new(coloured: bool) -> Self {
        Self {
            now: OffsetDateTime::UNIX_EPOCH,
            report: None,
            heard: None,
            failed: None,
            trails: BTreeMap::new(),
            first: 0,
            palette: Palette { coloured },
        }
    }

    pub(super) fn told(&mut self, report: GpuReport) {
        self.trails.retain(|index, _| report.cards.iter().any(|card| card.index == *index));
        for card in &report.cards {
            self.trails.entry(card.index).or_default().told(&report, card.index);
        }
        (self.report, self.heard, self.failed) = (Some(report), Some(self.now), None);
    }

    pub(super) fn remembered(&mut self, history: &GpuHistory) {
        self.trails.entry(history.card).or_default().remembered(history);
    }

    pub(super) fn failed(&mut self, failure: &Failure) {
        let message = failure.message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        self.failed = Some((message, failure.next.clone().unwrap_or_default()));
    }

    pub(super) fn move_by(&mut self, by: isize) {
        self.first = self.first.saturating_add_signed(by);
    }

    /// For how many seconds nothing was heard, where that is long.
    fn silent(&self) -> Option<i64> {
        let silent = self.heard.map(|heard| (self.now - heard).whole_seconds());
        silent.filter(|seconds| *seconds > OLD || self.failed.is_some())
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, watched: &mut Watched) {
    let room = frame.area();
    let above = above(watched, usize::from(room.width), usize::from(room.height));
    let high = u16::try_from(above.len()).unwrap_or(u16::MAX);
    let parts = [Constraint::Length(high), Constraint::Min(0), Constraint::Length(1)];
    let [top, middle, bottom] = Layout::vertical(parts).areas(room);
    frame.render_widget(Paragraph::new(above), top);
    let hint = cards(frame, watched, middle);
    frame.render_widget(Paragraph::new(Line::from(text::cut(&hint, usize::from(bottom.width)))), bottom);
}

/// Draws the cards, and says what the keys do.
fn cards(frame: &mut Frame<'_>, watched: &mut Watched, room: Rect) -> String {
    let end = "q ends";
    let Some(report) = &watched.report else { return end.to_owned() };
    if report.cards.is_empty() {
        frame.render_widget(Paragraph::new(none(report, usize::from(room.width))), room);
        return end.to_owned();
    }
    let count = report.cards.len();
    // Those that fit end with the last.
    watched.first = watched.first.min(count.saturating_sub(usize::from(room.height)));
    let (form, places) = grid::places(room, count, watched.first);
    let first = if form == grid::Form::Line { watched.first } else { 0 };
    let until = second(&report.at).unwrap_or_default();
    let faults = wrong::all(report);
    let unknown = Trail::default();
    for (one, place) in report.cards.iter().skip(first).zip(&places) {
        let trail = watched.trails.get(&one.index).unwrap_or(&unknown);
        let fault = faults.iter().find(|fault| fault.card == Some(one.index));
        let drawn = card::Drawn { card: one, trail, until, fault, palette: watched.palette };
        drawn.draw(frame, form, *place);
    }
    if places.len() < count {
        let last = first + places.len();
        return format!("{end}; up and down: cards {} to {last} of {count}", first + 1);
    }
    end.to_owned()
}

fn none(report: &GpuReport, width: usize) -> Vec<Line<'static>> {
    let faultless = report.missing.iter().filter(|missing| !missing.fault);
    let mut words: Vec<String> = faultless.map(|missing| missing.words.clone()).collect();
    words.insert(0, "No graphics card is seen.".to_owned());
    words.iter().flat_map(|words| wrapped("", words, width, usize::MAX, Style::new())).collect()
}

/// What stands above the cards.
fn above(watched: &Watched, width: usize, height: usize) -> Vec<Line<'static>> {
    let palette = watched.palette;
    let mut lines = vec![title(watched, width)];
    if let Some((message, next)) = &watched.failed {
        lines.extend(wrapped("", message, width, FAULT, palette.of(Tone::Bad)));
        let next = format!("It is asked again each second. Next: {next}");
        lines.extend(wrapped("", &next, width, FAULT, Style::new()));
    }
    let Some(report) = &watched.report else {
        if watched.failed.is_none() {
            lines.push(Line::from("The daemon is asked ..."));
        }
        return lines;
    };
    let (head, tone, words) = decided(report);
    lines.extend(wrapped(&format!("{head}: "), &words, width, GOVERNOR, palette.of(tone)));
    let words = requests(&report.governor);
    let most = if height < ROOMY { 1 } else { REQUESTS };
    lines.extend(wrapped("requests: ", &words, width, most, Style::new()));
    lines.extend(faults(report, palette, width, height));
    lines
}

/// What is wrong, the worst first, in as many lines as the cards leave.
fn faults(report: &GpuReport, palette: Palette, width: usize, height: usize) -> Vec<Line<'static>> {
    let (each, all) =
        if report.cards.is_empty() { (height, height / 2) } else { (FAULT, (height / 8).max(FAULT)) };
    let mut told = Vec::new();
    for fault in wrong::all(report) {
        let left = all.saturating_sub(told.len());
        if left == 0 {
            break;
        }
        let (word, tone) = severity(fault.severity);
        let words = format!("{}; next: {}", fault.what, fault.next);
        told.extend(wrapped(&format!("{word}: "), &words, width, each.min(left), palette.of(tone)));
    }
    told
}

/// Who draws, and how old it is.
fn title(watched: &Watched, width: usize) -> Line<'static> {
    let name = "GhostLLM: graphics cards";
    let (words, tone) = match (&watched.report, watched.silent()) {
        (None, _) => (String::new(), Tone::Plain),
        (Some(_), Some(seconds)) => {
            let seconds = when::long(seconds.unsigned_abs());
            (format!("no answer for {seconds}; this is older"), Tone::Bad)
        }
        (Some(report), None) => {
            (when::clock(&report.at).get(11..).unwrap_or_default().to_owned() + " UTC", Tone::Plain)
        }
    };
    let words = text::cut(&words, width);
    let name = text::cut(name, width.saturating_sub(text::width(&words) + 1));
    let gap = width.saturating_sub(text::width(&name) + text::width(&words));
    Line::from(vec![
        Span::styled(name, watched.palette.of(Tone::Head)),
        Span::raw(" ".repeat(gap)),
        Span::styled(words, watched.palette.of(tone)),
    ])
}

/// Words behind a styled head, in at most so many lines, the last of which says that it was cut.
pub(super) fn wrapped(
    head: &str,
    words: &str,
    width: usize,
    most: usize,
    style: Style,
) -> Vec<Line<'static>> {
    let whole = text::clean(&format!("{head}{words}"));
    let mut parts = text::wrap(&whole, width.max(2));
    if parts.len() > most {
        parts.truncate(most);
        if let Some(last) = parts.last_mut() {
            *last = text::cut(&format!("{last} …"), width);
            if !last.ends_with('…') {
                last.push('…');
            }
        }
    }
    let line = |(number, part): (usize, String)| match part.strip_prefix(head) {
        Some(rest) if number == 0 && !head.is_empty() => {
            Line::from(vec![Span::styled(head.to_owned(), style), Span::raw(rest.to_owned())])
        }
        _ if head.is_empty() => Line::from(Span::styled(part, style)),
        _ => Line::from(part),
    };
    parts.into_iter().enumerate().map(line).collect()
}
