//! Leaving over HTTP/1.1 and HTTP/2: one connection a kill, whose socket is held twice, so that it can be ended as a person's
//! machine would end it, beneath the library that speaks over it.

use std::{
    net::TcpStream as Socket,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use ghostllm_tests::client::{Dialled, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinHandle;

use crate::{Moment, Stage, Way};

pub(crate) async fn kills(
    stage: &mut Stage,
    version: Version,
    way: Way,
    moment: Moment,
    kills: usize,
) -> Result<Vec<Duration>> {
    ensure!(way != Way::StopReading, "TCP has no way to close its other half");
    let mut taken = Vec::with_capacity(kills);
    for _ in 0..kills {
        let asking = ask(stage, version, moment).await?;
        let left = Instant::now();
        let gone = asking.leave(way);
        let freed = stage.freed(1).await?;
        taken.extend(freed.into_iter().map(|freed| freed.saturating_duration_since(left)));
        drop(gone);
    }
    Ok(taken)
}

/// A request on its way.
struct Asking {
    socket: Socket,
    /// Speaks the protocol; owns the other hold of the socket.
    connection: JoinHandle<()>,
    /// Awaits the answer, or holds its body; ends when aborted.
    answer: JoinHandle<Result<()>>,
}

/// What keeps the rest of a connection open until the kill is seen.
#[expect(dead_code, reason = "held so that the connection stays open")]
struct Gone(Option<(Socket, JoinHandle<()>, JoinHandle<Result<()>>)>);

impl Asking {
    fn leave(self, way: Way) -> Gone {
        let Self { socket, connection, answer } = self;
        match way {
            Way::HalfClose => {
                let _gone_already = socket.shutdown(std::net::Shutdown::Write);
                return Gone(Some((socket, connection, answer)));
            }
            Way::Stream => {
                answer.abort();
                return Gone(Some((socket, connection, answer)));
            }
            Way::Reset => {
                let _gone_already = socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO));
            }
            Way::Close | Way::StopReading => {}
        }
        drop(socket);
        answer.abort();
        connection.abort();
        Gone(None)
    }
}

async fn ask(stage: &Stage, version: Version, moment: Moment) -> Result<Asking> {
    let Dialled { wire, socket } = stage.caller.dial().await?;
    let request = moment.request();
    let (scheme, host) =
        if version == Version::H2 { ("https://localhost", None) } else { ("", Some("localhost")) };
    let mut builder = hyper::Request::post(format!("{scheme}{}", request.path))
        .header("authorization", format!("Bearer {}", stage.key))
        .header("content-type", "application/json");
    if let Some(host) = host {
        builder = builder.header("host", host);
    }
    let request = builder.body(Full::new(Bytes::from(request.body)))?;
    let (read, mut is_read) = tokio::sync::mpsc::channel(1);
    let (connection, answer) = match version {
        Version::H1 => {
            let (mut send, connection) = http1::handshake(TokioIo::new(wire)).await?;
            let answer = tokio::spawn(async move { hold(send.send_request(request).await?, read).await });
            (tokio::spawn(async move { drop(connection.await) }), answer)
        }
        Version::H2 => {
            let (mut send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(wire)).await?;
            let keep = send.clone();
            let answer = tokio::spawn(async move { hold(send.send_request(request).await?, read).await });
            // The connection ends when nobody can send on it any more.
            let connection = tokio::spawn(async move {
                let _ended = connection.await;
                drop(keep);
            });
            (connection, answer)
        }
        Version::H3 => bail!("HTTP/3 is not spoken over TCP"),
    };
    if moment.is_read() {
        is_read.recv().await.context("the answer ended before anything was read")?;
    }
    stage.asked(1).await?;
    Ok(Asking { socket, connection, answer })
}

/// Reads one piece, says so, and holds the body for as long as it lives.
async fn hold(
    answer: hyper::Response<hyper::body::Incoming>,
    read: tokio::sync::mpsc::Sender<()>,
) -> Result<()> {
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
        let _nobody_waits = read.try_send(());
    }
    Ok(())
}
