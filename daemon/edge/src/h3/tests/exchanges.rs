//! What a request and its response look like from both sides.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use bytes::Bytes;
use h3::error::{Code, StreamError};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};

use super::support::{fed, get, post, rest, server, soon};
use crate::{Connection, Limits, RequestBody, StreamFailed, Transport, body};

fn reset_with(error: &StreamError, expected: Code) -> bool {
    matches!(error, StreamError::RemoteTerminate { code, .. } if *code == expected)
}

#[tokio::test]
async fn a_get_has_no_body_and_knows_its_connection() {
    let server = server(&Limits::default(), |request: Request<RequestBody>| async move {
        let facts = *request.extensions().get::<Connection>().unwrap();
        assert_eq!((request.version(), facts.transport), (Version::HTTP_3, Transport::Quic));
        assert!(request.body().is_end_stream());
        Response::new(body::full(format!("{} {}", facts.local, facts.peer)))
    });
    let mut client = server.client().await;
    let (response, text) = soon(client.whole(get("/"))).await;
    assert_eq!(response.headers()["content-length"], text.len().to_string());
    assert!(response.headers().contains_key("date"));
    let text = String::from_utf8(text.into()).unwrap();
    assert!(text.starts_with(&format!("{} 127.0.0.1:", server.address)), "{text}");
}

#[tokio::test]
async fn bodies_and_trailers_go_both_ways() {
    let server = server(&Limits::default(), |request: Request<RequestBody>| async move {
        let collected = request.into_body().collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap();
        let frames =
            [Frame::data(collected.to_bytes()), Frame::trailers(trailers)].map(Ok::<_, StreamFailed>);
        Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
    });
    let mut client = server.client().await;
    let sent = Bytes::from(vec![7; 700_000]);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    let (mut send, mut recv) = client.start(post("/")).await.split();
    let upload = async {
        send.send_data(sent.clone()).await.unwrap();
        send.send_trailers(trailers.clone()).await.unwrap();
        send.finish().await.unwrap();
    };
    let download = async {
        recv.recv_response().await.unwrap();
        let mut received = 0;
        while let Some(data) = recv.recv_data().await.unwrap() {
            received += bytes::Buf::remaining(&data);
        }
        (received, recv.recv_trailers().await.unwrap().unwrap())
    };
    let ((), (received, echoed)) = soon(async { tokio::join!(upload, download) }).await;
    assert_eq!((received, echoed), (sent.len(), trailers));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_event_comes_alone_and_in_one_frame_of_quic() {
    let (feed, body) = fed();
    let body = std::sync::Mutex::new(Some(body));
    let server = server(&Limits::default(), move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Response::new(body) }
    });
    let mut client = server.client().await;
    let mut stream = client.ask(get("/")).await;
    soon(stream.recv_response()).await.unwrap();
    let before = client.quic.stats().frame_rx.stream;
    for _ in 0..20 {
        feed.send(Ok("data: {}\n\n")).unwrap();
        let event = soon(stream.recv_data()).await.unwrap().unwrap();
        assert_eq!(bytes::Buf::remaining(&event), 10);
    }
    // A few more may be sent again when the machine is slow; twice as many are a header and a payload each.
    assert!(client.quic.stats().frame_rx.stream - before < 30);
    drop(feed);
    assert!(soon(stream.recv_data()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_has_no_body_sends_none() {
    let server = server(&Limits::default(), |request: Request<RequestBody>| async move {
        let status = request.uri().path().trim_start_matches('/').parse().unwrap();
        Response::builder().status::<u16>(status).body(body::full("seven b")).unwrap()
    });
    let mut client = server.client().await;
    let head = Request::builder().method(Method::HEAD).uri("https://localhost/200").body(()).unwrap();
    for (request, length) in [(head, Some("7")), (get("/204"), None), (get("/304"), Some("7"))] {
        let (response, body) = soon(client.whole(request)).await;
        assert!(body.is_empty());
        let stated = response.headers().get("content-length").map(|value| value.to_str().unwrap());
        assert_eq!(stated, length);
    }
    assert_eq!(soon(client.whole(get("/200"))).await.1, "seven b");
}

#[tokio::test]
async fn a_panic_resets_its_stream_and_the_connection_lives() {
    let first = Arc::new(AtomicBool::new(true));
    let server = server(&Limits::default(), move |_| {
        let panics = first.swap(false, Relaxed);
        async move {
            assert!(!panics, "a bug, as this test wants it");
            Response::new(body::full("alive"))
        }
    });
    let mut client = server.client().await;
    let mut stream = client.ask(get("/")).await;
    let error = soon(stream.recv_response()).await.unwrap_err();
    assert!(reset_with(&error, Code::H3_INTERNAL_ERROR), "{error}");
    assert_eq!(soon(client.whole(get("/"))).await.1, "alive");
}

#[tokio::test]
async fn a_body_of_another_length_than_stated_never_ends_cleanly() {
    for length in ["1000000", "3"] {
        let server = server(&Limits::default(), move |_| async move {
            Response::builder().header("content-length", length).body(body::full("too short")).unwrap()
        });
        let mut client = server.client().await;
        let mut stream = client.ask(get("/")).await;
        let error = match soon(stream.recv_response()).await {
            Ok(_) => soon(rest(&mut stream)).await.unwrap_err(),
            Err(error) => error,
        };
        assert!(reset_with(&error, Code::H3_INTERNAL_ERROR), "{error}");
    }
}

#[tokio::test]
async fn the_last_event_of_a_failed_stream_is_read_every_time() {
    let server = server(&Limits::default(), |_| async {
        let (feed, body) = fed();
        feed.send(Ok("data: 1\n\n")).unwrap();
        feed.send(Ok("data: {\"error\":{}}\n\n")).unwrap();
        feed.send(Err(StreamFailed)).unwrap();
        Response::new(body)
    });
    let one = |mut client: super::support::Client| async move {
        let mut stream = client.ask(get("/")).await;
        let response = stream.recv_response().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut all = Vec::new();
        let error = loop {
            match stream.recv_data().await {
                Ok(Some(mut data)) => {
                    let length = bytes::Buf::remaining(&data);
                    all.extend_from_slice(&bytes::Buf::copy_to_bytes(&mut data, length));
                }
                Ok(None) => panic!("a failed stream ended cleanly"),
                Err(error) => break error,
            }
        };
        assert_eq!(all, b"data: 1\n\ndata: {\"error\":{}}\n\n");
        assert!(reset_with(&error, Code::H3_INTERNAL_ERROR), "{error}");
    };
    let runs = (0..50).map(|_| async { one(server.client().await).await });
    soon(futures_util::future::join_all(runs)).await;
}
