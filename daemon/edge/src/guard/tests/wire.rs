//! What hyper hands over for raw bytes of HTTP/1.1, and what the guard makes of it.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{super::Guard, over, rules};
use crate::Transport;

/// The statuses that hyper and the guard give to `bytes`; 200 for what passes.
async fn statuses(bytes: &[u8]) -> Vec<u16> {
    let guard = Arc::new(Guard::new(rules()));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let (head, _body) = request.into_parts();
        let status = match guard.check(&head, &over(Transport::Plain)) {
            Ok(_) => StatusCode::OK,
            Err(refusal) => refusal.status,
        };
        seen.lock().unwrap().push(status.as_u16());
        let mut response = Response::new(Empty::<bytes::Bytes>::new());
        *response.status_mut() = status;
        async move { Ok::<_, Infallible>(response) }
    });
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let serve = async {
        let _ended = http1::Builder::new().serve_connection(TokioIo::new(server), service).await;
    };
    let talk = async {
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let ((), answer) = tokio::join!(serve, talk);
    let seen = seen.lock().unwrap().clone();
    if !seen.is_empty() {
        return seen;
    }
    let line = String::from_utf8_lossy(&answer);
    line.split(' ').nth(1).and_then(|status| status.parse().ok()).into_iter().collect()
}

#[tokio::test]
async fn requests_as_bytes() {
    let cases: &[(&str, u16)] = &[
        ("GET / HTTP/1.1\r\nHost: localhost:4000\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: localhost:4000/#@x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: rebind.evil.test\r\n\r\n", 421),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nhost: evil.test\r\n\r\n", 400),
        ("GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET http://localhost/ HTTP/1.1\r\nHost: box\r\n\r\n", 400),
        ("GET http://evil.test/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET http://u@localhost/ HTTP/1.1\r\nHost: u@localhost\r\n\r\n", 400),
        ("GET http://localhost/ HTTP/1.1\r\n\r\n", 400),
        ("GET //evil.test/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET /a/../b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET /a\\b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET /a%2fb HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET localhost HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nX_Auth: 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.test\r\n\r\n", 403),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 200),
    ];
    for (bytes, expected) in cases {
        assert_eq!(statuses(bytes.as_bytes()).await, [*expected], "{bytes:?}");
    }
}

/// Hyper keeps Transfer-Encoding and gives up the connection: what might have been a second request is not read.
#[tokio::test]
async fn two_lengths_end_the_connection() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (length, chunked) = ("Content-Length: 5", "Transfer-Encoding: chunked");
    let both = [format!("{length}\r\n{chunked}"), format!("{chunked}\r\n{length}")];
    for (fields, requests) in [(chunked, 2), (&both[0], 1), (&both[1], 1)] {
        let bytes = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n0\r\n\r\n{smuggled}");
        assert_eq!(statuses(bytes.as_bytes()).await.len(), requests, "{fields}");
    }
}
