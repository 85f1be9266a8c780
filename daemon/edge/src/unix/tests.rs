use std::{path::Path, sync::Arc, time::Duration};

use http::{Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::watch,
    time::timeout,
};

use super::serve;
use crate::{
    Connection, Handler, Limits, RequestBody, ResponseBody, Serve, Transport,
    accept::Accepting,
    bind::{self, SocketFile},
    body,
    drain::Drain,
    sources::Sources,
    workers::Workers,
};

/// Says who has come, and how.
#[derive(Clone)]
struct Told;

impl Handler for Told {
    async fn handle(&self, request: Request<RequestBody>) -> Response<ResponseBody> {
        let connection = request.extensions().get::<Connection>().copied().unwrap();
        assert_eq!(connection.transport, Transport::Unix);
        assert!(connection.peer.ip().is_loopback() && connection.local.ip().is_loopback());
        Response::new(body::full(format!("uid {:?}", connection.uid)))
    }
}

struct Served {
    directory: tempfile::TempDir,
    accepting: Accepting,
    sources: Sources,
    drain: Drain,
    _file: SocketFile,
    _workers: Workers,
}

fn served(limits: Limits) -> Served {
    let directory = tempfile::tempdir().unwrap();
    let (listener, file) = bind::unix(&directory.path().join("s")).unwrap();
    let (drain, workers) = (Drain::default(), Workers::start(0).unwrap());
    let (sources, limits) = (Sources::new(&limits), Arc::new(limits));
    let given = Serve {
        handler: Told,
        sources: sources.clone(),
        newest: watch::channel(Arc::clone(&limits)).1,
        limits,
        // Nobody by address: the file alone decides.
        answers: Arc::new(|_| false),
        seats: workers.seats(),
        pulse: crate::pulse::Pulse::default(),
        room: crate::room::Room::default(),
        drain: drain.watch(),
    };
    let accepting = serve(listener, given).unwrap();
    Served { directory, accepting, sources, drain, _file: file, _workers: workers }
}

impl Served {
    async fn connect(&self) -> UnixStream {
        connect(self.directory.path()).await.unwrap()
    }
}

async fn connect(directory: &Path) -> std::io::Result<UnixStream> {
    UnixStream::connect(directory.join("s")).await
}

/// Asks once, and gives what has come; nothing where the connection is closed.
async fn ask(stream: &mut UnixStream) -> String {
    let _closed = stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut piece = [0; 1024];
    let read = timeout(Duration::from_secs(20), stream.read(&mut piece)).await.unwrap().unwrap_or(0);
    String::from_utf8(piece[..read].to_vec()).unwrap()
}

#[tokio::test]
async fn the_peer_s_user_is_told_and_a_connection_is_kept() {
    let served = served(Limits::default());
    let mut stream = served.connect().await;
    let own = format!("uid Some({})", nix::unistd::geteuid());
    for _ in 0..2 {
        let answer = ask(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&own), "{answer}");
    }
}

#[tokio::test]
async fn the_limit_passes_whatever_else_is_open_and_one_more_does_not() {
    let limits = Limits { connections: 1, admin_connections: 2, ..Limits::default() };
    let served = served(limits);
    let _flood = served.sources.take("127.0.0.1:1".parse().unwrap()).unwrap();
    assert!(served.sources.is_full());
    let (mut first, mut second) = (served.connect().await, served.connect().await);
    assert!(!ask(&mut first).await.is_empty() && !ask(&mut second).await.is_empty());
    assert_eq!(ask(&mut served.connect().await).await, "", "the third is closed");
    drop(first);
    // Its end is seen by another task.
    while served.drain.open() > 1 {
        tokio::task::yield_now().await;
    }
    assert!(!ask(&mut served.connect().await).await.is_empty());
}

#[tokio::test]
async fn a_drain_closes_what_is_idle_and_lets_nobody_in() {
    let served = served(Limits::default());
    let mut stream = served.connect().await;
    assert!(!ask(&mut stream).await.is_empty());
    served.drain.begin();
    let read = timeout(Duration::from_secs(20), stream.read(&mut [0; 16])).await.unwrap();
    assert_eq!(read.unwrap(), 0);
    assert!(served.drain.finished(Duration::from_secs(20)).await);
    served.accepting.ended().await.unwrap();
    let refused = connect(served.directory.path()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test(start_paused = true)]
async fn silence_has_the_same_limits_as_over_tcp() {
    let limits = Limits::default();
    let (first, later) = (limits.handshake, limits.keep_alive_idle);
    let served = served(limits);
    let mut stream = served.connect().await;
    let begun = tokio::time::Instant::now();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
    assert_eq!(begun.elapsed().as_secs(), first.as_secs());
    let mut stream = served.connect().await;
    let mut piece = [0; 1024];
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(stream.read(&mut piece).await.unwrap() > 0);
    let begun = tokio::time::Instant::now();
    assert_eq!(stream.read(&mut piece).await.unwrap(), 0);
    assert_eq!(begun.elapsed().as_secs(), later.as_secs());
}
