//! A QUIC stream of which every second byte comes, each in a frame of its own, and never the first (RUSTSEC-2026-0185): what is
//! kept until the gaps are filled should be the bytes, and not the packets that they came in, and not without an end. Judged by
//! memory, and by the connection's end.

use anyhow::{Result, ensure};
use ghostllm_tests::client::Version;
use serde_json::json;

use crate::support::{Place, mib, python};

/// Frames of one byte; in packets of their own they would be some 25 MB.
const FRAGMENTS: u64 = 20_000;
/// Memory may grow by so much (R21 of the research on security).
const GROWTH: u64 = 8 << 20;

#[tokio::test]
async fn ends_a_stream_full_of_gaps() -> Result<()> {
    // Or a head that never begins might be given up first.
    let place = Place::new("header_read = \"1h\"\nhandshake = \"1h\"").await?;
    let caller = place.caller(Version::H3).await?;
    let ca = tempfile::NamedTempFile::new()?;
    std::fs::write(ca.path(), caller.ca())?;
    let order = json!({
        "host": "127.0.0.1", "port": caller.address().port(), "ca": ca.path(), "fragments": FRAGMENTS,
    });
    let came = python::run("gaps.py", &order).await?;
    let growth = place.growth()?;
    println!("{came}; memory grew by {}", mib(growth));
    // INTERNAL_ERROR is what quinn calls it when it has enough.
    ensure!(came["closed"]["code"] == 1, "it goes on: {came}");
    ensure!(growth <= GROWTH, "memory grew by {}", mib(growth));
    place.end().await
}
