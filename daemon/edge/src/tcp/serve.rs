//! One TCP connection: hyper's settings, and the end of the connection.
//!
//! Knows hyper's builders and the drain. Refuses to know requests, which `exchange` passes on.

use std::{pin::pin, sync::Arc, time::Duration};

use http::{StatusCode, Version};
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep, sleep_until},
};

use super::{
    AltSvc, Serve,
    exchange::{Exchange, Stalls},
};
use crate::{
    Connection, Handler, Limits,
    deadline::{Activity, Deadlined},
    drain::{Watch, Word},
};

/// hyper refuses a smaller buffer (hyper 1.12, `MINIMUM_MAX_BUFFER_SIZE`).
const LEAST_BUFFER: usize = 8192;

/// Serves HTTP/1.1 until the peer leaves, is silent for too long, or the listener drains.
pub(crate) async fn http1<S, H>(stream: S, connection: Connection, alt_svc: Option<AltSvc>, serve: &Serve<H>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let _speaks = serve.drain.speaks(connection.transport, Version::HTTP_11);
    let activity = Arc::<Activity>::default();
    let stream = Deadlined::http1(stream, Arc::clone(&activity), &serve.limits);
    let exchange =
        Exchange::new(serve.handler.clone(), connection, alt_svc, &serve.limits, Arc::clone(&activity));
    // hyper keeps room for the future of a request as long as the connection is open.
    let service = service_fn(move |request| Box::pin(exchange.clone().http1(request)));
    let mut served = pin!(http1_builder(&serve.limits).serve_connection(TokioIo::new(stream), service));
    let mut drain = serve.drain.fresh();
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        word = told(&mut drain, &activity) => {
            if word == Word::Idle && activity.served() == 0 {
                // hyper would wait for the rest of a head that has begun.
                return tracing::debug!(peer = %connection.peer, "an HTTP/1.1 connection that asks for nothing is closed");
            }
            let ended = tokio::select! {
                ended = served.as_mut() => Some(ended),
                // It was answered, and nothing is under way.
                () = std::future::ready(()), if word == Word::Idle => None,
                // Accepted a moment ago, it has its request under way: hyper would close it unread.
                () = activity.asked(serve.limits.h2_linger) => None,
            };
            match ended {
                Some(ended) => ended,
                None => {
                    served.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = served.as_mut() => ended,
                        () = activity.forgone(serve.limits.h2_linger) => Ok(()),
                        () = activity.unwanted(serve.limits.h2_linger) => Ok(()),
                    }
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %connection.peer, %error, "an HTTP/1.1 connection ended early");
        if let Some(status) = answered(&error) {
            serve.handler.unread(status, Version::HTTP_11, &connection);
        }
    }
}

/// What hyper itself has answered to a head that it could not read: nothing to HTTP/2's preface, and a status to every other, since it
/// reads no head before the response to the one before it is written (hyper 1.12, `on_parse_error` and `try_keep_alive` in
/// `proto/h1/conn.rs`, `on_error` in `proto/h1/role.rs`). A target above 65,534 bytes gets 414 where the limit for heads lets it be
/// read; its error is not told from that of a long head, and so 431 stands here for both.
fn answered(error: &hyper::Error) -> Option<StatusCode> {
    if error.is_parse_version_h2() {
        return None;
    }
    match (error.is_parse(), error.is_parse_too_large()) {
        (_, true) => Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (true, false) => Some(StatusCode::BAD_REQUEST),
        (false, false) => None,
    }
}

/// Completes when the connection is to end, with the word that says why: all are, or it is idle.
async fn told(drain: &mut Watch, activity: &Activity) -> Word {
    loop {
        let word = drain.word().await;
        if word == Word::Draining || activity.is_idle() {
            return word;
        }
    }
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // `Deadlined` keeps these times: hyper's own timer cannot tell an idle connection from a slow head.
        .header_read_timeout(None)
        .max_headers(limits.header_count)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(LEAST_BUFFER));
    builder
}

