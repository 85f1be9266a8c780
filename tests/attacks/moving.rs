//! Packets of a QUIC connection that come from another address than its handshake did. Whoever has a connection, which needs no
//! key, can send them with anybody's address as their source; judged by what the daemon sends there (RFC 9000 sections 8.2
//! and 9.3: three times what came), and by whether the connection goes on where it was.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use ghostllm_tests::client::Version;
use quinn::TransportConfig;
use tokio::{net::UdpSocket, task::JoinSet, time::sleep};

use crate::support::{
    Place,
    h3::{self, Came, ask, control, get},
};

/// Packets that are sent from elsewhere.
const PACKETS: usize = 20;
/// Packets that are larger come from where the client is: an attacker sends none for whom it is not to pay.
const SMALL: usize = 100;
/// How long what comes of each is counted.
const COUNTED: Duration = Duration::from_millis(150);

/// Between a client and the daemon: the client's packets come from one address, or from a victim's while `spoofing`.
struct Relay {
    address: SocketAddr,
    counts: Arc<Counts>,
    _tasks: JoinSet<std::io::Result<()>>,
}

#[derive(Default)]
struct Counts {
    spoofing: AtomicBool,
    /// Packets and bytes that were sent from the victim's address, and bytes that came there.
    packets: AtomicUsize,
    sent: AtomicUsize,
    came: AtomicUsize,
}

impl Relay {
    async fn start(daemon: SocketAddr) -> Result<Self> {
        let [near, far, victim] = [
            Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?),
            Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?),
            // Another address of loopback, so that nobody takes it for another port of the same client.
            Arc::new(UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).await?),
        ];
        let (address, counts) = (near.local_addr()?, Arc::<Counts>::default());
        let mut tasks = JoinSet::new();
        let (client, heard) = tokio::sync::watch::channel(None);
        let forward = (Arc::clone(&near), Arc::clone(&far), Arc::clone(&victim), Arc::clone(&counts));
        tasks.spawn(async move {
            let ((near, far, victim, counts), mut buffer) = (forward, vec![0; 2000]);
            loop {
                let (length, from) = near.recv_from(&mut buffer).await?;
                client.send_replace(Some(from));
                if counts.spoofing.load(Relaxed) && length < SMALL {
                    counts.packets.fetch_add(1, Relaxed);
                    counts.sent.fetch_add(length, Relaxed);
                    victim.send_to(&buffer[..length], daemon).await?;
                } else {
                    far.send_to(&buffer[..length], daemon).await?;
                }
            }
        });
        tasks.spawn(async move {
            let mut buffer = vec![0; 2000];
            loop {
                let length = far.recv(&mut buffer).await?;
                let client = *heard.borrow();
                if let Some(client) = client {
                    near.send_to(&buffer[..length], client).await?;
                }
            }
        });
        let counted = Arc::clone(&counts);
        tasks.spawn(async move {
            let mut buffer = vec![0; 2000];
            loop {
                // A victim says nothing.
                counted.came.fetch_add(victim.recv(&mut buffer).await?, Relaxed);
            }
        });
        Ok(Self { address, counts, _tasks: tasks })
    }

    fn spoof(&self, spoofing: bool) {
        self.counts.spoofing.store(spoofing, Relaxed);
    }
}

#[tokio::test]
async fn sends_no_more_than_three_times_as_much_where_a_connection_seems_to_have_moved() -> Result<()> {
    let place = Place::new("").await?;
    let caller = place.caller(Version::H3).await?;
    let relay = Relay::start(caller.address()).await?;
    let mut transport = TransportConfig::default();
    // Nothing but what the test sends.
    transport.mtu_discovery_config(None);
    let quic = h3::dial_at(&caller, relay.address, transport).await?;
    let mut control = control(&quic).await?;
    ensure!(ask(&quic, &get("/healthz")).await? == Came::Answer(200), "it is not served");
    let counts = &relay.counts;
    while counts.packets.load(Relaxed) < PACKETS {
        relay.spoof(true);
        // A frame of a reserved type without a payload: the smallest thing that a client may say.
        control.write_all(&h3::announced(h3::UNKNOWN, 0)).await?;
        sleep(COUNTED).await;
        // The client's next packet comes from where it is, so that the next one from elsewhere is a move once more.
        relay.spoof(false);
        control.write_all(&h3::announced(h3::UNKNOWN, 0)).await?;
        sleep(COUNTED / 3).await;
    }
    let (packets, sent, came) =
        (counts.packets.load(Relaxed), counts.sent.load(Relaxed), counts.came.load(Relaxed));
    let ratio = came as f64 / sent as f64;
    println!(
        "{packets} packets from elsewhere, {sent} bytes: {came} bytes go there, {ratio:.2} times as many"
    );
    ensure!(ratio <= 3.0, "{ratio:.2} times as much goes to an address that nobody has proved");
    let beside = ask(&quic, &get("/healthz")).await?;
    ensure!(beside == Came::Answer(200), "the connection is lost where it was: {beside:?}");
    place.end().await
}
