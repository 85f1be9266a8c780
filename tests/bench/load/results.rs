//! Figures: their medians, the tables that people read.

mod document;

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::Result;

use crate::{
    legs::Plan,
    order::Version,
    subject::{Kind, RAISED},
};

/// What is measured, in the order of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    Rate,
    CpuRequest,
    CpuPaced,
    P50At100,
    P99At100,
    P50At1000,
    P99At1000,
    EventP50,
    EventP99,
    CpuEvent,
    ColdP50,
    ColdLongest,
    CpuPrompt,
    Ready,
    Rest,
    PerIdle,
    PerFew,
    PerMany,
    Back,
    BackAfter,
}

/// Every figure, what it is called, and the digits that say something.
const FIGURES: [(Figure, &str, usize); 20] = [
    (Figure::Rate, "requests/s, 32 in flight", 0),
    (Figure::CpuRequest, "CPU µs per request, 32 in flight", 1),
    (Figure::CpuPaced, "CPU µs per request at 1,000/s", 1),
    (Figure::P50At100, "added p50 µs at 100/s", 0),
    (Figure::P99At100, "added p99 µs at 100/s", 0),
    (Figure::P50At1000, "added p50 µs at 1,000/s", 0),
    (Figure::P99At1000, "added p99 µs at 1,000/s", 0),
    (Figure::EventP50, "added p50 µs per event", 0),
    (Figure::EventP99, "added p99 µs per event", 0),
    (Figure::CpuEvent, "CPU µs per event", 1),
    (Figure::ColdP50, "first event of 200 cold streams, p50 ms", 2),
    (Figure::ColdLongest, "the same, longest ms", 2),
    (Figure::CpuPrompt, "CPU ms per 1 MB prompt", 2),
    (Figure::Ready, "start to ready, ms", 1),
    (Figure::Rest, "memory at rest, MB", 1),
    (Figure::PerIdle, "kB per idle connection", 1),
    (Figure::PerFew, "kB per open stream, 1,000", 1),
    (Figure::PerMany, "kB per open stream, 10,000 (h1: 5,000)", 1),
    (Figure::Back, "memory after the peak, of that at rest", 2),
    (Figure::BackAfter, "reached after s", 1),
];

/// Of these the engine's own share is taken off, round by round.
const ADDED: [Figure; 6] = [
    Figure::P50At100,
    Figure::P99At100,
    Figure::P50At1000,
    Figure::P99At1000,
    Figure::EventP50,
    Figure::EventP99,
];

const COLUMNS: [(Kind, Version); 13] = [
    (Kind::Passthrough, Version::H1),
    (Kind::Nginx, Version::H1),
    (Kind::Haproxy, Version::H1),
    (Kind::Passthrough, Version::H2),
    (Kind::Nginx, Version::H2),
    (Kind::Haproxy, Version::H2),
    (Kind::Passthrough, Version::H3),
    (Kind::OneThread, Version::H1),
    (Kind::OneThread, Version::H2),
    (Kind::OneThread, Version::H3),
    (Kind::Translated, Version::H1),
    (Kind::Translated, Version::H2),
    (Kind::Translated, Version::H3),
];

/// Everything that was measured, round by round.
#[derive(Default)]
pub(crate) struct Results {
    cells: BTreeMap<(Figure, Kind, Version), Vec<f64>>,
}

impl Results {
    pub(crate) fn add(&mut self, figure: Figure, kind: Kind, version: Version, value: f64) {
        self.cells.entry((figure, kind, version)).or_default().push(value);
    }

    /// Makes the last round's times of the others those that they added to the engine's own of that round.
    pub(crate) fn add_to_direct(&mut self) {
        for figure in ADDED {
            let direct =
                self.cells.get(&(figure, Kind::Direct, Version::Plain)).and_then(|all| all.last()).copied();
            let Some(direct) = direct else { continue };
            let others =
                self.cells.iter_mut().filter(|((of, kind, _), _)| *of == figure && *kind != Kind::Direct);
            for (_, values) in others {
                if let Some(last) = values.last_mut() {
                    *last -= direct;
                }
            }
        }
    }

    /// The median of the rounds.
    pub(crate) fn median(&self, figure: Figure, kind: Kind, version: Version) -> Option<f64> {
        let mut values = self.cells.get(&(figure, kind, version))?.clone();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}

/// What a figure is called.
fn name(figure: Figure) -> &'static str {
    FIGURES.iter().find(|(of, ..)| *of == figure).map_or("", |(_, name, _)| *name)
}

