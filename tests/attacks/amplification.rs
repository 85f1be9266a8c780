//! Packets from addresses that nobody has proved to be theirs: what the daemon sends back to them, byte for byte (RFC 9000
//! section 8.1). Only loopback is ever named as a source.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use ghostllm_tests::client::{Caller, Version};
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};

use crate::support::{
    Place,
    quic::{FLIGHT, Groups, first_flight},
};

/// How long answers are counted: a server that hears nothing repeats itself after 1 s and 3 s, and `handshake` gives it up after 5.
const COUNTED: Duration = Duration::from_millis(5500);
/// Its number is nobody's any more so long after a handshake of half a second has begun: a connection that has ended drains for
/// three of its timeouts, which is 3 s where no round trip is known (RFC 9000 section 10.2, RFC 9002 section 6.2.2).
const FORGOTTEN: Duration = Duration::from_millis(4500);
/// Where nothing is expected.
const WHILE: Duration = Duration::from_millis(700);
/// Where an answer must come.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came back.
struct Back {
    sent: usize,
    datagrams: Vec<Vec<u8>>,
}

impl Back {
    fn bytes(&self) -> usize {
        self.datagrams.iter().map(Vec::len).sum()
    }

    fn ratio(&self) -> f64 {
        self.bytes() as f64 / self.sent as f64
    }

    fn print(&self, what: &str) {
        println!(
            "{what}: {} bytes back in {} datagrams for {} sent, {:.2} times as many",
            self.bytes(),
            self.datagrams.len(),
            self.sent,
            self.ratio()
        );
    }
}

/// Sends these datagrams from a socket that never says anything else, and gathers what comes back for so long.
async fn send(caller: &Caller, datagrams: &[Vec<u8>], during: Duration) -> Result<Back> {
    gather(caller, datagrams, during, during).await
}

/// The same until nothing more comes behind an answer.
async fn answered(caller: &Caller, datagrams: &[Vec<u8>]) -> Result<Back> {
    gather(caller, datagrams, PATIENCE, FLIGHT).await
}

async fn gather(caller: &Caller, datagrams: &[Vec<u8>], first: Duration, next: Duration) -> Result<Back> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    for datagram in datagrams {
        socket.send_to(datagram, caller.address()).await?;
    }
    let mut back = Back { sent: datagrams.iter().map(Vec::len).sum(), datagrams: Vec::new() };
    let (mut deadline, mut buffer) = (Instant::now() + first, vec![0; 2000]);
    while let Ok(length) = timeout_at(deadline, socket.recv(&mut buffer)).await {
        back.datagrams.push(buffer[..length?].to_vec());
        deadline = deadline.min(Instant::now() + next);
    }
    Ok(back)
}

/// The connection number that a long header names as its sender's (RFC 9000 section 17.2).
fn source_id(packet: &[u8]) -> Option<&[u8]> {
    let behind = packet.get(6 + usize::from(*packet.get(5)?)..)?;
    behind.get(1..1 + usize::from(*behind.first()?))
}

/// A packet that says that it belongs to this connection (section 17.3).
fn short(id: &[u8], length: usize) -> Vec<u8> {
    let mut packet = [&[0x40], id].concat();
    packet.resize(length, 0x5a);
    packet
}

