//! Whether a client can tell by its clock how near to a key it has guessed: the right id with a secret whose first digit is right,
//! against one that is wrong throughout, over one connection that is kept. (What a key costs in the daemon itself, and whether
//! right and wrong ones can be told apart there, `cargo bench -p ghostllm --bench verify` prints.)
//!
//! Knows the daemon from outside. Invariant: the two take turns in an order by chance, and beside them stands what two equal
//! classes differ by, which is what this machine cannot tell.
#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "figures are printed; a key has its length"
)]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    daemon::{Daemon, Setup},
    kept::{Dialer, Place, Version},
};
use http::HeaderValue;

/// Requests of both classes together (R8 and F-40 of the research on security).
const REQUESTS: usize = 20_000;
/// The medians may be so far apart (R8).
const PROMISED: f64 = 1.0;
/// Beyond this times as much it fails, whatever else the machine does.
const BEYOND: f64 = 10.0;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Where the secret stands in a key.
const SECRET: std::ops::Range<usize> = 13..56;

/// The key with every digit of its secret another one but the first `kept`, and the checksum that fits.
fn near(key: &str, kept: usize) -> String {
    let other = |(at, digit): (usize, u8)| {
        let place = ALPHABET.iter().position(|known| *known == digit).unwrap_or(0);
        char::from(if at < kept { digit } else { ALPHABET[(place + 1 + at % 60) % 62] })
    };
    let mut text = key[..SECRET.start].to_owned();
    text.extend(key[SECRET].bytes().enumerate().map(other));
    let fold = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    let mut sum = !text.bytes().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(byte), fold));
    let mut digits = ['0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = char::from(ALPHABET[(sum % 62) as usize]);
        sum /= 62;
    }
    text.extend(digits);
    text
}

/// Microseconds, of the sample in the middle.
fn median(samples: &mut [Duration]) -> f64 {
    samples.sort_unstable();
    samples[samples.len() / 2].as_secs_f64() * 1e6
}

#[tokio::main]
async fn main() -> Result<()> {
    let daemon = Daemon::start(&Setup::backend("ollama", "http://127.0.0.1:1")).await?;
    let key = daemon.key.clone().context("no key")?;
    let address = ([127, 0, 0, 1], daemon.tls).into();
    let place = Place { version: Version::H1, address, ca: daemon.state("ca/ca.pem"), key: None };
    let dialer = Dialer::new(&place)?;
    let sender = dialer.dial().await?;
    // The third is the second once more.
    let classes = [near(&key, 1), near(&key, 0), near(&key, 0)];
    let values: Vec<HeaderValue> = classes
        .iter()
        .map(|key| Ok(HeaderValue::from_str(&format!("Bearer {key}"))?))
        .collect::<Result<_>>()?;
    let mut samples = vec![Vec::new(); values.len()];
    let (mut state, mut refused, mut throttled) = (0x9E37_79B9_7F4A_7C15_u64, 0, 0);
    for _ in 0..REQUESTS * 3 / 2 {
        // xorshift64 (Marsaglia).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let class = usize::try_from(state % 3)?;
        let request = dialer.get("/v1/models", ("authorization", values[class].clone()))?;
        let begun = Instant::now();
        let (head, mut body) = sender.heard(request).await?;
        body.finish().await?;
        samples[class].push(begun.elapsed());
        match head.status.as_u16() {
            401 => refused += 1,
            429 => throttled += 1,
            status => anyhow::bail!("{status} for a wrong key"),
        }
    }
    daemon.stop().await?;
    let medians: Vec<f64> = samples.iter_mut().map(|samples| median(samples)).collect();
    let (apart, noise) = (medians[0] - medians[1], medians[2] - medians[1]);
    println!(
        "{REQUESTS} requests on one connection, {refused} refused and {throttled} throttled with those of the third class: median \
         {:.2} µs with the secret's first digit right, {:.2} µs with none, {apart:+.2} apart; promised {PROMISED}; two equal classes \
         are {noise:+.2} apart",
        medians[0], medians[1]
    );
    ensure!(apart.abs() < PROMISED * BEYOND, "more than {BEYOND} times of what is promised");
    Ok(())
}
