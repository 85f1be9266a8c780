//! The Ollama double as a program, for tests that are not Rust and for trying things by hand.
//!
//! Knows its few arguments: `--listen ADDRESS` and `--fault MODEL=SIN`. Invariant: prints its URL, and only that, once it
//! listens.
#![expect(clippy::print_stdout, reason = "the URL on standard output is how its caller finds it")]

use std::time::Duration;

use anyhow::{Context, Result, bail};
use ghostllm_tests::{double::Double, ollama::Ollama, script::Sin};

#[tokio::main]
async fn main() -> Result<()> {
    let mut listen = String::from("127.0.0.1:0");
    let mut sins = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--help" {
            println!("ollama-double [--listen ADDRESS] [--fault MODEL=SIN]...");
            return Ok(());
        }
        let value = arguments.next().with_context(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--listen" => listen = value,
            "--fault" => {
                let (model, name) =
                    value.split_once('=').context("--fault takes MODEL=SIN, as in tiny=hang")?;
                sins.push((model.to_owned(), sin(name)?));
            }
            other => bail!("{other} is unknown; there are --listen ADDRESS and --fault MODEL=SIN"),
        }
    }
    let double = Double::start_at(&listen, Ollama::default())
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    for (model, sin) in sins {
        double.misbehave(&model, sin);
    }
    println!("{}", double.url());
    std::future::pending().await
}

fn sin(name: &str) -> Result<Sin> {
    Ok(match name {
        "hang" => Sin::HangBeforeHeaders,
        "hang-after-headers" => Sin::HangBeforeFirstByte,
        "stall" => Sin::StallAfter(2),
        "fin" => Sin::FinAfter(2),
        "rst" => Sin::RstAfter(2),
        "garbage" => Sin::Garbage,
        "invalid-utf8" => Sin::InvalidUtf8After(2),
        "endless-line" => Sin::EndlessLineAfter(0),
        "page" => Sin::Page,
        "gzip" => Sin::Gzip,
        "error-line" => {
            Sin::ErrorAfter(2, "an error was encountered while running the model: unexpected EOF".into())
        }
        "no-done" => Sin::EndWithoutDone(2),
        "long-length" => Sin::LongLength,
        "short-length" => Sin::ShortLength,
        "early" => Sin::Early,
        "close-on-reuse" => Sin::CloseOnReuse,
        "slow" => Sin::Slow(Duration::from_millis(200)),
        other => bail!(
            "no sin is named {other}; there are hang, hang-after-headers, stall, fin, rst, garbage, invalid-utf8, \
             endless-line, page, gzip, error-line, no-done, long-length, short-length, early, close-on-reuse, slow"
        ),
    })
}
