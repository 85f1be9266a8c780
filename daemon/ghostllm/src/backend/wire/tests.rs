//! Tests of the wire against a peer that does byte for byte what it is told.

use std::{io::Write as _, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    join,
    net::{TcpSocket, TcpStream, UnixListener},
};

mod limits;

use super::*;
use crate::backend::peer::{PATIENT, Peer, chunk, chunked, ok};

const JSON: &str = "application/json";
const SHORT: Duration = Duration::from_millis(60);

fn wire(peer: &Peer) -> Wire {
    Wire::new(&Place::Url(peer.url()), None, PATIENT, &Arc::default()).unwrap()
}

fn timed(peer: &Peer, change: impl FnOnce(&mut Timeouts)) -> Wire {
    let mut timeouts = PATIENT;
    change(&mut timeouts);
    Wire::new(&Place::Url(peer.url()), None, timeouts, &Arc::default()).unwrap()
}

fn post() -> Ask {
    let body = Bytes::from_static(b"{\"a\":1}");
    Ask { method: Method::POST, route: "/api/chat", accept: JSON, body, trace: None, slot: None }
}

async fn fetch(wire: &Wire) -> Result<Bytes, BackendFault> {
    wire.ask(&post()).await?.success(&[JSON]).await?.whole(1000).await
}

/// What becomes of an answer, after which the peer closes.
async fn after(response: &str) -> Result<Bytes, BackendFault> {
    let peer = Peer::new().await;
    let wire = wire(&peer);
    let (fetched, _) = join!(fetch(&wire), async { drop(peer.answer(response).await) });
    assert!(peer.nobody_else_came(), "a request on a new connection was sent twice");
    fetched
}

