//! The server under every double: real sockets, one task for each connection, and a log of what it saw.
//!
//! Knows TCP, and plays scripts on it. Refuses to know what is asked and answered: a [`Voice`] says that. Invariant: a
//! peer that leaves while an answer is being given is noticed at once and stands in the log, whatever the script waits for.

use std::{
    collections::HashMap,
    fmt::Debug,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
};

use crate::{
    script::{Reply, Sin, Step, script},
    wire::{Incoming, read_request},
};

/// How long a test waits for a double to see something before it fails.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What an engine says: decides the well-behaved answer to one request.
pub trait Voice: Debug + Send + Sync + 'static {
    /// The answer of the real engine.
    fn answer(&self, request: &Incoming) -> Reply;
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The script has been played to its end.
    Played,
    /// The peer closed or reset the connection before that, at this moment.
    Left(Instant),
}

/// One request that a double was sent.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The request, byte for byte.
    pub request: Incoming,
    /// Counts the connections from zero: two requests with one number came over one connection.
    pub connection: usize,
    /// The answer hangs: all that is said before it has been written.
    pub hangs: bool,
    /// `None` while the answer is being given.
    pub end: Option<End>,
}

impl Seen {
    /// The peer left before the answer's end.
    #[must_use]
    pub fn left(&self) -> bool {
        matches!(self.end, Some(End::Left(_)))
    }
}

/// A running double. Dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Double {
    address: SocketAddr,
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    voice: Box<dyn Voice>,
    /// Whether requests stand in the log.
    watched: bool,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    gate: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    seen: Vec<Seen>,
    sins: HashMap<String, Sin>,
    connections: usize,
}

impl Double {
    /// Starts a double on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When no port can be bound.
    pub async fn start(voice: impl Voice) -> Self {
        Self::start_at("127.0.0.1:0", voice).await.expect("a free port on 127.0.0.1")
    }

