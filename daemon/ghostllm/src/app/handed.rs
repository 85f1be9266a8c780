//! The sockets that the service manager has handed down, and which of them is whose.
//!
//! Knows the protocol (sd_listen_fds(3)) and what each socket is. Refuses to know what is served on it. Invariants: a socket goes to
//! the listener that `[listen]` wants at its very address, whatever its name says; one that nobody wants is closed and told, since
//! its unit goes on holding its port, where clients would wait for ever.

mod fit;

use std::{
    env,
    fmt::Display,
    io::{Error, ErrorKind, Result},
    net::{SocketAddr, TcpListener, UdpSocket},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
};

use ghostllm_edge::bind::{self, Bound};
use listenfd::ListenFd;
use nix::{
    sys::socket::{getsockopt, sockopt::AcceptConn},
    unistd::close,
};

use fit::fits;

/// The name by which a unit hands the admin's socket down (`FileDescriptorName=`).
const ADMIN: &str = "admin";
/// The names that our own units give.
const OURS: [&str; 4] = [ADMIN, "tls", "quic", "plain"];
/// The first descriptor that is handed down (sd_listen_fds(3)).
const FIRST: usize = 3;

/// What the service manager has handed down.
#[derive(Debug, Default)]
pub struct Handed {
    admin: Option<(UnixListener, PathBuf)>,
    streams: Vec<(Label, Bound<TcpListener>)>,
    datagrams: Vec<(Label, Bound<UdpSocket>)>,
    /// What is not used and why, in words.
    unused: Vec<String>,
}

/// How one is called in words.
#[derive(Debug, Clone)]
struct Label {
    number: usize,
    name: String,
}

impl Handed {
    /// Takes what there is. Of several Unix sockets that would do, the one named `admin`, else the first. Changes the environment: it
    /// must be the only thread.
    #[must_use]
    pub fn take() -> Self {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let (mut given, mut handed, mut named) = (ListenFd::from_env(), Self::default(), false);
        for at in 0..given.len() {
            let label = Label { number: FIRST + at, name: names.next().unwrap_or_default().to_owned() };
            if let Err(why) = handed.one(&mut given, at, &label, &mut named) {
                handed.unused.push(format!("{label}: {why}"));
                // Else our engine would have it as well.
                if let Ok(Some(left)) = given.take_raw_fd(at) {
                    let _closed = close(left);
                }
            }
        }
        handed
    }

    /// Takes one of them. What is of none of the three kinds stays where it is.
    fn one(&mut self, given: &mut ListenFd, at: usize, label: &Label, named: &mut bool) -> Result<()> {
        if let Ok(Some(stream)) = given.take_tcp_listener(at) {
            self.streams.push((label.clone(), bind::handed_tcp(stream)?));
        } else if let Ok(Some(datagrams)) = given.take_udp_socket(at) {
            self.datagrams.push((label.clone(), bind::handed_udp(datagrams)?));
        } else if let Ok(Some(unix)) = given.take_unix_listener(at) {
            self.for_admin(guarded(unix)?, label, named)?;
        } else {
            return Err(refused("it is no socket for TCP, for UDP or of a file that streams"));
        }
        Ok(())
    }

    fn for_admin(&mut self, socket: (UnixListener, PathBuf), label: &Label, named: &mut bool) -> Result<()> {
        if self.admin.is_some() && (label.name != ADMIN || *named) {
            return Err(refused("there is one for the admin already"));
        }
        *named = label.name == ADMIN;
        if let Some((_, before)) = self.admin.replace(socket) {
            self.unused.push(format!("{}: another one is named {ADMIN}", before.display()));
        }
        Ok(())
    }

    /// The admin's socket, with its file.
    pub(super) fn admin(&mut self) -> Option<(UnixListener, PathBuf)> {
        self.admin.take()
    }

    /// The one that listens where it is wanted.
    pub(super) fn tcp(&mut self, wanted: SocketAddr) -> Option<Bound<TcpListener>> {
        fitting(&mut self.streams, wanted)
    }

    /// The same for UDP.
    pub(super) fn udp(&mut self, wanted: SocketAddr) -> Option<Bound<UdpSocket>> {
        fitting(&mut self.datagrams, wanted)
    }

    /// Closes what nobody has taken, and says so.
    pub(super) fn tell_unused(&mut self) {
        let streams = self.streams.drain(..).map(|(label, bound)| unwanted(&label, "TCP", bound.address));
        let datagrams = self.datagrams.drain(..).map(|(label, bound)| unwanted(&label, "UDP", bound.address));
        self.unused.extend(streams.chain(datagrams));
        for unused in self.unused.drain(..) {
            tracing::warn!("a socket that was handed down is not used: {unused}");
        }
    }
}

/// The best that fits, which is taken out of `all`.
fn fitting<S>(all: &mut Vec<(Label, Bound<S>)>, wanted: SocketAddr) -> Option<Bound<S>> {
    let best = (0..all.len())
        .filter_map(|at| Some((fits(wanted, all.get(at)?.1.address)?, at)))
        .min_by_key(|(fit, at)| (*fit, *at));
    let (label, mut bound) = all.remove(best?.1);
    // Where IPv4 alone is wanted, nothing is missing.
    bound.only_ipv4 &= wanted.is_ipv6();
    tracing::info!("{label}, which was handed down, is served at {}", bound.address);
    Some(bound)
}

fn unwanted(label: &Label, protocol: &str, address: SocketAddr) -> String {
    let unit = if OURS.contains(&label.name.as_str()) {
        format!("ghostllm-{}.socket", label.name)
    } else {
        "its socket unit".to_owned()
    };
    format!(
        "{label} for {protocol} at {address}: no listener of the configuration is there, and whoever connects to it waits for \
         nothing. Give [listen] that address, or have {unit} listen elsewhere (systemctl edit)"
    )
}

impl Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "descriptor {} ({})", self.number, self.name)
    }
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, why)
}

/// A listener with the file that guards it.
fn guarded(listener: UnixListener) -> Result<(UnixListener, PathBuf)> {
    if !getsockopt(&listener, AcceptConn)? {
        return Err(refused("it does not listen"));
    }
    let path = listener.local_addr()?.as_pathname().map(Path::to_owned);
    let path = path.ok_or_else(|| refused("it has no file, whose mode would say who may connect"))?;
    listener.set_nonblocking(true)?;
    Ok((listener, path))
}