#[tokio::test]
async fn a_request_bears_our_own_headers_and_no_others() {
    let peer = Peer::new().await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "secret-1").unwrap();
    let url = format!("http://{}/under/it/", peer.address()).parse().unwrap();
    let wire = Wire::new(&Place::Url(url), Some(file.path()), PATIENT, &Arc::default()).unwrap();
    let response = ok(JSON, "{}");
    let (fetched, (_, got)) = join!(fetch(&wire), peer.answer(&response));
    assert_eq!(fetched.unwrap(), "{}");
    assert_eq!(got.body, "{\"a\":1}");
    let mut lines: Vec<_> = got.head.trim().lines().collect();
    assert_eq!(lines.remove(0), "post /under/it/api/chat http/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", peer.address());
    let agent = format!("user-agent: ghostllm/{}", env!("CARGO_PKG_VERSION"));
    let expected = [
        "accept-encoding: identity",
        "accept: application/json",
        "authorization: bearer secret-1",
        "content-length: 7",
        "content-type: application/json",
        &host,
        &agent,
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_key_that_cannot_be_used_is_named() {
    let url: ghostllm_core::config::BackendUrl = "http://127.0.0.1:1".parse().unwrap();
    for text in ["", " \n", "two\nlines"] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let failed =
            Wire::new(&Place::Url(url.clone()), Some(file.path()), PATIENT, &Arc::default()).err().unwrap();
        assert!(failed.to_string().contains("key_file"), "{failed}");
        assert!(!failed.to_string().contains("two"), "{failed}");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_rested_is_not_used() {
    let peer = Peer::new().await;
    let wire = wire(&peer);
    let response = ok(JSON, "{}");
    let (first, _) = join!(fetch(&wire), async { drop(peer.answer(&response).await) });
    first.unwrap();
    let (second, _) = join!(fetch(&wire), peer.answer(&response));
    second.unwrap();
}

#[tokio::test]
async fn a_rested_connection_that_dies_without_a_byte_is_replaced_once() {
    let peer = Peer::new().await;
    let wire = wire(&peer);
    let response = ok(JSON, "{}");
    let (first, (mut line, _)) = join!(fetch(&wire), peer.answer(&response));
    first.unwrap();
    let (second, got) = join!(fetch(&wire), async {
        let lost = line.request().await;
        drop(line);
        let (_line, got) = peer.answer(&response).await;
        assert_eq!(lost.body, got.body);
        got
    });
    assert_eq!(second.unwrap(), "{}");
    assert!(got.head.starts_with("post /api/chat"));
    assert!(peer.nobody_else_came());
}

#[tokio::test]
async fn the_replacement_is_not_replaced_again() {
    let peer = Peer::new().await;
    let wire = wire(&peer);
    let response = ok(JSON, "{}");
    let (first, (mut line, _)) = join!(fetch(&wire), peer.answer(&response));
    first.unwrap();
    let (second, ()) = join!(fetch(&wire), async {
        line.request().await;
        drop(line);
        peer.accept().await.request().await;
    });
    assert!(matches!(second, Err(BackendFault::Died { .. })), "{second:?}");
    assert!(peer.nobody_else_came());
}

#[tokio::test]
async fn a_rested_connection_that_had_begun_to_answer_is_not_replaced() {
    let peer = Peer::new().await;
    let wire = wire(&peer);
    let response = ok(JSON, "{}");
    let (first, (mut line, _)) = join!(fetch(&wire), peer.answer(&response));
    first.unwrap();
    let (second, ()) = join!(fetch(&wire), async {
        line.request().await;
        line.send("HTTP/1.1 20").await;
        drop(line);
    });
    assert!(matches!(second, Err(BackendFault::Died { .. })), "{second:?}");
    assert!(peer.nobody_else_came());
}

#[tokio::test]
async fn who_leaves_before_the_head_closes_the_connection() {
    let peer = Peer::new().await;
    let wire = wire(&peer);
    let mut line = tokio::select! {
        _ = fetch(&wire) => unreachable!("nothing was answered"),
        line = async {
            let mut line = peer.accept().await;
            line.request().await;
            line
        } => line,
    };
    line.closed().await;
}

#[tokio::test]
async fn who_leaves_within_the_body_closes_the_connection() {
    let peer = Peer::new().await;
    let wire = wire(&peer);
    let response = chunked(JSON) + &chunk("x");
    let ask = post();
    let (reply, (mut line, _)) = join!(wire.ask(&ask), peer.answer(&response));
    let mut reply = reply.unwrap();
    assert_eq!(reply.next().await, Some(Ok(Bytes::from_static(b"x"))));
    drop(reply);
    line.closed().await;
}

#[tokio::test]
async fn silence_is_a_fault_of_its_stage() {
    for (response, stage) in [
        (String::new(), Stage::FirstByte),
        ("HTTP/1.1 200".to_owned(), Stage::FirstByte),
        (chunked(JSON), Stage::FirstByte),
        (chunked(JSON) + &chunk("x"), Stage::Idle),
    ] {
        let peer = Peer::new().await;
        let wire = timed(&peer, |timeouts| match stage {
            Stage::Idle => timeouts.idle = SHORT,
            Stage::FirstByte | Stage::Connect => timeouts.first_byte = SHORT,
        });
        let (fetched, ()) = join!(fetch(&wire), async {
            let (mut line, _) = peer.answer(&response).await;
            line.closed().await;
        });
        assert_eq!(fetched, Err(BackendFault::Timeout { stage }), "{response:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_not_taken_in_time_is_a_fault() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Fills the queue of the listener, which nobody empties: the next one hears nothing at all.
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    let timeouts = Timeouts { connect: SHORT, ..PATIENT };
    let url = format!("http://{address}").parse().unwrap();
    let wire = Wire::new(&Place::Url(url), None, timeouts, &Arc::default()).unwrap();
    assert_eq!(fetch(&wire).await, Err(BackendFault::Timeout { stage: Stage::Connect }));
}

#[tokio::test]
async fn nobody_there_is_a_fault_that_says_where() {
    let peer = Peer::new().await;
    let (wire, address) = (wire(&peer), peer.address());
    drop(peer);
    let Err(BackendFault::Unreachable { detail }) = fetch(&wire).await else { panic!("it was reached") };
    assert!(detail.contains(&address) && detail.contains("refused"), "{detail}");

    let place = Place::Socket("/nonexistent/engine.sock".into());
    let wire = Wire::new(&place, None, PATIENT, &Arc::default()).unwrap();
    let Err(BackendFault::Unreachable { detail }) = fetch(&wire).await else { panic!("it was reached") };
    assert!(detail.contains("/nonexistent/engine.sock"), "{detail}");
}

#[tokio::test]
async fn a_unix_socket_is_as_good() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("engine.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let wire = Wire::new(&Place::Socket(path), None, PATIENT, &Arc::default()).unwrap();
    let (fetched, ()) = join!(fetch(&wire), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"{\"a\":1}") {
            stream.read_buf(&mut head).await.unwrap();
        }
        assert!(String::from_utf8(head).unwrap().contains("host: localhost\r\n"));
        stream.write_all(ok(JSON, "{}").as_bytes()).await.unwrap();
    });
    assert_eq!(fetched.unwrap(), "{}");
}

#[tokio::test]
async fn early_heads_are_passed_over() {
    let early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n";
    assert_eq!(after(&format!("{early}{}", ok(JSON, "{}"))).await.unwrap(), "{}");
}

#[tokio::test]
async fn early_heads_without_an_end_are_no_answer() {
    let peer = Peer::new().await;
    let wire = wire(&peer);
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let flood = async { peer.answer(hints).await.0.flood(hints) };
    let exchange = async { join!(fetch(&wire), flood) };
    let (fetched, flood) = timeout(PATIENT.first_byte, exchange).await.unwrap();
    assert!(matches!(fetched, Err(BackendFault::Garbage { .. })), "{fetched:?}");
    flood.join().unwrap();
}

#[tokio::test]
async fn an_end_before_the_end_is_a_fault() {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345".to_owned();
    let cut = chunked(JSON) + &chunk("12345");
    for response in [String::new(), "HTTP/1.1 200 OK\r\n".to_owned(), short, cut] {
        let fetched = after(&response).await;
        assert!(matches!(fetched, Err(BackendFault::Died { .. })), "{response:?}: {fetched:?}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_garbage() {
    let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "x".repeat(40 * 1024));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
    let gzip = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\u{1f}x".to_owned();
    let chunked = chunked(JSON) + "zz\r\n";
    let types = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\n{}";
    let encodings = types.replacen("type: application/json", "encoding: identity", 1);
    let encodings = encodings.replace("type: text/html", "encoding: gzip");
    let twice = [types.to_owned(), encodings];
    let others = ["220 smtp ready\r\n\r\n".to_owned(), ok("text/html", "<html>"), gzip, long, many];
    for response in twice.into_iter().chain(others) {
        let fetched = after(&response).await;
        assert!(matches!(fetched, Err(BackendFault::Garbage { .. })), "{response:.60?}: {fetched:?}");
    }
    assert!(after(&chunked).await.is_err());
}

#[tokio::test]
async fn another_status_is_reported_with_its_body() {
    let body = r#"{"error":"model 'x' not found"}"#;
    let response = format!(
        "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(after(&response).await, Err(BackendFault::answered(404, body.as_bytes())));
    let empty = after("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(empty, Err(BackendFault::answered(204, b"")));
    let away = after("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(away, Err(BackendFault::answered(302, b"")));
    let cut = after("HTTP/1.1 500 Oh\r\ncontent-length: 100\r\n\r\nhalf").await;
    assert_eq!(cut, Err(BackendFault::answered(500, b"half")));
    for (said, after_all) in
        [("7", Some(7)), (" 9 ", Some(9)), ("0", None), ("soon", None), ("999999", Some(3600))]
    {
        let busy = format!("HTTP/1.1 429 Busy\r\nretry-after: {said}\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(
            after(&busy).await,
            Err(BackendFault::answered(429, b"").again_after(after_all)),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_whole_body_has_a_limit() {
    let fits = "x".repeat(1000);
    assert_eq!(after(&ok(JSON, &fits)).await.unwrap(), fits);
    let large = "x".repeat(1001);
    assert_eq!(after(&ok(JSON, &large)).await, Err(BackendFault::TooLong { limit: 1000 }));
}
