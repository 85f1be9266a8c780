//! Each sin does what its name says, seen from the socket of its victim.

use std::time::Duration;

use ghostllm_tests::{double::Double, ollama::Ollama, script::Sin};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{chat, exchange};

async fn sinner(sin: Sin) -> Double {
    let double = Double::start(Ollama::default()).await;
    double.misbehave("tiny", sin);
    double
}

/// What a victim reads of a stream, and whether it ended with a reset.
async fn suffer(sin: Sin) -> (String, bool) {
    let double = sinner(sin).await;
    let (response, end) = exchange(double.address(), &chat("/api/chat", "tiny", "Hello", true, true)).await;
    (String::from_utf8_lossy(&response).into_owned(), end.is_err())
}

fn tokens(response: &str) -> usize {
    response.matches("\"done\":false").count()
}

#[tokio::test]
async fn dies_mid_stream() {
    let (response, reset) = suffer(Sin::FinAfter(2)).await;
    assert_eq!((tokens(&response), reset, response.ends_with("0\r\n\r\n")), (2, false, false), "{response}");
    let double = sinner(Sin::RstAfter(2)).await;
    double.release(1);
    let (_, end) = exchange(double.address(), &chat("/api/chat", "tiny", "Hello", true, true)).await;
    assert!(end.is_err(), "a reset was promised");
}

#[tokio::test]
async fn dies_before_a_word() {
    let (response, reset) = suffer(Sin::FinBeforeHeaders).await;
    assert_eq!((response.as_str(), reset), ("", false));
    let (response, reset) = suffer(Sin::RstBeforeHeaders).await;
    assert_eq!((response.as_str(), reset), ("", true));
}

#[tokio::test]
async fn ends_or_errs_too_early() {
    let (response, _) = suffer(Sin::EndWithoutDone(3)).await;
    assert_eq!((tokens(&response), response.contains("\"done\":true")), (3, false), "{response}");
    assert!(response.ends_with("\r\n0\r\n\r\n"), "{response}");
    let (response, _) = suffer(Sin::ErrorAfter(1, "boom".into())).await;
    assert!(
        tokens(&response) == 1 && response.ends_with("{\"error\":\"boom\"}\n\r\n0\r\n\r\n"),
        "{response}"
    );
}

#[tokio::test]
async fn gives_half_of_a_whole_answer_before_it_dies() {
    let double = sinner(Sin::FinAfter(2)).await;
    let (response, _) = exchange(double.address(), &chat("/api/chat", "tiny", "Hello", false, true)).await;
    let response = String::from_utf8_lossy(&response).into_owned();
    assert!(response.contains("{\"model\":") && !response.ends_with('}'), "{response}");
}

#[tokio::test]
async fn sends_what_is_no_answer() {
    assert!(!suffer(Sin::Garbage).await.0.starts_with("HTTP/"));
    assert!(suffer(Sin::Page).await.0.contains("Content-Type: text/html\r\n"));
    assert!(suffer(Sin::Gzip).await.0.contains("Content-Encoding: gzip\r\n"));
    assert!(suffer(Sin::InvalidUtf8After(1)).await.0.contains('\u{fffd}'));
    let (response, _) = suffer(Sin::Status("503 Service Unavailable", "{\"error\":\"busy\"}".into())).await;
    assert!(
        response.starts_with("HTTP/1.1 503 ") && response.ends_with("{\"error\":\"busy\"}"),
        "{response}"
    );
    let (response, _) = suffer(Sin::LineAfter(1, "{\"cut\":")).await;
    let (before, after) = response.split_once("8\r\n{\"cut\":\n\r\n").unwrap();
    assert!(tokens(before) == 1 && after.contains("\"done\":true"), "{response}");
    assert!(suffer(Sin::Type(Some("text/html"))).await.0.contains("Content-Type: text/html\r\n"));
    assert!(!suffer(Sin::Type(None)).await.0.contains("Content-Type"));
    let (response, _) = suffer(Sin::Fields("X: y\r\n".into())).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\nX: y\r\nContent-Type: "), "{response}");
    let (response, _) = suffer(Sin::LongLength).await;
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}", body.len() + 1000)), "{head}");
}

#[tokio::test]
async fn waits_and_sees_its_peer_leave() {
    for sin in [
        Sin::HangBeforeHeaders,
        Sin::HangBeforeFirstByte,
        Sin::LateBodyBy(Duration::from_secs(60)),
        Sin::StallAfter(2),
        Sin::GatedFinAfter(2),
        Sin::EndlessLineAfter(2),
        Sin::BlankLinesAfter(2),
        Sin::EndlessHead,
        Sin::EndlessEarly,
        Sin::Gated,
    ] {
        let double = sinner(sin.clone()).await;
        let mut victim = TcpStream::connect(double.address()).await.unwrap();
        victim.write_all(&chat("/api/chat", "tiny", "Hello", true, false)).await.unwrap();
        double.wait_asked("/api/chat").await;
        assert_eq!(double.seen()[0].end, None, "{sin:?}");
        drop(victim);
        double.wait_left("/api/chat").await;
    }
}

#[tokio::test]
async fn lets_go_what_the_test_releases() {
    let double = sinner(Sin::Gated).await;
    let mut victim = TcpStream::connect(double.address()).await.unwrap();
    victim.write_all(&chat("/api/chat", "tiny", "Hello", true, true)).await.unwrap();
    double.release(2);
    let mut response = String::new();
    while tokens(&response) < 2 {
        let mut buffer = [0; 4096];
        let count = victim.read(&mut buffer).await.unwrap();
        response += std::str::from_utf8(&buffer[..count]).unwrap();
    }
    assert_eq!(tokens(&response), 2, "{response}");
    double.release(100);
    victim.read_to_string(&mut response).await.unwrap();
    assert!(response.contains("\"done\":true"), "{response}");
}

#[tokio::test]
async fn closes_a_kept_connection_as_the_next_request_comes() {
    let double = sinner(Sin::CloseOnReuse).await;
    let mut victim = TcpStream::connect(double.address()).await.unwrap();
    let request = chat("/api/chat", "tiny", "Hello", false, false);
    victim.write_all(&request).await.unwrap();
    let mut first = vec![0; 4096];
    let mut count = 0;
    while !String::from_utf8_lossy(&first[..count]).contains("\"done\":true") {
        count += victim.read(&mut first[count..]).await.unwrap();
    }
    victim.write_all(&request).await.unwrap();
    let mut second = Vec::new();
    let _ = victim.read_to_end(&mut second).await;
    assert!(!String::from_utf8_lossy(&second).contains("HTTP/1.1"));
    assert_eq!(double.seen_at("/api/chat").len(), 2);
}

#[tokio::test]
async fn goes_down_and_comes_back() {
    let mut double = Double::start(Ollama::default()).await;
    let request = chat("/api/chat", "tiny", "Hello", false, true);
    assert!(exchange(double.address(), &request).await.0.starts_with(b"HTTP/1.1 200"));
    double.refuse().await;
    assert!(TcpStream::connect(double.address()).await.is_err());
    double.come_back().await;
    assert!(exchange(double.address(), &request).await.0.starts_with(b"HTTP/1.1 200"));
}
