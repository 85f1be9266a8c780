//! The page of figures.
//!
//! Knows how they are laid out. Refuses to know how they are made. Invariant: every verdict stands beside what was promised and what was
//! seen, and the cards that the governor was tuned on are told from the one that was held back.

use std::fmt::Write as _;

use super::{Level, Pair, Regime, Seen, Trial, Varied, Verdict, judge, judged::seconds};
use crate::sim::HELD_BACK;

/// What a page is made of.
#[derive(Debug, Default)]
pub struct Pages {
    /// Each trial with its figures.
    pub trials: Vec<(Trial, Pair)>,
    /// What a power limit would do instead, with the watts of it.
    pub capped: Vec<(Trial, Pair)>,
    /// The same as the first, where few may run at once.
    pub few: Vec<(Trial, Pair)>,
    /// Each trial of the levels, with its levels.
    pub levels: Vec<(Trial, Vec<Level>)>,
    /// What the assumptions do.
    pub assumed: Vec<Varied>,
}

fn name(trial: &Trial) -> String {
    let held = if trial.card.name == HELD_BACK.name { " (held back)" } else { "" };
    format!("{}{held}", trial.card.name)
}

/// The tables, in Markdown.
#[must_use]
pub fn report(pages: &Pages) -> String {
    let mut out = String::new();
    for regime in Regime::ALL {
        let _ = writeln!(out, "## {}\n", regime.name());
        promises(&mut out, pages, regime);
        figures(&mut out, pages, regime);
    }
    if !pages.capped.is_empty() {
        capped(&mut out, pages);
    }
    if !pages.few.is_empty() {
        few(&mut out, pages);
    }
    for (trial, levels) in &pages.levels {
        of_levels(&mut out, trial, levels);
    }
    if !pages.assumed.is_empty() {
        assumed(&mut out, pages);
    }
    out
}

fn capped(out: &mut String, pages: &Pages) {
    out.push_str(
        "## A power limit instead of the governor\n\n| card | case | load | limit | tokens an hour | p99 |\n|---|---|---|---:|---:|---|\n",
    );
    for (trial, pair) in &pages.capped {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.0} W | {:+.1} % | {} → {} |",
            name(trial),
            trial.place,
            trial.arrivals.name(),
            trial.card.power.limit,
            100.0 * pair.gain(),
            seconds(pair.without.last()),
            seconds(pair.with.last()),
        );
    }
    out.push('\n');
}

fn few(out: &mut String, pages: &Pages) {
    out.push_str(
        "## A box with few places: 4 interactive and 2 background requests at once\n\n\
         | card | case | load | tokens an hour | p99 | unanswered | off | |\n|---|---|---|---:|---|---|---|---|\n",
    );
    for (trial, pair) in &pages.few {
        let Pair { without, with } = pair;
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:+.1} % | {} → {} | {} → {} | {} → {} | {} |",
            name(trial),
            trial.place,
            trial.arrivals.name(),
            100.0 * pair.gain(),
            seconds(without.last()),
            seconds(with.last()),
            without.unanswered,
            with.unanswered,
            without.shutdowns,
            with.shutdowns,
            broken(trial.regime, pair),
        );
    }
    out.push('\n');
}

/// Which of its regime's promises do not hold, in one cell.
fn broken(regime: Regime, pair: &Pair) -> String {
    let promises = judge(regime, pair);
    let broken: Vec<_> = promises.iter().filter(|promise| promise.verdict == Verdict::Broken).collect();
    let names: Vec<_> = broken.iter().map(|promise| promise.promised).collect();
    if names.is_empty() { "kept".to_owned() } else { format!("**broken**: {}", names.join(", ")) }
}

