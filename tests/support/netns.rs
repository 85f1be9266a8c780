//! Network namespaces: boxes, neighbours and routers that a test makes for itself, with cables between them.
//!
//! Knows setns, iproute2's `ip` and sysctls. Refuses to know what runs within. Invariant: a namespace has no name and no
//! process, only this value; the kernel takes it away, cables included, with the test's process, however that ends.

use std::{
    fs::File,
    future::{Future, poll_fn},
    net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket},
    os::fd::AsRawFd,
    pin::pin,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::{
    net::if_::if_nametoindex,
    sched::{CloneFlags, setns, unshare},
};

/// The namespace of the thread that opens it; /proc/self would be that of the process's first thread.
const OWN: &str = "/proc/thread-self/ns/net";

/// The kernel finishes an address in milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A network namespace.
#[derive(Debug)]
pub struct Namespace(File);

/// The calling thread is within a namespace until this is dropped.
struct Inside {
    before: File,
}

impl Namespace {
    /// A namespace whose loopback is up, and nothing else.
    ///
    /// # Errors
    /// When this user may not make one.
    pub fn new() -> Result<Self> {
        let namespace = Self::without_loopback()?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// A namespace in which nothing is up.
    ///
    /// # Errors
    /// When this user may not make one.
    pub fn without_loopback() -> Result<Self> {
        // A thread of its own, so that whatever fails, the test's own thread stays where it is.
        let made = thread::spawn(|| -> Result<File> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(File::open(OWN)?)
        });
        let made = made.join().map_err(|_panic| anyhow::anyhow!("the thread panicked"))?;
        let made = made.context(
            "no network namespace can be made; `just test` leaves these tests out for who is not root",
        )?;
        let namespace = Self(made);
        // Nobody else is on these cables, so nobody need be asked for a second or two whether an address is taken.
        namespace.sysctl("net.ipv6.conf.all.accept_dad", "0")?;
        namespace.sysctl("net.ipv6.conf.default.accept_dad", "0")?;
        Ok(namespace)
    }

    /// The namespace of a process.
    ///
    /// # Errors
    /// There is no such process, or this user may not look.
    pub fn of(process: u32) -> Result<Self> {
        Ok(Self(File::open(format!("/proc/{process}/ns/net"))?))
    }

    /// Runs `ip` with these arguments within.
    ///
    /// # Errors
    /// What it says.
    pub fn ip(&self, arguments: &str) -> Result<()> {
        let _inside = self.enter()?;
        let output = Command::new("ip")
            .args(arguments.split_whitespace())
            .output()
            .context("`ip` is missing: run `just setup`")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ip {arguments}: {said}");
        Ok(())
    }

    /// Sets a kernel setting, such as `net.ipv6.bindv6only`, within.
    ///
    /// # Errors
    /// When there is no such setting, or not this value.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let _inside = self.enter()?;
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        std::fs::write(&path, value).with_context(|| format!("{path} cannot be set to {value}"))
    }

    /// Lays a cable: the interface `own` here and `theirs` there, both up, with these addresses.
    ///
    /// # Errors
    /// When an interface or an address is refused.
    pub fn cable(&self, own: (&str, &[&str]), there: &Self, theirs: (&str, &[&str])) -> Result<()> {
        let place = format!("/proc/{}/fd/{}", std::process::id(), there.0.as_raw_fd());
        self.ip(&format!("link add {} type veth peer name {} netns {place}", own.0, theirs.0))?;
        for (namespace, (interface, addresses)) in [(self, own), (there, theirs)] {
            namespace.ip(&format!("link set {interface} up"))?;
            for address in addresses {
                namespace.address(address, interface)?;
            }
        }
        Ok(())
    }

    /// Gives an interface an address, with its network's length behind a slash, and waits until it can be used: even
    /// without a search for doubles the kernel finishes an IPv6 address in the background, and a connection that begins
    /// before that would have the source ::1.
    ///
    /// # Errors
    /// When it is refused, or cannot be used in time.
    pub fn address(&self, address: &str, interface: &str) -> Result<()> {
        self.ip(&format!("address add {address} dev {interface}"))?;
        let ip: IpAddr = address.split('/').next().unwrap_or_default().parse()?;
        let scope = self.index(interface)?;
        let at = match ip {
            IpAddr::V6(ip) => SocketAddr::from(SocketAddrV6::new(ip, 0, 0, scope)),
            IpAddr::V4(_) => SocketAddr::new(ip, 0),
        };
        let _inside = self.enter()?;
        let begun = Instant::now();
        while let Err(error) = UdpSocket::bind(at) {
            ensure!(begun.elapsed() < PATIENCE, "{address} cannot be used: {error}");
            thread::yield_now();
        }
        Ok(())
    }

    fn index(&self, interface: &str) -> Result<u32> {
        let _inside = self.enter()?;
        Ok(if_nametoindex(interface)?)
    }

    /// The address that a caller from within has at `to`.
    ///
    /// # Errors
    /// When there is no way there.
    pub fn source(&self, to: SocketAddr) -> Result<IpAddr> {
        let _inside = self.enter()?;
        let any: IpAddr = if to.is_ipv6() { "::".parse()? } else { "0.0.0.0".parse()? };
        let socket = UdpSocket::bind((any, 0))?;
        // Connecting a UDP socket sends nothing: it asks the routing table. Port 9 is discard, were it ever used.
        socket.connect(SocketAddr::new(to.ip(), 9))?;
        Ok(socket.local_addr()?.ip())
    }

    /// Runs a future within: the sockets that it makes and the processes that it starts are of this namespace. Tasks that
    /// it spawns are not.
    ///
    /// # Panics
    /// When the thread may not enter.
    pub async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            let _inside = self.enter().unwrap();
            future.as_mut().poll(context)
        })
        .await
    }

    fn enter(&self) -> Result<Inside> {
        let before = File::open(OWN)?;
        setns(&self.0, CloneFlags::CLONE_NEWNET).context("the namespace cannot be entered")?;
        Ok(Inside { before })
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        setns(&self.before, CloneFlags::CLONE_NEWNET).unwrap();
    }
}
