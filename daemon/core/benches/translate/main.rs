//! What it costs to say a request and an answer's events in another language, and how much is allocated for it.
//!
//! Knows the dialects' doors alone. Refuses to know sockets: what those cost is the load bench's question. Costs are beside
//! what cannot be saved, the same bytes passed on as they came, and for a request beside one look at each of its bytes.
//! Invariant: nothing is measured alone; what is compared takes turns, in the same run, on the same bytes, and what comes
//! out was looked at before. Turns are short and many, so that on a machine that others use as well some have the processor
//! to themselves: the promise is held to the quickest fifth, and the median beside it says how far from quiet it was.
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock, which the core itself does not")]
#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench: figures are printed, and a panic is a failed bench"
)]

mod events;
mod requests;

use std::{alloc::System, time::Instant};

use anyhow::{Result, ensure};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Turns that each kind takes, one after the other.
const TURNS: usize = 2_001;

/// One way of doing the work.
struct Way {
    /// What it is, in words.
    words: &'static str,
    /// What it may cost, in nanoseconds a piece (issue 8); none where it is there to be compared with.
    promised: Option<f64>,
    /// Does it so many times; gives back how many bytes came out.
    work: Box<dyn FnMut(usize) -> Result<usize>>,
}

/// What a way costs, a piece.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Nanoseconds: a fifth of the turns were as quick.
    ns: f64,
    /// The median turn's.
    median: f64,
    allocations: f64,
    /// Bytes allocated.
    bytes: f64,
}

/// Measures each way, by turns of so many pieces.
fn costs(ways: &mut [Way], pieces: usize) -> Result<Vec<Cost>> {
    let mut times = vec![Vec::with_capacity(TURNS); ways.len()];
    let mut costs = Vec::with_capacity(ways.len());
    for way in &mut *ways {
        let region = Region::new(ALLOCATOR);
        ensure!((way.work)(pieces)? > 0, "{}: nothing came out", way.words);
        let change = region.change();
        let a_piece = |count: usize| count as f64 / pieces as f64;
        let (allocations, bytes) =
            (a_piece(change.allocations + change.reallocations), a_piece(change.bytes_allocated));
        costs.push(Cost { ns: 0.0, median: 0.0, allocations, bytes });
    }
    for _ in 0..TURNS {
        for (way, times) in ways.iter_mut().zip(&mut times) {
            // What the way before has left in the caches is not this one's.
            (way.work)(1)?;
            let begun = Instant::now();
            (way.work)(pieces)?;
            times.push(begun.elapsed().as_nanos() as f64 / pieces as f64);
        }
    }
    for (cost, times) in costs.iter_mut().zip(&mut times) {
        times.sort_unstable_by(f64::total_cmp);
        (cost.ns, cost.median) = (times[TURNS / 5], times[TURNS / 2]);
    }
    Ok(costs)
}

/// Prints them; the first way is the one that the others are compared with. Whether all promises are kept.
fn told(what: &str, ways: &[Way], costs: &[Cost]) -> bool {
    println!(
        "{what:44} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9}",
        "ns", "median", "ratio", "allocs", "bytes", "promised"
    );
    let mut kept = true;
    for (way, cost) in ways.iter().zip(costs) {
        let Cost { ns, median, allocations, bytes } = cost;
        let promised = way.promised.map_or_else(String::new, |most| format!("{most:.0}"));
        let missed = way.promised.is_some_and(|most| *ns > most);
        let mark = if missed { "  missed" } else { "" };
        let ratio = ns / costs[0].ns;
        println!(
            "{:44} {ns:8.0} {median:8.0} {ratio:8.1} {allocations:8.1} {bytes:8.0} {promised:>9}{mark}",
            way.words
        );
        kept &= !missed;
    }
    println!();
    kept
}

fn main() -> Result<()> {
    let (mut events, mut requests) = (events::ways()?, requests::ways()?);
    let (of_events, of_requests) =
        (costs(&mut events, events::PIECES)?, costs(&mut requests, requests::PIECES)?);
    let kept = told("an event of a stream", &events, &of_events)
        & told("a request of 4 kB", &requests, &of_requests);
    ensure!(kept, "more than is promised");
    Ok(())
}
