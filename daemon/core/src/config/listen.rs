//! The `[listen]`: what is listened on and who is answered.
//!
//! Knows its settings. Refuses to know how a socket is bound. Invariant: nothing here opens the box further than its
//! words say.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use super::{
    secret_file::SecretFile,
    section::section,
    values::{Exposure, HostName, Origin, PlainAuth},
};

section! {
    /// What is listened on and who is answered.
    pub struct Listen ("[listen]") {
        /// TLS (HTTP/1.1 and HTTP/2, over TCP) and QUIC (HTTP/3, over UDP); "[::]" takes IPv4 as well.
        /// An address that no interface has yet is served once one has it; a link-local one, with its interface's number as in
        /// "[fe80::1%2]:11443", wants that interface at the start.
        @restart tls: SocketAddr = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 11443));
        /// Plain HTTP for programs on this box; beyond loopback only with plain_auth = "key".
        @restart plain: Vec<SocketAddr> =
            vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 11430)), SocketAddr::from((Ipv6Addr::LOCALHOST, 11430))];
        /// The admin's Unix socket, instead of "admin.sock" in the state directory: whoever may open this file is an admin.
        /// It is made with mode 0600; one that systemd hands down takes its place, with its unit's mode.
        @restart admin: Option<PathBuf> = None;
        /// Who may use plain HTTP: "none" (needed) lets every program on this box in, "key" only who has a key.
        plain_auth: PlainAuth = PlainAuth::None;
        /// Names and addresses of this box, besides those that it knows by itself: they stand in its certificate,
        /// and requests for them are answered.
        names: Vec<HostName> = Vec::new();
        /// Origins whose web pages may call this box from a browser.
        origins: Vec<Origin> = Vec::new();
        /// Reserved: must be empty, since no proxy's word about its clients is taken yet.
        trusted_proxies: Vec<HostName> = Vec::new();
        /// "private" answers this box, private, link-local and on-link addresses only; "everywhere" answers all.
        exposure: Exposure = Exposure::Private;
        /// HTTP/3 beside HTTP/1.1 and HTTP/2.
        @restart http3: bool = true;
        /// Your own certificate chain (PEM) instead of one from this box's own authority; wants key as well.
        certificate: Option<PathBuf> = None;
        /// The certificate's private key (PEM), its whole path or the name of a systemd credential; wants certificate as
        /// well.
        key: Option<SecretFile> = None;
    }
}

impl Listen {
    /// The addresses of `plain` that other machines reach without a key; none may be.
    pub(super) fn open(&self) -> impl Iterator<Item = (usize, &SocketAddr)> {
        let all = self.plain.iter().enumerate().filter(|_| self.plain_auth != PlainAuth::Key);
        all.filter(|(_, address)| !address.ip().to_canonical().is_loopback())
    }

    /// Whether there is such an address.
    pub(super) fn is_open(&self) -> bool {
        self.open().next().is_some()
    }
}
