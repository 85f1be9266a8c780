//! `ghostctl gpu --watch`: the cards on the whole terminal, drawn anew each second.
//!
//! Knows the terminal, its keys, and when the daemon is asked. Refuses to know what is drawn where ([`view`]). Invariant: however it ends, by
//! a key, a signal, an error or a panic, the terminal is as it was before.

mod card;
mod grid;
mod trail;
mod view;

#[cfg(test)]
mod tests;

use std::{io, pin::pin, thread, time::Duration};

use ghostllm_core::{
    admin::{GpuHistory, GpuReport, GpuSpan},
    routes::Admin,
};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::sleep,
};

use super::history;
use crate::{
    arguments::Context,
    client::{Client, Question},
    exit::{Exit, Failure},
    output::{self, Screen},
};
use view::Watched;

/// How often the daemon is asked and the screen is drawn.
const BETWEEN: Duration = Duration::from_secs(1);
/// How long a key may wait for the end of the thread that reads it.
const KEYS: Duration = Duration::from_millis(250);

/// What the daemon has said, or not.
enum News {
    Report(Box<GpuReport>),
    History(GpuHistory),
    Failed(Failure),
}

/// What a person, or the system, wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// The end.
    End(Exit),
    /// So many cards further down.
    Move(isize),
    /// Nothing but a screen that fits.
    Draw,
}

pub(super) async fn run(context: &Context) -> Result<Exit, Failure> {
    if context.json {
        return lines(context).await;
    }
    if !context.screen.can_draw() {
        let message = "--watch draws on a terminal, and standard output is none that it can draw on";
        return Err(Failure::new(Exit::Usage, message)
            .next("ghostctl gpu --watch --json, a line each second, or ghostctl gpu once"));
    }
    let signals = Signals::new().map_err(|error| failed("the system gives no signals", &error))?;
    let mut terminal = Restored::begin()?;
    let (give, mut take) = mpsc::channel(4);
    let asking = pin!(ask(&context.client, give));
    let showing = pin!(show(&mut terminal.0, &context.screen, &mut take, signals));
    tokio::select! {
        biased;
        ended = showing => ended,
        () = asking => Ok(Exit::Well),
    }
}

/// For programs: an answer, or a failure, each second.
async fn lines(context: &Context) -> Result<Exit, Failure> {
    let asked = async {
        loop {
            match context.client.ask::<GpuReport>(&Question::new(Admin::Gpu)).await {
                Ok(answer) => output::line(&answer.json)?,
                Err(failure) => failure.tell_json(),
            }
            sleep(BETWEEN).await;
        }
    };
    tokio::select! {
        biased;
        _pressed = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
        ended = asked => ended,
    }
}

/// Asks again and again. A card's history is asked for once, when it is first seen, and again after the daemon was away.
async fn ask(client: &Client, give: mpsc::Sender<News>) {
    let mut known = Vec::new();
    loop {
        let answer = client.ask::<GpuReport>(&Question::new(Admin::Gpu)).await;
        let (news, cards) = match answer {
            Ok(answer) => {
                let cards = answer.what.cards.iter().map(|card| card.index).collect();
                (News::Report(Box::new(answer.what)), cards)
            }
            Err(failure) => {
                known.clear();
                (News::Failed(failure), Vec::new())
            }
        };
        // Whoever takes them has ended the program where they go nowhere.
        let _taken = give.send(news).await;
        for card in cards {
            if known.contains(&card) {
                continue;
            }
            // Without it the line begins now.
            if let Ok(answer) = client.ask::<GpuHistory>(&history::question(card, GpuSpan::TenMinutes)).await
            {
                known.push(card);
                let _taken = give.send(News::History(answer.what)).await;
            }
        }
        sleep(BETWEEN).await;
    }
}

async fn show(
    terminal: &mut DefaultTerminal,
    screen: &Screen,
    news: &mut mpsc::Receiver<News>,
    mut signals: Signals,
) -> Result<Exit, Failure> {
    let mut wishes = keys();
    let mut watched = Watched::new(screen.coloured());
    loop {
        watched.now = screen.now();
        terminal
            .draw(|frame| view::draw(frame, &mut watched))
            .map_err(|error| failed("the terminal cannot be drawn on", &error))?;
        let wish = tokio::select! {
            biased;
            ended = signals.ended() => Wish::End(ended),
            Some(wish) = wishes.recv() => wish,
            Some(news) = news.recv() => {
                match news {
                    News::Report(report) => watched.told(*report),
                    News::History(history) => watched.remembered(&history),
                    News::Failed(failure) => watched.failed(&failure),
                }
                Wish::Draw
            }
            () = sleep(BETWEEN) => Wish::Draw,
        };
        match wish {
            Wish::End(exit) => return Ok(exit),
            Wish::Move(by) => watched.move_by(by),
            Wish::Draw => {}
        }
    }
}

/// Keys are read on a thread of their own, since nothing tells when there is one; it ends with the program.
fn keys() -> mpsc::Receiver<Wish> {
    let (give, take) = mpsc::channel(16);
    thread::spawn(move || {
        while !give.is_closed() {
            let wish = match event::poll(KEYS).and_then(|there| there.then(event::read).transpose()) {
                Ok(event) => event.as_ref().and_then(wish),
                // Without keys there is no way out.
                Err(_) => Some(Wish::End(Exit::Failed)),
            };
            if wish.is_some_and(|wish| give.blocking_send(wish).is_err() || matches!(wish, Wish::End(_))) {
                return;
            }
        }
    });
    take
}

fn wish(event: &Event) -> Option<Wish> {
    match event {
        Event::Resize(..) => Some(Wish::Draw),
        Event::Key(key) if key.kind != KeyEventKind::Release => pressed(*key),
        _ => None,
    }
}

fn pressed(key: KeyEvent) -> Option<Wish> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if control => Some(Wish::End(Exit::Interrupted)),
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => Some(Wish::End(Exit::Well)),
        KeyCode::Down | KeyCode::Char('j') => Some(Wish::Move(1)),
        KeyCode::Up | KeyCode::Char('k') => Some(Wish::Move(-1)),
        KeyCode::PageDown => Some(Wish::Move(8)),
        KeyCode::PageUp => Some(Wish::Move(-8)),
        _ => None,
    }
}

/// A terminal that is as it was when this is dropped. ratatui's own hook does the same at a panic, before its words are written.
struct Restored(DefaultTerminal);

impl Restored {
    fn begin() -> Result<Self, Failure> {
        // What has begun halfway is taken back as well.
        ratatui::try_init().map(Self).map_err(|error| {
            let _restored = ratatui::try_restore();
            failed("the terminal cannot be drawn on", &error)
        })
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        let _shown = self.0.show_cursor();
        // A terminal that has gone needs nothing.
        let _restored = ratatui::try_restore();
    }
}

/// What the system ends a program with.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn ended(&mut self) -> Exit {
        tokio::select! {
            _caught = self.interrupt.recv() => Exit::Interrupted,
            _caught = self.terminate.recv() => Exit::Interrupted,
            _caught = self.hangup.recv() => Exit::Interrupted,
        }
    }
}

fn failed(what: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{what}: {error}")).next("ghostctl gpu, without --watch")
}
