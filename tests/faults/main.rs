//! Engines that misbehave, one sin a file: what the client sees on each HTTP version, streaming and not, before either wire.
//!
//! Knows the doubles and what an honest failure looks like. Refuses to know the daemon's code. Invariant: nothing is ever
//! cut in silence: an answer is whole, or an error with its status, or a stream whose last event is the error.
#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "figures are printed; a missing key is null"
)]

mod closes_on_reuse;
mod dies_by_fin;
mod dies_by_rst;
mod ends_without_done;
mod errs_after_tokens;
mod hangs;
mod is_busy;
mod lies_about_its_length;
mod lies_about_its_type;
mod refuses;
mod repeats_its_headers;
mod restarts_under_streams;
mod sends_a_huge_head;
mod sends_a_page;
mod sends_an_endless_chunk_size;
mod sends_an_endless_line;
mod sends_blank_lines;
mod sends_broken_json;
mod sends_early_heads;
mod sends_garbage;
mod sends_gzip;
mod sends_half_a_character;
mod sends_invalid_utf8;
mod stalls;
mod takes_no_connection;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Answer, Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    expect::{FRANCE, check_error, check_failed, check_whole},
    ollama::Ollama,
    openai::{OpenAi, Style},
    script::Sin,
    sse::Chat,
};

/// The wire that the engine speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Ollama's own.
    Ollama,
    /// OpenAI's, as llama.cpp's server speaks it.
    OpenAi,
}

/// What the client is told: the status, where none has been sent; the code; words of the message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told(pub(crate) u16, pub(crate) &'static str, pub(crate) &'static str);

pub(crate) const UNREACHABLE: Told = Told(503, "backend_unavailable", "cannot be reached now");
pub(crate) const SILENT: Told = Told(504, "backend_timeout", "took the request and did not answer in time");
pub(crate) const STOPPED: Told = Told(504, "backend_timeout", "stopped in the middle of its answer");
pub(crate) const DIED: Told = Told(502, "backend_error", "broke off before its answer was complete");
pub(crate) const ENDED_EARLY: Told = Told(502, "backend_error", "ended its answer before it was complete");
pub(crate) const NONSENSE: Told = Told(502, "backend_error", "answered something that cannot be understood");
pub(crate) const LONG_ANSWER: Told =
    Told(502, "backend_error", "sent more than 33554432 bytes where that is the limit");

/// Where a sin is suffered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) wire: Wire,
    pub(crate) version: Version,
}

/// A sinning engine, a daemon before it, and a caller.
pub(crate) struct Case {
    pub(crate) double: Double,
    pub(crate) daemon: Daemon,
    caller: Caller,
    wire: Wire,
}

impl Cell {
    /// The case, with lines of `[limits]` and of the backend's table.
    pub(crate) async fn with(self, sin: Sin, limits: &str, backend: &str) -> Result<Case> {
        let (double, kind) = match self.wire {
            Wire::Ollama => (Double::start(Ollama::default()).await, "ollama"),
            Wire::OpenAi => (Double::start(OpenAi::new(Style::Llama, "tiny")).await, "openai"),
        };
        let setup = Setup::default().with_backend("box", kind, &double.url(), backend).with_limits(limits);
        let daemon = Daemon::start(&setup).await?;
        let caller = Caller::new(&daemon, self.version, Family::V4).await?;
        double.misbehave("tiny", sin);
        Ok(Case { double, daemon, caller, wire: self.wire })
    }

    pub(crate) async fn case(self, sin: Sin) -> Result<Case> {
        self.with(sin, "", "").await
    }

    /// The engine ends the connection by this sin once it has the request.
    pub(crate) async fn dies_before_the_headers(self, sin: Sin) -> Result<()> {
        let case = self.case(sin).await?;
        for stream in [false, true] {
            let before = case.double.seen_at(case.path()).len();
            case.refused(stream, DIED).await?;
            // Once more only where the connection had rested, and may have been dead before the request.
            let asked = case.double.seen_at(case.path()).len() - before;
            ensure!((1..=2).contains(&asked), "the engine was asked {asked} times");
        }
        case.recovers().await
    }

