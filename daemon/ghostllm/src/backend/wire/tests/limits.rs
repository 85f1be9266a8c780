//! Every limit of the wire is reached: it passes, and one more does not.

use std::future::poll_fn;

use super::*;
use crate::backend::peer::Line;

/// So long that no machine is too slow for it; the clock is moved by hand.
const HOUR: Duration = Duration::from_secs(3600);
const LONG: Timeouts = Timeouts { connect: HOUR, first_byte: HOUR, idle: HOUR };

fn limited(peer: &Peer, change: impl FnOnce(&mut Limits)) -> Wire {
    let mut limits = Limits::default();
    change(&mut limits);
    Wire::new(&Place::Url(peer.url()), None, LONG, &Arc::new(limits)).unwrap()
}

/// Moves the clock, and nothing else: the clock of a test that waits for a peer would run by itself.
async fn advance(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// A first exchange, after which its connection is kept.
async fn first(peer: &Peer, wire: &Wire) -> Line {
    let response = ok(JSON, "{}");
    let (fetched, (line, _)) = join!(fetch(wire), peer.answer(&response));
    fetched.unwrap();
    line
}

async fn again(line: &mut Line, wire: &Wire) -> Result<Bytes, BackendFault> {
    let (fetched, ()) = join!(fetch(wire), async {
        line.request().await;
        line.send(&ok(JSON, "{}")).await;
    });
    fetched
}

/// The fault that a body of an error becomes.
async fn answered(wire: &Wire) -> String {
    match wire.ask(&post()).await.unwrap().success(&[JSON]).await {
        Err(BackendFault::Answered { status: 500, body, .. }) => body,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("an error is no success"),
    }
}

#[tokio::test]
async fn a_connection_is_kept_for_its_time_and_closed_then() {
    let peer = Peer::new().await;
    let wire = limited(&peer, |limits| limits.backend_keep_alive = HOUR);
    let mut line = first(&peer, &wire).await;
    advance(HOUR * 9 / 10).await;
    again(&mut line, &wire).await.unwrap();
    advance(HOUR).await;
    line.closed().await;
    first(&peer, &wire).await;
}

#[tokio::test]
async fn without_time_or_place_no_connection_is_kept() {
    let none: [fn(&mut Limits); 2] =
        [|limits| limits.backend_keep_alive = Duration::ZERO, |limits| limits.backend_connections_kept = 0];
    for none in none {
        let peer = Peer::new().await;
        let wire = limited(&peer, none);
        first(&peer, &wire).await.closed().await;
        first(&peer, &wire).await;
    }
}

#[tokio::test]
async fn so_many_connections_are_kept_and_one_more_is_closed() {
    let peer = Peer::new().await;
    let wire = limited(&peer, |limits| limits.backend_connections_kept = 2);
    let asks = async { join!(fetch(&wire), fetch(&wire), fetch(&wire)) };
    let (fetched, mut lines) = join!(asks, async {
        let mut lines = Vec::new();
        for _ in 0..3 {
            let mut line = peer.accept().await;
            line.request().await;
            lines.push(line);
        }
        for line in &mut lines {
            line.send(&ok(JSON, "{}")).await;
        }
        lines
    });
    assert!(fetched.0.is_ok() && fetched.1.is_ok() && fetched.2.is_ok());
    // Whichever answer was read first, its connection is the one that had to go.
    let [a, b, c] = lines.as_mut_slice() else { unreachable!() };
    let kept = tokio::select! {
        () = a.closed() => [b, c],
        () = b.closed() => [a, c],
        () = c.closed() => [a, b],
    };
    let served = async {
        for line in kept {
            line.request().await;
            line.send(&ok(JSON, "{}")).await;
        }
    };
    let (both, ()) = join!(async { join!(fetch(&wire), fetch(&wire)) }, served);
    assert!(both.0.is_ok() && both.1.is_ok());
    assert!(peer.nobody_else_came(), "the two that were kept are used");
}

#[tokio::test]
async fn a_kept_connection_that_dies_in_time_is_replaced_and_one_that_dies_later_is_not() {
    for (died, replaced) in [(HOUR * 9 / 10, true), (HOUR, false)] {
        let peer = Peer::new().await;
        let wire = limited(&peer, |limits| limits.backend_replay = HOUR);
        let wire = Wire { timeouts: Timeouts { first_byte: 3 * HOUR, ..LONG }, ..wire };
        let mut line = first(&peer, &wire).await;
        let (second, ()) = join!(fetch(&wire), async {
            line.request().await;
            advance(died).await;
            drop(line);
            if replaced {
                peer.answer(&ok(JSON, "{}")).await;
            }
        });
        match second {
            Ok(_) => assert!(replaced),
            // Its engine died of the request, and is not given it again.
            Err(fault) => assert!(!replaced && matches!(fault, BackendFault::Died { .. }), "{fault}"),
        }
        assert!(peer.nobody_else_came());
    }
}

#[tokio::test]
async fn a_head_at_its_limits_passes_and_a_larger_one_does_not() {
    async fn headed(head: &str) -> Result<Bytes, BackendFault> {
        let peer = Peer::new().await;
        let wire = limited(&peer, |limits| {
            limits.backend_header_bytes = "400B".parse().unwrap();
            limits.backend_header_count = 5;
        });
        join!(fetch(&wire), async { drop(peer.answer(head).await) }).0
    }
    let fields = |count: usize| {
        let more = "a: b\r\n".repeat(count - 1);
        format!("HTTP/1.1 200 OK\r\n{more}content-length: 2\r\n\r\n{{}}")
    };
    assert_eq!(headed(&fields(5)).await.unwrap(), "{}");
    assert!(matches!(headed(&fields(6)).await, Err(BackendFault::Garbage { .. })));
    let long = |bytes: usize| {
        let rest = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\na: \r\n\r\n".len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\na: {}\r\n\r\n{{}}", "x".repeat(bytes - rest))
    };
    assert_eq!(headed(&long(400)).await.unwrap(), "{}");
    assert!(matches!(headed(&long(401)).await, Err(BackendFault::Garbage { .. })));
}

