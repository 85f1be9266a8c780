//! The sockets, bound and then served.
//!
//! Invariant: without the TLS port there is no start; without UDP, a plain port or the admin's socket there is, and it is said.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use ghostllm_core::{
    admin::Listener,
    config::{Exposure, Listen, PlainAuth},
};
use ghostllm_edge::{
    Limits, Serve,
    accept::Accepting,
    bind::{self, BindError, Bound, SocketFile},
    drain::Drain,
    ended::Ended,
    guard::Guard,
    probe::Probe,
    pulse::Pulse,
    quic::{self, QuicListener},
    sources::Sources,
    tcp::{self, AltSvc, Secure},
    tls::{self, Resolver},
    unix,
    workers::Seats,
};
use http::HeaderValue;
use tokio::sync::watch;

use super::{
    Addresses,
    admin_socket::{AdminSocket, Lacking},
    error::next_step,
    handed::Handed,
    standing::Missing,
    systemd,
};
use crate::pipeline::Pipeline;

/// How often a free port of TCP is tried for UDP as well, when any port will do.
const TRIES: usize = 16;

/// So many signs of life are due in the time after which the service manager ends us; the half of them may be missing.
const SIGNS: u32 = 8;

/// How long a client may remember that there is HTTP/3 (RFC 7838 `ma`, in seconds): a day.
const REMEMBERED: u32 = 86_400;

/// What is missing where there is no UDP socket.
pub(super) const HTTP3: &str = "HTTP/3";

/// What is missing where a plain port is taken, before its address.
pub(super) const PLAIN_AT: &str = "plain HTTP at ";

/// Sockets that nobody serves yet.
pub(super) struct Listeners {
    tls: Bound<TcpListener>,
    quic: Option<Bound<UdpSocket>>,
    plain: Vec<Bound<TcpListener>>,
    admin: Result<AdminSocket, Lacking>,
    missing: Vec<Missing>,
    keys: quic::Keys,
}

/// Listeners at work.
pub(super) struct Serving {
    streams: Vec<Accepting>,
    quic: Option<QuicListener>,
    /// Removed with this.
    _admin: Option<SocketFile>,
    limits: watch::Sender<Arc<Limits>>,
    sources: Sources,
    pulse: Pulse,
    probe: Probe<Pipeline>,
}

impl Listeners {
    /// Takes what was handed down and fits, and binds the rest. An `admin` that cannot be had is what is missing.
    pub(super) fn bind(
        listen: &Listen,
        admin: Result<AdminSocket, Lacking>,
        handed: &mut Handed,
        keys: quic::Keys,
    ) -> Result<Self, BindError> {
        let mut missing: Vec<Missing> = Vec::new();
        let (tls, quic) = bind_tls(listen, handed, &mut missing)?;
        match &quic {
            Some(quic) if quic.only_ipv6 => missing.push(narrow("HTTP/3 over IPv4", "ListenDatagram", quic)),
            Some(quic) if quic.only_ipv4 && !tls.only_ipv4 => {
                missing.push(narrow("HTTP/3 over IPv6", "ListenDatagram", quic));
            }
            _ => {}
        }
        if tls.only_ipv6 {
            missing.push(narrow("IPv4", "ListenStream", &tls));
        } else if tls.only_ipv4 {
            missing.push(narrow("IPv6", "ListenStream", &tls));
        }
        tell_exposure(listen.exposure);
        let mut plain = Vec::new();
        for address in &listen.plain {
            match handed.tcp(*address).map_or_else(|| bind::tcp(*address), Ok) {
                Ok(bound) => plain.push(bound),
                Err(error) => {
                    tracing::warn!("{error}: plain HTTP is not served there");
                    missing.push(refused(&format!("{PLAIN_AT}{address}"), &error, "listen.plain"));
                }
            }
        }
        missing.extend(admin.as_ref().err().map(|lacking| lacking.missing.clone()));
        Ok(Self { tls, quic, plain, admin, missing, keys })
    }

    /// What is wanted and not served; the log has the reasons.
    pub(super) fn missing(&self) -> Vec<Missing> {
        self.missing.clone()
    }

    pub(super) fn addresses(&self) -> Addresses {
        Addresses {
            tls: self.tls.address,
            quic: self.quic.as_ref().map(|bound| bound.address),
            plain: self.plain.iter().map(|bound| bound.address).collect(),
            admin: self.admin.as_ref().ok().map(|admin| admin.path.clone()),
        }
    }

