//! A wire before a real engine that falls silent in the middle of one answer, so that whoever waits for it can leave in time.
//!
//! Knows TCP and what marks a server-sent event. Refuses to know what else goes by. Invariant: every other answer goes by as it
//! came, and whoever leaves during the silence has both connections closed.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

/// How long the engine's caller may take to leave.
const PATIENCE: Duration = Duration::from_secs(10);

/// The wire. Dropping it closes every connection.
#[derive(Debug)]
pub(crate) struct Silence {
    address: SocketAddr,
    left: watch::Receiver<usize>,
    awaited: std::sync::atomic::AtomicUsize,
    accept: JoinHandle<()>,
}

/// What marks the answer that falls silent: its question's text, and after so many events.
#[derive(Debug, Clone)]
struct Mark {
    question: String,
    events: usize,
}

impl Silence {
    /// A wire to the engine at `url`; the answer to `question` falls silent after so many events.
    pub(crate) async fn before(url: &str, question: &str, events: usize) -> Result<Self> {
        let engine: SocketAddr = url.strip_prefix("http://").context("the URL of a server")?.parse()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mark = Mark { question: question.into(), events };
        let (count, left) = watch::channel(0);
        let accept = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((caller, _)) = listener.accept().await {
                let (mark, count) = (mark.clone(), count.clone());
                connections.spawn(async move {
                    if let Ok(true) = pass(caller, engine, &mark).await {
                        count.send_modify(|left| *left += 1);
                    }
                });
            }
        });
        Ok(Self { address, left, awaited: 0.into(), accept })
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until one more has left during the silence.
    pub(crate) async fn wait_left(&self) -> Result<()> {
        let wanted = self.awaited.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        let mut left = self.left.clone();
        timeout(PATIENCE, left.wait_for(|left| *left >= wanted))
            .await
            .context("nobody left the engine")??;
        Ok(())
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

/// Passes everything on between the two; true when the caller left during the silence.
async fn pass(mut caller: TcpStream, engine: SocketAddr, mark: &Mark) -> Result<bool> {
    let mut engine = TcpStream::connect(engine).await?;
    let (mut asked, mut told) = (vec![0; 65_536], vec![0; 65_536]);
    let (mut silent, mut events) = (false, 0);
    loop {
        tokio::select! {
            read = caller.read(&mut asked) => {
                let count = read.unwrap_or(0);
                if count == 0 {
                    return Ok(silent && events >= mark.events);
                }
                silent |= memmem::find(&asked[..count], mark.question.as_bytes()).is_some();
                engine.write_all(&asked[..count]).await?;
            }
            read = engine.read(&mut told), if !silent || events < mark.events => {
                let count = read?;
                if count == 0 {
                    return Ok(false);
                }
                events += if silent { memmem::find_iter(&told[..count], b"data: ").count() } else { 0 };
                caller.write_all(&told[..count]).await?;
            }
        }
    }
}
