//! Ports that are not handed down, and those that somebody else has.

use std::net::{TcpListener, UdpSocket};

use anyhow::{Result, ensure};
use ghostllm_tests::{kept::Version, nspawn::Container};

use crate::{VERSIONS, check_serves};

/// The units of ports.
const SOCKETS: [&str; 4] = ["tls", "quic", "plain", "admin"];

#[tokio::test]
async fn what_no_unit_hands_down_it_binds_itself() -> Result<()> {
    let container = Container::boot().await?;
    for without in SOCKETS {
        container.systemctl(&format!("mask --runtime ghostllm-{without}.socket")).await?;
        container.systemctl("start ghostllm").await?;
        let status = container.property("StatusText").await?;
        ensure!(status == "Serving at [::]:11443", "without {without}: {status}");
        check_serves(&container, &VERSIONS).await?;
        container.systemctl("stop ghostllm*").await?;
        container.systemctl(&format!("unmask --runtime ghostllm-{without}.socket")).await?;
    }
    container.end().await
}

#[tokio::test]
async fn the_tls_port_of_another_program_is_69_and_any_other_degrades() -> Result<()> {
    let container = Container::boot().await?;
    let network = container.network()?;
    let udp = network.run(async { UdpSocket::bind("[::]:11443") }).await?;
    let plain = network.run(async { TcpListener::bind("127.0.0.1:11430") }).await?;
    container.systemctl("start ghostllm").await?;
    let status = container.property("StatusText").await?;
    ensure!(status.contains("degraded, without HTTP/3, plain HTTP at 127.0.0.1:11430"), "{status}");
    check_serves(&container, &[Version::H1, Version::H2]).await?;
    container.systemctl("stop ghostllm*").await?;
    drop((udp, plain));
    let tls = network.run(async { TcpListener::bind("[::]:11443") }).await?;
    let (succeeded, _) = container.tried("start ghostllm").await?;
    ensure!(
        !succeeded && container.property("ExecMainStatus").await? == "69",
        "{}",
        container.journal().await?
    );
    // Once it is free, nobody need come.
    drop(tls);
    container.until("ActiveState", |state| state == "active").await?;
    check_serves(&container, &VERSIONS).await?;
    container.end().await
}
