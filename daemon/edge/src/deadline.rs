//! Deadlines on what a peer makes us wait for: its next request, its request's head, its body, its reading.
//!
//! Knows streams of bytes and clocks. Refuses to know HTTP, beyond whether a request is being served.
//! Invariant: there is no state in which a silent peer is waited for without a limit, except while the
//! handler itself is at work.

mod body;

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep, sleep_until},
};

use crate::{Limits, drain::UNASKED};
pub(crate) use body::Pace;
pub use body::Timed;

/// How often it is looked whether a request has begun, in the moment in which one is about to.
const MOMENT: Duration = Duration::from_millis(5);

/// What a connection is doing: how many requests it serves, and since when that number stands.
#[derive(Debug)]
pub struct Activity {
    serving: AtomicUsize,
    /// Of those that are served, the streams that a drain ends.
    forgoing: AtomicUsize,
    /// When the last of these ended.
    forgone: Mutex<Option<Instant>>,
    served: AtomicUsize,
    /// Of those that are served, the bodies that are read although nobody wants them.
    reading: AtomicUsize,
    /// Whether a body was left that its sender may still send, and whether it is taken behind our end.
    unread: AtomicBool,
    ending: AtomicBool,
    since: Mutex<Instant>,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            serving: AtomicUsize::new(0),
            forgoing: AtomicUsize::new(0),
            forgone: Mutex::new(None),
            served: AtomicUsize::new(0),
            reading: AtomicUsize::new(0),
            unread: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            since: Mutex::new(Instant::now()),
        }
    }
}

/// One request that is being served, until it is dropped.
#[derive(Debug)]
pub struct Serving(Arc<Activity>);

/// A body that is read although nobody wants it, until it is dropped.
#[derive(Debug)]
pub struct Reading(Serving);

/// A response that [ends at a drain](crate::EndsAtDrain), until it is dropped.
#[derive(Debug)]
pub struct Forgoing(Arc<Activity>);

impl Activity {
    /// The response to one of the requests ends at a drain.
    pub fn forgo(self: &Arc<Self>) -> Forgoing {
        self.forgoing.fetch_add(1, Relaxed);
        Forgoing(Arc::clone(self))
    }

    /// Completes, once a drain has begun, when nothing is served any more but responses that it has ended, and these have had
    /// `linger` to be read; never where there was none when it began.
    pub async fn forgone(&self, linger: Duration) {
        if !self.forgoes() {
            std::future::pending::<()>().await;
        }
        loop {
            sleep(linger).await;
            if self.serving() == self.forgoing.load(Relaxed) {
                return;
            }
        }
    }

    /// Whether there is one, or was until now: the drain itself may have ended it already.
    fn forgoes(&self) -> bool {
        /// Whoever asks does so at once.
        const NOW: Duration = Duration::from_secs(1);
        let ended = *self.forgone.lock().unwrap_or_else(PoisonError::into_inner);
        self.forgoing.load(Relaxed) > 0 || ended.is_some_and(|ended| ended.elapsed() < NOW)
    }

    /// Completes when a first request has begun, or when the connection, on which none has, is older than `within`.
    pub async fn asked(&self, within: Duration) {
        let until = self.since() + within;
        while self.served() == 0 && Instant::now() < until {
            sleep(MOMENT).await;
        }
    }

    /// A request begins.
    pub fn begin(self: &Arc<Self>) -> Serving {
        self.served.fetch_add(1, Relaxed);
        self.serving.fetch_add(1, Relaxed);
        self.touch();
        Serving(Arc::clone(self))
    }

    /// What is left of a request's body is read on; that it is silent is the reader's affair.
    pub fn reads_on(self: &Arc<Self>) -> Reading {
        self.serving.fetch_add(1, Relaxed);
        self.reading.fetch_add(1, Relaxed);
        Reading(Serving(Arc::clone(self)))
    }

    /// Completes, once the connection is to end, when all that it waits for are bodies that nobody wants, and these have had `linger`.
    pub async fn unwanted(&self, linger: Duration) {
        loop {
            sleep(linger).await;
            let (serving, reading) = (self.serving(), self.reading.load(Relaxed));
            if serving == reading && (reading > 0 || self.ending.load(Relaxed)) {
                return;
            }
        }
    }

    /// The rest of a request's body is left to itself.
    pub fn leaves_unread(&self) {
        self.unread.store(true, Relaxed);
    }

    /// Requests served now.
    pub fn serving(&self) -> usize {
        self.serving.load(Relaxed)
    }

    /// Requests ever begun.
    pub fn served(&self) -> usize {
        self.served.load(Relaxed)
    }

    /// Whether it has been answered and asks for nothing now, or has asked for nothing in all its time, which was enough.
    pub fn is_idle(&self) -> bool {
        self.serving() == 0 && (self.served() > 0 || self.since().elapsed() >= UNASKED)
    }

    /// Since when the number of requests has stood.
    pub fn since(&self) -> Instant {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Drop for Forgoing {
    fn drop(&mut self) {
        // In this order: at no moment is there neither.
        *self.0.forgone.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.0.forgoing.fetch_sub(1, Relaxed);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.0.reading.fetch_sub(1, Relaxed);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.serving.fetch_sub(1, Relaxed);
        self.0.touch();
    }
}

/// A timer that exists only while something is waited for.
#[derive(Debug, Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Whether `deadline` has passed; arms the timer for it otherwise.
    fn passed(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx).is_ready()
    }
}

