//! Real handshakes over TCP and QUIC with one resolver.
//!
//! Knows rustls, quinn and `openssl s_client` as clients. Invariant: the server's socket is bound before its
//! client starts, so nothing here waits for a port or a moment.

use std::{io, net::SocketAddr, sync::Arc};

use ghostllm_edge::{
    ca::{Authority, Leaf, Subjects},
    tls::{self, Resolver},
};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, ServerName},
};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::support::{run_async, strings};

struct Box {
    authority: Authority,
    resolver: Arc<Resolver>,
}

impl Box {
    /// The clients here go by the real clock, so this box does.
    fn new() -> Self {
        let authority = Authority::make("box", &[], OffsetDateTime::now_utc()).expect("a CA");
        let first = leaf(&authority);
        Self { authority, resolver: Resolver::new(first.certified_key().expect("a pair")) }
    }

    fn swap(&self) {
        self.resolver.replace(leaf(&self.authority).certified_key().expect("a pair"));
    }

    fn shown(&self) -> CertificateDer<'static> {
        self.resolver.current().cert[0].clone()
    }

    fn server(&self) -> Arc<ServerConfig> {
        tls::tcp_config(Arc::clone(&self.resolver)).expect("a configuration")
    }

    fn client(&self, alpn: &[u8]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate_der().clone()).expect("the CA");
        let builder = ClientConfig::builder_with_provider(tls::provider());
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        config
    }
}

fn leaf(authority: &Authority) -> Leaf {
    let wanted = Subjects {
        names: strings(&["localhost"]),
        addresses: vec!["127.0.0.1".parse().expect("an address")],
    };
    authority.issue(&wanted, OffsetDateTime::now_utc()).expect("a leaf").0
}

type Pair = (client::TlsStream<TcpStream>, server::TlsStream<TcpStream>);

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    (listener, at)
}

async fn connect(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Pair {
    let (listener, at) = listen().await;
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::clone(client));
    let dial = async { connector.connect(name, TcpStream::connect(at).await?).await };
    let acceptor = TlsAcceptor::from(Arc::clone(server));
    let accept = async { acceptor.accept(listener.accept().await?.0).await };
    tokio::try_join!(dial, accept).expect("a handshake")
}

/// One byte each way; it also lets the client read the tickets that came before it.
async fn exchange((client, server): &mut Pair) -> io::Result<()> {
    client.write_u8(1).await?;
    client.flush().await?;
    server.read_u8().await?;
    server.write_u8(2).await?;
    server.flush().await?;
    client.read_u8().await.map(|_byte| ())
}

fn seen(pair: &Pair) -> CertificateDer<'static> {
    pair.0.get_ref().1.peer_certificates().expect("a chain")[0].clone()
}

#[tokio::test]
async fn a_swap_reaches_new_tcp_connections_and_leaves_open_ones_alone() {
    let the_box = Box::new();
    let server = the_box.server();
    let before = the_box.shown();
    let mut open = connect(&server, &Arc::new(the_box.client(b"h2"))).await;
    assert_eq!(seen(&open), before);
    the_box.swap();
    assert_ne!(the_box.shown(), before);
    let new = connect(&server, &Arc::new(the_box.client(b"h2"))).await;
    assert_eq!(seen(&new), the_box.shown());
    exchange(&mut open).await.expect("the open connection goes on");
}

#[tokio::test]
async fn a_swap_reaches_new_quic_connections_and_leaves_open_ones_alone() {
    let the_box = Box::new();
    let config = tls::quic_config(Arc::clone(&the_box.resolver)).expect("a configuration");
    let crypto = QuicServerConfig::try_from(config).expect("a configuration for QUIC");
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let here: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let server = quinn::Endpoint::server(config, here).expect("a port");
    let client = quinn::Endpoint::client(here).expect("a port");
    let at = server.local_addr().expect("an address");
    let connect = async || {
        let crypto = QuicClientConfig::try_from(the_box.client(b"h3")).expect("a client");
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        let dial = async { client.connect_with(config, at, "localhost").expect("a name").await };
        let accept = async { server.accept().await.expect("a connection").await };
        tokio::try_join!(dial, accept).expect("a handshake")
    };
    let chain = |connection: &quinn::Connection| {
        let identity = connection.peer_identity().expect("a chain");
        identity.downcast::<Vec<CertificateDer<'static>>>().expect("certificates")[0].clone()
    };
    let before = the_box.shown();
    let (open, its_server) = connect().await;
    assert_eq!(chain(&open), before);
    the_box.swap();
    assert_ne!(the_box.shown(), before);
    let (new, _its_server) = connect().await;
    assert_eq!(chain(&new), the_box.shown());
    let mut send = open.open_uni().await.expect("a stream");
    send.write_all(b"still here").await.expect("written");
    send.finish().expect("finished");
    let mut receive = its_server.accept_uni().await.expect("a stream");
    assert_eq!(receive.read_to_end(64).await.expect("read"), b"still here");
}

#[tokio::test]
async fn the_hybrid_group_is_negotiated_and_a_second_connection_resumes() {
    let the_box = Box::new();
    let (server, client) = (the_box.server(), Arc::new(the_box.client(b"http/1.1")));
    let mut first = connect(&server, &client).await;
    exchange(&mut first).await.expect("bytes");
    let tls = first.0.get_ref().1;
    assert_eq!(tls.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(tls.alpn_protocol(), Some(&b"http/1.1"[..]));
    let group = tls.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name);
    assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
    assert_ne!(tls.handshake_kind(), Some(HandshakeKind::Resumed));
    // A ticket of before the swap is still good: it proves the same box.
    the_box.swap();
    let second = connect(&server, &client).await;
    assert_eq!(second.0.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[tokio::test]
async fn openssl_connects_with_tls_1_3_and_1_2_and_not_below() {
    let the_box = Box::new();
    let acceptor = TlsAcceptor::from(the_box.server());
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), the_box.authority.certificate_pem()).expect("written");
    let ca = file.path().to_str().expect("UTF-8");
    let answer = async |version: &str, name: &str| {
        let (listener, at) = listen().await;
        let accept = async {
            if let Ok(mut stream) = acceptor.accept(listener.accept().await?.0).await {
                stream.shutdown().await?;
            }
            io::Result::Ok(())
        };
        let at = at.to_string();
        let line = [
            "s_client",
            version,
            "-connect",
            &at,
            "-CAfile",
            ca,
            "-verify_return_error",
            "-alpn",
            "h2,http/1.1",
            "-verify_hostname",
            name,
        ];
        let (accepted, outcome) = tokio::join!(accept, run_async("openssl", &line));
        accepted.expect("a connection");
        outcome
    };
    for (option, version) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
        let said = answer(option, "localhost").await.passed();
        for words in ["Verify return code: 0 (ok)", "ALPN protocol: h2", version] {
            assert!(said.contains(words), "{words} in {said}");
        }
        assert!(!said.contains("Max Early Data: 1") && !said.contains("Early data was accepted"), "{said}");
    }
    answer("-tls1_1", "localhost").await.refused("");
    answer("-tls1_3", "other.local").await.refused("ostname mismatch");
}
