//! `heat-claim`: the claim's figures, promised, seen, and whether it holds.
#![expect(clippy::print_stdout, reason = "figures are printed")]

use ghostllm_core::heat::Policy;
use ghostllm_heat_claim::claim::{MOST, Pages, Pair, levels, report, trials};

fn main() {
    let short = std::env::args().any(|argument| argument == "--quick");
    let (seeds, seconds) = if short { (1, 2400.0) } else { (3, 3600.0) };
    let mut pages = Pages::default();
    for trial in trials() {
        let pair = Pair::of(&trial, Policy::new(MOST), seeds, seconds);
        pages.trials.push((trial, pair));
    }
    for trial in trials().into_iter().step_by(2) {
        if !short {
            pages.levels.push((trial, levels(&trial, Policy::new, 1200.0)));
        }
    }
    println!("{}", report(&pages));
}
