//! Who guesses keys is slowed by its source, which over IPv6 is a /64: a home or a rented machine has 2^64 addresses.

use anyhow::{Result, ensure};
use ghostllm_tests::{
    client::{Answer, Caller, Request, Version},
    daemon::{Daemon, Setup},
    netns::Namespace,
};

use crate::{address, bare};

async fn asked(peer: &Namespace, daemon: &Daemon, at: &str, key: Option<&str>) -> Result<Answer> {
    let caller = Caller::at(daemon, Version::H2, address(at))?.with_key(key);
    peer.run(caller.send(&Request::get("/v1/models"))).await
}

#[tokio::test]
async fn a_guesser_is_the_same_at_every_address_of_its_network() -> Result<()> {
    let (own, peer) = (Namespace::new()?, Namespace::new()?);
    own.cable(
        ("eth0", &["fd00:1::1/64", "fd00:2::1/64"]),
        &peer,
        ("eth0", &["fd00:1::2/64", "fd00:2::2/64"]),
    )?;
    let setup = Setup::with_limits(bare(), "wrong_keys = 3");
    let daemon = own.run(Daemon::start(&setup)).await?;
    let wrong = Some("gllm_nonsense");
    for number in 1..=4 {
        let status = asked(&peer, &daemon, "fd00:1::1", wrong).await?.status;
        ensure!(status == if number <= 3 { 401 } else { 429 }, "guess {number}: {status}");
    }
    peer.ip("address del fd00:1::2/64 dev eth0")?;
    peer.address("fd00:1::dead:beef/64", "eth0")?;
    let there = peer.source(format!("[{}]:1", "fd00:1::1").parse()?)?;
    ensure!(there.to_string() == "fd00:1::dead:beef", "it still comes from {there}");
    ensure!(asked(&peer, &daemon, "fd00:1::1", wrong).await?.status == 429, "a new address has new guesses");
    let right = daemon.key.clone();
    ensure!(
        asked(&peer, &daemon, "fd00:1::1", right.as_deref()).await?.status == 200,
        "a right key is shut out"
    );
    ensure!(asked(&peer, &daemon, "fd00:2::1", wrong).await?.status == 401, "another network pays for it");
    daemon.stop().await
}