    /// Starts a double at this address.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start_at(address: &str, voice: impl Voice) -> io::Result<Self> {
        Self::start_with(address, voice, true).await
    }

    /// The same, and nothing stands in its log: it may serve for days.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start_unwatched(address: &str, voice: impl Voice) -> io::Result<Self> {
        Self::start_with(address, voice, false).await
    }

    async fn start_with(address: &str, voice: impl Voice, watched: bool) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            voice: Box::new(voice),
            watched,
            state: Mutex::default(),
            changed: watch::Sender::new(0),
            gate: Semaphore::new(0),
        });
        let accept = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accept })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this model (`tiny`, without a tag) or path (`/api/tags`) is answered with a sin.
    pub fn misbehave(&self, key: &str, sin: Sin) {
        self.shared.state().sins.insert(key.to_owned(), sin);
    }

    /// Takes the sin back.
    pub fn behave(&self, key: &str) {
        self.shared.state().sins.remove(key);
    }

    /// Lets so many chunks of gated answers go.
    pub fn release(&self, chunks: usize) {
        self.shared.gate.add_permits(chunks);
    }

    /// Closes the port and every connection: the engine is down.
    pub async fn refuse(&mut self) {
        self.accept.abort();
        let _ = (&mut self.accept).await;
    }

    /// Opens the same port again.
    ///
    /// # Panics
    /// When someone else has taken the port since.
    pub async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the double's own port");
        self.accept = tokio::spawn(accept(listener, Arc::clone(&self.shared)));
    }

    /// Everything that it was sent so far, oldest first.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// The requests to this path so far.
    #[must_use]
    pub fn seen_at(&self, path: &str) -> Vec<Seen> {
        let mut seen = self.seen();
        seen.retain(|seen| seen.request.path() == path);
        seen
    }

    /// Waits until `find` finds what it looks for in the log.
    ///
    /// # Panics
    /// When [`PATIENCE`] has passed; the message holds `what` and the log.
    pub async fn wait<T>(&self, what: &str, mut find: impl FnMut(&[Seen]) -> Option<T>) -> T {
        let mut changed = self.shared.changed.subscribe();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(found) = find(&self.shared.state().seen) {
                return found;
            }
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                let log: Vec<String> = self
                    .seen()
                    .iter()
                    .map(|seen| format!("{}\n-> {:?}", seen.request.dump(), seen.end))
                    .collect();
                panic!("the double never saw {what}; it saw:\n{}", log.join("\n\n"));
            }
        }
    }

    /// Waits until the last request to `path` has been left by its peer.
    pub async fn wait_left(&self, path: &str) {
        self.wait(&format!("its peer leave {path}"), |seen| {
            let last = seen.iter().rfind(|seen| seen.request.path() == path);
            last.is_some_and(Seen::left).then_some(())
        })
        .await;
    }

    /// Waits until the answer to a request to `path` hangs.
    pub async fn wait_hanging(&self, path: &str) {
        self.wait(&format!("its answer to {path} hang"), |seen| {
            seen.iter().any(|seen| seen.hangs && seen.request.path() == path).then_some(())
        })
        .await;
    }

    /// Waits until a request to `path` has arrived.
    pub async fn wait_asked(&self, path: &str) {
        self.wait(&format!("a request to {path}"), |seen| {
            seen.iter().any(|seen| seen.request.path() == path).then_some(())
        })
        .await;
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned log is a failed test already; its message matters more than the poison.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its place in the log, which is behind the end of one that is not kept.
    fn begin(&self, request: &Incoming, connection: usize) -> usize {
        if !self.watched {
            return usize::MAX;
        }
        let mut state = self.state();
        state.seen.push(Seen { request: request.clone(), connection, hangs: false, end: None });
        let index = state.seen.len() - 1;
        drop(state);
        self.changed.send_modify(|version| *version += 1);
        index
    }

    fn hang(&self, index: usize) {
        if let Some(seen) = self.state().seen.get_mut(index) {
            seen.hangs = true;
        }
        self.changed.send_modify(|version| *version += 1);
    }

    fn end(&self, index: usize, end: End) {
        if let Some(seen) = self.state().seen.get_mut(index) {
            seen.end = Some(end);
        }
        self.changed.send_modify(|version| *version += 1);
    }

    fn sin(&self, request: &Incoming, reply: &Reply) -> Option<Sin> {
        let state = self.state();
        let by_path = state.sins.get(request.path());
        let by_model = || {
            let body = request.json();
            let model = body.get("model")?.as_str()?;
            state.sins.get(model.strip_suffix(":latest").unwrap_or(model))
        };
        by_path.or_else(|| reply.generated.then(by_model).flatten()).cloned()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Aborting this task drops the set, and so every connection.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let number = {
            let mut state = shared.state();
            state.connections += 1;
            state.connections - 1
        };
        connections.spawn(serve(stream, Arc::clone(&shared), number));
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>, number: usize) {
    let _ = stream.set_nodelay(true);
    let mut buffer = BytesMut::new();
    for nth in 0_usize.. {
        let Ok(Some(request)) = read_request(&mut stream, &mut buffer).await else { return };
        let reply = shared.voice.answer(&request);
        let sin = shared.sin(&request, &reply);
        let index = shared.begin(&request, number);
        if nth > 0 && matches!(sin, Some(Sin::CloseOnReuse)) {
            shared.end(index, End::Played);
            return;
        }
        let steps = script(&reply, sin.as_ref(), request.closes());
        let (mut read, mut write) = stream.split();
        let played = tokio::select! {
            played = play(&mut write, &steps, &shared, index) => played,
            () = left(&mut read, &mut buffer) => None,
        };
        shared.end(index, played.map_or_else(|| End::Left(Instant::now()), |_| End::Played));
        match played {
            Some(After::Next) => {}
            Some(After::Fin) | None => return,
            Some(After::Rst) => {
                let _ = stream.set_zero_linger();
                return;
            }
        }
    }
}

/// What happens to the connection once a script has been played.
#[derive(Debug, Clone, Copy)]
enum After {
    Next,
    Fin,
    Rst,
}

/// Plays the steps; `None` when the peer would not take them.
async fn play(
    stream: &mut (impl AsyncWrite + Unpin),
    steps: &[Step],
    shared: &Shared,
    index: usize,
) -> Option<After> {
    for step in steps {
        match step {
            Step::Send(bytes) => {
                stream.write_all(bytes).await.ok()?;
                stream.flush().await.ok()?;
            }
            Step::Pause(pause) => tokio::time::sleep(*pause).await,
            Step::Gate => shared.gate.acquire().await.ok()?.forget(),
            Step::Hang => {
                shared.hang(index);
                std::future::pending::<()>().await;
            }
            Step::Endless(bytes) => loop {
                stream.write_all(bytes).await.ok()?;
            },
            Step::Fin => return Some(After::Fin),
            Step::Rst => return Some(After::Rst),
        }
    }
    Some(After::Next)
}

/// Ends when the peer closes or resets; what it sends ahead is kept for the next request.
async fn left(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) {
    while stream.read_buf(buffer).await.is_ok_and(|count| count > 0) {}
}
