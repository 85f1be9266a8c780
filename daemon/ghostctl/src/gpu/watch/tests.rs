//! Whole screens, as they stand in `tests/screens`. `GHOSTCTL_RENEW=1 cargo test -p ghostctl` writes them anew.

use std::{env, fs, path::PathBuf};

use ghostllm_core::admin::{
    GpuHistory, GpuInstance, GpuMissingCause, GpuReading, GpuReport, GpuSpan, GpuState,
};
use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Cell,
    crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers},
    style::Color,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Wish,
    view::{self, Watched},
    wish,
};
use crate::{
    exit::{Exit, Failure},
    gpu::sample::{AT, card, hot, lost, missing, point, processor, radeon, refusing, report, warm},
};

fn now(later: i64) -> OffsetDateTime {
    OffsetDateTime::parse(AT, &Rfc3339).unwrap() + time::Duration::seconds(later)
}

/// Ten minutes in which it gets warmer up to what it is now, with a pause.
fn history(index: u32, until: f64) -> GpuHistory {
    let reading = |second: u32| {
        let at = now(0) - time::Duration::seconds(i64::from(600 - second));
        let celsius = until - 20.0 * (-f64::from(second) / 150.0).exp();
        point(at.format(&Rfc3339).unwrap(), Some(celsius))
    };
    let points = (0..600).filter(|second| !(200..260).contains(second)).map(reading).collect();
    GpuHistory { version: 1, card: index, span: GpuSpan::TenMinutes, points }
}

fn watched(report: GpuReport) -> Watched {
    let mut watched = Watched::new(false);
    watched.now = now(0);
    for card in &report.cards {
        if let Some(celsius) = card.gpu.celsius.value() {
            watched.remembered(&history(card.index, *celsius));
        }
    }
    watched.told(report);
    watched
}

fn screen(watched: &mut Watched, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, watched)).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(usize::from(width));
    rows.map(|row| row.iter().map(Cell::symbol).collect::<String>().trim_end().to_owned() + "\n").collect()
}

/// The screen is the kept one.
fn kept(name: &str, drawn: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/screens").join(format!("{name}.txt"));
    if env::var_os("GHOSTCTL_RENEW").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, drawn).unwrap();
    }
    let wanted = fs::read_to_string(&file).unwrap_or_default();
    assert!(drawn == wanted, "{name} is another; GHOSTCTL_RENEW=1 renews it:\n{drawn}");
}

fn eight() -> GpuReport {
    let mut cards: Vec<_> = (0..8).map(card).collect();
    cards[3] = hot(3);
    cards[6] = lost(6);
    report(cards)
}

#[test]
fn two_cards_that_are_well() {
    kept("two-cards-80x24", &screen(&mut watched(report(vec![card(0), warm(1)])), 80, 24));
}

#[test]
fn one_card_on_a_wide_screen() {
    kept("one-card-120x30", &screen(&mut watched(report(vec![card(0)])), 120, 30));
}

#[test]
fn eight_cards_of_which_one_is_hot_and_one_lost() {
    kept("eight-cards-80x24", &screen(&mut watched(eight()), 80, 24));
    kept("eight-cards-160x50", &screen(&mut watched(eight()), 160, 50));
}

#[test]
fn a_hot_card_for_whose_sake_requests_are_refused() {
    kept("refusing-80x24", &screen(&mut watched(refusing()), 80, 24));
}

#[test]
fn the_place_that_is_nearest_to_its_limit_is_drawn_and_named() {
    let drawn = screen(&mut watched(report(vec![radeon(0)])), 80, 24);
    let line =
        |begins: &str| drawn.lines().find(|line| line.starts_with(begins)).unwrap_or_default().to_owned();
    assert!(line("│hotspot   111 °C █").contains("█ slower at 110 °C"), "{drawn}");
    assert!(drawn.contains("10 min, hotspot: 111 to 111 °C") && !drawn.contains("53 °C"), "{drawn}");
    let small = screen(&mut watched(report((0..8).map(radeon).collect())), 80, 24);
    assert!(small.contains("│ 111 °C ███"), "{small}");
}

#[test]
fn a_card_that_fell_silent_has_a_gap_and_no_reading_of_now() {
    let mut silent = card(0);
    (silent.state, silent.age_s, silent.late_s) = (GpuState::Stale, Some(140.0), Some(138.0));
    let mut watched = Watched::new(false);
    watched.now = now(0);
    // What was read before it fell silent.
    let mut before = history(0, 61.0);
    before.points.truncate(400);
    watched.remembered(&before);
    watched.told(report(vec![silent]));
    let drawn = screen(&mut watched, 80, 24);
    assert!(drawn.contains("no answer for 138 s"), "{drawn}");
    let is_chart = |line: &&str| line.starts_with('│') && !line.contains(char::is_alphanumeric);
    let chart: Vec<&str> = drawn.lines().filter(is_chart).collect();
    assert!(chart.iter().any(|line| line.contains('█')), "{drawn}");
    assert!(chart.iter().all(|line| line.ends_with("       │")), "nothing was read of late: {drawn}");
}

#[test]
fn a_narrow_screen_has_those_that_wait_as_well() {
    let drawn = screen(&mut watched(eight()), 40, 24);
    let words = drawn.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    assert!(words.contains("8 and 4 may at once; 0 and 0 wait"), "{drawn}");
}

