//! What is not there when the daemon starts, and comes, goes and comes again: it is served, and told as long as it is away.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Request, plain},
    daemon::{Daemon, Setup},
    netns::Namespace,
};

use crate::{address, bare, check_served, host::check_named};

/// How long a change may go unheard.
const HEARD: Duration = Duration::from_secs(10);
/// Where how soon it is heard is not what is looked at.
const OFTEN: &str = "host_interval = \"500ms\"";

fn boxes(own: Namespace) -> Result<(Namespace, Namespace)> {
    let peer = Namespace::new()?;
    own.cable(("eth0", &[]), &peer, ("eth0", &["fd00:1::2/64", "192.168.7.2/24"]))?;
    Ok((own, peer))
}

/// What the status says that is not served.
async fn missing(daemon: &Daemon) -> Result<String> {
    let status = admin::read(daemon, "status").await?;
    let causes = status["causes"].as_array().context("causes")?;
    let missing = causes.iter().filter(|cause| cause["code"] == "listener_missing");
    Ok(missing.filter_map(|cause| cause["what"].as_str()).collect::<Vec<_>>().join("; "))
}

/// Waits until that names this, or does not.
async fn until_missing(daemon: &Daemon, what: &str, named: bool) -> Result<()> {
    let begun = Instant::now();
    loop {
        let missing = missing(daemon).await?;
        if missing.contains(what) == named {
            return Ok(());
        }
        let wrong = if named { "is not told to be missing" } else { "is told to be missing still" };
        ensure!(begun.elapsed() < HEARD, "{what:?} {wrong}: {missing:?}\n{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until it serves by this very address, in its certificate as well; how long that took.
async fn until_named(from: &Namespace, daemon: &Daemon, at: &str) -> Result<Duration> {
    let begun = Instant::now();
    while let Err(error) = check_named(from, daemon, at).await {
        ensure!(begun.elapsed() < HEARD, "not within {HEARD:?}: {error:#}\n{}", daemon.stderr());
    }
    ensure!(begun.elapsed() < HEARD, "{at} took {:?}", begun.elapsed());
    Ok(begun.elapsed())
}

#[tokio::test]
async fn a_network_that_comes_after_the_start_is_served_with_its_certificate() -> Result<()> {
    let (own, peer) = boxes(Namespace::without_loopback()?)?;
    let daemon = own.run(Daemon::start(&bare())).await?;
    own.ip("link set lo up")?;
    until_missing(&daemon, "plain HTTP", false).await?;
    for at in ["127.0.0.1", "::1"] {
        check_named(&own, &daemon, at).await?;
        let answer = own.run(plain(daemon.plain(at.contains(':'))?, &Request::get("/healthz"))).await?;
        ensure!(answer.status == 200, "plain at {at}: {} {}", answer.status, answer.text());
    }
    for at in ["192.168.7.1/24", "fd00:1::1/64"] {
        own.address(at, "eth0")?;
        let at = at.split('/').next().unwrap_or_default();
        println!("{at} is served by its certificate after {:?}", until_named(&peer, &daemon, at).await?);
    }
    // Away it is in no certificate any more, and back it is again.
    for _ in 0..2 {
        own.ip("address del 192.168.7.1/24 dev eth0")?;
        let begun = Instant::now();
        while admin::read(&daemon, "certificates").await?.to_string().contains("192.168.7.1") {
            ensure!(begun.elapsed() < HEARD, "it is still in the certificate:\n{}", daemon.stderr());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        check_named(&peer, &daemon, "fd00:1::1").await?;
        own.address("192.168.7.1/24", "eth0")?;
        until_named(&peer, &daemon, "192.168.7.1").await?;
    }
    ensure!(daemon.stderr().matches("GhostLLM serves").count() == 1, "{}", daemon.stderr());
    daemon.stop().await
}

#[tokio::test]
async fn ipv6_that_is_enabled_later_is_served_and_told_no_more() -> Result<()> {
    let own = Namespace::new()?;
    own.sysctl("net.ipv6.conf.all.disable_ipv6", "1")?;
    let daemon = own.run(Daemon::start(&bare().with_limits(OFTEN))).await?;
    daemon.wait_status("degraded, without IPv6").await?;
    for _ in 0..2 {
        until_missing(&daemon, "IPv6", true).await?;
        own.sysctl("net.ipv6.conf.all.disable_ipv6", "0")?;
        // The kernel gives loopback its address back when it comes up.
        own.ip("link set lo down")?;
        own.ip("link set lo up")?;
        until_missing(&daemon, "served", false).await?;
        check_served(&own, &daemon, "::1").await?;
        let answer = own.run(plain(daemon.plain(true)?, &Request::get("/healthz"))).await?;
        ensure!(answer.status == 200, "the plain port: {} {}", answer.status, answer.text());
        own.sysctl("net.ipv6.conf.all.disable_ipv6", "1")?;
    }
    daemon.wait_said("IPv6 is served: this box has it now").await?;
    daemon.stop().await
}

#[tokio::test]
async fn an_address_of_the_configuration_may_come_after_the_start_and_go() -> Result<()> {
    let (v4, v6) = (("192.168.7.1", "192.168.7.1/24"), ("fd00:1::1", "fd00:1::1/64"));
    // With that sysctl the kernel lets any address be bound, and says nothing by it.
    for ((at, whole), nonlocal) in [(v4, "0"), (v6, "0"), (v4, "1"), (v6, "1")] {
        let (own, peer) = boxes(Namespace::new()?)?;
        own.sysctl("net.ipv4.ip_nonlocal_bind", nonlocal)?;
        own.sysctl("net.ipv6.ip_nonlocal_bind", nonlocal)?;
        let text = address(at).to_string();
        let listen = format!("tls = \"{text}\"\nplain = [\"127.0.0.1:0\"]\n");
        let daemon = own.run(Daemon::start(&Setup { listen, ..bare().with_limits(OFTEN) })).await?;
        let what = format!("HTTPS at {}", SocketAddr::new(address(at).ip(), daemon.tls));
        daemon.wait_status(&format!("degraded, without {what}")).await?;
        let said = format!("{what} is not served now: no interface has {at} yet, or no more");
        for times in 1..=2 {
            until_missing(&daemon, &what, true).await?;
            daemon.wait_said_times(&said, times).await?;
            own.address(whole, "eth0")?;
            until_named(&peer, &daemon, at).await?;
            until_missing(&daemon, &what, false).await?;
            own.ip(&format!("address del {whole} dev eth0"))?;
        }
        let log = daemon.stderr();
        ensure!(log.contains("listen.tls") && log.contains("ip address show"), "{log}");
        ensure!(log.matches("GhostLLM serves").count() == 1, "{log}");
        daemon.stop().await?;
    }
    Ok(())
}

/// An address that the kernel still asks its neighbours about (RFC 4862 section 5.4) cannot be bound, and answers nobody.
#[tokio::test]
async fn a_tentative_address_is_served_once_nobody_else_has_it() -> Result<()> {
    for listen in ["[::]:0", "[fd00:1::1]:0"] {
        let (own, peer) = boxes(Namespace::new()?)?;
        for (name, value) in [("accept_dad", "1"), ("dad_transmits", "5")] {
            own.sysctl(&format!("net.ipv6.conf.eth0.{name}"), value)?;
        }
        // One interface's setting counts where that of all is on as well.
        own.sysctl("net.ipv6.conf.all.accept_dad", "1")?;
        own.ip("address add fd00:1::1/64 dev eth0")?;
        let begun = Instant::now();
        let listen = format!("tls = \"{listen}\"\nplain = [\"127.0.0.1:0\"]\n");
        let daemon = own.run(Daemon::start(&Setup { listen: listen.clone(), ..bare() })).await?;
        let bound = own.run(async { UdpSocket::bind("[fd00:1::1]:0") }).await;
        ensure!(bound.is_err(), "after {:?} it is tentative no more, which shows nothing", begun.elapsed());
        println!("{}ready after {:?} beside a tentative address", listen, begun.elapsed());
        until_named(&peer, &daemon, "fd00:1::1").await?;
        until_missing(&daemon, "HTTPS", false).await?;
        daemon.stop().await?;
    }
    Ok(())
}