#[tokio::test]
async fn no_more_of_an_answer_is_read_ahead_than_the_limit() {
    // It fits into the kernel's buffers, and so is all there before it is read.
    let body = "x".repeat(48 * 1024);
    for (ahead, most) in [("8KiB", 8 * 1024), ("32KiB", 32 * 1024)] {
        let peer = Peer::new().await;
        let wire = limited(&peer, |limits| {
            limits.backend_header_bytes = "8KiB".parse().unwrap();
            limits.backend_read_ahead = ahead.parse().unwrap();
        });
        let ask = post();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let (reply, (mut line, _)) = join!(wire.ask(&ask), peer.answer(&head));
        line.send(&body).await;
        let (mut reply, mut largest) = (reply.unwrap(), 0);
        while let Some(bytes) = reply.next().await {
            largest = largest.max(bytes.unwrap().len());
        }
        assert!(largest > most / 2 && largest <= most, "{largest} bytes in one piece, {most} are allowed");
    }
}

#[tokio::test]
async fn so_much_of_an_error_is_read_and_no_byte_more() {
    for (length, read) in [(20, 20), (21, 20), (100_000, 20)] {
        let peer = Peer::new().await;
        let wire = limited(&peer, |limits| limits.backend_error_bytes = "20B".parse().unwrap());
        let head = format!("HTTP/1.1 500 Oh\r\ncontent-length: {length}\r\n\r\n{}", "e".repeat(length));
        let (body, _) = join!(answered(&wire), peer.answer(&head));
        assert_eq!(body.len(), read, "of {length} bytes");
    }
}

#[tokio::test]
async fn an_error_is_waited_for_and_reported_without_its_end_when_that_is_late() {
    for (wait, part) in [(SHORT, "half"), (HOUR, "half and half")] {
        let peer = Peer::new().await;
        let wire = limited(&peer, |limits| limits.backend_error_wait = wait);
        let (body, ()) = join!(answered(&wire), async {
            let (mut line, _) = peer.answer("HTTP/1.1 500 Oh\r\ncontent-length: 13\r\n\r\nhalf").await;
            if wait == HOUR {
                line.send(" and half").await;
            } else {
                line.closed().await;
            }
        });
        assert_eq!(body, part);
    }
}

/// Reads an answer whose one chunk says all; gives the peer's side of the connection.
async fn complete(peer: &Peer, wire: &Wire) -> (Reply, Line) {
    let (ask, response) = (post(), chunked(JSON) + &chunk("{}"));
    let (reply, (line, _)) = join!(wire.ask(&ask), peer.answer(&response));
    let mut reply = reply.unwrap();
    assert_eq!(reply.next().await, Some(Ok(Bytes::from_static(b"{}"))));
    reply.complete();
    (reply, line)
}

#[tokio::test]
async fn the_end_of_a_complete_answer_is_waited_for_so_that_its_connection_can_be_kept() {
    let peer = Peer::new().await;
    let wire = limited(&peer, |limits| limits.backend_end_wait = HOUR);
    let (mut reply, mut line) = complete(&peer, &wire).await;
    join!(poll_fn(|cx| reply.poll_end(cx)), line.send("0\r\n\r\n"));
    drop(reply);
    again(&mut line, &wire).await.unwrap();

    let wire = limited(&peer, |limits| limits.backend_end_wait = SHORT);
    let (mut reply, mut line) = complete(&peer, &wire).await;
    join!(poll_fn(|cx| reply.poll_end(cx)), line.closed());
}

#[tokio::test]
async fn so_much_may_follow_a_complete_answer_and_one_byte_more_costs_the_connection() {
    for (bytes, kept) in [(10, true), (11, false)] {
        let peer = Peer::new().await;
        let wire = limited(&peer, |limits| {
            limits.backend_surplus = "10B".parse().unwrap();
            limits.backend_end_wait = HOUR;
        });
        let (mut reply, mut line) = complete(&peer, &wire).await;
        let surplus = chunk(&" ".repeat(bytes)) + "0\r\n\r\n";
        join!(poll_fn(|cx| reply.poll_end(cx)), line.send(&surplus));
        drop(reply);
        if kept {
            again(&mut line, &wire).await.unwrap();
        } else {
            line.closed().await;
        }
    }
}