    /// So many pieces of the engine's stream that hold this many tokens: llama.cpp's first piece holds only the role.
    pub(crate) fn pieces(self, tokens: usize) -> usize {
        if self.wire == Wire::OpenAi && tokens > 0 { tokens + 1 } else { tokens }
    }
}

impl Case {
    /// The path at which the engine is asked for an answer.
    pub(crate) fn path(&self) -> &'static str {
        match self.wire {
            Wire::Ollama => "/api/chat",
            Wire::OpenAi => "/v1/chat/completions",
        }
    }

    pub(crate) async fn ask(&self, stream: bool) -> Result<Answer> {
        self.caller.send(&Request::chat("tiny", FRANCE, stream)).await
    }

    /// The daemon's memory has grown by less than this since its peak was `before`, once the engine has been left.
    pub(crate) async fn costs_little(&self, before: u64, most: u64, what: &str) -> Result<()> {
        self.double.wait_left(self.path()).await;
        let growth = self.daemon.peak_memory()?.saturating_sub(before);
        println!("{what}: the peak of the daemon's memory grew by {} KiB", growth >> 10);
        ensure!(growth < most, "the daemon grew by {growth} bytes, where {most} are the most");
        Ok(())
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The client is refused.
    pub(crate) async fn refused(&self, stream: bool, told: Told) -> Result<Answer> {
        let answer = self.ask(stream).await?;
        check_refused(&answer, told).with_context(|| format!("stream {stream}"))?;
        Ok(answer)
    }

    /// A stream breaks behind some text.
    pub(crate) async fn breaks(&self, told: Told) -> Result<()> {
        let answer = self.ask(true).await?;
        check_broken(self.caller.version(), &answer, "The capital", told)
    }

    /// A stream breaks behind some text, and a whole answer is refused.
    pub(crate) async fn broken(&self, told: Told) -> Result<()> {
        self.breaks(told).await?;
        self.refused(false, told).await?;
        Ok(())
    }

    /// Once the engine behaves again, so does everything.
    pub(crate) async fn recovers(self) -> Result<()> {
        self.double.behave("tiny");
        for stream in [false, true] {
            check_whole(&self.ask(stream).await?, stream).context("after the fault")?;
        }
        self.daemon.stop().await
    }
}

/// Checks an answer that is an error, down to its words.
pub(crate) fn check_refused(answer: &Answer, told: Told) -> Result<()> {
    let message = check_error(answer, told.0, Some(told.1))?;
    ensure!(message.contains(told.2), "{:?} is not said: {message}", told.2);
    Ok(())
}

/// Checks a stream that broke behind this text, down to the error's words.
pub(crate) fn check_broken(version: Version, answer: &Answer, said: &str, told: Told) -> Result<()> {
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    check_failed(version, &answer.body, &answer.end, said, told.1)?;
    let chat = Chat::read(&answer.body)?;
    let message = chat.error().and_then(|error| error["message"].as_str()).unwrap_or_default();
    ensure!(message.contains(told.2), "{:?} is not said: {message}", told.2);
    Ok(())
}

/// One test for each wire and HTTP version out of functions that take a [`Cell`].
macro_rules! in_every_cell {
    ($($test:ident),+ $(,)?) => {
        mod ollama { $crate::in_every_cell!(@ Ollama h1 H1 h2 H2 h3 H3 ; $($test)+); }
        mod openai { $crate::in_every_cell!(@ OpenAi h1 H1 h2 H2 h3 H3 ; $($test)+); }
    };
    (@ $wire:ident $one:ident $One:ident $two:ident $Two:ident $three:ident $Three:ident ; $($test:ident)+) => {
        mod $one { $crate::in_every_cell!(% $wire $One $($test)+); }
        mod $two { $crate::in_every_cell!(% $wire $Two $($test)+); }
        mod $three { $crate::in_every_cell!(% $wire $Three $($test)+); }
    };
    (% $wire:ident $version:ident $($test:ident)+) => {
        $(
            #[tokio::test]
            async fn $test() -> anyhow::Result<()> {
                let version = ghostllm_tests::client::Version::$version;
                super::super::$test($crate::Cell { wire: $crate::Wire::$wire, version }).await
            }
        )+
    };
}
pub(crate) use in_every_cell;