/// Serves HTTP/2 likewise.
pub(super) async fn http2<S, H>(stream: S, connection: Connection, alt_svc: Option<AltSvc>, serve: Serve<H>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let _speaks = serve.drain.speaks(connection.transport, Version::HTTP_2);
    let activity = Arc::<Activity>::default();
    let stream = Deadlined::http2(stream, Arc::clone(&activity), &serve.limits);
    let exchange =
        Exchange::new(serve.handler.clone(), connection, alt_svc, &serve.limits, Arc::clone(&activity));
    let (stalls, broken) = (exchange.stalls(), exchange.broken());
    // As above, as long as the response is being sent.
    let service = service_fn(move |request| Box::pin(exchange.clone().http2(request)));
    let mut served = pin!(http2_builder(&serve.limits).serve_connection(TokioIo::new(stream), service));
    let mut drain = serve.drain.fresh();
    let whole = async {
        tokio::select! {
            ended = served.as_mut() => ended,
            word = told(&mut drain, &activity) => {
                served.as_mut().graceful_shutdown();
                // Its last answer may have been put into the send queue a moment ago.
                let least = if activity.served() > 0 { serve.limits.write_idle } else { Duration::ZERO };
                tokio::select! {
                    ended = served.as_mut() => ended,
                    () = silence(&activity, &stalls, &serve.limits, least), if word == Word::Idle => Ok(()),
                    () = idle(&activity, &stalls, &serve.limits) => Ok(()),
                    () = activity.forgone(serve.limits.h2_linger) => Ok(()),
                }
            }
            () = idle(&activity, &stalls, &serve.limits) => {
                served.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = served.as_mut() => ended,
                    () = silence(&activity, &stalls, &serve.limits, Duration::ZERO) => Ok(()),
                }
            }
        }
    };
    let ended = tokio::select! {
        ended = whole => ended,
        () = broken.too_many() => {
            return tracing::debug!(peer = %connection.peer, "an HTTP/2 client took back too many requests");
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %connection.peer, %error, "an HTTP/2 connection ended early");
    }
}

fn http2_builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(limits.h2_stream_window)
        .initial_connection_window_size(limits.h2_connection_window)
        .max_send_buf_size(limits.h2_send_buffer)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_local_error_reset_streams(limits.h2_error_resets)
        .keep_alive_interval(limits.h2_ping)
        .keep_alive_timeout(limits.h2_ping);
    builder
}

/// Completes when a connection that has been told goodbye has had `h2_linger` to take it, and has been without a request for `least`:
/// one that was on its way then is served, since the goodbye promises it (RFC 9113 section 6.8). What was answered may still stand in
/// the send queue for a slow reader: such a connection ends by itself, or when it has been idle.
async fn silence(activity: &Activity, stalls: &Stalls, limits: &Limits, least: Duration) {
    let told = activity.served();
    sleep(limits.h2_linger).await;
    let crossed = || if activity.served() == told { least } else { limits.keep_alive_idle };
    watch(activity, stalls, limits, crossed).await;
}

/// Completes when the connection has been without a request for too long: so that it is gone within `handshake` for its first
/// one, `keep_alive_idle` for later ones.
async fn idle(activity: &Activity, stalls: &Stalls, limits: &Limits) {
    let first = limits.first_request(limits.h2_linger);
    let may = || if activity.served() == 0 { first } else { limits.keep_alive_idle };
    watch(activity, stalls, limits, may).await;
}

/// Completes when the connection has been without a request for as long as it `may` be then. Meanwhile drops the work of streams
/// whose readers take nothing.
async fn watch(activity: &Activity, stalls: &Stalls, limits: &Limits, may: impl Fn() -> Duration) {
    loop {
        let deadline = activity.since() + may();
        if activity.serving() == 0 && deadline <= Instant::now() {
            return;
        }
        // Half the limit, so that a stalled stream is found before one and a half of it have passed, and an idle connection's
        // deadline if that is sooner: a request may begin at any time, and its stream stall.
        let look = Instant::now() + limits.write_idle / 2;
        let next = if activity.serving() > 0 { look } else { look.min(deadline) };
        sleep_until(next).await;
        stalls.drop_older_than(limits.write_idle);
    }
}
