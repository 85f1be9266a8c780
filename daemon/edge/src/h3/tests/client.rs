//! Our own client, which the program looks at itself with, against our own server.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use quinn::{Endpoint, TransportConfig};

use super::support::{Server, fed, server, soon};
use crate::{Limits, RequestBody, StreamFailed, body, h3::Client};

async fn client(server: &Server) -> Client {
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let quic = server.dial_by(&endpoint, server.address, TransportConfig::default()).await.unwrap();
    Client::new(endpoint, quic).await.unwrap()
}

fn post(text: &'static str) -> Request<Bytes> {
    Request::post("https://localhost/").body(Bytes::from_static(text.as_bytes())).unwrap()
}

#[tokio::test]
async fn requests_go_out_and_answers_come_piece_by_piece_on_one_connection() {
    let server = server(&Limits::default(), |request: Request<RequestBody>| async move {
        let asked = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(body::full(format!("you said {}", String::from_utf8_lossy(&asked))))
    });
    let mut one = client(&server).await;
    let mut two = one.clone();
    let (first, second) = soon(async { tokio::join!(one.ask(post("one")), two.ask(post("two"))) }).await;
    for (answer, wanted) in [(first, "you said one"), (second, "you said two")] {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200);
        let (mut pieces, mut text) = (answer.into_body(), Vec::new());
        while let Some(piece) = soon(pieces.next()).await.unwrap() {
            text.extend_from_slice(&piece);
        }
        assert_eq!(text, wanted.as_bytes());
    }
    assert!(one.is_open());
    drop(two);
    soon(one.close()).await;
}

#[tokio::test]
async fn an_answer_that_is_reset_is_no_whole_one() {
    let server = server(&Limits::default(), |_| async move {
        let (feed, body) = fed();
        feed.send(Ok("half")).unwrap();
        feed.send(Err(StreamFailed)).unwrap();
        Response::new(body)
    });
    let mut client = client(&server).await;
    let mut pieces = soon(client.ask(post("x"))).await.unwrap().into_body();
    assert_eq!(soon(pieces.next()).await.unwrap().unwrap(), "half");
    assert!(soon(pieces.next()).await.is_err());
}
