//! A client that leaves, in every way there is: its work is dropped.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use h3::error::Code;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::support::{Alive, RAW_GET, Server, alive, code, fed, get, post, raw_control, server, soon};
use crate::{BodyError, Limits, RequestBody, body};

/// A server whose handler thinks for ever. The first channel speaks when it begins, the second ends when its
/// future is dropped.
fn thinking(limits: &Limits) -> (Server, mpsc::UnboundedReceiver<()>, mpsc::Receiver<()>) {
    let (began, begun) = mpsc::unbounded_channel();
    let (alive, dropped) = alive();
    let alive = Mutex::new(Some(alive));
    let server = server(limits, move |_| {
        let alive = alive.lock().unwrap().take();
        began.send(()).unwrap();
        async move {
            let _alive: Option<Alive> = alive;
            pending().await
        }
    });
    (server, begun, dropped)
}

#[tokio::test]
async fn a_cancelled_request_drops_the_future_that_thinks() {
    let (server, mut begun, mut dropped) = thinking(&Limits::default());
    let mut client = server.client().await;
    let mut stream = client.ask(get("/")).await;
    soon(begun.recv()).await.unwrap();
    stream.stop_sending(Code::H3_REQUEST_CANCELLED);
    assert!(soon(dropped.recv()).await.is_none());
}

#[tokio::test]
async fn a_closed_connection_drops_the_future_that_thinks() {
    let (server, mut begun, mut dropped) = thinking(&Limits::default());
    let mut client = server.client().await;
    let _stream = client.ask(get("/")).await;
    soon(begun.recv()).await.unwrap();
    client.quic.close(0u32.into(), b"");
    assert!(soon(dropped.recv()).await.is_none());
    assert!(soon(server.drain.finished(Duration::from_secs(10))).await);
}

#[test]
fn a_client_that_vanishes_drops_the_future_that_thinks() {
    let ours = tokio::runtime::Runtime::new().unwrap();
    let theirs = tokio::runtime::Runtime::new().unwrap();
    let limits = Limits { quic_idle: Duration::from_millis(300), ..Limits::default() };
    let (server, mut begun, mut dropped) = ours.block_on(async { thinking(&limits) });
    let (client, stream) = theirs.block_on(async {
        let mut client = server.client().await;
        let stream = client.ask(get("/")).await;
        (client, stream)
    });
    ours.block_on(soon(begun.recv())).unwrap();
    // With its runtime gone the client cannot say goodbye any more.
    theirs.shutdown_background();
    assert!(ours.block_on(soon(dropped.recv())).is_none());
    drop((client, stream));
}

#[tokio::test]
async fn keep_alive_pings_hold_a_silent_connection() {
    let limits = Limits { quic_idle: Duration::from_millis(600), ..Limits::default() };
    let (answer, wanted) = tokio::sync::oneshot::channel::<()>();
    let wanted = Arc::new(tokio::sync::Mutex::new(Some(wanted)));
    let server = server(&limits, move |_| {
        let wanted = Arc::clone(&wanted);
        async move {
            wanted.lock().await.take().unwrap().await.unwrap();
            Response::new(body::full("late"))
        }
    });
    let mut client = server.client().await;
    let before = client.quic.stats().frame_rx.ping;
    let whole = client.quic.clone();
    let late = async {
        // Three idle times, measured by the server's own pings.
        while whole.stats().frame_rx.ping < before + 9 {
            tokio::time::timeout(Duration::from_millis(20), pending::<()>()).await.unwrap_err();
        }
        answer.send(()).unwrap();
    };
    let ((), (_, text)) = soon(async { tokio::join!(late, client.whole(get("/"))) }).await;
    assert_eq!(text, "late");
}

#[tokio::test]
async fn a_client_that_leaves_mid_stream_drops_the_body() {
    let (feed, body) = fed();
    let body = Mutex::new(Some(body));
    let server = server(&Limits::default(), move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Response::new(body) }
    });
    let mut client = server.client().await;
    let mut stream = client.ask(get("/")).await;
    feed.send(Ok("data: 1\n\n")).unwrap();
    soon(stream.recv_response()).await.unwrap();
    assert!(soon(stream.recv_data()).await.unwrap().is_some());
    stream.stop_sending(Code::H3_REQUEST_CANCELLED);
    soon(feed.closed()).await;
}

#[tokio::test]
async fn an_upload_that_is_reset_is_an_error_of_the_body() {
    let (told, mut tell) = mpsc::unbounded_channel();
    let (began, mut begun) = mpsc::unbounded_channel();
    let server = server(&Limits::default(), move |request: Request<RequestBody>| {
        let told = told.clone();
        began.send(()).unwrap();
        async move {
            told.send(request.into_body().collect().await.map(|_| ())).unwrap();
            Response::new(body::empty())
        }
    });
    let mut client = server.client().await;
    let mut stream = client.start(post("/")).await;
    stream.send_data("half".into()).await.unwrap();
    soon(begun.recv()).await.unwrap();
    stream.stop_stream(Code::H3_REQUEST_CANCELLED);
    assert!(matches!(soon(tell.recv()).await, Some(Err(BodyError::Transport(_)))));
}

#[tokio::test]
async fn an_ignored_request_is_stopped_at_once_only_if_it_brings_a_body() {
    let (began, mut begun) = mpsc::unbounded_channel();
    let (feed, body) = fed();
    let body = Mutex::new(Some(body));
    let server = server(&Limits::default(), move |request: Request<RequestBody>| {
        drop(request);
        let body = body.lock().unwrap().take();
        began.send(()).unwrap();
        async move { Response::new(body.unwrap_or_else(body::empty)) }
    });
    let quic = server.dial().await.unwrap();
    let _control = raw_control(&quic).await;
    let (mut late, _recv) = quic.open_bi().await.unwrap();
    late.write_all(RAW_GET).await.unwrap();
    soon(begun.recv()).await.unwrap();
    let (mut upload, _recv) = quic.open_bi().await.unwrap();
    upload.write_all(&[RAW_GET, b"\x00\x02a"].concat()).await.unwrap();
    soon(begun.recv()).await.unwrap();
    assert_eq!(soon(upload.stopped()).await.unwrap(), Some(code(Code::H3_NO_ERROR)));
    // A stop of the first would have come before that of the second.
    late.finish().unwrap();
    assert_eq!(soon(late.stopped()).await.unwrap(), None);
    drop(feed);
}

#[tokio::test]
async fn a_client_that_moves_is_heard_where_it_was_alone() {
    let server = server(&Limits::default(), |_| async { Response::new(body::full("hello")) });
    let bind = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (home, elsewhere) = (bind(), bind());
    let endpoint = quinn::Endpoint::new(
        quinn::EndpointConfig::default(),
        None,
        home.try_clone().unwrap(),
        std::sync::Arc::new(quinn::TokioRuntime),
    )
    .unwrap();
    let transport = quinn::TransportConfig::default();
    let quic = server.dial_by(&endpoint, server.address, transport).await.unwrap();
    let _control = raw_control(&quic).await;
    // Its packets come from elsewhere now, as anybody else's might who names that address as theirs.
    endpoint.rebind(elsewhere).unwrap();
    let (mut send, mut recv) = quic.open_bi().await.unwrap();
    send.write_all(RAW_GET).await.unwrap();
    send.finish().unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(300), recv.read_exact(&mut [0; 1])).await;
    assert!(waited.is_err(), "it is answered where it has moved to");
    endpoint.rebind(home).unwrap();
    assert!(soon(recv.read_to_end(1000)).await.unwrap().ends_with(b"hello"));
}