/// A byte stream whose peer may not be silent for ever.
///
/// Reading: the first byte must come within `handshake`, the first byte of a later request within
/// `keep_alive_idle`, the rest of a head within `header_read`; while a request is served nothing is asked, nor over HTTP/1.1
/// while the peer takes what was written. Writing: some byte must be taken within `write_idle`.
/// The end: what the peer still sends is taken, on HTTP/2 within `h2_linger`, on HTTP/1.1 where a body was left unread within
/// `refused_linger`.
#[derive(Debug)]
pub struct Deadlined<S> {
    stream: S,
    activity: Arc<Activity>,
    limits: ReadLimits,
    write_idle: Duration,
    read: Timer,
    write: Timer,
    head: Option<(usize, Instant)>,
    /// Bytes read so far, as far as they are of interest.
    taken: usize,
    /// Since when no byte could be written, and since when one could again.
    blocked: Option<Instant>,
    unblocked: Option<Instant>,
    rest: Rest,
}

/// What a peer sends behind our end, such as the windows that it opens for what it has read, or the rest of a body: a closed socket would
/// answer with a reset, upon which some never read what they have received last (curl 7.88 lost one stream of 450 at a drain's end; RFC
/// 9112 section 9.6).
#[derive(Debug)]
struct Rest {
    within: Duration,
    /// So many bytes more.
    most: usize,
    /// Since our end.
    until: Option<Instant>,
}

/// Which limits hold for reading.
#[derive(Debug, Clone, Copy)]
enum ReadLimits {
    /// HTTP/1.1, where bytes between requests belong to a head.
    Heads { first: Duration, next: Duration, rest: Duration },
    /// HTTP/2, whose own driver watches for idle connections once the peer has said that it speaks it.
    Preface { within: Duration },
}

/// The client's connection preface (RFC 9113 section 3.4): 24 bytes and the head of a SETTINGS frame.
const PREFACE: usize = 24 + 9;

impl<S> Deadlined<S> {
    /// For a connection that speaks HTTP/1.1.
    pub fn http1(stream: S, activity: Arc<Activity>, limits: &Limits) -> Self {
        let heads = ReadLimits::Heads {
            first: limits.handshake,
            next: limits.keep_alive_idle,
            rest: limits.header_read,
        };
        let most = usize::try_from(limits.refused_bytes).unwrap_or(usize::MAX);
        let rest = Rest { within: limits.refused_linger, most, until: None };
        Self::new(stream, activity, heads, limits.write_idle, rest)
    }

    /// For a connection that speaks HTTP/2.
    pub fn http2(stream: S, activity: Arc<Activity>, limits: &Limits) -> Self {
        // No more of a body may be on its way than its window lets.
        let most = usize::try_from(limits.h2_connection_window).unwrap_or(usize::MAX);
        let rest = Rest { within: limits.h2_linger, most, until: None };
        let preface = ReadLimits::Preface { within: limits.handshake };
        Self::new(stream, activity, preface, limits.write_idle, rest)
    }

    fn new(stream: S, activity: Arc<Activity>, limits: ReadLimits, write_idle: Duration, rest: Rest) -> Self {
        Self {
            stream,
            activity,
            limits,
            write_idle,
            read: Timer::default(),
            write: Timer::default(),
            head: None,
            taken: 0,
            blocked: None,
            unblocked: None,
            rest,
        }
    }

    /// When a silent reader is given up, if anything is being waited for.
    fn read_deadline(&self) -> Option<Instant> {
        let (first, next, rest) = match self.limits {
            ReadLimits::Heads { first, next, rest } => (first, next, rest),
            ReadLimits::Preface { within } => {
                return (self.taken < PREFACE).then(|| self.activity.since() + within);
            }
        };
        if self.activity.serving() > 0 {
            return None;
        }
        if self.blocked.is_some() {
            // Another look, since nobody asks again once the last byte has gone.
            return Some(Instant::now() + next);
        }
        let served = self.activity.served();
        let (from, within) = match self.head {
            Some((request, begun)) if request == served => (begun, rest),
            _ if served == 0 => (self.activity.since(), first),
            _ => (self.activity.since(), next),
        };
        Some(self.unblocked.map_or(from, |unblocked| unblocked.max(from)) + within)
    }

    fn took<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            if self.blocked.take().is_some() {
                self.unblocked = Some(Instant::now());
            }
            return result;
        }
        let deadline = *self.blocked.get_or_insert_with(Instant::now) + self.write_idle;
        if self.write.passed(cx, deadline) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes no bytes")));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> Deadlined<S> {
    /// Waits for the peer's end behind ours.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_http1 = matches!(self.limits, ReadLimits::Heads { .. });
        if is_http1 && !self.activity.unread.load(Relaxed) {
            return Poll::Ready(Ok(()));
        }
        self.activity.ending.store(is_http1, Relaxed);
        let rest = &mut self.rest;
        let until = *rest.until.get_or_insert_with(|| Instant::now() + rest.within);
        let mut room = [0; 1024];
        while rest.most > 0 {
            let mut buf = ReadBuf::new(&mut room);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    rest.most = rest.most.saturating_sub(buf.filled().len());
                }
                // Its end, or its reset: either way there is nobody to wait for.
                Poll::Ready(_) => break,
                Poll::Pending if self.read.passed(cx, until) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Deadlined<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if result.is_pending() {
            return match self.read_deadline() {
                Some(deadline) if self.read.passed(cx, deadline) => {
                    let silent = io::Error::new(io::ErrorKind::TimedOut, "the peer sends no request");
                    Poll::Ready(Err(silent))
                }
                _ => Poll::Pending,
            };
        }
        self.taken = self.taken.saturating_add(buf.filled().len() - before);
        let served = self.activity.served();
        let begun = self.head.is_some_and(|(request, _)| request == served);
        if buf.filled().len() > before && self.activity.serving() == 0 && !begun {
            self.head = Some((served, Instant::now()));
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Deadlined<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, data);
        self.took(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.took(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.rest.until.is_none() {
            let result = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.took(cx, result))?;
        }
        self.poll_rest(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.took(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
