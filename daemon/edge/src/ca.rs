//! The box's own certificate authority: makes it, and issues the one leaf that the listeners show.
//!
//! Knows X.509, and takes names, addresses and the time as arguments. Refuses to know files, interfaces and
//! the clock. Invariant: a leaf bears no name and no address that its CA does not permit, and rustls accepts
//! it under that CA before it is handed out.

mod der;
mod scope;
#[cfg(test)]
mod tests;

pub use der::{Facts, Malformed};
pub use scope::{ADDRESSES, LeftOut, NAMES, Network, Reason, Scope, Subjects};

use std::{net::IpAddr, time::Duration as StdDuration};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData, SanType,
    SerialNumber,
};
use rustls::{
    RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime, pem::PemObject},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use time::{Duration, OffsetDateTime};

use crate::tls;

/// No clock that is right shows an earlier time than this, because the program was written then
/// (2026-11-01). A clock below it has not been set: boxes without a battery start in 1970.
pub const CLOCK_FLOOR: OffsetDateTime = match OffsetDateTime::from_unix_timestamp(1_793_491_200) {
    Ok(floor) => floor,
    Err(_out_of_range) => OffsetDateTime::UNIX_EPOCH,
};

/// A leaf counts from now to here; renewed when a third of it is left.
pub const LEAF_LIFE: Duration = Duration::days(90);
/// A CA lives this long, because each client has to be told of a new one by hand.
pub const CA_LIFE: Duration = Duration::days(3650);
/// From first to last moment a leaf is never valid longer: Apple refuses more than 825 days, under private
/// roots too.
const LEAF_SPAN: Duration = Duration::days(824);
/// How far the clocks of two machines may differ before a new certificate seems to lie in the future.
const SKEW: Duration = Duration::hours(1);

