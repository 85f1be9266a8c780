//! An admin's order whose key is taken away while it comes in.

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use ghostllm_tests::{
    admin,
    client::{Caller, Family, Version},
    daemon::Daemon,
    kept::{Dialer, Place, Sender, Version as Kept},
};
use http::Request;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    body::Frame,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{ollama, on_every_version};

/// The order in two pieces.
const FIRST: &[u8] = b"{\"name\": \"stolen\", ";
const LAST: &[u8] = b"\"role\": \"admin\"}";

/// Waits until the daemon has let the key in, which is before it reads the order.
async fn let_in(daemon: &Daemon, id: &str) -> Result<()> {
    loop {
        let list = admin::read(daemon, "keys").await?;
        let mut keys = list["keys"].as_array().into_iter().flatten();
        if keys.any(|key| key["id"] == id && key["last_used"].is_string()) {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

fn order(version: Version, path: &str, key: &str) -> http::request::Builder {
    let request = match version {
        Version::H1 => Request::post(path).header("host", "localhost"),
        Version::H2 | Version::H3 => Request::post(format!("https://localhost{path}")),
    };
    let length = FIRST.len() + LAST.len();
    request
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .header("content-length", length)
}

/// Sends the order's first piece, waits for `meanwhile`, and sends the rest; gives the status and the text.
async fn slowly(
    daemon: &Daemon,
    version: Version,
    head: http::request::Builder,
    meanwhile: impl Future<Output = Result<()>>,
) -> Result<(u16, String)> {
    if version == Version::H3 {
        return slowly_over_h3(daemon, head, meanwhile).await;
    }
    let caller = Caller::keyless(daemon, version, Family::V4).await?;
    let wire = TokioIo::new(caller.dial().await?.wire);
    let (send, mut pieces) = mpsc::unbounded_channel::<Bytes>();
    let pieces = futures_util::stream::poll_fn(move |cx| pieces.poll_recv(cx));
    let body = StreamBody::new(pieces.map(|piece| Ok::<_, std::convert::Infallible>(Frame::data(piece))));
    let request = head.body(body)?;
    let answer = match version {
        Version::H1 => {
            let (mut sender, connection) = http1::handshake(wire).await?;
            tokio::spawn(connection);
            tokio::spawn(async move { sender.send_request(request).await })
        }
        _ => {
            let (mut sender, connection) = http2::Builder::new(TokioExecutor::new()).handshake(wire).await?;
            tokio::spawn(connection);
            tokio::spawn(async move { sender.send_request(request).await })
        }
    };
    send.send(Bytes::from_static(FIRST))?;
    meanwhile.await?;
    ensure!(!answer.is_finished(), "it was answered before the order was whole");
    send.send(Bytes::from_static(LAST))?;
    drop(send);
    let answer = answer.await??;
    let status = answer.status().as_u16();
    let text = answer.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(text.to_vec())?))
}

async fn slowly_over_h3(
    daemon: &Daemon,
    head: http::request::Builder,
    meanwhile: impl Future<Output = Result<()>>,
) -> Result<(u16, String)> {
    let address = ([127, 0, 0, 1], daemon.quic.context("no HTTP/3")?).into();
    let place = Place { version: Kept::H3, address, ca: daemon.state("ca/ca.pem"), key: None };
    let dialer = Dialer::new(&place)?;
    let Sender::H3(mut sender) = dialer.dial().await? else { bail!("no HTTP/3") };
    let mut stream = sender.send_request(head.body(())?).await?;
    stream.send_data(Bytes::from_static(FIRST)).await?;
    meanwhile.await?;
    stream.send_data(Bytes::from_static(LAST)).await?;
    stream.finish().await?;
    let status = stream.recv_response().await?.status().as_u16();
    let mut text = Vec::new();
    while let Some(mut piece) = stream.recv_data().await? {
        text.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
    }
    Ok((status, String::from_utf8(text)?))
}

fn names(list: &Value) -> Vec<&str> {
    list["keys"].as_array().into_iter().flatten().filter_map(|key| key["name"].as_str()).collect()
}

on_every_version!(an_order_is_not_done_whose_key_is_revoked_while_it_comes_in);

async fn an_order_is_not_done_whose_key_is_revoked_while_it_comes_in(version: Version) -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let path = admin::path("keys");
    // Slowness alone keeps nobody from it.
    let good = admin::make(&daemon, &json!({"name": "good", "role": "admin"})).await?;
    let (status, text) =
        slowly(&daemon, version, order(version, &path, &good.key), let_in(&daemon, &good.id)).await?;
    ensure!(status == 200, "{status} {text}");
    let stolen = admin::made(&daemon, &serde_json::from_str(&text)?)?;
    admin::done(&daemon, "DELETE", &format!("keys/{}", stolen.id), None).await?;
    let thief = admin::make(&daemon, &json!({"name": "thief", "role": "admin"})).await?;
    let revoke = async {
        let_in(&daemon, &thief.id).await?;
        admin::done(&daemon, "DELETE", &format!("keys/{}", thief.id), None).await.map(drop)
    };
    let (status, text) = slowly(&daemon, version, order(version, &path, &thief.key), revoke).await?;
    ensure!(status == 401 && text.contains("revoked") && !text.contains("gllm_"), "{status} {text}");
    let list = admin::read(&daemon, "keys").await?;
    ensure!(names(&list) == ["first", "good"], "{list}");
    let audit = admin::read(&daemon, "audit").await?.to_string();
    ensure!(audit.matches("keys.create").count() == 3, "the act in vain is one: {audit}");
    daemon.stop().await
}
