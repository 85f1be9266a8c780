mod idle;
mod limits;
mod refusing;

use std::{future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Request, Response, header::ALT_SVC};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{AltSvc, Serve, serve};
use crate::{
    Connection, EndsAtDrain, Handler, Limits, RequestBody, ResponseBody, StreamFailed, Transport, body,
    drain::Drain,
    sources::Sources,
    workers::{Workers, spawn},
};

const EVENT: &str = "data: {\"error\":{}}\n\n";

/// Answers by its path, and tells when a request's work has been dropped.
#[derive(Clone)]
struct Doubled(mpsc::UnboundedSender<&'static str>);

struct Dropped(mpsc::UnboundedSender<&'static str>, &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _told = self.0.send(self.1);
    }
}

impl Handler for Doubled {
    async fn handle(&self, request: Request<RequestBody>) -> Response<ResponseBody> {
        let tell = self.0.clone();
        match request.uri().path() {
            "/fails" => Response::new(
                StreamBody::new(stream::iter([
                    Ok(Frame::data(Bytes::from("data: 1\n\n"))),
                    Ok(Frame::data(Bytes::from(EVENT))),
                    Err(StreamFailed),
                ]))
                .boxed_unsync(),
            ),
            "/refuses" => Response::new(body::full("no")),
            path @ ("/endless" | "/events") => {
                let held = Dropped(tell, "body");
                let chunks = stream::repeat_with(move || {
                    let _held = &held;
                    Ok(Frame::data(Bytes::from(vec![b'x'; 4096])))
                });
                let mut response = Response::new(StreamBody::new(chunks).boxed_unsync());
                if path == "/events" {
                    response.extensions_mut().insert(EndsAtDrain);
                }
                response
            }
            "/counted" => {
                let chunks = stream::repeat_with(move || {
                    let _told = tell.send("chunk");
                    Ok(Frame::data(Bytes::from(vec![b'x'; 4096])))
                });
                Response::new(StreamBody::new(chunks).boxed_unsync())
            }
            other => {
                if let Some(length) = other.strip_prefix("/whole/") {
                    return Response::new(body::full("x".repeat(length.parse().unwrap())));
                }
                let _held = Dropped(tell, "handler");
                pending().await
            }
        }
    }
}

struct Served {
    near: DuplexStream,
    drain: Drain,
    dropped: mpsc::UnboundedReceiver<&'static str>,
}

fn served(http2: bool, limits: Limits) -> Served {
    served_with(http2, limits, None)
}

fn served_with(http2: bool, limits: Limits, alt_svc: Option<AltSvc>) -> Served {
    let (near, far) = duplex(4096);
    let (tell, dropped) = mpsc::unbounded_channel();
    let drain = Drain::default();
    let (sources, limits) = (Sources::new(&limits), Arc::new(limits));
    let given = Serve {
        handler: Doubled(tell),
        sources,
        newest: watch::channel(Arc::clone(&limits)).1,
        limits,
        answers: Arc::new(|_| true),
        seats: Workers::start(0).unwrap().seats(),
        pulse: crate::pulse::Pulse::default(),
        room: crate::room::Room::default(),
        drain: drain.watch(),
    };
    let address = "127.0.0.1:1".parse().unwrap();
    let connection = Connection::new(address, address, Transport::Tls);
    spawn(async move {
        if http2 {
            serve::http2(far, connection, alt_svc, given).await;
        } else {
            serve::http1(far, connection, alt_svc, &given).await;
        }
    });
    Served { near, drain, dropped }
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://localhost{path}")).body(Empty::new()).unwrap()
}

async fn http2_client(near: DuplexStream) -> http2::SendRequest<Empty<Bytes>> {
    let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(near)).await.unwrap();
    spawn(async move { drop(connection.await) });
    client
}

async fn read(mut body: hyper::body::Incoming) -> (String, bool) {
    let mut text = String::new();
    loop {
        match body.frame().await {
            Some(Ok(frame)) => text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap()),
            Some(Err(_)) => return (text, false),
            None => return (text, true),
        }
    }
}

#[tokio::test]
async fn a_failed_stream_is_read_to_its_last_event_before_http2_resets_it() {
    // Without the wait, so that it is seen that the event has left the send queue, not only that it had the time to.
    let limits = Limits { failure_linger: Duration::ZERO, ..Limits::default() };
    for _ in 0..200 {
        let served = served(true, limits.clone());
        let mut client = http2_client(served.near).await;
        let response = client.send_request(get("/fails")).await.unwrap();
        let (text, clean) = read(response.into_body()).await;
        assert_eq!(text, format!("data: 1\n\n{EVENT}"));
        assert!(!clean, "the stream must end in a reset");
    }
}

