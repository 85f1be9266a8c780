//! The box's certificates before the verifiers that clients use: OpenSSL, rustls and NSS.
//!
//! Knows their command lines. Refuses to pass where one is missing: an unchecked certificate is what these
//! tests are there to prevent. Invariant: each verifier is also seen to refuse a leaf with one name outside,
//! so an accepted one means that the constraints were read.

use std::{fs, net::IpAddr, path::Path};

use super::support::{Outcome, everything, now, run, rustls_verify, strings};
use ghostllm_edge::ca::{Authority, CLOCK_FLOOR};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

/// The files that the verifiers read: the CA, a leaf, and an NSS database that trusts the CA.
struct Desk(TempDir);

impl Desk {
    fn new(authority: &Authority, leaf_pem: &str) -> Self {
        let desk = Self(TempDir::new().expect("a directory"));
        fs::write(desk.path("ca.pem"), authority.certificate_pem()).expect("written");
        fs::write(desk.path("leaf.pem"), leaf_pem).expect("written");
        fs::create_dir(desk.path("nss")).expect("made");
        let database = format!("sql:{}", desk.path("nss"));
        run("certutil", &["-N", "-d", &database, "--empty-password"]).passed();
        let ca = desk.path("ca.pem");
        run("certutil", &["-A", "-d", &database, "-n", "ca", "-t", "C,,", "-a", "-i", &ca]).passed();
        desk
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("a path in UTF-8").to_owned()
    }

    fn openssl(&self, at: OffsetDateTime, host: &[&str]) -> Outcome {
        let (ca, leaf, at) = (self.path("ca.pem"), self.path("leaf.pem"), at.unix_timestamp().to_string());
        let mut line =
            vec!["verify", "-x509_strict", "-purpose", "sslserver", "-attime", &at, "-CAfile", &ca];
        line.extend(host);
        line.push(&leaf);
        run("openssl", &line)
    }

    /// Both of NSS's libraries for chains: the old one (`engine` empty) and PKIX (`-pp`).
    fn nss(&self, at: OffsetDateTime, engine: &[&str]) -> Outcome {
        let database = self.path("nss");
        let leaf = self.path("leaf.pem");
        let at = nss_time(at);
        let mut line = vec!["-d", &database, "-b", &at, "-u", "1"];
        line.extend(engine);
        line.extend(["-a", &leaf]);
        run("vfychain", &line)
    }
}

/// `YYMMDDHHMMZ`, as vfychain wants it.
fn nss_time(at: OffsetDateTime) -> String {
    let (date, time) = (at.date(), at.time());
    let (year, month) = (date.year() % 100, u8::from(date.month()));
    format!("{year:02}{month:02}{:02}{:02}{:02}Z", date.day(), time.hour(), time.minute())
}

/// Signs, with the CA's own key, a leaf that the CA would never issue.
fn forge(authority: &Authority, outside: SanType) -> String {
    let text = authority.to_pem();
    let key = &text[text.find("-----BEGIN PRIVATE").expect("a key")..];
    let mut ca = CertificateParams::default();
    ca.distinguished_name = DistinguishedName::new();
    let name = authority.facts().common_name.clone().expect("a name");
    ca.distinguished_name.push(DnType::CommonName, name);
    let issuer = Issuer::new(ca, KeyPair::from_pem(key).expect("a key"));
    let mut leaf = CertificateParams::new(strings(&["localhost", "127.0.0.1"])).expect("names");
    leaf.subject_alt_names.push(outside);
    leaf.distinguished_name = DistinguishedName::new();
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.use_authority_key_identifier_extension = true;
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.not_before = CLOCK_FLOOR;
    leaf.not_after = now() + Duration::days(90);
    let key = KeyPair::generate().expect("a key");
    leaf.signed_by(&key, &issuer).expect("signed").pem()
}

fn authority() -> Authority {
    Authority::make("box", &strings(&["box", "box.lan.example", "gpu.example.com", "203.0.113.80"]), now())
        .expect("a CA")
}

#[test]
fn all_three_accept_a_leaf_with_every_permitted_kind() {
    let authority = authority();
    let (leaf, left_out) = authority.issue(&everything(), now()).expect("a leaf");
    assert_eq!(left_out, []);
    let desk = Desk::new(&authority, leaf.to_pem());
    for at in [now(), now() + Duration::days(89)] {
        desk.openssl(at, &[]).passed();
        desk.nss(at, &[]).passed();
        desk.nss(at, &["-pp"]).passed();
    }
    for name in &leaf.facts().names {
        desk.openssl(now(), &["-verify_hostname", name]).passed();
        rustls_verify(&authority, leaf.to_pem(), name, now()).expect(name);
    }
    for address in leaf.facts().addresses.iter().map(ToString::to_string) {
        desk.openssl(now(), &["-verify_ip", &address]).passed();
        rustls_verify(&authority, leaf.to_pem(), &address, now()).expect(&address);
    }
}

