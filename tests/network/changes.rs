//! Addresses that come while the daemon runs: within ten seconds the certificate and the Host list know them.

use std::{
    process::Output,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Caller, PATIENCE, Request, VERSIONS, open_unix},
    daemon::Daemon,
    netns::Namespace,
};
use tokio::{process::Command, time::timeout};

use crate::{address, bare, check_served, streams::Engines};

/// How long a change may go unheard.
const HEARD: Duration = Duration::from_secs(10);
/// What the log says of a new certificate.
const RENEWED: &str = "a certificate was issued, since the box's names or addresses have changed";

/// curl's exit code for a certificate that is not for this name.
const OTHER_NAME: i32 = 60;

/// Where every test of this file has the daemon, from the start on.
const FIRST: &str = "192.168.7.1";

fn boxes() -> Result<(Namespace, Namespace)> {
    let (own, peer) = (Namespace::new()?, Namespace::new()?);
    own.cable(("eth0", &["192.168.7.1/24"]), &peer, ("eth0", &["192.168.7.2/24"]))?;
    Ok((own, peer))
}

/// Asks for /healthz by that Host, at an address that the daemon has had from the start; so Host and certificate decide,
/// not where the connection goes.
async fn curl(from: &Namespace, daemon: &Daemon, host: &str, more: &[&str]) -> Result<Output> {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--noproxy", "*", "--output", "/dev/null"])
        .args(["--write-out", "%{http_code}", "--connect-to", &format!("::{FIRST}:"), "--cacert"])
        .arg(daemon.state("ca/ca.pem"))
        .args(more)
        .arg(format!("https://{host}:{}/healthz", daemon.tls))
        .kill_on_drop(true);
    from.run(async move { timeout(PATIENCE, command.output()).await })
        .await
        .context("curl does not end")?
        .context("curl is missing: run `just setup`")
}

/// That Host is refused or taken, whatever the certificate says.
async fn check_host(from: &Namespace, daemon: &Daemon, host: &str, status: &str) -> Result<()> {
    let output = curl(from, daemon, host, &["--insecure"]).await?;
    let got = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(got == status, "Host {host}: {got} instead of {status}");
    Ok(())
}

/// The certificate is, or is not, for that host.
async fn check_named(from: &Namespace, daemon: &Daemon, host: &str, named: bool) -> Result<()> {
    let output = curl(from, daemon, host, &[]).await?;
    let wanted = if named { 0 } else { OTHER_NAME };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(wanted), "{host}: {} instead of {wanted}: {said}", output.status);
    Ok(())
}

#[tokio::test]
async fn a_new_address_is_in_the_certificate_and_the_host_list() -> Result<()> {
    let (own, peer) = boxes()?;
    let daemon = own.run(Daemon::start(&bare())).await?;
    for host in ["192.168.44.1", "[fd00:44::1]"] {
        check_named(&peer, &daemon, host, false).await?;
        check_host(&peer, &daemon, host, "421").await?;
    }
    let mut events = open_unix(daemon.admin()?, &Request::get(&admin::path("events"))).await?;
    events.until(": GhostLLM's events").await?;
    let begun = Instant::now();
    own.address("192.168.44.1/24", "eth0")?;
    own.address("fd00:44::1/64", "eth0")?;
    daemon.wait_said(RENEWED).await?;
    // Whoever follows the events hears of it, though nobody has ordered it.
    let told = String::from_utf8(events.until("\"renewed\"").await?)?;
    ensure!(told.contains("event: certificate"), "{told}");
    // A look between the two additions would make it two certificates; the later one is what counts.
    while curl(&peer, &daemon, "[fd00:44::1]", &[]).await?.status.code() != Some(0) {
        ensure!(begun.elapsed() < HEARD, "not within {HEARD:?}:\n{}", daemon.stderr());
    }
    let passed = begun.elapsed();
    ensure!(passed < HEARD, "the certificate came after {passed:?}");
    println!("the certificate names the new addresses after {passed:?}");
    for host in ["192.168.44.1", "[fd00:44::1]"] {
        check_named(&peer, &daemon, host, true).await?;
        check_host(&peer, &daemon, host, "200").await?;
    }
    // QUIC shows the same certificate.
    peer.address("192.168.44.2/24", "eth0")?;
    for version in VERSIONS {
        let caller = Caller::at(&daemon, version, address("192.168.44.1"))?.expecting("192.168.44.1");
        let answer = peer.run(caller.send(&Request::get("/healthz").authority("192.168.44.1"))).await?;
        ensure!(answer.status == 200, "{version:?}: {} {}", answer.status, answer.text());
    }
    daemon.stop().await
}

