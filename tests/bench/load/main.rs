//! What the daemon costs: requests, events, memory and delay on each HTTP version, beside nginx and haproxy with the same TLS
//! in front of the same engine.
//!
//! `just bench` runs it; `--quick` makes one short round, `--write` renews RESULTS.md and its plot. Knows the daemon from
//! outside. Invariants: client, engine and what is measured are processes of their own; subjects take turns within a round,
//! so that whatever else the machine does meets all alike; what is printed is the median of the rounds.
#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "figures are printed; the tables' places are known"
)]

mod backend;
mod client;
mod clock;
mod cost;
mod legs;
mod memory;
mod order;
mod results;
mod subject;

use std::io::Write as _;

use anyhow::Result;

fn main() -> Result<()> {
    let role = std::env::args().nth(1).unwrap_or_default();
    let mut builder = match role.as_str() {
        "backend" | "client" => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build()?;
    runtime.block_on(async {
        match role.as_str() {
            "backend" => backend::serve().await,
            "client" => client::serve().await,
            _ => legs::drive(&legs::Plan::from_arguments()).await,
        }
    })
}

/// A line for whoever reads this process's standard output.
fn say(line: &impl std::fmt::Display) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}