/// Why a CA could not be made or read, or a leaf not issued.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Text that should hold a certificate and a key does not.
    #[error("it holds no {0} in PEM form")]
    Missing(&'static str),
    /// The certificate cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The certificate lacks what every CA of this program has.
    #[error("the certificate was not made by this program: it has no {0}")]
    Foreign(&'static str),
    /// It is not as it was signed.
    #[error("the certificate has been changed since it was made")]
    Altered,
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// The CA's own time is over.
    #[error("the CA was valid until {0}")]
    Expired(OffsetDateTime),
    /// None of the names and addresses is permitted.
    #[error("the CA permits none of the box's names and addresses")]
    NothingPermitted,
    /// The cryptography failed.
    #[error("making a certificate failed: {0}")]
    Making(#[from] rcgen::Error),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
    /// rustls refuses the leaf under its CA.
    #[error("the leaf is refused under its own CA: {0}")]
    Refused(#[from] rustls::Error),
}

/// A CA with its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    facts: Facts,
    scope: Scope,
}

/// The certificate that the listeners show, with its key.
pub struct Leaf {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pem: String,
    facts: Facts,
}

/// Why a leaf has to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Two thirds of its life are over.
    Old,
    /// It was issued while the clock was wrong, and the clock is right now (or has been lost since).
    Clock,
    /// The box's names or addresses are not those of the leaf.
    Subjects,
    /// Its CA does not vouch for it.
    OtherAuthority,
}

impl Authority {
    /// Makes a CA for the box called `host`, constrained to the private names and networks and to `names`
    /// (the host's own and those of the configuration; addresses among them are permitted one by one).
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn make(host: &str, names: &[String], now: OffsetDateTime) -> Result<Self, CaError> {
        let scope = Scope::with(names);
        let key = KeyPair::generate()?;
        // Two boxes of the same name must be told apart in a client's list of authorities.
        let tag = u32::from_be_bytes(random()?);
        // X.520 bounds a common name at 64 characters; NSS holds to it.
        let short: String = host.chars().filter(|letter| !letter.is_control()).take(36).collect();
        let mut params = authority_params(&format!("GhostLLM CA {short} {tag:08x}"));
        params.serial_number = Some(serial()?);
        // A clock that runs ahead now must not put the CA into the future of clients whose clock is right, so
        // its time starts with the program's.
        params.not_before = CLOCK_FLOOR - SKEW;
        params.not_after = now.max(CLOCK_FLOOR) + CA_LIFE;
        params.name_constraints =
            Some(NameConstraints { permitted_subtrees: subtrees(&scope), excluded_subtrees: Vec::new() });
        let certificate = params.self_signed(&key)?;
        let facts = Facts::read(certificate.der())?;
        let pem = certificate.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate: certificate.into(), pem, facts, scope })
    }

    /// Reads what [`Authority::to_pem`] wrote.
    ///
    /// # Errors
    /// What is missing, damaged, or not of this program's making.
    pub fn from_pem(text: &[u8]) -> Result<Self, CaError> {
        let certificate =
            CertificateDer::from_pem_slice(text).map_err(|_none| CaError::Missing("certificate"))?;
        let key = private_key(text)?;
        let key = KeyPair::try_from(&key).map_err(|_bad| CaError::Missing("private key of a known kind"))?;
        let facts = Facts::read(&certificate)?;
        let name = facts.common_name.as_deref().ok_or(CaError::Foreign("plain common name"))?;
        let scope = facts.scope.clone().ok_or(CaError::Foreign("name constraints"))?;
        if key.subject_public_key_info() != facts.public_key {
            return Err(CaError::KeyMismatch);
        }
        // A root's signature of itself protects nobody who trusts it, but every bit of it from the disk.
        let signed = der::Signed::read(&certificate)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &facts.public_key)
            .verify(signed.content, signed.signature)
            .map_err(|_unspecified| CaError::Altered)?;
        // From the certificate and not from the text, which clients are given and which may have suffered where it means
        // nothing.
        let pem = pem::encode_config(
            &pem::Pem::new("CERTIFICATE", &*certificate),
            pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
        );
        let issuer = Issuer::new(authority_params(name), key);
        Ok(Self { issuer, certificate, pem, facts, scope })
    }

    /// Certificate and private key in one text, so that a file of it is never half of a pair.
    pub fn to_pem(&self) -> String {
        format!("{}{}", self.pem, self.issuer.key().serialize_pem())
    }

    /// The certificate alone, for clients.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// The certificate alone, in DER.
    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// SHA-256 of the certificate as `AB:CD:…`, which is how OpenSSL and browsers show it.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.certificate)
    }

    /// What the certificate says of itself.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What a leaf of this CA may bear.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Issues a leaf with a new key for those of the names and addresses that this CA permits, and says which
    /// are left out.
    ///
    /// # Errors
    /// When the CA's own time is over, or it permits nothing of what is wanted.
    pub fn issue(&self, wanted: &Subjects, now: OffsetDateTime) -> Result<(Leaf, Vec<LeftOut>), CaError> {
        let (kept, left_out) = self.scope.sort(wanted);
        if kept.names.is_empty() && kept.addresses.is_empty() {
            return Err(CaError::NothingPermitted);
        }
        let (not_before, not_after) = self.life(now)?;
        let leaf = self.sign(&kept, not_before, not_after)?;
        self.accepts(&leaf)?;
        Ok((leaf, left_out))
    }

    /// Whether a leaf has to be replaced, and why first.
    pub fn due(&self, leaf: &Leaf, wanted: &Subjects, now: OffsetDateTime) -> Option<Due> {
        if self.accepts(leaf).is_err() {
            return Some(Due::OtherAuthority);
        }
        let (kept, _) = self.scope.sort(wanted);
        if kept.names != leaf.facts.names || kept.addresses != leaf.facts.addresses {
            return Some(Due::Subjects);
        }
        if !self.clock_is_plausible(now) {
            // The true time is unknown: only the long kind is surely not over.
            let longest = self.life(now).map(|(_, end)| end);
            return longest.is_ok_and(|end| leaf.facts.not_after < end).then_some(Due::Clock);
        }
        // Neither a leaf of a lost clock nor one of a clock that ran ahead outlives the clock's repair.
        if leaf.facts.not_after - now > LEAF_LIFE + SKEW {
            return Some(Due::Clock);
        }
        // Beside the end of the CA itself, a new leaf would end no later.
        (now >= self.renew_at(leaf) && leaf.facts.not_after < self.facts.not_after).then_some(Due::Old)
    }

    /// Whether this clock can be right: not before this program was written, nor before the CA's time.
    pub fn clock_is_plausible(&self, now: OffsetDateTime) -> bool {
        now >= CLOCK_FLOOR && now >= self.facts.not_before
    }

    /// When two thirds of a leaf's ninety days are over.
    pub fn renew_at(&self, leaf: &Leaf) -> OffsetDateTime {
        leaf.facts.not_after - LEAF_LIFE / 3
    }

    /// First and last moment of a leaf issued now.
    ///
    /// It starts before the program was written (as the CA does), so that clients whose clock is right accept
    /// it while this box's runs ahead. While this box's clock has plainly not been set, its end is as late as
    /// clients allow, and [`Authority::due`] asks for a new one once the clock is right.
    fn life(&self, now: OffsetDateTime) -> Result<(OffsetDateTime, OffsetDateTime), CaError> {
        let start = self.facts.not_before;
        let end = if self.clock_is_plausible(now) {
            now + LEAF_LIFE
        } else {
            start.max(CLOCK_FLOOR - SKEW) + LEAF_SPAN
        };
        let end = end.min(self.facts.not_after);
        if now >= end {
            return Err(CaError::Expired(self.facts.not_after));
        }
        Ok((start.max(end - LEAF_SPAN), end))
    }

    fn sign(&self, kept: &Subjects, from: OffsetDateTime, to: OffsetDateTime) -> Result<Leaf, CaError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(serial()?);
        params.not_before = from;
        params.not_after = to;
        for name in &kept.names {
            params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
        }
        params.subject_alt_names.extend(kept.addresses.iter().copied().map(SanType::IpAddress));
        let certificate = params.signed_by(&key, &self.issuer)?;
        let facts = Facts::read(certificate.der())?;
        let pem = format!("{}{}", certificate.pem(), key.serialize_pem());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Leaf { certificate: certificate.into(), key, pem, facts })
    }

    /// Has rustls check signature, constraints and purpose, at a moment within the leaf's life.
    fn accepts(&self, leaf: &Leaf) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let parsed = ParsedCertificate::try_from(&leaf.certificate)?;
        let moment = u64::try_from(leaf.facts.not_after.unix_timestamp()).unwrap_or_default();
        let moment = UnixTime::since_unix_epoch(StdDuration::from_secs(moment));
        let algorithms = tls::provider().signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], moment, algorithms)
    }
}

