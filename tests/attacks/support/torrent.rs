//! An engine whose answers have no end and come as fast as they are read, over OpenAI's wire; at once, or once the test lets all of them.
//!
//! Knows how many bytes it got rid of. Refuses to know who reads. Invariant: the kernel keeps little on its side, so that what
//! is sent stands in the daemon, behind it, or in the kernel between; it has a thread of its own, and slows nobody who measures.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::BytesMut;
use ghostllm_tests::wire::read_request;
use socket2::SockRef;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    sync::watch,
};

/// The model that it serves.
pub(crate) const MODEL: &str = "torrent";
/// Text of an answer in one piece.
pub(crate) const WHOLE: usize = 28 << 20;
/// Text of one event.
const TEXT: usize = 1000;
/// What the kernel may keep of an answer on this side.
const KEPT: usize = 16 << 10;

/// A running one.
#[derive(Debug)]
pub(crate) struct Torrent {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
    /// None while it is dropped.
    runtime: Option<Runtime>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Whether it speaks.
    speaks: watch::Sender<bool>,
    sent: AtomicU64,
    begun: AtomicUsize,
    ended: AtomicUsize,
}

impl Torrent {
    pub(crate) async fn start() -> io::Result<Self> {
        let torrent = Self::silent().await?;
        torrent.speak();
        Ok(torrent)
    }

    /// One that sends the heads of its answers, and nothing more until it is told to.
    pub(crate) async fn silent() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (listener, counts) = (std::net::TcpListener::bind("127.0.0.1:0")?, Arc::<Counts>::default());
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let accepting = Arc::clone(&counts);
        runtime.spawn(async move { accept(TcpListener::from_std(listener)?, accepting).await });
        Ok(Self { address, counts, runtime: Some(runtime) })
    }

    /// All answers that have begun go on, and those that begin.
    pub(crate) fn speak(&self) {
        self.counts.speaks.send_replace(true);
    }

    /// Bytes of answers so far.
    pub(crate) fn sent(&self) -> u64 {
        self.counts.sent.load(Relaxed)
    }

    /// Answers that have begun.
    pub(crate) fn begun(&self) -> usize {
        self.counts.begun.load(Relaxed)
    }

    /// Answers that were left.
    pub(crate) fn ended(&self) -> usize {
        self.counts.ended.load(Relaxed)
    }
}

impl Drop for Torrent {
    fn drop(&mut self) {
        // All of it ends; a plain drop would wait for that.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, counts: Arc<Counts>) -> io::Result<()> {
    loop {
        let ((stream, _), counts) = (listener.accept().await?, Arc::clone(&counts));
        tokio::spawn(async move { serve(stream, &counts).await.ok() });
    }
}

async fn serve(mut stream: TcpStream, counts: &Counts) -> io::Result<()> {
    SockRef::from(&stream).set_send_buffer_size(KEPT)?;
    let mut buffer = BytesMut::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await? {
        if request.path() == "/v1/models" {
            let list =
                format!("{{\"object\":\"list\",\"data\":[{{\"id\":\"{MODEL}\",\"object\":\"model\"}}]}}");
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
            stream.write_all(format!("{head}: {}\r\n\r\n{list}", list.len()).as_bytes()).await?;
            continue;
        }
        if !String::from_utf8_lossy(&request.body).contains("\"stream\":true") {
            stream.write_all(&whole()).await?;
            continue;
        }
        counts.begun.fetch_add(1, Relaxed);
        let ended = pour(&mut stream, counts).await;
        counts.ended.fetch_add(1, Relaxed);
        return ended;
    }
    Ok(())
}

/// An answer in one piece, nearly as long as one may be (`limits.backend_answer`).
fn whole() -> Vec<u8> {
    let body = format!(
        "{{\"id\":\"1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"{MODEL}\",\"choices\":[{{\"index\":0,\
         \"message\":{{\"role\":\"assistant\",\"content\":\"{}\"}},\"finish_reason\":\"stop\"}}]}}",
        "a".repeat(WHOLE)
    );
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
    format!("{head}: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Answers until the peer leaves.
async fn pour(stream: &mut TcpStream, counts: &Counts) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let text = "a".repeat(TEXT);
    let event = format!(
        "data: {{\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"{MODEL}\",\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
    );
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    let (mut reading, mut writing) = stream.split();
    let left = async {
        // A peer that leaves while nothing can be written is seen by its end alone.
        let mut nothing = [0; 64];
        while tokio::io::AsyncReadExt::read(&mut reading, &mut nothing).await? > 0 {}
        Err(io::ErrorKind::ConnectionAborted.into())
    };
    let send = async {
        let mut speaks = counts.speaks.subscribe();
        speaks.wait_for(|speaks| *speaks).await.map_err(io::Error::other)?;
        loop {
            writing.write_all(chunk.as_bytes()).await?;
            counts.sent.fetch_add(chunk.len() as u64, Relaxed);
        }
    };
    tokio::select! {
        ended = send => ended,
        ended = left => ended,
    }
}
