//! Connections that are told that idle ones end: those end, and no other.

use super::{
    limits::{DATA, END_HEADERS, HEADERS, Raw},
    *,
};

/// Long before an idle connection would be closed by itself.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn an_answered_http1_connection_ends_and_one_that_has_not_asked_does_not() {
    let served = served(false, Limits::default());
    let (mut near, idle) = (served.near, served.drain.idle());
    // It has begun, and hears it.
    tokio::task::yield_now().await;
    idle.now();
    tokio::task::yield_now().await;
    near.write_all(b"GET /whole/4 HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut piece = [0; 4096];
    assert!(near.read(&mut piece).await.unwrap() > 0, "it was closed before its first request");
    tokio::task::yield_now().await;
    idle.now();
    let begun = Instant::now();
    while near.read(&mut piece).await.unwrap() > 0 {}
    assert!(begun.elapsed() < SOON, "closed after {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_sends_half_a_head_and_no_more_ends_after_a_second() {
    let served = served(false, Limits::default());
    let (mut near, idle) = (served.near, served.drain.idle());
    near.write_all(b"GET /whole/4 HTTP/1.1\r\nhost:").await.unwrap();
    idle.now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    idle.now();
    assert_eq!(near.read(&mut [0; 64]).await.unwrap_or_default(), 0);
    assert!(begun.elapsed() < Duration::from_millis(500), "closed after {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_and_its_http1_connection_ends_once_it_is_told_again() {
    const LENGTH: usize = 100_000;
    let served = served(false, Limits::default());
    let (mut near, idle) = (served.near, served.drain.idle());
    let request = format!("GET /whole/{LENGTH} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    near.write_all(request.as_bytes()).await.unwrap();
    let (mut read, mut piece) = (0, [0; 4096]);
    while read < LENGTH {
        idle.now();
        let more = near.read(&mut piece).await.unwrap();
        assert!(more > 0, "cut after {read} bytes");
        read += more;
    }
    let begun = Instant::now();
    idle.now();
    while near.read(&mut piece).await.unwrap() > 0 {}
    assert!(begun.elapsed() < SOON, "closed after {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answered_http2_connection_is_told_goodbye_and_one_with_a_stream_is_not() {
    let served = served(true, Limits::default());
    let idle = served.drain.idle();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(served.near)).await.unwrap();
    let (tell, ended) = oneshot::channel();
    spawn(async move {
        drop(connection.await);
        let _told = tell.send(Instant::now());
    });
    let response = client.send_request(get("/endless")).await.unwrap();
    idle.now();
    let taken = response.into_body().into_data_stream().take(100).count().await;
    assert_eq!(taken, 100);
    let whole = client.send_request(get("/whole/4")).await.unwrap();
    assert_eq!(read(whole.into_body()).await, ("xxxx".to_owned(), true));
    // The stream that was left has ended as well.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let begun = Instant::now();
    idle.now();
    let ended = ended.await.unwrap();
    assert!(ended.duration_since(begun) < SOON, "closed after {:?}", ended.duration_since(begun));
}

#[tokio::test(start_paused = true)]
async fn what_was_said_before_a_connection_began_does_not_end_it() {
    // Whether the word or the request is looked at first is left to chance.
    for _ in 0..20 {
        let mut served = served(false, Limits::default());
        // Accepted, and served by nobody yet.
        served.drain.idle().now();
        let mut piece = [0; 4096];
        for _ in 0..2 {
            served.near.write_all(b"GET /whole/4 HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
            assert!(served.near.read(&mut piece).await.unwrap() > 0, "it was closed");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_on_http2_is_read_to_the_end_by_a_slow_reader_and_then_it_ends() {
    let hour = Duration::from_secs(3600);
    let limits = Limits {
        write_idle: Duration::from_secs(30),
        keep_alive_idle: hour,
        h2_ping: hour,
        ..Limits::default()
    };
    let served = served(true, limits);
    let (mut raw, begun) = (Raw::begin(served.near).await, Instant::now());
    raw.send(HEADERS, END_HEADERS | 1, 1, b"\x82\x86\x44\x0c/whole/20000\x41\x09localhost").await;
    // By then it stands in the send queue: the pipe holds less.
    tokio::time::sleep(Duration::from_millis(10)).await;
    served.drain.idle().now();
    // Longer than the goodbye's linger.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut read = 0;
    while read < 20_000 {
        if let (DATA, _, data) = raw.read().await {
            read += data.len();
        }
    }
    raw.0.read_to_end(&mut Vec::new()).await.unwrap();
    assert!((28..=32).contains(&begun.elapsed().as_secs()), "closed after {:?}", begun.elapsed());
}
