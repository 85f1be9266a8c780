//! Clients that are not our code: ngtcp2's gtlsclient over HTTP/3. (aioquic is every HTTP/3 cell of the other tests.)

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::client::gtlsclient;

use crate::ollama;

#[tokio::test]
async fn gtlsclient_is_answered() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let port = daemon.quic.context("no HTTP/3")?;
    for address in
        [SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port))]
    {
        let said = gtlsclient(address, "GET", "/healthz").await?;
        ensure!(said.contains(":status: 200"), "{address}:\n{said}");
    }
    daemon.stop().await
}