#[tokio::test(start_paused = true)]
async fn http2_gives_the_last_event_time_to_be_read_before_the_reset() {
    let limits = Limits { failure_linger: Duration::from_millis(700), ..Limits::default() };
    let served = served(true, limits.clone());
    let mut client = http2_client(served.near).await;
    let mut body = client.send_request(get("/fails")).await.unwrap().into_body();
    let mut text = Vec::new();
    while !text.ends_with(EVENT.as_bytes()) {
        text.extend(body.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    let read = Instant::now();
    while body.frame().await.unwrap().is_ok_and(|frame| frame.data_ref().is_some_and(Bytes::is_empty)) {}
    assert_eq!(read.elapsed().as_millis(), limits.failure_linger.as_millis());
}

#[tokio::test]
async fn a_failed_stream_ends_cleanly_on_http1() {
    let served = served(false, Limits::default());
    let (mut client, connection) = http1::handshake(TokioIo::new(served.near)).await.unwrap();
    spawn(async move { drop(connection.await) });
    let response = client.send_request(get("/fails")).await.unwrap();
    assert_eq!(read(response.into_body()).await, (format!("data: 1\n\n{EVENT}"), true));
}

#[tokio::test]
async fn a_client_that_leaves_drops_the_handler_on_both_versions() {
    for version in [true, false] {
        let mut served = served(version, Limits::default());
        let (asked, wait) = oneshot::channel();
        let near = served.near;
        let client = tokio::task::JoinSet::from_iter([async move {
            if version {
                let mut client = http2_client(near).await;
                let answer = client.send_request(get("/waits"));
                asked.send(()).unwrap();
                drop(answer.await);
            } else {
                let (mut client, connection) = http1::handshake(TokioIo::new(near)).await.unwrap();
                let answer = client.send_request(get("/waits"));
                asked.send(()).unwrap();
                futures_util::future::join(connection, answer).await.1.unwrap();
            }
        }]);
        wait.await.unwrap();
        // The request has been written once the server's task has run; leaving before that asks nothing.
        tokio::task::yield_now().await;
        let mut client = client;
        while served.drain.open() == 0 && served.dropped.is_empty() {
            if tokio::time::timeout(Duration::from_millis(20), client.join_next()).await.is_err() {
                break;
            }
        }
        client.abort_all();
        assert_eq!(served.dropped.recv().await, Some("handler"));
    }
}

#[tokio::test]
async fn an_http2_reader_that_takes_nothing_loses_its_work() {
    let limits = Limits { write_idle: Duration::from_millis(200), ..Limits::default() };
    let mut served = served(true, limits);
    let mut client = http2_client(served.near).await;
    let response = client.send_request(get("/endless")).await.unwrap();
    assert_eq!(served.dropped.recv().await, Some("body"));
    drop(response);
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_without_a_request_is_closed() {
    let served = served(true, Limits::default());
    let begun = tokio::time::Instant::now();
    let (_client, connection) =
        http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(served.near))
            .await
            .unwrap();
    drop(connection.await);
    // Told by then that it would be gone within `handshake`, it says goodbye at once.
    assert!((4..5).contains(&begun.elapsed().as_secs()), "closed after {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_http1_connection_is_not_idle_while_its_answer_is_being_read() {
    const LENGTH: usize = 1_000_000;
    let served = served(false, Limits::default());
    let mut near = served.near;
    let request = format!("GET /whole/{LENGTH} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    near.write_all(request.as_bytes()).await.unwrap();
    let (begun, mut read, mut piece) = (Instant::now(), 0, [0; 4096]);
    while read < LENGTH {
        let more = near.read(&mut piece).await.unwrap();
        assert!(more > 0, "cut after {:?} and {read} bytes", begun.elapsed());
        read += more;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // Two minutes and more. Once it has been read, the connection has its time to be idle.
    let idle = Instant::now();
    while near.read(&mut piece).await.unwrap() > 0 {}
    assert!((58..=60).contains(&idle.elapsed().as_secs()), "closed after {:?}", idle.elapsed());
}

#[tokio::test]
async fn a_drain_lets_the_stream_end() {
    let served = served(true, Limits::default());
    let mut client = http2_client(served.near).await;
    let response = client.send_request(get("/endless")).await.unwrap();
    served.drain.begin();
    let taken = response.into_body().into_data_stream().take(100).count().await;
    assert_eq!(taken, 100);
}

#[tokio::test]
async fn responses_name_http3_while_it_is_served_and_take_it_back_when_it_is_not() {
    let (up, serving) = watch::channel(true);
    let value = HeaderValue::from_static("h3=\":443\"; ma=86400");
    let alt_svc = Some(AltSvc { value: value.clone(), serving });
    let served = served_with(true, Limits::default(), alt_svc);
    let mut client = http2_client(served.near).await;
    let mut said = async || client.send_request(get("/fails")).await.unwrap().headers()[ALT_SVC].clone();
    assert_eq!(said().await, value);
    up.send_replace(false);
    assert_eq!(said().await, "clear");
}
