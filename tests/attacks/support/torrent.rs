//! An engine whose answers have no end and come as fast as they are read, over OpenAI's wire.
//!
//! Knows how many bytes it got rid of. Refuses to know who reads. Invariant: the kernel keeps little on its side, so that what
//! is sent stands in the daemon, behind it, or in the kernel between.

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
    task::{JoinHandle, JoinSet},
};

/// The model that it serves.
pub(crate) const MODEL: &str = "torrent";
/// Text of one event.
const TEXT: usize = 1000;
/// What the kernel may keep of an answer on this side.
const KEPT: usize = 16 << 10;

/// A running one.
#[derive(Debug)]
pub(crate) struct Torrent {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
    accept: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    begun: AtomicUsize,
    ended: AtomicUsize,
}

impl Torrent {
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, counts) = (listener.local_addr()?, Arc::<Counts>::default());
        let accept = tokio::spawn(accept(listener, Arc::clone(&counts)));
        Ok(Self { address, counts, accept })
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
        self.accept.abort();
    }
}

async fn accept(listener: TcpListener, counts: Arc<Counts>) {
    // Aborting this task drops the set, and so every connection.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let counts = Arc::clone(&counts);
        connections.spawn(async move { serve(stream, &counts).await.ok() });
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
        counts.begun.fetch_add(1, Relaxed);
        let ended = pour(&mut stream, counts).await;
        counts.ended.fetch_add(1, Relaxed);
        return ended;
    }
    Ok(())
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
