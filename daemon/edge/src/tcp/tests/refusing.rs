//! Answers that want nothing of the request's body, which comes all the same.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    limits::{ACK, DATA, END_HEADERS, HEADERS, PING, RESET, Raw, SETTINGS},
    *,
};

/// `POST http://localhost/refuses` in HPACK.
const POST: &[u8] = b"\x83\x86\x44\x08/refuses\x41\x09localhost";
const END_STREAM: u8 = 1;

/// A connection whose one request has been answered, and whose body is open.
async fn refused(limits: Limits) -> (Raw, Served) {
    let (mut served, (near, _)) = (served(true, limits), duplex(1));
    let mut raw = Raw::begin(std::mem::replace(&mut served.near, near)).await;
    raw.send(SETTINGS, ACK, 0, b"").await;
    raw.send(HEADERS, END_HEADERS, 1, POST).await;
    loop {
        let (kind, flags, _) = raw.read().await;
        assert_ne!(kind, RESET, "before the answer's end");
        if kind == DATA && flags & END_STREAM != 0 {
            return (raw, served);
        }
    }
}

/// The code of the stream's reset; none if the answer to a ping comes first.
async fn reset(raw: &mut Raw) -> Option<u8> {
    raw.send(PING, 0, 0, b"are well").await;
    loop {
        match raw.read().await {
            (RESET, _, code) => return Some(code[3]),
            (PING, ACK, payload) if payload == b"are well" => return None,
            _ => {}
        }
    }
}

#[tokio::test]
async fn http2_takes_the_rest_of_the_body_behind_its_answer_and_resets_nothing() {
    let (mut raw, _served) = refused(Limits::default()).await;
    assert_eq!(reset(&mut raw).await, None);
    raw.send(DATA, 0, 1, &[b'x'; 10_000]).await;
    assert_eq!(reset(&mut raw).await, None);
    raw.send(DATA, END_STREAM, 1, b"x").await;
    assert_eq!(reset(&mut raw).await, None);
    assert_eq!(reset(&mut raw).await, None);
}

#[tokio::test]
async fn http2_takes_so_many_bytes_of_it_and_not_one_more() {
    let (mut raw, _served) = refused(Limits { refused_bytes: 10_000, ..Limits::default() }).await;
    raw.send(DATA, 0, 1, &[b'x'; 10_000]).await;
    assert_eq!(reset(&mut raw).await, None);
    raw.send(DATA, 0, 1, b"x").await;
    // The answer to a ping may overtake the reset, which is "no error": the answer is whole (RFC 9113 section 8.1).
    assert_eq!(reset(&mut raw).await.or(reset(&mut raw).await), Some(0));
}

#[tokio::test(start_paused = true)]
async fn http2_takes_it_for_so_long_and_where_the_time_is_zero_not_at_all() {
    for seconds in [0, 3] {
        let limits = Limits { refused_linger: Duration::from_secs(seconds), ..Limits::default() };
        let begun = Instant::now();
        let (mut raw, _served) = refused(limits).await;
        while raw.read().await.0 != RESET {}
        assert_eq!(begun.elapsed().as_secs(), seconds);
    }
}

/// A head, and what is answered up to its last byte.
async fn http1(near: &mut DuplexStream, head: &str) -> String {
    near.write_all(head.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n\r\nno") {
        said.push(near.read_u8().await.unwrap());
    }
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn http1_takes_the_rest_of_the_body_and_serves_on() {
    let mut served = served(false, Limits::default());
    let near = &mut served.near;
    let said = http1(near, "POST /refuses HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    near.write_all(&[b'x'; 100_000]).await.unwrap();
    let said = http1(near, "GET /refuses HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
}

#[tokio::test]
async fn http1_does_not_ask_for_a_body_that_it_does_not_want() {
    let mut served = served(false, Limits::default());
    let head = "POST /refuses HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    let said = http1(&mut served.near, head).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    // The connection ends, since nobody knows whether the body follows.
    assert_eq!(served.near.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn http1_takes_what_still_comes_of_it_behind_its_end_so_that_the_answer_is_read() {
    let limits = Limits { refused_bytes: 100_000, ..Limits::default() };
    let mut served = served(false, limits);
    let (head, near) =
        ("POST /refuses HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n", &mut served.near);
    let said = http1(near, head).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    // As much as is read on, and then as much again behind the end.
    near.write_all(&[b'x'; 200_000]).await.unwrap();
    assert_eq!(near.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    assert!(near.write_all(&[b'x'; 100_000]).await.is_err(), "and not more");
}

#[tokio::test(start_paused = true)]
async fn http1_waits_for_it_for_so_long_and_not_at_all_where_nothing_was_left() {
    let chunks = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for (rest, seconds) in
        [("Content-Length: 900\r\n\r\n", 10), ("Content-Length: 0\r\n\r\n", 0), (chunks, 0)]
    {
        let mut served = served(false, Limits::default());
        let head = format!("POST /refuses HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{rest}");
        let begun = Instant::now();
        http1(&mut served.near, &head).await;
        assert_eq!(served.near.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        while served.near.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(begun.elapsed().as_secs(), seconds, "{rest}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_a_second_for_what_nobody_wants_over_http1() {
    // It is read on, or taken behind the end.
    for linger in [5, 0] {
        let limits = Limits { refused_linger: Duration::from_secs(linger), ..Limits::default() };
        let (due, mut served) = (limits.h2_linger, served(false, limits));
        http1(&mut served.near, "POST /refuses HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n").await;
        let begun = Instant::now();
        served.drain.begin();
        served.near.read_to_end(&mut Vec::new()).await.unwrap();
        assert!(begun.elapsed() <= due, "{linger} s: {:?}", begun.elapsed());
        while served.near.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(begun.elapsed() <= due + Duration::from_millis(10), "{linger} s: {:?}", begun.elapsed());
    }
}
