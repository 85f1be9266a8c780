//! The log's output, with the lines of requests held for a moment so that many of them go out at once.
//!
//! Knows lines and time. Refuses to know what they say. Invariants: no request waits for whoever reads the log; lines keep
//! their order; any other line goes out at once and takes along what is held; nothing is held for longer than [`FOR`], nor
//! beyond the end of the program.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line may be held: short to a person, long enough for the lines of a busy moment to share one write.
const FOR: Duration = Duration::from_millis(50);
/// More bytes than this are written at once; as much as a pipe holds (pipe(7)).
const MOST: usize = 64 * 1024;
/// Who tells of every request.
const REQUESTS: &str = "ghostllm::pipeline::account";

/// Makes writers for the log's formatter.
#[derive(Debug, Clone)]
pub(super) struct Held(Arc<Shared>);

/// Writes what is held, and ends the thread that does so, when it is dropped.
#[derive(Debug)]
pub(super) struct Writing {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    output: Box<dyn Write + Send>,
    lines: Vec<u8>,
    ended: bool,
}

/// Takes one line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    shared: &'a Shared,
    held: bool,
}

impl Held {
    /// Starts the thread that writes to `output`.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<(Self, Writing)> {
        let state = State { output: Box::new(output), lines: Vec::new(), ended: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("log".into()).spawn(move || of_thread.write_on())?;
        Ok((Self(Arc::clone(&shared)), Writing { shared, thread: Some(thread) }))
    }
}

impl<'a> MakeWriter<'a> for Held {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { shared: &self.0, held: false }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { shared: &self.0, held: meta.target() == REQUESTS && *meta.level() == Level::INFO }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.shared.lock();
        let first = state.lines.is_empty();
        state.lines.extend_from_slice(bytes);
        if !self.held || state.lines.len() > MOST || state.ended {
            state.write();
        } else if first {
            self.shared.changed.notify_one();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until the end: waits for a line, then a moment for more.
    fn write_on(&self) {
        let mut state = self.lock();
        while !state.ended {
            let waits = |state: &mut State| state.lines.is_empty() && !state.ended;
            state = self.changed.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
            let moment = self.changed.wait_timeout_while(state, FOR, |state| !state.ended);
            state = moment.unwrap_or_else(PoisonError::into_inner).0;
            state.write();
        }
        state.write();
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("held", &self.lines.len())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl State {
    fn write(&mut self) {
        // A log that nobody takes must not end what it tells of.
        let _nobody_reads = self.output.write_all(&self.lines);
        self.lines.clear();
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_one();
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers every write by itself.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<String>>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(held: &Held, is_held: bool, text: &str) {
        Line { shared: &held.0, held: is_held }.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn any_other_line_goes_out_at_once_behind_what_was_held() {
        let writes = Writes::default();
        let (held, writing) = Held::start(writes.clone()).unwrap();
        line(&held, true, "a request\n");
        line(&held, false, "a warning\n");
        // The thread may have been quicker than the second line.
        assert_eq!(writes.0.lock().unwrap().concat(), "a request\na warning\n");
        drop(writing);
    }

    #[test]
    fn what_is_held_is_written_at_the_end_and_later_lines_as_they_come() {
        let writes = Writes::default();
        let (held, writing) = Held::start(writes.clone()).unwrap();
        line(&held, true, "a request\n");
        drop(writing);
        assert_eq!(writes.0.lock().unwrap().concat(), "a request\n");
        line(&held, true, "one more\n");
        assert_eq!(writes.0.lock().unwrap().concat(), "a request\none more\n");
    }

    #[test]
    fn a_full_pipe_s_worth_is_not_held() {
        let writes = Writes::default();
        let (held, writing) = Held::start(writes.clone()).unwrap();
        line(&held, true, &"x".repeat(MOST + 1));
        assert_eq!(writes.0.lock().unwrap().concat().len(), MOST + 1);
        drop(writing);
    }

    #[test]
    fn a_line_that_nothing_follows_is_written_all_the_same() {
        let (say, heard) = std::sync::mpsc::channel();
        struct Tells(std::sync::mpsc::Sender<usize>);
        impl Write for Tells {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.send(bytes.len()).unwrap();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (held, writing) = Held::start(Tells(say)).unwrap();
        line(&held, true, "alone\n");
        assert_eq!(heard.recv(), Ok(6));
        drop(writing);
    }
}
