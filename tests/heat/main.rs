//! `heat-claim`: the claim's figures, what was promised and what was seen. `--quick` for a third of the hours and without the rest;
//! `--write=FILE` renews that page, all above the words that a person has written.
#![expect(clippy::print_stdout, reason = "figures are printed")]

use std::{fs, io};

use ghostllm_core::heat::{ByClass, Policy};
use ghostllm_heat_claim::{
    claim::{FEW, MOST, Pages, Pair, Regime, Trial, assumed, levels, report, trials},
    foretold,
};

/// Where a person's words begin on the page.
const WORDS: &str = "## What the figures say";
const HEAD: &str = "# The claim in figures\n\n\
    Written by `just heat-claim`, which simulates again and renews this page: the core's judge, predictor and governor beside simulated \
    cards, an hour each for three seeds, with the same arrivals as without, behind the core's own admission with and without (16 \
    interactive and 8 background requests at once where nothing else is said). The cards and their sources: `sim/cards.rs`. p50, p99, \
    p99 to the first token and *unanswered* are of interactive requests, those that somebody waits for; *background waits* is the median \
    and the 99th percentile of what the others wait for their first token. *Never*: more than one request in a hundred (of a median: \
    more than half) was not answered.\n\n";

fn main() -> io::Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let page = format!("{}{}", report(&pages(quick)), foretold::report());
    println!("{page}");
    if let Some(path) =
        std::env::args().find_map(|argument| argument.strip_prefix("--write=").map(str::to_owned))
    {
        let before = fs::read_to_string(&path).unwrap_or_default();
        let words = before.find(WORDS).and_then(|at| before.get(at..)).unwrap_or(WORDS);
        fs::write(path, format!("{HEAD}{page}{words}"))?;
    }
    Ok(())
}

fn pages(quick: bool) -> Pages {
    let seeds = if quick { 1 } else { 3 };
    let policy = Policy::new(MOST);
    let mut pages = Pages::default();
    for trial in trials() {
        let pair = Pair::of(&trial, policy, seeds, 3600.0);
        if let Some(capped) = trial.capped() {
            pages.capped.push((capped, pair.with_cap(&capped, seeds, 3600.0)));
        }
        pages.trials.push((trial, pair));
    }
    if quick {
        return pages;
    }
    for trial in trials().into_iter().filter(|trial| trial.regime != Regime::None) {
        let trial = Trial { most: FEW, ..trial };
        pages.few.push((trial, Pair::of(&trial, Policy::new(FEW), seeds, 3600.0)));
    }
    // One card of each regime: the load is the levels' own.
    for regime in Regime::ALL {
        if let Some(trial) = trials().into_iter().find(|trial| trial.regime == regime) {
            pages.levels.push((trial, levels(&trial, |most: ByClass<u32>| Policy::new(most), 1200.0)));
        }
    }
    pages.assumed = assumed(policy, 3600.0);
    pages
}