/// What is promised (issue 4), of the daemon on its engine's own wire.
const TARGETS: [(Figure, Version, Target); 27] = [
    (Figure::CpuRequest, Version::H1, Target::OfNginx(1.3, Version::H1)),
    (Figure::CpuRequest, Version::H2, Target::OfNginx(1.3, Version::H2)),
    (Figure::CpuRequest, Version::H3, Target::OfNginx(2.0, Version::H2)),
    (Figure::P50At1000, Version::H1, Target::Most(150.0)),
    (Figure::P50At1000, Version::H2, Target::Most(150.0)),
    (Figure::P50At1000, Version::H3, Target::Most(300.0)),
    (Figure::P99At1000, Version::H1, Target::Most(1000.0)),
    (Figure::P99At1000, Version::H2, Target::Most(1000.0)),
    (Figure::P99At1000, Version::H3, Target::Most(1000.0)),
    (Figure::ColdP50, Version::H1, Target::Most(3.0)),
    (Figure::ColdP50, Version::H2, Target::Most(3.0)),
    (Figure::ColdP50, Version::H3, Target::Most(3.0)),
    (Figure::Ready, Version::H1, Target::Most(50.0)),
    (Figure::Rest, Version::H1, Target::Most(16.0)),
    (Figure::PerFew, Version::H2, Target::Most(40.0)),
    (Figure::PerMany, Version::H2, Target::Most(40.0)),
    (Figure::Back, Version::H1, Target::Most(1.1)),
    (Figure::Back, Version::H2, Target::Most(1.1)),
    (Figure::Back, Version::H3, Target::Most(1.1)),
    (Figure::CpuRequest, Version::H1, Target::Translation(15.0)),
    (Figure::CpuRequest, Version::H2, Target::Translation(15.0)),
    (Figure::CpuRequest, Version::H3, Target::Translation(15.0)),
    (Figure::CpuEvent, Version::H1, Target::Translation(3.0)),
    (Figure::CpuEvent, Version::H2, Target::Translation(3.0)),
    (Figure::CpuEvent, Version::H3, Target::Translation(3.0)),
    (Figure::CpuEvent, Version::H1, Target::OfNginx(1.3, Version::H1)),
    (Figure::CpuEvent, Version::H2, Target::OfNginx(1.3, Version::H2)),
];

#[derive(Debug, Clone, Copy)]
enum Target {
    Most(f64),
    /// So many times nginx's figure on that version.
    OfNginx(f64, Version),
    /// So much more on Ollama's wire.
    Translation(f64),
}

/// Prints what there is so far.
pub(crate) fn show(results: &Results) {
    println!("\n{}\n", table(results));
}

/// Prints the tables, and keeps them where that was asked for.
pub(crate) fn tell(plan: &Plan, results: &Results) -> Result<()> {
    let text = format!("{}\n\n{}", table(results), targets(results));
    println!("\nraised for the daemon: {}\n\n{text}", RAISED.trim().replace('\n', ", "));
    if plan.write {
        document::write(plan, results, &text)?;
    }
    Ok(())
}

/// As Markdown; columns that nobody measured are left out.
fn table(results: &Results) -> String {
    let measured = |(kind, version): &&(Kind, Version)| {
        FIGURES.iter().any(|(figure, ..)| results.median(*figure, *kind, *version).is_some())
    };
    let columns: Vec<_> = COLUMNS.iter().filter(measured).collect();
    let mut text = String::from("| figure |");
    for (kind, version) in &columns {
        let _never = write!(text, " {kind} {version} |");
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|".repeat(columns.len()));
    for (figure, name, digits) in FIGURES {
        let _never = write!(text, "\n| {name} |");
        for (kind, version) in &columns {
            let _never = match results.median(figure, *kind, *version) {
                Some(value) => write!(text, " {value:.digits$} |"),
                None => write!(text, " – |"),
            };
        }
    }
    text
}

/// Each target beside what was seen.
fn targets(results: &Results) -> String {
    let mut text = String::from("| target | wanted | seen | |\n|---|---:|---:|---|");
    for (figure, version, target) in TARGETS {
        let Some((seen, most, what)) = judge(results, figure, version, target) else { continue };
        let name = name(figure);
        let met = if seen <= most { "met" } else { "missed" };
        let _never = write!(text, "\n| {name}, {version}{what} | {most:.1} | {seen:.1} | {met} |");
    }
    text
}

fn judge(results: &Results, figure: Figure, version: Version, target: Target) -> Option<(f64, f64, String)> {
    let own = results.median(figure, Kind::Passthrough, version)?;
    Some(match target {
        Target::Most(most) => (own, most, String::new()),
        Target::OfNginx(times, of) => {
            let nginx = results.median(figure, Kind::Nginx, of)?;
            (own, nginx * times, format!(", {times} × nginx {of}"))
        }
        Target::Translation(most) => {
            (results.median(figure, Kind::Translated, version)? - own, most, ", translation alone".into())
        }
    })
}