    /// The same as the admin API tells it, and what is wanted and does not serve.
    pub(super) fn list(&self, listen: &Listen) -> Vec<Listener> {
        let listener = |kind: &str, address: String, speaks: &str, serves, key| Listener {
            kind: kind.to_owned(),
            address,
            speaks: speaks.to_owned(),
            serves,
            key,
        };
        let mut list = vec![listener("tls", self.tls.address.to_string(), "HTTP/1.1, HTTP/2", true, true)];
        if listen.http3 {
            let address = self.quic.as_ref().map_or(self.tls.address, |bound| bound.address);
            list.push(listener("quic", address.to_string(), "HTTP/3", self.quic.is_some(), true));
        }
        let key = listen.plain_auth == PlainAuth::Key;
        for bound in &self.plain {
            list.push(listener("plain", bound.address.to_string(), "HTTP/1.1", true, key));
        }
        for missing in self.missing.iter().filter_map(|missing| missing.what.strip_prefix(PLAIN_AT)) {
            list.push(listener("plain", missing.to_owned(), "HTTP/1.1", false, key));
        }
        let (path, serves) = match &self.admin {
            Ok(admin) => (&admin.path, true),
            Err(lacking) => (&lacking.path, false),
        };
        list.push(listener("admin", path.display().to_string(), "HTTP/1.1", serves, false));
        list
    }

    pub(super) fn serve(
        self,
        pipeline: &Pipeline,
        limits: Limits,
        guard: &Arc<Guard>,
        resolver: Arc<Resolver>,
        seats: Seats,
        drain: &Drain,
    ) -> io::Result<Serving> {
        let (guard, sources) = (Arc::clone(guard), Sources::new(&limits));
        let limits = Arc::new(limits);
        let (newest, seen) = watch::channel(Arc::clone(&limits));
        let pulse = systemd::watchdog().map_or_else(Pulse::default, |limit| Pulse::new(limit / SIGNS));
        let serve = Serve {
            handler: pipeline.clone(),
            sources: sources.clone(),
            limits,
            newest: seen,
            answers: Arc::new(move |peer: SocketAddr| guard.answers(peer.ip())),
            room: pipeline.room(),
            seats,
            pulse: pulse.clone(),
            drain: drain.watch(),
        };
        let quic = self
            .quic
            .map(|bound| {
                let config = tls::quic_config(Arc::clone(&resolver)).map_err(io::Error::other)?;
                quic::serve(bound.socket, config, &self.keys, serve.clone())
            })
            .transpose()?;
        let alt_svc = quic.as_ref().map(alt_svc).transpose()?;
        let secure = Secure { config: tls::tcp_config(resolver).map_err(io::Error::other)?, alt_svc };
        let mut streams = vec![tcp::serve(self.tls.socket, Some(secure), serve.clone())?];
        for bound in self.plain {
            streams.push(tcp::serve(bound.socket, None, serve.clone())?);
        }
        let (mut admin, probe) = (None, Probe::new(serve.clone()));
        if let Ok(AdminSocket { listener, file, .. }) = self.admin {
            streams.push(unix::serve(listener, serve)?);
            admin = file;
        }
        Ok(Serving { streams, quic, _admin: admin, limits: newest, sources, pulse, probe })
    }
}

impl Serving {
    /// Has connections that begin from now on go by these limits.
    pub(super) fn limit(&self, limits: Limits) {
        self.sources.limit(&limits);
        self.limits.send_replace(Arc::new(limits));
    }

    /// Where whatever must go on gives its signs of life.
    pub(super) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// What the program asks itself with.
    pub(super) fn probe(&self) -> &Probe<Pipeline> {
        &self.probe
    }

    /// Cuts what is still open over HTTP/3; other connections end with the process.
    pub(super) fn close(&self) {
        if let Some(quic) = &self.quic {
            quic.close();
        }
    }

    /// The listeners of streams, each with its end.
    pub(super) fn ends(&self) -> impl Iterator<Item = (String, Ended)> {
        self.streams.iter().map(|accepting| (accepting.name().to_owned(), accepting.ended()))
    }

