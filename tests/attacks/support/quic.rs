//! First flights of QUIC clients that hear nothing, as datagrams that anyone may send from anywhere.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::client::{Caller, client_config};
use quinn::{Endpoint, crypto::rustls::QuicClientConfig};
use rustls::{
    ClientConfig, NamedGroup, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::{net::UdpSocket, time::timeout};

/// How long a first packet may take to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// A first flight is complete when nothing more comes for so long; the first repetition comes after 1 s.
pub(crate) const FLIGHT: Duration = Duration::from_millis(200);

/// What a ClientHello brings a key for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Groups {
    /// The default: a post-quantum hybrid among them, too large for one datagram.
    All,
    /// One datagram is enough.
    X25519,
}

/// The datagrams of a client that hears nothing, before it repeats any.
pub(crate) async fn first_flight(caller: &Caller, groups: Groups) -> Result<Vec<Vec<u8>>> {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    let _connecting =
        endpoint.connect_with(config(caller, groups, b"h3")?, silent.local_addr()?, "localhost")?;
    let (mut flight, mut buffer) = (Vec::new(), vec![0; 2000]);
    while let Ok(length) =
        timeout(if flight.is_empty() { PATIENCE } else { FLIGHT }, silent.recv(&mut buffer)).await
    {
        flight.push(buffer[..length?].to_vec());
    }
    ensure!(!flight.is_empty(), "the client sends nothing");
    Ok(flight)
}

/// So many first datagrams of clients of this protocol of which one is enough, each with the socket that it comes from and that says
/// no more.
pub(crate) async fn half_open(
    caller: &Caller,
    protocol: &[u8],
    count: usize,
) -> Result<Vec<(UdpSocket, Vec<u8>)>> {
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    let config = config(caller, Groups::X25519, protocol)?;
    let (mut clients, mut buffer) = (Vec::new(), vec![0; 2000]);
    while clients.len() < count {
        // What the client sends to it, it sends to the daemon.
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let _connecting = endpoint.connect_with(config.clone(), silent.local_addr()?, "localhost")?;
        let length =
            timeout(PATIENCE, silent.recv(&mut buffer)).await.context("the client sends nothing")??;
        silent.connect(caller.address()).await?;
        clients.push((silent, buffer[..length].to_vec()));
    }
    Ok(clients)
}

fn config(caller: &Caller, groups: Groups, protocol: &[u8]) -> Result<quinn::ClientConfig> {
    Ok(quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls(caller, groups, protocol)?)?)))
}

fn tls(caller: &Caller, groups: Groups, protocol: &[u8]) -> Result<ClientConfig> {
    let like = client_config(caller.ca(), protocol)?;
    let mut provider = like.crypto_provider().as_ref().clone();
    if matches!(groups, Groups::X25519) {
        provider.kx_groups.retain(|group| group.name() == NamedGroup::X25519);
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(caller.ca()) {
        roots.add(certificate?)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = like.alpn_protocols;
    Ok(config)
}
