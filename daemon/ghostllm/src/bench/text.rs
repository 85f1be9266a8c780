//! What was measured, for a person: the figures side by side, what the gateway costs, and how they are spread.
//!
//! Knows the form and a screen. Refuses to know how it was measured. Invariants: no line is wider than the screen; what is not known is a
//! dash, with a sentence that says why.

use std::fmt::Write as _;

use ghostllm_core::{
    admin::{BenchCost, BenchEnd, BenchFigure, BenchLeg, Benched},
    text::clean,
};

use super::{
    Values,
    plot::{self, Series},
    screen::{Screen, Tone},
};

/// Columns of a row's name.
const NAME: usize = 19;
/// Columns of a figure.
const CELL: usize = 9;
/// Fewer answers make no hill.
const LEAST_FOR_A_PLOT: usize = 2;

type Pick = fn(&BenchLeg) -> Option<BenchFigure>;

/// The figures of a table, each with its unit.
const FIGURES: [(&str, Pick); 3] = [
    ("first token, ms", |leg| leg.first_token_ms),
    ("tokens a second", |leg| leg.tokens_per_second),
    ("whole answer, ms", |leg| leg.answer_ms),
];

/// All of it.
pub(super) fn whole(benched: &Benched, values: &Values, screen: &Screen) -> String {
    let mut out = head(benched, screen);
    out.push('\n');
    out.push_str(&table(benched, screen));
    out.push('\n');
    out.push_str(&overhead(benched, screen));
    for (title, gateway, direct) in [
        ("first token, ms", &values.gateway.first, &values.direct.first),
        ("tokens a second", &values.gateway.rate, &values.direct.rate),
    ] {
        if gateway.len().max(direct.len()) >= LEAST_FOR_A_PLOT {
            let direct = Series { name: "direct", tone: Tone::Direct, values: direct };
            let gateway = Series { name: "gateway", tone: Tone::Gateway, values: gateway };
            let legs = if benched.direct.is_some() { vec![direct, gateway] } else { vec![gateway] };
            let _infallible = write!(out, "\n{}", plot::draw(title, &legs, screen));
        }
    }
    out.push('\n');
    out.push_str(&notes(benched, screen));
    out
}

fn head(benched: &Benched, screen: &Screen) -> String {
    let kind = benched.kind.as_ref().map(|kind| format!(", {kind}")).unwrap_or_default();
    let rounds = match benched.rounds {
        1 => "1 round".to_owned(),
        rounds => format!("{rounds} rounds"),
    };
    let words = format!(
        "{} of the backend {}{kind}; {}, {} requests a leg in {rounds}, {} at a time, {} tokens at the most",
        benched.model, benched.backend, benched.http, benched.requests, benched.at_once, benched.max_tokens
    );
    paragraph(&words, screen)
}

/// Each leg's figures.
fn table(benched: &Benched, screen: &Screen) -> String {
    let legs: Vec<(&str, Tone, &BenchLeg)> = [
        benched.direct.as_ref().map(|leg| ("direct", Tone::Direct, leg)),
        Some(("gateway", Tone::Gateway, &benched.gateway)),
    ]
    .into_iter()
    .flatten()
    .collect();
    // Where both do not fit, one stands below the other.
    let both = NAME + legs.len() * 3 * CELL <= screen.width;
    let groups: Vec<&[_]> = if both { vec![legs.as_slice()] } else { legs.chunks(1).collect() };
    groups.into_iter().map(|group| columns(group, screen)).collect()
}

fn columns(legs: &[(&str, Tone, &BenchLeg)], screen: &Screen) -> String {
    let mut names = " ".repeat(NAME);
    let mut heads = " ".repeat(NAME);
    for (name, tone, _) in legs {
        let gap = " ".repeat(3 * CELL - name.len());
        let _infallible = write!(names, "{gap}{}", screen.toned(name, *tone));
        for head in ["p50", "p90", "p99"] {
            let _infallible = write!(heads, "{head:>CELL$}");
        }
    }
    let mut out = format!("{names}\n{}\n", screen.toned(&heads, Tone::Head));
    for (name, pick) in FIGURES {
        let _infallible = write!(out, "{name:<NAME$}");
        for (_, _, leg) in legs {
            let figure = pick(leg);
            let cells = [
                figure.map(|figure| figure.p50),
                figure.and_then(|figure| figure.p90),
                figure.and_then(|figure| figure.p99),
            ];
            for cell in cells {
                let _infallible = write!(out, "{:>CELL$}", told(cell, screen));
            }
        }
        out.push('\n');
    }
    let row = |name: &str, cell: &dyn Fn(&BenchLeg) -> String| {
        let cells: String =
            legs.iter().map(|(_, _, leg)| format!("{:>width$}", cell(leg), width = 3 * CELL)).collect();
        format!("{name:<NAME$}{cells}\n")
    };
    out.push_str(&row("in all, tokens/s", &|leg| told(leg.tokens_per_second_in_all, screen)));
    out.push_str(&row("answered", &|leg| {
        let failed: usize = leg.errors.iter().map(|error| error.count).sum();
        format!("{} of {}", leg.answered, leg.answered + failed)
    }));
    out
}

