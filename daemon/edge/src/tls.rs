//! TLS for TCP and QUIC: one resolver, two configurations, and the reading of a certificate that a person brings.
//!
//! Knows rustls and PEM files. Refuses to know where certificates come from and when they are renewed.
//! Invariant: both transports ask the same [`Resolver`], so a swap reaches every handshake that begins after
//! it and no connection that is open.

#[cfg(test)]
mod tests;

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// Bytes of a certificate or key file, at the most; a long chain has some ten thousand.
const FILE_LIMIT: u64 = 1024 * 1024;

/// The provider of all cryptography, the same for every configuration; it offers X25519MLKEM768 first.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())))
}

/// Makes that provider the program's default, for libraries that ask for one. Call it first in `main`; a
/// second call changes nothing.
pub fn install_provider() {
    // The error carries the provider that was refused because one is installed, which is what was wanted.
    let _installed = aws_lc_rs::default_provider().install_default();
}

/// Shows one certificate to every client, whatever name it asks for, and lets it be swapped at any moment.
#[derive(Debug)]
pub struct Resolver(RwLock<Arc<CertifiedKey>>);

impl Resolver {
    /// A resolver that shows this certificate.
    pub fn new(certified: CertifiedKey) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::new(certified))))
    }

    /// What new handshakes see.
    pub fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Swaps the certificate for every handshake that begins from now on.
    pub fn replace(&self, certified: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// HTTP/2 and HTTP/1.1 over TLS 1.3 and 1.2.
///
/// # Errors
/// When the system gives no random bytes for the ticket keys.
pub fn tcp_config(resolver: Arc<Resolver>) -> Result<Arc<ServerConfig>, rustls::Error> {
    config(resolver, rustls::ALL_VERSIONS, &[b"h2", b"http/1.1"])
}

/// HTTP/3; QUIC has no TLS before 1.3 (RFC 9001 4.2).
///
/// # Errors
/// When the system gives no random bytes for the ticket keys.
pub fn quic_config(resolver: Arc<Resolver>) -> Result<Arc<ServerConfig>, rustls::Error> {
    config(resolver, &[&rustls::version::TLS13], &[b"h3"])
}

fn config(
    resolver: Arc<Resolver>,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    // A replayed first flight would be a replayed generation.
    config.max_early_data_size = 0;
    // Tickets are sealed with keys that change every six hours and live in memory only.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}

/// Why a person's certificate and key cannot be used: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// A file is missing or cannot be read.
    #[error("{path} cannot be read: {source}. Name a file that exists and that this program's user may read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is far larger than any certificate.
    #[error("{path} has {size} bytes, more than any certificate or key. Name the PEM file itself")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// Others may read the key.
    #[error(
        "the private key {path} can be read or changed by others (mode {mode:04o}). Run: chmod 600 {}",
        quoted(path)
    )]
    TooWide {
        /// The key's file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file has no certificate.
    #[error("{path} holds no certificate in PEM form (a -----BEGIN CERTIFICATE----- block){}", cause(.why))]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, where more is known.
        why: Option<String>,
    },
    /// The file has no private key.
    #[error("{path} holds no unencrypted private key in PEM form (-----BEGIN PRIVATE KEY-----){}", cause(.why))]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, where more is known.
        why: Option<String>,
    },
    /// The two do not belong together, or the key is of an unknown kind.
    #[error(
        "the key {key} does not fit the certificate {certificate}: {why}. \
         The certificate of this server comes first in its file, those of its issuers after it"
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        why: rustls::Error,
    },
}

impl PairError {
    /// Whether the files are there, and only their permissions stand in the way.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        match self {
            Self::Unreadable { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            Self::TooWide { .. } => true,
            _ => false,
        }
    }
}

/// A path as a shell takes it, whatever is in its name.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

fn cause(why: &Option<String>) -> String {
    why.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
}

/// Reads a certificate chain (the server's own first) and its key from PEM files; one file may hold both.
///
/// # Errors
/// What is wrong with which file; also when others may read the key.
pub fn load_pair(certificate: &Path, key: &Path) -> Result<CertifiedKey, PairError> {
    paired(certificate, key, read_chain(certificate)?, read_key(key)?)
}

/// Everything that is wrong with such a pair; empty where [`load_pair`] takes it.
#[must_use]
pub fn pair_faults(certificate: &Path, key: &Path) -> Vec<PairError> {
    match (read_chain(certificate), read_key(key)) {
        (Ok(chain), Ok(private)) => paired(certificate, key, chain, private).err().into_iter().collect(),
        (chain, private) => chain.err().into_iter().chain(private.err()).collect(),
    }
}

fn paired(
    certificate: &Path,
    key: &Path,
    chain: Vec<CertificateDer<'static>>,
    private: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, PairError> {
    CertifiedKey::from_der(chain, private, &provider()).map_err(|why| PairError::Mismatch {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        why,
    })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let text = read(path)?;
    let none = |why| PairError::NoCertificate { path: path.to_owned(), why };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(none(None)),
        Ok(chain) => Ok(chain),
        Err(error) => Err(none(Some(error.to_string()))),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, PairError> {
    let unreadable = |source| PairError::Unreadable { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o7777;
    // A credential of systemd's is root's, and lets this user in by an access list, whose mask shows as the group's rights
    // (systemd.exec(5), LoadCredential=).
    let others = if path.starts_with("/run/credentials") { 0o037 } else { 0o077 };
    if mode & others != 0 {
        return Err(PairError::TooWide { path: path.to_owned(), mode });
    }
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| PairError::NoKey {
        path: path.to_owned(),
        why: (!matches!(error, pem::Error::NoItemsFound)).then(|| error.to_string()),
    })
}

/// Reads no more than a file can have: a pipe would be waited for, and a device has no end.
fn read(path: &Path) -> Result<Vec<u8>, PairError> {
    let unreadable = |source| PairError::Unreadable { path: path.to_owned(), source };
    let opened = fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
    let file = opened.map_err(unreadable)?;
    let facts = file.metadata().map_err(unreadable)?;
    if !facts.is_file() {
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")));
    }
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(PairError::TooLarge { path: path.to_owned(), size: facts.len() });
    }
    Ok(bytes)
}
