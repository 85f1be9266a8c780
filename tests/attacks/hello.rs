//! ClientHellos in pieces: a byte in each packet, and in many records of TLS. Readers that wait for all of it in one have met a
//! panic or a loop here (RUSTSEC-2024-0399, RUSTSEC-2024-0336); judged by whether the client is served.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use ghostllm_tests::client::{Version, client_config};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::support::Place;

const PATIENCE: Duration = Duration::from_secs(5);
/// The least that rustls takes for a record, with its head.
const RECORD: usize = 32;

/// Sends a byte at a time.
struct SingleBytes(TcpStream);

impl AsyncWrite for SingleBytes {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &bytes[..bytes.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl AsyncRead for SingleBytes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

#[tokio::test]
async fn serves_whoever_greets_in_pieces() -> Result<()> {
    let place = Place::new("").await?;
    let caller = place.caller(Version::H1).await?;
    for (what, record) in [("a byte in each packet", None), ("records of 32 bytes", Some(RECORD))] {
        let mut config = client_config(caller.ca(), b"http/1.1")?;
        config.max_fragment_size = record;
        let tcp = TcpStream::connect(caller.address()).await?;
        tcp.set_nodelay(true)?;
        let served = async {
            let name = ServerName::try_from("localhost")?;
            let mut wire = TlsConnector::from(Arc::new(config)).connect(name, SingleBytes(tcp)).await?;
            let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            wire.write_all(request).await?;
            wire.flush().await?;
            let mut said = Vec::new();
            wire.read_to_end(&mut said).await?;
            anyhow::Ok(said)
        };
        let said = timeout(PATIENCE, served).await.context("no answer in time")?.context(what)?;
        println!("{what}: {}", said[..said.len().min(15)].escape_ascii());
        ensure!(said.starts_with(b"HTTP/1.1 200 "), "{what}: {}", said.escape_ascii());
    }
    place.end().await
}