#[tokio::test]
async fn open_connections_live_through_a_new_certificate() -> Result<()> {
    let (own, peer) = boxes()?;
    let (engines, setup) = Engines::start(&own).await;
    let daemon = own.run(Daemon::start(&setup)).await?;
    let streams = engines.open(&peer, &daemon, FIRST).await?;
    own.address("192.168.44.1/24", "eth0")?;
    daemon.wait_said(RENEWED).await?;
    engines.check_whole(streams, &daemon).await?;
    daemon.stop().await
}

#[tokio::test]
async fn a_global_address_is_taken_as_host_and_left_out_of_the_certificate() -> Result<()> {
    let (own, peer) = boxes()?;
    let daemon = own.run(Daemon::start(&bare())).await?;
    let host = "[2001:db8:1::1]";
    check_host(&peer, &daemon, host, "421").await?;
    let begun = Instant::now();
    own.address("2001:db8:1::1/64", "eth0")?;
    daemon.wait_said("not in the certificate: 2001:db8:1::1 (").await?;
    daemon.wait_status("not in the certificate: 2001:db8:1::1 (").await?;
    ensure!(begun.elapsed() < HEARD, "the log says it after {:?}", begun.elapsed());
    let log = daemon.stderr();
    let line = log.lines().find(|line| line.contains("not in the certificate")).unwrap_or_default();
    for fix in ["listen.names", "ghostctl cert renew --new-ca", "one of the box's names"] {
        ensure!(line.contains(fix), "{fix:?} is not in {line:?}");
    }
    check_host(&peer, &daemon, host, "200").await?;
    check_named(&peer, &daemon, host, false).await?;
    check_named(&peer, &daemon, FIRST, true).await?;
    // Its network is on the same link now, so a neighbour with a public address is answered.
    peer.address("2001:db8:1::2/64", "eth0")?;
    check_served(&peer, &daemon, "2001:db8:1::1").await?;
    daemon.stop().await
}

#[tokio::test]
async fn a_wider_network_is_heard_of_without_a_new_address() -> Result<()> {
    let (own, peer) = boxes()?;
    own.address("198.51.100.1/30", "eth0")?;
    own.ip("route add 198.51.100.0/24 dev eth0")?;
    peer.address("198.51.100.99/24", "eth0")?;
    let daemon = own.run(Daemon::start(&bare())).await?;
    ensure!(check_served(&peer, &daemon, "198.51.100.1").await.is_err(), "it is not on the link yet");
    let begun = Instant::now();
    own.address("198.51.100.1/24", "eth0")?;
    while check_served(&peer, &daemon, "198.51.100.1").await.is_err() {
        ensure!(begun.elapsed() < HEARD, "not within {HEARD:?}:\n{}", daemon.stderr());
    }
    daemon.stop().await
}

#[tokio::test]
async fn a_box_without_descriptors_keeps_its_addresses() -> Result<()> {
    let (own, peer) = boxes()?;
    let daemon = own.run(Daemon::start(&bare().with_limits("host_interval = \"50ms\""))).await?;
    // From here on it can open nothing, the list of its addresses included.
    let limit = daemon.limit_descriptors(0).await?;
    let waiting = peer.run(tokio::net::TcpStream::connect((FIRST, daemon.tls))).await?;
    // Whichever is seen first: that one fails, or that there are none.
    daemon.wait_any_said(&["could not be accepted", "further connections wait"]).await?;
    // Time for twenty looks at its addresses, of which nothing is said.
    tokio::time::sleep(Duration::from_secs(1)).await;
    daemon.limit_descriptors(limit).await?;
    drop(waiting);
    check_named(&peer, &daemon, FIRST, true).await?;
    check_host(&peer, &daemon, FIRST, "200").await?;
    ensure!(!daemon.stderr().contains(RENEWED), "it took its addresses for gone:\n{}", daemon.stderr());
    daemon.stop().await
}
