//! A thousand heads at once that come a byte at a time, and honest callers beside them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use ghostllm_tests::client::{Caller, Version};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::sleep,
};

use crate::support::{
    Place,
    h2::{self, END_HEADERS, END_STREAM},
    h3,
    honest::{Served, check_honest},
    mib,
};

/// Heads of each sort: on the plain port, over TLS, of HTTP/2, and of HTTP/3 on connections of a hundred streams.
const PLAIN: usize = 300;
const TLS: usize = 300;
const H2: usize = 200;
const H3: usize = 200;
const OF_A_CONNECTION: usize = 100;
/// So many are begun at once.
const ABREAST: usize = 50;
/// A byte of each comes this often.
const EVERY: Duration = Duration::from_secs(1);
/// What honest callers ask for, at rest and beside the crowd.
const ASKED: usize = 100;
/// A head may hold so much, with its connection and what TLS holds for it (the research on crates has 28 to 66 kB).
const EACH: u64 = 128 << 10;
/// Nobody is ended before the test is.
const LIMITS: &str = "header_read = \"1h\"\nhandshake = \"1h\"";

/// The tasks that go on sending, each of which says at the end whether its peer still listens.
struct Crowd {
    heads: JoinSet<bool>,
    over: watch::Sender<bool>,
}

impl Crowd {
    fn new() -> Self {
        Self { heads: JoinSet::new(), over: watch::Sender::new(false) }
    }

    /// Goes on with a head that has begun.
    fn join(&mut self, wire: impl AsyncRead + AsyncWrite + Send + 'static) {
        let mut over = self.over.subscribe();
        self.heads.spawn(async move {
            let (mut reading, mut writing) = tokio::io::split(wire);
            let closed = async { while reading.read(&mut [0; 256]).await.is_ok_and(|count| count > 0) {} };
            let goes_on = async {
                while writing.write_all(b"a").await.is_ok() && writing.flush().await.is_ok() {
                    sleep(EVERY).await;
                }
            };
            tokio::select! {
                () = closed => false,
                () = goes_on => false,
                _ = over.wait_for(|over| *over) => true,
            }
        });
    }

    /// The same for so many streams of one connection.
    async fn join_h3(&mut self, caller: &Caller, streams: usize) -> Result<()> {
        let quic = h3::dial(caller).await?;
        let control = h3::control(&quic).await?;
        let mut heads = Vec::new();
        for _ in 0..streams {
            let (mut send, recv) = quic.open_bi().await?;
            send.write_all(&h3::announced(h3::HEADERS, 16_000)).await?;
            heads.push((send, recv));
        }
        let mut over = self.over.subscribe();
        for (mut send, mut recv) in heads {
            let mut over = over.clone();
            self.heads.spawn(async move {
                let goes_on = async {
                    while send.write_all(b" ").await.is_ok() {
                        sleep(EVERY).await;
                    }
                };
                let mut said = [0; 16];
                tokio::select! {
                    _ = recv.read(&mut said) => false,
                    () = goes_on => false,
                    _ = over.wait_for(|over| *over) => true,
                }
            });
        }
        self.heads.spawn(async move {
            let open = tokio::select! {
                _ = quic.closed() => false,
                _ = over.wait_for(|over| *over) => true,
            };
            drop(control);
            open
        });
        Ok(())
    }

    /// How many are open still.
    async fn end(self) -> usize {
        self.over.send_replace(true);
        self.heads.join_all().await.into_iter().filter(|open| *open).count()
    }
}

/// Begins so many heads, each on a connection of its own.
async fn begin<S>(
    crowd: &mut Crowd,
    count: usize,
    first: &[u8],
    connect: impl AsyncFn() -> Result<S>,
) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connected = stream::iter(0..count).map(|_| async {
        let mut wire = connect().await?;
        wire.write_all(first).await?;
        wire.flush().await?;
        anyhow::Ok(wire)
    });
    let connected: Vec<S> = connected.buffer_unordered(ABREAST).try_collect().await?;
    connected.into_iter().for_each(|wire| crowd.join(wire));
    Ok(())
}

#[tokio::test]
async fn serves_honest_callers_beside_a_thousand_slow_heads() -> Result<()> {
    let place = Place::new(LIMITS).await?;
    let (h1, h2) = (place.caller(Version::H1).await?, place.caller(Version::H2).await?);
    let (h3, plain) = (place.caller(Version::H3).await?, place.daemon.plain(false)?);
    let rest = [Served::times(&h1, ASKED).await?, Served::times(&h2, ASKED).await?];
    let head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
    let half = h2::frame(h2::HEADERS, END_STREAM | END_HEADERS, 1, &[0; 16384])[..9].to_vec();
    let settings = h2::frame(h2::SETTINGS, 0, 0, &[]);
    let first = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..], &half].concat();
    let before = place.growth()?;
    let mut crowd = Crowd::new();
    begin(&mut crowd, PLAIN, head, async || Ok(TcpStream::connect(plain).await?)).await.context("plain")?;
    begin(&mut crowd, TLS, head, async || Ok(h1.dial().await?.wire)).await.context("TLS")?;
    begin(&mut crowd, H2, &first, async || Ok(h2.dial().await?.wire)).await.context("HTTP/2")?;
    for _ in 0..H3 / OF_A_CONNECTION {
        crowd.join_h3(&h3, OF_A_CONNECTION).await.context("HTTP/3")?;
    }
    let beside = [Served::times(&h1, ASKED).await?, Served::times(&h2, ASKED).await?];
    place.check_served().await?;
    let (growth, heads) = (place.growth()?.saturating_sub(before), PLAIN + TLS + H2 + H3);
    // The connections of HTTP/3 say so as well.
    let open = crowd.end().await - H3 / OF_A_CONNECTION;
    for ((version, rest), beside) in ["HTTP/1.1", "HTTP/2"].iter().zip(&rest).zip(&beside) {
        println!(
            "{version}, {} honest requests, each with its handshake: p99 {:.1?} at rest, {:.1?} beside {open} slow heads",
            beside.count(),
            rest.p99(),
            beside.p99()
        );
        check_honest(rest.p99(), beside.p99())?;
    }
    println!("memory grew by {}, {} kB a head", mib(growth), growth / 1000 / heads as u64);
    ensure!(open == heads, "only {open} of {heads} heads are open still");
    ensure!(growth <= EACH * heads as u64, "memory grew by {}", mib(growth));
    place.end().await
}