#[test]
fn the_parts_of_a_card_and_memory_that_is_shared_are_in_its_panel() {
    let mut cut = card(0);
    cut.instances.count = GpuReading::Value(2);
    let part =
        |index| GpuInstance { index, total: GpuReading::Value(10 << 30), used: GpuReading::Value(1 << 30) };
    cut.instances.list = vec![part(0), part(1)];
    let drawn = screen(&mut watched(report(vec![cut])), 80, 24);
    let words = drawn.lines().map(|line| line.trim_matches(['│', ' '])).collect::<Vec<_>>().join(" ");
    assert!(words.contains("instances 2: 0 has 1.0 GiB of 10.0 GiB, 1 has 1.0 GiB of 10.0 GiB"), "{drawn}");
    let drawn = screen(&mut watched(report(vec![processor(0)])), 80, 24);
    assert!(drawn.contains("│memory  16.0 GiB ") && drawn.contains(" of 64.0 GiB "), "{drawn}");
    assert!(drawn.contains("its memory is the machine's") && !drawn.contains("│power"), "{drawn}");
}

#[test]
fn no_card_says_why() {
    let mut none = report(Vec::new());
    let words = "no NVIDIA driver is installed (libnvidia-ml.so.1 is not there); without such a card nothing is missing, with one \
                 install its driver (Debian: nvidia-driver) and restart the machine";
    none.missing = vec![missing(GpuMissingCause::NoLibrary, false, words)];
    kept("no-card-80x24", &screen(&mut watched(none), 80, 24));
    let mut mismatch = report(Vec::new());
    let words = "NVIDIA's library and the loaded driver are of different versions, as after an upgrade; restart the machine, or \
                 stop all that uses the cards and load the nvidia modules anew";
    mismatch.missing = vec![missing(GpuMissingCause::VersionMismatch, true, words)];
    kept("driver-mismatch-80x24", &screen(&mut watched(mismatch), 80, 24));
}

#[test]
fn a_daemon_that_goes_away_is_shown_as_such_and_forgotten_when_it_comes_back() {
    let mut watched = watched(report(vec![card(0), card(1)]));
    let well = screen(&mut watched, 80, 24);
    watched.now = now(12);
    let away = "the daemon is not reachable at /run/ghostllm/admin.sock: nobody listens there";
    watched.failed(&Failure::new(Exit::Unreachable, away).next("systemctl start ghostllm"));
    kept("daemon-away-80x24", &screen(&mut watched, 80, 24));
    watched.told(report(vec![card(0), card(1)]));
    assert_eq!(screen(&mut watched, 80, 24), well);

    watched.now = now(16);
    let hangs = screen(&mut watched, 80, 24);
    assert!(hangs.lines().next().unwrap().ends_with("no answer for 4 s; this is older"), "{hangs}");

    let mut never = Watched::new(false);
    assert!(screen(&mut never, 80, 24).contains("The daemon is asked"));
    never.failed(&Failure::new(Exit::Unreachable, away).next("systemctl start ghostllm"));
    let drawn = screen(&mut never, 80, 24);
    assert!(
        drawn.contains("nobody listens there") && drawn.contains("Next: systemctl start ghostllm"),
        "{drawn}"
    );
}

#[test]
fn more_cards_than_lines_are_moved_through() {
    let mut watched = watched(report((0..40).map(card).collect()));
    let first = screen(&mut watched, 80, 24);
    kept("forty-cards-80x24", &first);
    watched.move_by(1);
    let second = screen(&mut watched, 80, 24);
    assert_eq!(first.lines().nth(5), second.lines().nth(4), "{second}");
    watched.move_by(1000);
    let last = screen(&mut watched, 80, 24);
    assert!(last.lines().rev().nth(1).unwrap().starts_with(" 39 "), "{last}");
    watched.move_by(-1000);
    assert_eq!(screen(&mut watched, 80, 24), first);
}

#[test]
fn every_size_is_drawn_and_nothing_of_it_is_obeyed() {
    let mut evil = hot(0);
    evil.name = Some("模型\u{1b}[2J\u{202e}".to_owned());
    let evil = report(vec![evil, lost(1)]);
    for (width, height) in [(1, 1), (2, 3), (10, 4), (20, 8), (39, 12), (80, 24), (81, 25), (300, 100)] {
        for report in [report(Vec::new()), refusing(), eight(), evil.clone()] {
            let mut watched = watched(report);
            watched.failed(&Failure::new(Exit::Unreachable, "away").next("wait"));
            let drawn = screen(&mut watched, width, height);
            assert!(!drawn.contains(['\u{1b}', '\u{202e}']), "{drawn:?}");
        }
    }
}

#[test]
fn without_colours_the_words_are_the_same() {
    let colours = |coloured| {
        let mut watched = Watched::new(coloured);
        watched.now = now(0);
        watched.told(refusing());
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| view::draw(frame, &mut watched)).unwrap();
        let cells = terminal.backend().buffer().content().to_vec();
        let plain = cells.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset);
        let words: String = cells.iter().map(Cell::symbol).collect();
        (plain, words)
    };
    let (bare, words) = colours(false);
    let (dull, coloured) = colours(true);
    assert!(bare && !dull);
    assert_eq!(words, coloured);
}

#[test]
fn keys_end_it_or_move_it() {
    let press = |code, modifiers| wish(&Event::Key(KeyEvent::new(code, modifiers)));
    let none = KeyModifiers::NONE;
    assert_eq!(press(KeyCode::Char('q'), none), Some(Wish::End(Exit::Well)));
    assert_eq!(press(KeyCode::Esc, none), Some(Wish::End(Exit::Well)));
    assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Wish::End(Exit::Interrupted)));
    assert_eq!(press(KeyCode::Char('c'), none), None);
    assert_eq!(press(KeyCode::Down, none), Some(Wish::Move(1)));
    assert_eq!(wish(&Event::Resize(80, 24)), Some(Wish::Draw));
    assert_eq!(wish(&Event::FocusLost), None);
}