#[test]
fn all_three_accept_the_leaf_of_a_host_with_global_addresses_and_a_new_name() {
    let authority = authority();
    let mut wanted = everything();
    wanted.names.push("renamed".to_owned());
    wanted
        .addresses
        .extend(["2001:db8::7", "198.51.100.7"].map(|text| text.parse::<IpAddr>().expect("an address")));
    let (leaf, left_out) = authority.issue(&wanted, now()).expect("a leaf");
    let left: Vec<_> = left_out.iter().map(|left| left.subject.as_str()).collect();
    assert_eq!(left, ["renamed", "198.51.100.7", "2001:db8::7"]);
    let desk = Desk::new(&authority, leaf.to_pem());
    desk.openssl(now(), &["-verify_hostname", "localhost"]).passed();
    desk.nss(now(), &[]).passed();
    desk.nss(now(), &["-pp"]).passed();
    rustls_verify(&authority, leaf.to_pem(), "localhost", now()).expect("accepted");
    for missing in ["2001:db8::7", "renamed"] {
        rustls_verify(&authority, leaf.to_pem(), missing, now()).expect_err("it is not in the leaf");
    }
}

#[test]
fn all_three_refuse_a_leaf_with_one_name_outside() {
    let authority = authority();
    for outside in [
        SanType::DnsName("bank.example".try_into().expect("a name")),
        SanType::DnsName("xlocal".try_into().expect("a name")),
        SanType::IpAddress("198.51.100.7".parse().expect("an address")),
        SanType::IpAddress("2001:db8::7".parse().expect("an address")),
        SanType::IpAddress("100.128.0.1".parse().expect("an address")),
    ] {
        let forged = forge(&authority, outside.clone());
        let desk = Desk::new(&authority, &forged);
        desk.openssl(now(), &[]).refused("permitted subtree violation");
        // The NSS of Debian 12, and that of Debian 13.
        desk.nss(now(), &[]).refused_in(&["not permitted to issue", "ERROR -8157"]);
        // PKIX gives one general error for this; the passing twin below shows that the name is its cause.
        desk.nss(now(), &["-pp"]).refused("Chain is bad");
        let said = rustls_verify(&authority, &forged, "localhost", now()).expect_err("refused").to_string();
        assert!(said.contains("NameConstraintViolation"), "{outside:?}: {said}");
    }
    // The same forgery with an inner name passes, so the refusals above are for the name.
    let inner = forge(&authority, SanType::DnsName("other.local".try_into().expect("a name")));
    let desk = Desk::new(&authority, &inner);
    desk.openssl(now(), &[]).passed();
    desk.nss(now(), &[]).passed();
    desk.nss(now(), &["-pp"]).passed();
    rustls_verify(&authority, &inner, "other.local", now()).expect("accepted");
}

#[test]
fn what_a_clock_in_1970_made_is_accepted_today() {
    let lost = OffsetDateTime::UNIX_EPOCH + Duration::days(1);
    let authority = Authority::make("box", &[], lost).expect("a CA");
    let (leaf, _) = authority.issue(&everything(), lost).expect("a leaf");
    let desk = Desk::new(&authority, leaf.to_pem());
    for at in [CLOCK_FLOOR, CLOCK_FLOOR + Duration::days(800)] {
        desk.openssl(at, &[]).passed();
        desk.nss(at, &[]).passed();
        rustls_verify(&authority, leaf.to_pem(), "localhost", at).expect("accepted");
    }
}

#[test]
fn after_its_ninety_days_a_leaf_is_refused() {
    let authority = authority();
    let (leaf, _) = authority.issue(&everything(), now()).expect("a leaf");
    let desk = Desk::new(&authority, leaf.to_pem());
    let over = now() + Duration::days(91);
    desk.openssl(over, &[]).refused("expired");
    desk.nss(over, &[]).refused("expired");
    rustls_verify(&authority, leaf.to_pem(), "localhost", over).expect_err("refused");
}

#[test]
fn the_fingerprint_is_the_one_that_openssl_prints() {
    let authority = authority();
    let (leaf, _) = authority.issue(&everything(), now()).expect("a leaf");
    let desk = Desk::new(&authority, leaf.to_pem());
    let ca = desk.path("ca.pem");
    let printed = run("openssl", &["x509", "-in", &ca, "-noout", "-fingerprint", "-sha256"]).passed();
    assert_eq!(printed.trim().split_once('=').expect("a value").1, authority.fingerprint());
    let der = desk.path("ca.crt");
    fs::write(Path::new(&der), authority.certificate_der()).expect("written");
    let text = run("openssl", &["x509", "-in", &der, "-inform", "DER", "-noout", "-text"]).passed();
    for part in
        ["Name Constraints: critical", "CA:TRUE, pathlen:0", "DNS:home.arpa", "IP:100.64.0.0/255.192.0.0"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}
