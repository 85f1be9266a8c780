//! The daemon as a service, under a real systemd that each test boots for itself.
//!
//! Knows the units and systemctl, and so needs root and systemd-nspawn; `tests/support/namespaces.sh` leaves this program out, by name,
//! where it cannot be had. Refuses to know the daemon's code.

mod cards;
mod crashes;
mod doctor;
mod life;
mod long;
mod ports;
mod restarts;
mod units;
mod watchdog;

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};
use ghostllm_tests::{
    kept::{Dialer, Version},
    netns::Namespace,
    nspawn::Container,
};
use http::HeaderValue;

/// The versions that the units have a port for.
pub(crate) const VERSIONS: [Version; 4] = [Version::Plain, Version::H1, Version::H2, Version::H3];

/// Everything is answered.
pub(crate) async fn check_serves(container: &Container, versions: &[Version]) -> Result<()> {
    let network = container.network()?;
    for version in versions {
        asked(container, &network, *version).await?;
    }
    Ok(())
}

/// The admin's socket is there, and whoever asks at it is answered.
pub(crate) async fn check_admin(container: &Container) -> Result<()> {
    let asked = container.run(&["ghostctl", "--socket", "/run/ghostllm/admin.sock", "tasks"]).await?;
    let said = String::from_utf8_lossy(&asked.stdout).into_owned() + &String::from_utf8_lossy(&asked.stderr);
    ensure!(asked.status.success() && said.contains("watchdog"), "{}: {said}", asked.status);
    Ok(())
}

/// GETs /healthz on a new connection.
pub(crate) async fn asked(container: &Container, network: &Namespace, version: Version) -> Result<()> {
    ask(&dialer(container, network, version, Ipv4Addr::LOCALHOST.into()).await?, network).await
}

/// The same by this one.
pub(crate) async fn ask(dialer: &Dialer, network: &Namespace) -> Result<()> {
    let sender = network.run(dialer.dial()).await?;
    let request = dialer.get("/healthz", ("accept", HeaderValue::from_static("*/*")))?;
    let mut body = sender.ask(request).await?;
    ensure!(body.finish().await? > 0, "an empty answer");
    Ok(())
}

/// Makes connections to this address of the host's there.
pub(crate) async fn dialer(
    container: &Container,
    network: &Namespace,
    version: Version,
    at: IpAddr,
) -> Result<Dialer> {
    let mut place = container.place(version);
    place.address.set_ip(at);
    network.run(async { Dialer::new(&place) }).await
}
