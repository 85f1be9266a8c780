//! How far it is, on one line of a terminal.
//!
//! Knows standard error. Refuses to know what is measured. Invariants: what is no terminal gets nothing; the line is gone when the figures
//! are printed.

use std::{io::Write as _, time::Instant};

use super::screen::{Screen, Tone};

/// Columns of the bar.
const BAR: usize = 24;

/// A bar that fills.
pub(super) struct Progress {
    screen: Screen,
    total: usize,
    done: usize,
    begun: Instant,
    drawn: bool,
}

impl Progress {
    /// Of so many requests, on standard error.
    pub(super) fn new(total: usize) -> Self {
        let screen = Screen::of(&std::io::stderr());
        Self { screen, total, done: 0, begun: Instant::now(), drawn: false }
    }

    /// From the beginning again, of so many.
    pub(super) fn again(&mut self, total: usize) {
        (self.total, self.done, self.begun) = (total, 0, Instant::now());
    }

    /// One more is done.
    pub(super) fn one_more(&mut self, what: &str) {
        self.done += 1;
        self.draw(what);
    }

    /// Draws it.
    pub(super) fn draw(&mut self, what: &str) {
        if !self.screen.terminal {
            return;
        }
        let line = line(what, (self.done, self.total), self.begun.elapsed().as_secs(), &self.screen);
        let drawn = format!("\r\x1b[K{line}");
        // Nobody is left to tell where standard error is closed.
        let _told = std::io::stderr().write_all(drawn.as_bytes());
        self.drawn = true;
    }

    /// Takes it away.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _told = std::io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

fn line(what: &str, (done, total): (usize, usize), seconds: u64, screen: &Screen) -> String {
    let whole = total.max(1);
    let eighths = done.min(whole) * BAR * 8 / whole;
    let bar: String = (0..BAR)
        .map(|column| match eighths.saturating_sub(column * 8) {
            0 => screen.either('░', '.'),
            part @ 1..8 => screen.either(PARTS.get(part).copied().unwrap_or('█'), '='),
            _ => screen.either('█', '#'),
        })
        .collect();
    let left =
        u64::try_from(total.saturating_sub(done)).ok().zip(u64::try_from(done).ok().filter(|done| *done > 0));
    let left =
        left.map(|(left, done)| format!(", {} left", clock(seconds * left / done))).unwrap_or_default();
    let tone = if what == "direct" { Tone::Direct } else { Tone::Gateway };
    format!("{what:>9} {} {done}/{total}  {}{left}", screen.toned(&bar, tone), clock(seconds))
}

/// Eighths of a column.
const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

fn clock(seconds: u64) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_and_says_how_long_it_takes_yet() {
        let of = |done, unicode| line("direct", (done, 64), 30, &Screen::of_test(80, unicode));
        assert_eq!(of(0, true), format!("   direct {} 0/64  0:30", "░".repeat(24)));
        assert_eq!(
            of(16, true),
            format!("   direct {}{} 16/64  0:30, 1:30 left", "█".repeat(6), "░".repeat(18))
        );
        assert!(of(17, true).contains("██████▍░"), "{}", of(17, true));
        assert_eq!(of(64, false), format!("   direct {} 64/64  0:30, 0:00 left", "#".repeat(24)));
        assert!((0..=64).all(|done| of(done, false).is_ascii() && of(done, true).chars().count() <= 80));
    }
}