    /// HTTP/3's listener: its name, what runs it, and whether it cannot be run any more.
    pub(super) fn http3(
        &self,
    ) -> Option<(String, impl Fn() -> BoxFuture<'static, ()> + use<>, impl Fn() -> bool + Clone + use<>)>
    {
        let quic = self.quic.as_ref()?;
        let serving = quic.serving();
        Some((quic.name().to_owned(), quic.accept(), move || !*serving.borrow()))
    }

    /// Waits for the listeners' ends, once they drain.
    pub(super) async fn wait(self) {
        for accepting in self.streams {
            // One that has panicked was told then.
            let _ended = accepting.ended().await;
        }
        if let Some(quic) = self.quic {
            quic.wait().await;
        }
    }
}

/// Says what it means that everybody is answered.
pub(super) fn tell_exposure(exposure: Exposure) {
    if exposure == Exposure::Everywhere {
        tracing::warn!(
            "listen.exposure is \"everywhere\": whoever can reach this box may try keys; \"private\" answers this \
             network alone"
        );
    }
}

/// What responses over TCP say of HTTP/3.
fn alt_svc(quic: &QuicListener) -> io::Result<AltSvc> {
    let port = quic.local_addr()?.port();
    let value = HeaderValue::from_str(&format!("h3=\":{port}\"; ma={REMEMBERED}"));
    Ok(AltSvc { value: value.map_err(io::Error::other)?, serving: quic.serving() })
}

/// What is missing where a socket takes one of the two families alone; says why.
fn narrow<S>(what: &str, directive: &str, bound: &Bound<S>) -> Missing {
    let address = bound.address;
    if bound.handed && (bound.only_ipv6 || address.is_ipv4()) {
        let port = address.port();
        tracing::warn!(
            %address,
            "{what} is not served: the socket was handed down for one of IPv4 and IPv6 alone. Where this box has both, its unit \
             should say {directive}={port} and BindIPv6Only=both"
        );
    } else {
        tracing::warn!(
            %address,
            "this box has no IPv6, which its kernel lacks (ipv6.disable=1 on its command line, or built without): IPv4 alone is \
             served"
        );
    }
    what.into()
}

/// One port for both; where any will do, one that is free for both. What was handed down goes first.
fn bind_tls(
    listen: &Listen,
    handed: &mut Handed,
    missing: &mut Vec<Missing>,
) -> Result<(Bound<TcpListener>, Option<Bound<UdpSocket>>), BindError> {
    let given = (handed.tcp(listen.tls), listen.http3.then(|| handed.udp(listen.tls)).flatten());
    if let (None, None) = given {
        return bind_both(listen, missing);
    }
    let tls = given.0.map_or_else(|| bind::tcp(listen.tls), Ok)?;
    let quic = match given.1 {
        None if listen.http3 => own_udp(listen.tls, missing),
        quic => quic,
    };
    Ok((tls, quic))
}

fn own_udp(address: SocketAddr, missing: &mut Vec<Missing>) -> Option<Bound<UdpSocket>> {
    bind::udp(address).inspect_err(|error| missing.push(without_http3(error))).ok()
}

fn without_http3(error: &BindError) -> Missing {
    tracing::warn!("{error}: HTTP/3 is not served, HTTP/1.1 and HTTP/2 are");
    refused(HTTP3, error, "listen.tls")
}

/// What is missing for an address that could not be had: the status says why and what to do, as the log does.
fn refused(what: &str, error: &BindError, setting: &str) -> Missing {
    let next = format!("{}; then: systemctl restart ghostllm", next_step(error, setting));
    Missing { what: what.to_owned(), why: Some((error.to_string(), next)) }
}

fn bind_both(
    listen: &Listen,
    missing: &mut Vec<Missing>,
) -> Result<(Bound<TcpListener>, Option<Bound<UdpSocket>>), BindError> {
    let any = listen.tls.port() == 0;
    for _ in 1..TRIES {
        let tls = bind::tcp(listen.tls)?;
        if !listen.http3 {
            return Ok((tls, None));
        }
        match bind::udp(tls.address) {
            Ok(quic) => return Ok((tls, Some(quic))),
            Err(BindError::Taken { .. }) if any => {}
            Err(error) => {
                missing.push(without_http3(&error));
                return Ok((tls, None));
            }
        }
    }
    let tls = bind::tcp(listen.tls)?;
    tracing::warn!("no port is free for TCP and UDP at once: HTTP/3 is not served, HTTP/1.1 and HTTP/2 are");
    missing.push(HTTP3.into());
    Ok((tls, None))
}