fn assumed(out: &mut String, pages: &Pages) {
    out.push_str(
        "## If the assumptions are wrong\n\n| what is assumed | soft: promises kept | tokens | hard: promises kept | tokens | off |\n\
         |---|---:|---:|---:|---:|---|\n",
    );
    let kept = |seen: &Seen| format!("{} of {}", seen.kept.0, seen.kept.1);
    let gains = |seen: &Seen| {
        let least = seen.gains.iter().copied().fold(f64::INFINITY, f64::min);
        let most = seen.gains.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{:+.1} to {:+.1} %", 100.0 * least, 100.0 * most)
    };
    for Varied { what, seen: [soft, hard] } in &pages.assumed {
        let _ = writeln!(
            out,
            "| {what} | {} | {} | {} | {} | {} → {} |",
            kept(soft),
            gains(soft),
            kept(hard),
            gains(hard),
            hard.off.0,
            hard.off.1
        );
    }
    out.push('\n');
}

fn promises(out: &mut String, pages: &Pages, regime: Regime) {
    out.push_str("| card | case | load | promised | seen | |\n|---|---|---|---|---|---|\n");
    for (trial, pair) in pages.trials.iter().filter(|(trial, _)| trial.regime == regime) {
        for promise in judge(regime, pair) {
            let kept = if promise.verdict == Verdict::Kept { "kept" } else { "**broken**" };
            let (card, load) = (name(trial), trial.arrivals.name());
            let _ = writeln!(
                out,
                "| {card} | {} | {load} | {} | {} | {kept} |",
                trial.place, promise.promised, promise.seen
            );
        }
    }
    out.push('\n');
}

fn figures(out: &mut String, pages: &Pages, regime: Regime) {
    out.push_str(
        "| card, case, load | governed | tokens/h, thousands | of them background | p50 | p99 | p99 to the first token | unanswered \
         | background waits | tokens/J | busy | MHz | hottest | driver slow | hardware slow | off |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for (trial, pair) in pages.trials.iter().filter(|(trial, _)| trial.regime == regime) {
        for (tally, governed) in [(&pair.without, "no"), (&pair.with, "yes")] {
            let hours = tally.seconds / 3600.0;
            let part = |slow: f64| format!("{:.0} %", 100.0 * slow / tally.seconds);
            let _ = writeln!(
                out,
                "| {}, {}, {} | {governed} | {:.0} | {:.0} | {} | {} | {} | {:.0}/h | {}, {} | {:.3} | {:.0} % | {:.0} | {:.1} °C | {} | {} | {} |",
                name(trial),
                trial.place,
                trial.arrivals.name(),
                tally.an_hour() / 1e3,
                tally.tokens[1] / hours / 1e3,
                seconds(tally.median()),
                seconds(tally.last()),
                seconds(tally.first()),
                f64::from(tally.unanswered) / hours,
                seconds(tally.behind(50)),
                seconds(tally.behind(99)),
                tally.a_joule(),
                100.0 * tally.utilisation(),
                tally.mhz(),
                tally.hottest,
                part(tally.slow[0]),
                part(tally.slow[1]),
                tally.shutdowns,
            );
        }
    }
    out.push('\n');
}

fn of_levels(out: &mut String, trial: &Trial, levels: &[Level]) {
    let _ = writeln!(
        out,
        "## 1 to 32 requests at once: {}, {} ({})\n",
        name(trial),
        trial.place,
        trial.regime.name().to_lowercase()
    );
    out.push_str(
        "Half of the places are for interactive requests, and of each class half as many more ask as there are places.\n\n\
         | places | tokens/J | governed | tokens/h, thousands | governed | utilisation | governed | p99 | governed |\n\
         |---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for Level { places, pair: Pair { without, with } } in levels {
        let _ = writeln!(
            out,
            "| {places} | {:.3} | {:.3} | {:.0} | {:.0} | {:.0} % | {:.0} % | {} | {} |",
            without.a_joule(),
            with.a_joule(),
            without.an_hour() / 1e3,
            with.an_hour() / 1e3,
            100.0 * without.utilisation(),
            100.0 * with.utilisation(),
            seconds(without.last()),
            seconds(with.last()),
        );
    }
    out.push('\n');
}
