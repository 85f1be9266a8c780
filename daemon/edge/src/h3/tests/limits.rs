//! Every limit of HTTP/3 is reached.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use h3::error::Code;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use quinn::{ConnectionError, ReadError, TransportConfig};
use tokio::sync::mpsc;

use super::support::{RAW_GET, closed_with, code, fed, filtered, get, post, raw_control, server, soon};
use crate::{BodyError, Limits, RequestBody, ResponseBody, body};

async fn hello(_request: Request<RequestBody>) -> Response<ResponseBody> {
    Response::new(body::full("hello"))
}

#[tokio::test]
async fn a_giant_frame_closes_the_connection() {
    let server = server(&Limits::default(), hello);
    let huge = b"\xc0\x00\x00\x00\x23\xc3\x46\x00";
    for (one_way, opening) in
        [(false, &b"\x01"[..]), (false, b"\x21"), (true, b"\x00\x04"), (true, b"\x00\x00")]
    {
        let quic = server.dial().await.unwrap();
        let mut stream =
            if one_way { quic.open_uni().await.unwrap() } else { quic.open_bi().await.unwrap().0 };
        // The server may close before all is written.
        let _written = stream.write_all(&[opening, huge, &[b'a'; 4096]].concat()).await;
        assert_eq!(closed_with(&quic).await, code(Code::H3_EXCESSIVE_LOAD), "{opening:?}");
    }
}

#[tokio::test]
async fn a_frame_that_its_streams_end_cuts_off_closes_the_connection() {
    let (told, mut tell) = mpsc::unbounded_channel();
    let server = server(&Limits::default(), move |request: Request<RequestBody>| {
        let told = told.clone();
        async move {
            let mut body = request.into_body();
            let mut end = None;
            while let Some(frame) = body.frame().await {
                end = Some(frame.is_ok());
                told.send(end).unwrap();
            }
            if end == Some(true) {
                told.send(None).unwrap();
            }
            Response::new(body::empty())
        }
    });
    // In DATA, in its length, in trailers, in a frame that is unknown.
    for rest in
        [&b"\x00\x05four"[..], b"\x00\x01a\x00\x40", b"\x00\x01a\x01\x04\x00\x00", b"\x00\x01a\x21\x02x"]
    {
        let quic = server.dial().await.unwrap();
        let _control = raw_control(&quic).await;
        let (mut send, _recv) = quic.open_bi().await.unwrap();
        send.write_all(&[RAW_GET, rest].concat()).await.unwrap();
        assert_eq!(soon(tell.recv()).await, Some(Some(true)), "what came is given");
        send.finish().unwrap();
        assert_eq!(closed_with(&quic).await, code(Code::H3_FRAME_ERROR), "{rest:?}");
        assert_ne!(tell.try_recv(), Ok(None), "a body that was cut off looks whole");
    }
}

#[tokio::test]
async fn headers_that_do_not_come_are_given_up() {
    let limits = Limits { header_read: Duration::from_millis(100), ..Limits::default() };
    let server = server(&limits, hello);
    let quic = server.dial().await.unwrap();
    let _control = raw_control(&quic).await;
    let (mut send, mut recv) = quic.open_bi().await.unwrap();
    send.write_all(&RAW_GET[..RAW_GET.len() - 1]).await.unwrap();
    let end = soon(recv.read_to_end(100)).await.unwrap_err();
    let quinn::ReadToEndError::Read(ReadError::Reset(reset)) = end else { panic!("{end}") };
    assert_eq!(reset, code(Code::H3_REQUEST_REJECTED));
}

#[tokio::test]
async fn too_many_broken_requests_close_the_connection() {
    let server = server(&Limits { h3_broken_requests: 3, ..Limits::default() }, hello);
    let quic = server.dial().await.unwrap();
    let _control = raw_control(&quic).await;
    for broken in 1..=4 {
        let (mut send, mut recv) = quic.open_bi().await.unwrap();
        // Half a HEADERS frame, then a reset.
        send.write_all(&RAW_GET[..1]).await.unwrap();
        send.reset(code(Code::H3_REQUEST_CANCELLED)).unwrap();
        let end = soon(recv.read_to_end(100)).await.unwrap_err();
        match end {
            quinn::ReadToEndError::Read(ReadError::Reset(_)) => assert!(broken <= 3),
            _ => assert_eq!(broken, 4),
        }
    }
    assert_eq!(closed_with(&quic).await, code(Code::H3_EXCESSIVE_LOAD));
}