impl Leaf {
    /// Reads what [`Leaf::to_pem`] wrote.
    ///
    /// # Errors
    /// What is missing or damaged.
    pub fn from_pem(text: &[u8]) -> Result<Self, CaError> {
        let certificate =
            CertificateDer::from_pem_slice(text).map_err(|_none| CaError::Missing("certificate"))?;
        let key = private_key(text)?;
        let facts = Facts::read(&certificate)?;
        let pem = String::from_utf8_lossy(text).into_owned();
        let leaf = Self { certificate, key, pem, facts };
        leaf.certified_key().map_err(|_mismatch| CaError::KeyMismatch)?;
        Ok(leaf)
    }

    /// Certificate and private key in one text.
    pub fn to_pem(&self) -> &str {
        &self.pem
    }

    /// What the certificate says of itself.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// For the resolver of the listeners.
    ///
    /// # Errors
    /// When the key does not belong to the certificate.
    pub fn certified_key(&self) -> Result<CertifiedKey, rustls::Error> {
        CertifiedKey::from_der(vec![self.certificate.clone()], self.key.clone_key(), &tls::provider())
    }
}

/// SHA-256 of a certificate in DER as `AB:CD:…`.
pub fn fingerprint(certificate: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    let bytes: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

/// What the CA's certificate has in common with the issuer's half of each leaf.
fn authority_params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Name constraints bind only the kinds of name that they list; this keeps the CA from vouching for mail.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn subtrees(scope: &Scope) -> Vec<GeneralSubtree> {
    let names = scope.names.iter().cloned().map(GeneralSubtree::DnsName);
    let networks = scope.networks.iter().filter_map(|network| match (network.base, network.mask) {
        (IpAddr::V4(base), IpAddr::V4(mask)) => Some(CidrSubnet::V4(base.octets(), mask.octets())),
        (IpAddr::V6(base), IpAddr::V6(mask)) => Some(CidrSubnet::V6(base.octets(), mask.octets())),
        _ => None,
    });
    names.chain(networks.map(GeneralSubtree::IpAddress)).collect()
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, CaError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|_none| CaError::Missing("private key"))
}

/// 127 random bits, positive and never short (RFC 5280 4.1.2.2).
fn serial() -> Result<SerialNumber, CaError> {
    let mut bytes: [u8; 16] = random()?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

fn random<const N: usize>() -> Result<[u8; N], CaError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| CaError::Random)?;
    Ok(bytes)
}
