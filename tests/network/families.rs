//! Boxes with one family, both through one socket, or no network at all.

use anyhow::{Result, ensure};
use ghostllm_tests::{
    client::{Request, plain},
    daemon::Daemon,
    netns::Namespace,
};

use crate::{bare, check_served};

/// What the log says where there is no IPv6.
const ALONE: &str = "IPv4 alone is served";

#[tokio::test]
async fn serves_ipv4_and_says_so_where_ipv6_is_disabled() -> Result<()> {
    let network = Namespace::new()?;
    network.sysctl("net.ipv6.conf.all.disable_ipv6", "1")?;
    network.sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
    let daemon = network.run(Daemon::start(&bare())).await?;
    ensure!(daemon.stderr().contains(ALONE), "it does not say it:\n{}", daemon.stderr());
    ensure!(daemon.stderr().contains("disable_ipv6"), "it does not say where to look:\n{}", daemon.stderr());
    check_served(&network, &daemon, "127.0.0.1").await?;
    let answer = network.run(plain(daemon.plain(false)?, &Request::get("/healthz"))).await?;
    ensure!(answer.status == 200, "the plain port: {} {}", answer.status, answer.text());
    ensure!(daemon.plain(true).is_err(), "a plain port on ::1 is told: {:?}", daemon.plain);
    daemon.stop().await
}

#[tokio::test]
async fn serves_ipv6_as_well_once_it_is_enabled() -> Result<()> {
    let network = Namespace::new()?;
    network.sysctl("net.ipv6.conf.all.disable_ipv6", "1")?;
    let daemon = network.run(Daemon::start(&bare())).await?;
    network.sysctl("net.ipv6.conf.all.disable_ipv6", "0")?;
    network.ip("link set lo down")?;
    network.ip("link set lo up")?;
    check_served(&network, &daemon, "::1").await?;
    daemon.stop().await
}

#[tokio::test]
async fn serves_both_families_whatever_bindv6only_says() -> Result<()> {
    let network = Namespace::new()?;
    network.sysctl("net.ipv6.bindv6only", "1")?;
    let daemon = network.run(Daemon::start(&bare())).await?;
    ensure!(!daemon.stderr().contains(ALONE), "it says that there is no IPv6:\n{}", daemon.stderr());
    for at in ["127.0.0.1", "::1"] {
        check_served(&network, &daemon, at).await?;
    }
    daemon.stop().await
}

#[tokio::test]
async fn serves_a_box_that_has_ipv6_only() -> Result<()> {
    let (network, peer) = (Namespace::new()?, Namespace::new()?);
    network.cable(("eth0", &["fd00:1::1/64"]), &peer, ("eth0", &["fd00:1::2/64"]))?;
    let daemon = network.run(Daemon::start(&bare())).await?;
    ensure!(!daemon.stderr().contains(ALONE), "it says that there is no IPv6:\n{}", daemon.stderr());
    check_served(&peer, &daemon, "fd00:1::1").await?;
    daemon.stop().await
}

#[tokio::test]
async fn starts_before_there_is_a_network() -> Result<()> {
    let (network, peer) = (Namespace::new()?, Namespace::new()?);
    let daemon = network.run(Daemon::start(&bare())).await?;
    for at in ["127.0.0.1", "::1"] {
        check_served(&network, &daemon, at).await?;
    }
    let (own, theirs) = (["fd00:1::1/64", "192.168.7.1/24"], ["fd00:1::2/64", "192.168.7.2/24"]);
    network.cable(("eth0", &own), &peer, ("eth0", &theirs))?;
    for at in ["fd00:1::1", "192.168.7.1"] {
        check_served(&peer, &daemon, at).await?;
    }
    daemon.stop().await
}

#[tokio::test]
async fn starts_before_even_loopback_is_up() -> Result<()> {
    let network = Namespace::without_loopback()?;
    let daemon = network.run(Daemon::start(&bare())).await?;
    ensure!(!daemon.stderr().contains(ALONE), "nothing is known of IPv6 yet:\n{}", daemon.stderr());
    network.ip("link set lo up")?;
    for at in ["127.0.0.1", "::1"] {
        check_served(&network, &daemon, at).await?;
    }
    daemon.stop().await
}
