use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    time::timeout,
};

use super::*;
use crate::BodyError;

fn limits() -> Limits {
    Limits {
        handshake: Duration::from_secs(5),
        header_read: Duration::from_secs(10),
        keep_alive_idle: Duration::from_secs(60),
        write_idle: Duration::from_secs(60),
        ..Limits::default()
    }
}

async fn closed_after(stream: &mut Deadlined<tokio::io::DuplexStream>) -> Duration {
    let begun = Instant::now();
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_closed_after_the_handshake_limit() {
    let (near, _far) = duplex(64);
    let mut stream = Deadlined::http1(near, Arc::default(), &limits());
    assert_eq!(closed_after(&mut stream).await.as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn whoever_was_answered_or_has_asked_for_nothing_for_a_second_is_idle() {
    let activity = Arc::<Activity>::default();
    sleep(Duration::from_millis(900)).await;
    assert!(!activity.is_idle(), "its request is on its way");
    sleep(Duration::from_millis(100)).await;
    assert!(activity.is_idle());
    let serving = activity.begin();
    assert!(!activity.is_idle());
    drop(serving);
    assert!(activity.is_idle());
}

#[tokio::test(start_paused = true)]
async fn only_what_a_drain_ends_is_given_up_for_it() {
    let activity = Arc::<Activity>::default();
    let linger = Duration::from_millis(200);
    let gives_up = || timeout(Duration::from_secs(5), activity.forgone(linger));
    assert!(gives_up().await.is_err(), "there was none");
    let serving = activity.begin();
    let forgoing = activity.forgo();
    assert!(gives_up().await.is_ok());
    drop((forgoing, serving));
    assert!(gives_up().await.is_ok(), "the drain has just ended it");
    sleep(Duration::from_secs(2)).await;
    assert!(gives_up().await.is_err(), "one that ended long before does not count");
}

#[tokio::test(start_paused = true)]
async fn a_head_must_be_whole_within_its_limit_however_it_trickles() {
    let (near, mut far) = duplex(64);
    let mut stream = Deadlined::http1(near, Arc::default(), &limits());
    let begun = Instant::now();
    let error = loop {
        far.write_all(b"x").await.unwrap();
        let mut byte = [0];
        if let Err(error) = stream.read_exact(&mut byte).await {
            break error;
        }
        // A byte every three seconds would keep any idle limit away.
        match tokio::time::timeout(Duration::from_secs(3), stream.read_u8()).await {
            Ok(Err(error)) => break error,
            Ok(Ok(_)) => panic!("nothing was sent"),
            Err(_elapsed) => {}
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_of_the_peer_while_a_request_is_served() {
    let (near, _far) = duplex(64);
    let activity = Arc::<Activity>::default();
    let mut stream = Deadlined::http1(near, Arc::clone(&activity), &limits());
    let serving = activity.begin();
    let hour = Duration::from_secs(3600);
    assert!(tokio::time::timeout(hour, stream.read_u8()).await.is_err(), "the hour passes first");
    drop(serving);
    assert_eq!(closed_after(&mut stream).await.as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_closed_and_one_that_takes_a_byte_is_not() {
    let (near, mut far) = duplex(4);
    let mut stream = Deadlined::http2(near, Arc::default(), &limits());
    stream.write_all(b"full").await.unwrap();
    let slow = tokio::time::timeout(Duration::from_secs(59), stream.write_u8(1)).await;
    assert!(slow.is_err(), "within the limit it is waited for");
    far.read_u8().await.unwrap();
    stream.write_u8(1).await.unwrap();
    let begun = Instant::now();
    assert_eq!(stream.write_u8(1).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_given_up() {
    let silent = http_body_util::StreamBody::new(futures_util::stream::pending::<
        Result<Frame<Bytes>, std::io::Error>,
    >());
    let mut body = Timed::new(silent, Duration::from_secs(30), Pace::new(&limits()));
    let begun = Instant::now();
    assert!(matches!(body.frame().await, Some(Err(BodyError::TooSlow))));
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_given_up_and_one_that_comes_in_time_is_not() {
    // Once a second, so that no silence is ever long.
    let limits = Limits { body_rate: 1024, body_rate_window: Duration::from_secs(7), ..limits() };
    let paced = |bytes: usize| {
        let frames = futures_util::stream::unfold((), move |()| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, io::Error>(Frame::data(Bytes::from(vec![b'x'; bytes]))), ()))
        });
        Timed::new(
            http_body_util::StreamBody::new(Box::pin(frames)),
            Duration::from_secs(30),
            Pace::new(&limits),
        )
    };
    let begun = Instant::now();
    let mut slow = paced(1023);
    let error = loop {
        if let Err(error) = slow.frame().await.unwrap() {
            break error;
        }
    };
    assert!(matches!(error, BodyError::TooSlow));
    assert_eq!(begun.elapsed().as_secs(), 7);
    let mut fast = paced(1024);
    for _ in 0..60 {
        fast.frame().await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_http2_peer_that_does_not_finish_its_preface_is_closed_after_the_handshake_limit() {
    let (near, mut far) = duplex(64);
    let mut stream = Deadlined::http2(near, Arc::default(), &limits());
    far.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    stream.read_exact(&mut [0; 16]).await.unwrap();
    assert_eq!(closed_after(&mut stream).await.as_secs(), 5);
    // One that has is the driver's to watch.
    let (near, mut far) = duplex(64);
    let mut stream = Deadlined::http2(near, Arc::default(), &limits());
    far.write_all(&[0; 33]).await.unwrap();
    stream.read_exact(&mut [0; 33]).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(3600), stream.read_u8()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn behind_the_end_of_http2_the_peer_s_rest_is_taken_for_a_while_and_no_more_than_its_window() {
    const WINDOW: usize = 4096;
    let limits = Limits { h2_linger: Duration::from_secs(1), h2_connection_window: 4096, ..limits() };
    let http2 = || {
        let (near, far) = duplex(64);
        (Deadlined::http2(near, Arc::default(), &limits), far)
    };
    // For so long where the peer stays.
    let (mut stream, mut far) = http2();
    let begun = Instant::now();
    let ended = crate::workers::spawn(async move { stream.shutdown().await.unwrap() });
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "our end");
    far.write_all(&[0; WINDOW - 1]).await.unwrap();
    ended.await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 1);
    assert!(far.write_all(&[0]).await.is_err());
    // No longer than it stays, and no more than that.
    let begun = Instant::now();
    let (mut stream, far) = http2();
    drop(far);
    stream.shutdown().await.unwrap();
    let (mut stream, mut far) = http2();
    let (sent, ended) = tokio::join!(far.write_all(&[0; WINDOW]), stream.shutdown());
    sent.unwrap();
    ended.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // HTTP/1.1 ends at once.
    let (near, _far) = duplex(64);
    let begun = Instant::now();
    Deadlined::http1(near, Arc::default(), &limits).shutdown().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