#[tokio::test]
async fn a_long_target_many_fields_and_large_fields_are_answered() {
    let limits = Limits { uri_bytes: 30, header_count: 5, header_bytes: 2000, ..Limits::default() };
    let server = server(&limits, hello);
    let mut client = server.client().await;
    let with = |count: usize, size: usize| {
        let mut request = get("/");
        for field in 0..count {
            request.headers_mut().append(
                http::HeaderName::try_from(format!("x-{field}")).unwrap(),
                "a".repeat(size).parse().unwrap(),
            );
        }
        request
    };
    let cases = [
        (get(&format!("/{}", "a".repeat(29))), StatusCode::OK),
        (get(&format!("/{}", "a".repeat(30))), StatusCode::URI_TOO_LONG),
        (with(5, 1), StatusCode::OK),
        (with(6, 1), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
    ];
    for (request, status) in cases {
        assert_eq!(soon(client.whole(request)).await.0.status(), status);
    }
    // A client that knows our settings would not send this one.
    let quic = server.dial().await.unwrap();
    let _control = raw_control(&quic).await;
    let (mut send, mut recv) = quic.open_bi().await.unwrap();
    let block = [&RAW_GET[2..], b"\x21x\x7f\xa1\x0f", &[b'a'; 2080]].concat();
    let length = u16::try_from(block.len()).unwrap() | 0x4000;
    send.write_all(&[&b"\x01"[..], &length.to_be_bytes(), &block].concat()).await.unwrap();
    send.finish().unwrap();
    // The response's only frame is its HEADERS: a clean end behind it is the test.
    assert_eq!(soon(recv.read_to_end(1000)).await.unwrap()[0], 1);
}

#[tokio::test]
async fn a_silent_upload_is_too_slow() {
    let limits = Limits { body_idle: Duration::from_millis(100), ..Limits::default() };
    let (told, mut tell) = mpsc::unbounded_channel();
    let server = server(&limits, move |request: Request<RequestBody>| {
        let told = told.clone();
        async move {
            told.send(request.into_body().collect().await.map(|_| ())).unwrap();
            Response::builder().status(408).body(body::empty()).unwrap()
        }
    });
    let mut client = server.client().await;
    let mut stream = client.start(post("/")).await;
    stream.send_data("half".into()).await.unwrap();
    assert!(matches!(soon(tell.recv()).await, Some(Err(BodyError::TooSlow))));
    assert_eq!(soon(stream.recv_response()).await.unwrap().status(), 408);
}

#[tokio::test]
async fn an_upload_of_another_length_than_stated_is_an_error() {
    let (told, mut tell) = mpsc::unbounded_channel();
    let server = server(&Limits::default(), move |request: Request<RequestBody>| {
        let told = told.clone();
        async move {
            told.send(request.into_body().collect().await.is_ok()).unwrap();
            Response::new(body::empty())
        }
    });
    let mut client = server.client().await;
    for (length, fine) in [("4", true), ("5", false), ("3", false)] {
        let mut request = post("/");
        request.headers_mut().insert("content-length", length.parse().unwrap());
        let mut stream = client.start(request).await;
        let answered = soon(async {
            stream.send_data("four".into()).await.unwrap();
            stream.finish().await.unwrap();
            stream.recv_response().await.is_ok()
        });
        // When all of it is here at once, the stream is reset and no handler is asked.
        assert_eq!(answered.await && soon(tell.recv()).await.unwrap(), fine, "{length}");
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_given_up_and_one_that_is_slow_is_not() {
    let limits = Limits { write_idle: Duration::from_millis(400), ..Limits::default() };
    let (feed, body) = fed();
    let body = Mutex::new(Some(body));
    let server = server(&limits, move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Response::new(body) }
    });
    let mut window = TransportConfig::default();
    window.stream_receive_window(1000u32.into());
    let mut client = server.client_with(window).await;
    let mut stream = client.ask(get("/")).await;
    static LONG: &str = match std::str::from_utf8(&[b'a'; 8000]) {
        Ok(text) => text,
        Err(_) => "",
    };
    soon(stream.recv_response()).await.unwrap();
    feed.send(Ok(LONG)).unwrap();
    // Read slowly: the window opens a little each time, and the limit starts anew.
    let mut read = 0;
    while read < 5000 {
        let pause = tokio::time::timeout(Duration::from_millis(150), pending::<()>());
        pause.await.unwrap_err();
        read += bytes::Buf::remaining(&soon(stream.recv_data()).await.unwrap().unwrap());
    }
    assert!(!feed.is_closed());
    // Then not at all.
    soon(feed.closed()).await;
}

#[tokio::test]
async fn an_upload_that_is_read_slowly_stops_at_the_window() {
    let limits = Limits { quic_stream_window: 64 * 1024, ..Limits::default() };
    let server = server(&limits, |mut request: Request<RequestBody>| async move {
        for _ in 0..2000 {
            request.body_mut().frame().await.unwrap().unwrap();
            tokio::task::yield_now().await;
        }
        pending().await
    });
    let quic = server.dial().await.unwrap();
    let _control = raw_control(&quic).await;
    let (mut send, _recv) = quic.open_bi().await.unwrap();
    send.write_all(RAW_GET).await.unwrap();
    // DATA frames of one byte, which `h3` would hoard while it hands them out one by one.
    let frames = b"\x00\x01a".repeat(1000);
    let mut written = 0;
    while let Ok(took) = tokio::time::timeout(Duration::from_millis(500), send.write(&frames)).await {
        written += took.unwrap();
    }
    // The window, as much again in `h3`, and what was read.
    assert!((64_000..140_000).contains(&written), "{written} bytes were taken");
}

#[tokio::test]
async fn a_source_that_is_not_answered_gets_no_packet() {
    fn nobody(peer: SocketAddr) -> bool {
        assert!(peer.is_ipv4());
        false
    }
    let server = filtered(&Limits::default(), nobody, hello);
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(Some(Duration::from_millis(300).try_into().unwrap()));
    assert_eq!(server.dial_with(transport).await.unwrap_err(), ConnectionError::TimedOut);
}

#[tokio::test]
async fn from_the_limit_on_a_client_proves_its_address_and_is_served() {
    let server = server(&Limits { quic_retry_from: 0, ..Limits::default() }, hello);
    let mut client = server.client().await;
    assert_eq!(soon(client.whole(get("/"))).await.1, Bytes::from("hello"));
}

#[tokio::test]
async fn changed_limits_hold_for_connections_that_begin_afterwards() {
    /// Opens as many streams as the server allows.
    fn open(quic: &quinn::Connection) -> Vec<(quinn::SendStream, quinn::RecvStream)> {
        std::iter::from_fn(|| quic.open_bi().now_or_never()?.ok()).collect()
    }
    let limits = Limits { streams: 5, quic_retry_from: 0, ..Limits::default() };
    let server = server(&limits, hello);
    let before = server.dial().await.unwrap();
    let _control = raw_control(&before).await;
    server.newest.send_replace(Arc::new(Limits { streams: 2, ..limits }));
    soon(async { while open(&server.dial().await.unwrap()).len() != 2 {} }).await;
    let mut streams = open(&before);
    assert_eq!(streams.len(), 5);
    let (send, recv) = &mut streams[4];
    send.write_all(RAW_GET).await.unwrap();
    send.finish().unwrap();
    assert!(soon(recv.read_to_end(1000)).await.unwrap().ends_with(b"hello"));
}

#[tokio::test]
async fn beyond_the_connections_that_are_open_none_is_taken() {
    let server = server(&Limits { connections: 1, ..Limits::default() }, hello);
    // Once it is answered, it is counted.
    let mut first = server.client().await;
    assert_eq!(soon(first.whole(get("/"))).await.0.status(), StatusCode::OK);
    let refused = server.dial().await.unwrap_err();
    assert!(matches!(refused, ConnectionError::ConnectionClosed(_)), "{refused}");
}

#[tokio::test]
async fn empty_frames_have_a_number_and_one_more_closes_the_connection() {
    let server = server(&Limits { h3_empty_frames: 3, ..Limits::default() }, hello);
    for (empty, answered) in [(3, true), (4, false)] {
        let quic = server.dial().await.unwrap();
        let _control = raw_control(&quic).await;
        let (mut send, mut recv) = quic.open_bi().await.unwrap();
        // Frames of a reserved type (RFC 9114 section 7.2.8), which mean nothing.
        let request = [&b"\x21\x00".repeat(empty), RAW_GET].concat();
        let _written = send.write_all(&request).await;
        let _finished = send.finish();
        let end = soon(recv.read_to_end(1000)).await;
        assert_eq!(end.is_ok_and(|bytes| bytes.ends_with(b"hello")), answered, "{empty}");
        if !answered {
            assert_eq!(closed_with(&quic).await, code(Code::H3_EXCESSIVE_LOAD));
        }
    }
}

#[tokio::test]
async fn heads_that_are_not_whole_have_a_sum_and_one_more_byte_closes_the_connection() {
    let limits = Limits { quic_receive_window: 100_000, ..Limits::default() };
    let server = server(&limits, hello);
    let quic = server.dial().await.unwrap();
    let _control = raw_control(&quic).await;
    let head = |length: u32| [&b"\x01"[..], &(length | 0x8000_0000).to_be_bytes()].concat();
    // A head that was whole, and one whose stream is gone, count no longer.
    let (mut whole, mut answer) = quic.open_bi().await.unwrap();
    whole.write_all(RAW_GET).await.unwrap();
    soon(answer.read_exact(&mut [0; 1])).await.unwrap();
    for rest in [0, 1] {
        let mut streams = Vec::new();
        for length in [50_000, 50_000 + rest] {
            let (mut send, recv) = quic.open_bi().await.unwrap();
            send.write_all(&head(60_000)).await.unwrap();
            send.write_all(&vec![0; length]).await.unwrap();
            streams.push((send, recv));
        }
        if rest == 1 {
            assert_eq!(closed_with(&quic).await, code(Code::H3_EXCESSIVE_LOAD));
            return;
        }
        let waited = tokio::time::timeout(Duration::from_millis(300), quic.closed()).await;
        assert!(waited.is_err(), "the limit itself is within it");
        for (mut send, mut recv) in streams {
            send.reset(code(Code::H3_REQUEST_CANCELLED)).unwrap();
            soon(recv.read_to_end(100)).await.unwrap_err();
        }
    }
}

#[tokio::test]
async fn handshakes_that_wait_have_a_number_and_one_more_is_refused() {
    for (most, answered) in [(2, true), (1, false)] {
        let server = server(&Limits { quic_incoming: most, ..Limits::default() }, hello);
        let _silent = server.half_a_handshake().await;
        match server.dial().await {
            Ok(_) => assert!(answered),
            Err(ConnectionError::ConnectionClosed(_)) => assert!(!answered),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_connections_window_is_taken_whole_and_no_more() {
    for window in [64 * 1024, 192 * 1024] {
        let limits =
            Limits { quic_receive_window: window, quic_stream_window: 1024 * 1024, ..Limits::default() };
        let server = server(&limits, |request: Request<RequestBody>| async move {
            let _unread = request;
            pending().await
        });
        let quic = server.dial().await.unwrap();
        let (mut send, _recv) = quic.open_bi().await.unwrap();
        send.write_all(RAW_GET).await.unwrap();
        let chunk = vec![0; 8192];
        // One endless DATA frame.
        let endless = b"\x00\xc0\x00\x00\x00\x7f\xff\xff\xff";
        send.write_all(endless).await.unwrap();
        let mut written = RAW_GET.len() + endless.len();
        while let Ok(took) = tokio::time::timeout(Duration::from_millis(500), send.write(&chunk)).await {
            written += took.unwrap();
        }
        let window = usize::try_from(window).unwrap();
        // What `h3` itself reads ahead opens the window once more, by as much as one look takes.
        assert!((window..window + 80_000).contains(&written), "{written} bytes of a window of {window}");
    }
}

#[tokio::test]
async fn so_many_streams_are_open_at_once_and_one_more_waits_for_its_turn() {
    let server = server(&Limits { streams: 3, ..Limits::default() }, hello);
    let quic = server.dial().await.unwrap();
    let _control = raw_control(&quic).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(soon(quic.open_bi()).await.unwrap());
    }
    let waits = tokio::time::timeout(Duration::from_millis(300), quic.open_bi()).await;
    assert!(waits.is_err(), "a fourth stream was granted");
    let (mut send, mut recv) = open.remove(0);
    send.write_all(RAW_GET).await.unwrap();
    send.finish().unwrap();
    soon(recv.read_to_end(4096)).await.unwrap();
    soon(quic.open_bi()).await.unwrap();
}
