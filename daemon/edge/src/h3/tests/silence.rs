//! Connections without a request are closed, whatever they have opened.

use std::time::Duration;

use h3::error::Code;
use http::{Request, Response};

use super::support::{RAW_GET, closed_with, code, raw_control, raw_goaway, server, soon};
use crate::{Limits, RequestBody, ResponseBody, body};

async fn hello(_request: Request<RequestBody>) -> Response<ResponseBody> {
    Response::new(body::full("hello"))
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_in_good_order() {
    let (short, hour) = (Duration::from_millis(200), Duration::from_secs(3600));
    for asks in [false, true] {
        let (header_read, keep_alive_idle) = if asks { (hour, short) } else { (short, hour) };
        let limits = Limits { header_read, handshake: hour, keep_alive_idle, ..Limits::default() };
        let server = server(&limits, hello);
        let quic = server.dial().await.unwrap();
        let _control = raw_control(&quic).await;
        if asks {
            let (mut send, mut recv) = quic.open_bi().await.unwrap();
            send.write_all(RAW_GET).await.unwrap();
            send.finish().unwrap();
            soon(recv.read_to_end(4096)).await.unwrap();
        }
        assert_eq!(soon(raw_goaway(&quic)).await, if asks { 4 } else { 0 });
        assert_eq!(closed_with(&quic).await, code(Code::H3_NO_ERROR));
    }
}

#[tokio::test]
async fn whoever_never_asks_is_told_goodbye_whatever_it_opens() {
    let hour = Duration::from_secs(3600);
    let limits =
        Limits { header_read: Duration::from_millis(200), keep_alive_idle: hour, ..Limits::default() };
    let server = server(&limits, hello);
    for opens in ["nothing", "half a control stream", "half a head"] {
        let quic = server.dial().await.unwrap();
        let mut held = Vec::new();
        if opens == "half a control stream" {
            let mut control = quic.open_uni().await.unwrap();
            control.write_all(b"\x00\x04").await.unwrap();
            held.push(control);
        } else if opens == "half a head" {
            let (mut send, _recv) = quic.open_bi().await.unwrap();
            send.write_all(&RAW_GET[..RAW_GET.len() - 1]).await.unwrap();
            held.push(send);
        }
        assert_eq!(closed_with(&quic).await, code(Code::H3_NO_ERROR), "{opens}");
    }
}
