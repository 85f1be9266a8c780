//! Clients that speak something else than the port they call, or nothing at all that anyone speaks; and TLS as nobody should speak
//! it any more. Judged by how soon each is answered or closed.

use std::{
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use ghostllm_tests::client::{Caller, Version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};

use crate::support::Place;

/// What cannot be understood is ended at once (F-18 of the research on security has 1 s); the rest is a busy machine's.
const SOON: Duration = Duration::from_millis(2500);
const PATIENCE: Duration = Duration::from_secs(20);
/// Random texts for each port.
const TEXTS: u64 = 50;

/// Sends these bytes, says that they are all, and reads to the end.
async fn said_to(address: SocketAddr, bytes: &[u8]) -> Result<(Vec<u8>, Duration)> {
    let mut wire = TcpStream::connect(address).await?;
    let (begun, mut said) = (Instant::now(), Vec::new());
    let talk = async {
        // The other side may have heard enough before.
        let _sent = wire.write_all(bytes).await.and(wire.shutdown().await);
        let _reset = wire.read_to_end(&mut said).await;
    };
    timeout(PATIENCE, talk).await.context("it is never closed")?;
    Ok((said, begun.elapsed()))
}

/// Numbers without an order (Marsaglia's xorshift), the same in every run.
fn garbage(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let length = 1 + usize::try_from(seed * 97 % 4000).unwrap_or(0);
    let byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(byte).take(length).collect()
}

#[tokio::test]
async fn ends_whoever_speaks_something_else() -> Result<()> {
    let place = Place::new("").await?;
    let (h1, plain) = (place.caller(Version::H1).await?, place.daemon.plain(false)?);
    let port = h1.address();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (said, taken) = said_to(port, request).await?;
    println!("HTTP without TLS on the TLS port: {} after {taken:.1?}", said.escape_ascii());
    ensure!(taken <= SOON, "closed after {taken:?} only");
    ensure!(
        said.first().is_none_or(|first| *first == 0x15),
        "what it says is no alert: {}",
        said.escape_ascii()
    );
    // An alert that is fatal, or HTTP's own 400.
    let hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03";
    for (what, address, bytes) in [
        ("TLS on the plain port", plain, &hello[..]),
        ("HTTP/2 on the plain port", plain, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        ("a broken ClientHello", port, hello),
        ("SSH on the plain port", plain, b"SSH-2.0-OpenSSH_9.2\r\n"),
        ("SSH on the TLS port", port, b"SSH-2.0-OpenSSH_9.2\r\n"),
    ] {
        let (said, taken) = said_to(address, bytes).await?;
        println!(
            "{what}: {} after {taken:.1?}",
            said.escape_ascii().to_string().chars().take(40).collect::<String>()
        );
        ensure!(taken <= SOON, "{what}: closed after {taken:?} only");
        let refused = said.is_empty() || said[0] == 0x15 || said.starts_with(b"HTTP/1.1 400 ");
        ensure!(refused, "{what}: {}", said.escape_ascii());
    }
    let texts = (0..TEXTS).flat_map(|seed| [(port, seed), (plain, seed)]);
    let sent = try_join_all(texts.map(|(address, seed)| async move {
        let (said, taken) = said_to(address, &garbage(seed)).await?;
        let refused = said.is_empty() || said[0] == 0x15 || said.starts_with(b"HTTP/1.1 400 ");
        ensure!(
            refused && taken <= SOON,
            "text {seed} at {address}: {} after {taken:?}",
            said.escape_ascii()
        );
        Ok(taken)
    }));
    let longest = sent.await?.into_iter().max().unwrap_or_default();
    println!("{} random texts: each closed within {longest:.1?}", 2 * TEXTS);
    place.end().await
}

/// What OpenSSL says of a handshake with these options. It may speak whatever it still can.
async fn openssl(caller: &Caller, options: &[&str], said: &str) -> Result<(bool, String)> {
    let connect = caller.address().to_string();
    let mut child = Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &connect,
            "-servername",
            "localhost",
            "-alpn",
            "http/1.1",
            "-no_ign_eof",
        ])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("openssl is missing: run `just setup`")?;
    let mut stdin = child.stdin.take().context("standard input")?;
    // It may have ended already.
    let _said = stdin.write_all(said.as_bytes()).await;
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await.context("openssl does not end")??;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let served = text.contains("Cipher is ") && !text.contains("Cipher is (NONE)");
    Ok((served, text))
}

#[tokio::test]
async fn speaks_tls_as_it_is_spoken_today_and_no_other() -> Result<()> {
    let place = Place::new("").await?;
    let caller = place.caller(Version::H1).await?;
    // Level 0 has OpenSSL offer what it would not by itself.
    let cases: [(&str, &[&str], bool); 11] = [
        ("TLS 1.3", &["-tls1_3"], true),
        ("TLS 1.2, AES-GCM", &["-tls1_2", "-cipher", "ECDHE+AESGCM"], true),
        ("TLS 1.2, ChaCha20", &["-tls1_2", "-cipher", "ECDHE+CHACHA20"], true),
        ("TLS 1.1", &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], false),
        ("TLS 1.0", &["-tls1", "-cipher", "ALL:@SECLEVEL=0"], false),
        (
            "TLS 1.2, CBC",
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0"],
            false,
        ),
        ("TLS 1.2, no forward secrecy", &["-tls1_2", "-cipher", "kRSA:@SECLEVEL=0"], false),
        ("TLS 1.2, finite fields", &["-tls1_2", "-cipher", "kDHE:@SECLEVEL=0"], false),
        ("TLS 1.2, nobody signs", &["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"], false),
        ("TLS 1.2, nothing encrypts", &["-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"], false),
        ("TLS 1.2, CCM", &["-tls1_2", "-cipher", "AESCCM:@SECLEVEL=0"], false),
    ];
    for (what, options, served) in cases {
        let (came, text) = openssl(&caller, options, "").await?;
        println!("{what}: {}", if came { "served" } else { "refused" });
        ensure!(came == served, "{what}:\n{text}");
        // A refusal is the daemon's, not OpenSSL's own.
        ensure!(served || text.contains("alert"), "{what}: nobody has refused it:\n{text}");
    }
    // A line of R asks for new keys in the same connection (s_client's own commands).
    let (served, text) = openssl(&caller, &["-tls1_2"], "R\n").await?;
    ensure!(served && text.contains("RENEGOTIATING"), "it was not asked for:\n{text}");
    let refused = text.contains("no renegotiation") || text.contains("alert") || text.contains("closed");
    println!("renegotiation: {}", if refused { "refused" } else { "taken" });
    ensure!(refused, "new keys were agreed on:\n{text}");
    place.end().await
}