/// With as many digits as mean something: four, and no more than a hundredth.
fn told(value: Option<f64>, screen: &Screen) -> String {
    let Some(value) = value else { return screen.either("–", "-").to_owned() };
    let decimals = if value.abs() < 100.0 {
        2
    } else if value.abs() < 1000.0 {
        1
    } else {
        0
    };
    format!("{value:.decimals$}")
}

fn overhead(benched: &Benched, screen: &Screen) -> String {
    let Some(overhead) = &benched.overhead else {
        let why = benched.direct_missing.as_deref().unwrap_or("nothing was measured on one of the legs");
        return paragraph(
            &format!("The gateway's overhead is not known, for there is no direct leg: {why}"),
            screen,
        );
    };
    let mut out = format!("{}\n", screen.toned("overhead of the gateway, at the median", Tone::Head));
    for (name, cost) in [
        ("first token", overhead.first_token),
        ("tokens a second", overhead.tokens_per_second),
        ("whole answer", overhead.answer),
    ] {
        let Some(cost) = cost else {
            let _infallible = writeln!(out, "{name:<NAME$}{:>CELL$}", told(None, screen));
            continue;
        };
        let (figure, unit) = match (name, cost.difference < 0.0) {
            ("tokens a second", true) => (signed(-cost.difference), "more"),
            ("tokens a second", false) => (signed(cost.difference), "fewer"),
            _ => (signed(cost.difference), "ms"),
        };
        let row = format!("{name:<NAME$}{figure:>CELL$} {unit:<5} {:>7} %", signed(cost.percent));
        let certainty = certainty(&cost);
        let beside = row.len() + 2 + certainty.len() <= screen.width;
        let gap = if beside { "  ".to_owned() } else { format!("\n{}", " ".repeat(NAME + 2)) };
        let _infallible = writeln!(out, "{row}{gap}{certainty}");
    }
    out
}

fn signed(value: f64) -> String {
    // What is shown as zero has no sign.
    let text = format!("{value:+.2}");
    if text.trim_start_matches(['+', '-']).chars().all(|letter| matches!(letter, '0' | '.')) {
        "0.00".to_owned()
    } else {
        text
    }
}

fn certainty(cost: &BenchCost) -> String {
    match (cost.low, cost.high, cost.beyond_noise) {
        (Some(low), Some(high), Some(true)) => format!("{low:+.1} to {high:+.1} %"),
        (Some(low), Some(high), Some(false)) => format!("in the noise ({low:+.1} to {high:+.1} %)"),
        _ => "too few answers to tell".to_owned(),
    }
}

/// What has to be known beside the figures.
fn notes(benched: &Benched, screen: &Screen) -> String {
    let mut out = String::new();
    let legs = [Some(("gateway", &benched.gateway)), benched.direct.as_ref().map(|leg| ("direct", leg))];
    for (name, leg) in legs.into_iter().flatten() {
        for error in &leg.errors {
            let words = format!("{name}: {} failed, {}: {}", error.count, error.code, error.message);
            let _infallible =
                writeln!(out, "{}", screen.toned(paragraph(&words, screen).trim_end(), Tone::Bad));
        }
    }
    match benched.ended {
        BenchEnd::Completed => {}
        BenchEnd::Interrupted => out.push_str("Interrupted: these are the answers until then.\n"),
        BenchEnd::GaveUp => out.push_str("Given up, since one request after the other failed.\n"),
    }
    let fewest = legs.iter().flatten().map(|(_, leg)| leg.answered).min().unwrap_or_default();
    if fewest < 100 {
        let from = if fewest < 10 {
            "p90 needs 10 answers a leg, p99 needs 100"
        } else {
            "p99 needs 100 answers a leg"
        };
        out.push_str(&paragraph(&format!("{from}: --requests 100."), screen));
    }
    let counted = legs.iter().flatten().all(|(_, leg)| leg.counted || leg.answered == 0);
    if !counted {
        out.push_str(&paragraph(
            "The engine does not count its tokens: each event with text is taken for one.",
            screen,
        ));
    }
    let marks = screen.either("├─●─┤", "|-o-|");
    let words = "the middle half of the answers and their median; the hills are smoothed. p90 of tokens a second: nine of ten answers were as \
                 fast. The direct leg reads the backend's own answers as the gateway does.";
    out.push_str(&paragraph(&format!("{marks} {words} Prompts are {}.", benched.prompts), screen));
    out
}

/// Words in lines that fit.
fn paragraph(words: &str, screen: &Screen) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for word in clean(words).split(' ') {
        let mut word = word;
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > screen.width {
            let _infallible = writeln!(out, "{line}");
            line.clear();
        }
        // A path may be longer than a line.
        while word.chars().count() > screen.width {
            let cut = word.char_indices().nth(screen.width).map_or(word.len(), |(place, _)| place);
            let (here, rest) = word.split_at_checked(cut).unwrap_or((word, ""));
            let _infallible = writeln!(out, "{here}");
            word = rest;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _infallible = writeln!(out, "{line}");
    out
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