/// A packet of another version (section 17.2).
fn versioned(version: u32, length: usize) -> Vec<u8> {
    let mut packet = vec![0xc0];
    packet.extend(version.to_be_bytes());
    packet.extend([8, 1, 2, 3, 4, 5, 6, 7, 8, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    packet.resize(length, 0);
    packet
}

#[tokio::test]
async fn sends_a_silent_client_no_more_than_three_times_as_much() -> Result<()> {
    let place = Place::new("").await?;
    let caller = place.caller(Version::H3).await?;
    // Three clients, since a packet that is sent twice belongs to the connection of the first.
    let (small, half, whole) = tokio::try_join!(
        first_flight(&caller, Groups::X25519),
        first_flight(&caller, Groups::All),
        first_flight(&caller, Groups::All),
    )?;
    ensure!(small.len() == 1, "a ClientHello with one small key has {} datagrams", small.len());
    ensure!(small[0].len() == 1200, "an Initial of {} bytes", small[0].len());
    let (small, first, all) = tokio::try_join!(
        send(&caller, &small, COUNTED),
        send(&caller, &half[..1], COUNTED),
        send(&caller, &whole, COUNTED),
    )?;
    for (what, back) in
        [("a whole ClientHello", &small), ("the first of two datagrams", &first), ("both of them", &all)]
    {
        back.print(what);
        ensure!(back.ratio() <= 3.0, "{what}: {:.2} times as much comes back", back.ratio());
    }
    ensure!(small.bytes() > small.sent && all.bytes() > small.bytes(), "a handshake was never answered");
    place.end().await
}

#[tokio::test]
async fn answers_what_is_no_initial_with_less_than_came_or_not_at_all() -> Result<()> {
    let place = Place::new("handshake = \"500ms\"").await?;
    let caller = place.caller(Version::H3).await?;
    let flight = first_flight(&caller, Groups::X25519).await?;
    let cut = flight[0][..1199].to_vec();
    let garbage = |first: u8, length: usize| {
        (0..length)
            .map(|at| if at == 0 { first } else { u8::try_from(at * 167 % 251).unwrap_or(0) })
            .collect::<Vec<u8>>()
    };
    let nothing: [(&str, Vec<u8>); 5] = [
        ("garbage like a long header", garbage(0xc1, 1200)),
        ("garbage like a short header", garbage(0x41, 1200)),
        ("an Initial of 1199 bytes", cut),
        ("an unknown version of 1199 bytes", versioned(0x1a2a_3a4a, 1199)),
        ("one byte", vec![0xc3]),
    ];
    let sent = nothing.iter().map(|(_, packet)| send(&caller, std::slice::from_ref(packet), WHILE));
    for ((what, _), back) in nothing.iter().zip(try_join_all(sent).await?) {
        back.print(what);
        ensure!(back.datagrams.is_empty(), "{what} is answered");
    }
    let begun = send(&caller, &flight, FORGOTTEN).await?;
    let id = begun.datagrams.iter().find_map(|packet| source_id(packet)).context("no answer")?;
    let less = [
        ("a packet of a connection that has ended", short(id, 1200)),
        ("a small one", short(id, 40)),
        ("the smallest that is answered", short(id, 22)),
        ("an unknown version", versioned(0x1a2a_3a4a, 1200)),
    ];
    for (what, packet) in less {
        let back = answered(&caller, &[packet]).await?;
        back.print(what);
        ensure!(back.datagrams.len() == 1, "{what}: {} answers", back.datagrams.len());
        ensure!(back.bytes() < back.sent, "{what}: {} bytes come back", back.bytes());
    }
    place.end().await
}

#[tokio::test]
async fn asks_for_a_proof_once_enough_handshakes_wait() -> Result<()> {
    let place = Place::new("quic_retry_from = 2\nhandshake = \"2s\"").await?;
    let caller = place.caller(Version::H3).await?;
    let flights = try_join_all((0..3).map(|_| first_flight(&caller, Groups::X25519))).await?;
    for (nth, flight) in flights.iter().enumerate() {
        let back = answered(&caller, flight).await?;
        back.print(&format!("handshake {} of those that wait, Retry from 2 on", nth + 1));
        // Its type stands in the first byte (RFC 9000 section 17.2.5).
        let retries = back.datagrams.iter().filter(|packet| packet[0] & 0xf0 == 0xf0).count();
        if nth < 2 {
            ensure!(retries == 0 && back.bytes() > back.sent, "handshake {nth} is not answered");
        } else {
            ensure!(
                retries == 1 && back.datagrams.len() == 1,
                "{retries} of {} are Retry",
                back.datagrams.len()
            );
            ensure!(back.ratio() < 1.0, "{:.2} times as much comes back", back.ratio());
        }
    }
    // A client that proves its address is served.
    place.end().await
}
