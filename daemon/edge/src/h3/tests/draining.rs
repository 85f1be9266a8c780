//! Draining: what is in flight ends well, and nothing new is begun.

use std::{sync::Mutex, time::Duration};

use h3::error::Code;
use http::Response;
use quinn::{ReadError, ReadToEndError, TransportConfig};
use tokio::{
    runtime::Runtime,
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::support::{RAW_GET, closed_with, code, fed, get, raw_control, raw_goaway, server, soon};
use crate::{EndsAtDrain, Limits, body};

#[tokio::test]
async fn a_request_in_flight_ends_and_goaway_names_the_one_after_it() {
    let (feed, body) = fed();
    let body = Mutex::new(Some(body));
    let server = server(&Limits::default(), move |_| {
        let body = body.lock().unwrap().take().expect("a request after GOAWAY was handled");
        async move { Response::new(body) }
    });
    let quic = server.dial().await.unwrap();
    let _control = raw_control(&quic).await;
    let (mut send, mut recv) = quic.open_bi().await.unwrap();
    send.write_all(RAW_GET).await.unwrap();
    send.finish().unwrap();
    let mut start = [0; 1];
    soon(recv.read_exact(&mut start)).await.unwrap();

    server.drain.begin();
    assert_eq!(soon(raw_goaway(&quic)).await, 4);
    let (mut late, mut refused) = quic.open_bi().await.unwrap();
    late.write_all(RAW_GET).await.unwrap();
    let reset = ReadToEndError::Read(ReadError::Reset(code(Code::H3_REQUEST_REJECTED)));
    assert_eq!(soon(refused.read_to_end(100)).await.unwrap_err(), reset);

    assert_eq!(server.drain.open(), 1);
    feed.send(Ok("data: [DONE]\n\n")).unwrap();
    drop(feed);
    let response = soon(recv.read_to_end(1000)).await.unwrap();
    assert!(response.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(closed_with(&quic).await, code(Code::H3_NO_ERROR));
    assert!(soon(server.drain.finished(Duration::from_secs(10))).await);
    soon(server.listener.wait()).await;
}

#[tokio::test]
async fn half_a_handshake_does_not_hold_up_the_end() {
    let hour = Duration::from_secs(3600);
    let server = server(&Limits { handshake: hour, ..Limits::default() }, |_| async { unreachable!() });
    let _silent = server.half_a_handshake().await;
    assert_eq!(server.drain.open(), 1);
    server.drain.begin();
    assert!(soon(server.drain.finished(hour)).await);
}

#[tokio::test]
async fn the_last_event_before_a_drain_is_read_every_time() {
    for _ in 0..20 {
        let (feed, body) = fed();
        let body = Mutex::new(Some(body));
        let server = server(&Limits::default(), move |_| {
            let body = body.lock().unwrap().take().unwrap();
            async move { Response::new(body) }
        });
        let mut client = server.client().await;
        let mut stream = client.ask(get("/")).await;
        soon(stream.recv_response()).await.unwrap();
        feed.send(Ok("data: 1\n\n")).unwrap();
        server.drain.begin();
        feed.send(Ok("data: [DONE]\n\n")).unwrap();
        drop(feed);
        let text = soon(super::support::rest(&mut stream)).await.unwrap();
        assert_eq!(text, "data: 1\n\ndata: [DONE]\n\n");
    }
}

#[tokio::test]
async fn a_reader_of_events_that_takes_nothing_holds_no_drain_up() {
    let hour = Duration::from_secs(3600);
    let limits = Limits { quic_idle: hour, write_idle: hour, ..Limits::default() };
    let (feed, body) = fed();
    let body = Mutex::new(Some(body));
    let server = server(&limits, move |_| {
        let mut response = Response::new(body.lock().unwrap().take().unwrap());
        response.extensions_mut().insert(EndsAtDrain);
        async move { response }
    });
    let mut window = TransportConfig::default();
    window.stream_receive_window(1000u32.into());
    let mut client = server.client_with(window).await;
    let mut stream = client.ask(get("/")).await;
    soon(stream.recv_response()).await.unwrap();
    static LONG: &str = match std::str::from_utf8(&[b'a'; 8000]) {
        Ok(text) => text,
        Err(_) => "",
    };
    feed.send(Ok(LONG)).unwrap();
    server.drain.begin();
    soon(feed.closed()).await;
    assert!(soon(server.drain.finished(hour)).await);
}

#[tokio::test]
async fn a_listener_that_drains_takes_no_connection() {
    let server = server(&Limits::default(), |_| async { Response::new(body::empty()) });
    server.drain.begin();
    soon(server.listener.wait()).await;
    assert_eq!(server.drain.open(), 0);
}

#[tokio::test]
async fn a_client_has_time_to_close_what_was_answered_and_then_we_do() {
    for (linger, ours) in [(Duration::from_secs(3600), false), (Duration::from_millis(50), true)] {
        let server = server(&Limits { h3_linger: linger, ..Limits::default() }, |_| async {
            Response::new(body::full("hello"))
        });
        let quic = server.dial().await.unwrap();
        let _control = raw_control(&quic).await;
        server.drain.begin();
        soon(raw_goaway(&quic)).await;
        if ours {
            assert_eq!(closed_with(&quic).await, code(Code::H3_NO_ERROR));
        } else {
            assert!(
                timeout(Duration::from_millis(500), quic.closed()).await.is_err(),
                "its time is not over"
            );
            quic.close(0u32.into(), b"");
        }
        assert!(soon(server.drain.finished(Duration::from_secs(10))).await);
    }
}

/// Whether a drain ends soon although a client has vanished that owes the acknowledgement of its answer.
fn forgets_the_vanished(limits: &Limits, within: Duration) -> bool {
    let (ours, theirs) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (began, mut begun) = mpsc::unbounded_channel();
    let (answer, wanted) = oneshot::channel::<()>();
    let wanted = Mutex::new(Some(wanted));
    let server = ours.block_on(async {
        server(limits, move |_| {
            let wanted = wanted.lock().unwrap().take().unwrap();
            began.send(()).unwrap();
            async move {
                wanted.await.unwrap();
                Response::new(body::full("hello"))
            }
        })
    });
    let client = theirs.block_on(async {
        let mut client = server.client().await;
        let stream = client.ask(get("/")).await;
        (client, stream)
    });
    ours.block_on(soon(begun.recv())).unwrap();
    // With its runtime gone the client says nothing any more.
    theirs.shutdown_timeout(Duration::from_secs(10));
    answer.send(()).unwrap();
    server.drain.begin();
    let forgotten = ours.block_on(server.drain.finished(within));
    drop(client);
    forgotten
}

#[test]
fn a_client_that_vanished_holds_the_drain_no_longer_than_its_time() {
    let hour = Duration::from_secs(3600);
    let limits = Limits { quic_idle: hour, write_idle: hour, h3_linger: Duration::ZERO, ..Limits::default() };
    let with = |h3_vanished| Limits { h3_vanished, ..limits.clone() };
    assert!(!forgets_the_vanished(&with(hour), Duration::from_millis(500)));
    assert!(forgets_the_vanished(&with(Duration::from_millis(100)), Duration::from_secs(20)));
}

#[tokio::test]
async fn an_idle_connection_ends_when_idle_ones_do_and_one_with_a_stream_goes_on() {
    let (feed, body) = fed();
    let body = Mutex::new(Some(body));
    let server = server(&Limits::default(), move |_| {
        let body = body.lock().unwrap().take();
        async move { Response::new(body.unwrap_or_else(|| body::full("whole"))) }
    });
    let (busy, idle) = (server.dial().await.unwrap(), server.dial().await.unwrap());
    let (_busy_control, _idle_control) = (raw_control(&busy).await, raw_control(&idle).await);
    let (mut send, mut going_on) = busy.open_bi().await.unwrap();
    send.write_all(RAW_GET).await.unwrap();
    send.finish().unwrap();
    soon(going_on.read_exact(&mut [0; 1])).await.unwrap();
    let (mut send, mut whole) = idle.open_bi().await.unwrap();
    send.write_all(RAW_GET).await.unwrap();
    send.finish().unwrap();
    assert!(soon(whole.read_to_end(1000)).await.unwrap().ends_with(b"whole"));
    // Its response is acknowledged a moment later; whoever wants room says so again and again.
    let closed = async {
        loop {
            server.drain.idle().now();
            if let Ok(closed) = timeout(Duration::from_millis(100), closed_with(&idle)).await {
                return closed;
            }
        }
    };
    assert_eq!(soon(closed).await, code(Code::H3_NO_ERROR));
    feed.send(Ok("data: [DONE]\n\n")).unwrap();
    drop(feed);
    assert!(soon(going_on.read_to_end(1000)).await.unwrap().ends_with(b"data: [DONE]\n\n"));
}
