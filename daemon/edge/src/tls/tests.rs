//! What the configurations offer, and what is said of files that cannot be used.

use std::fs::Permissions;

use rustls::{NamedGroup, ProtocolVersion};
use tempfile::TempDir;
use time::Duration;

use super::*;
use crate::ca::{Authority, CLOCK_FLOOR, Subjects};

fn pair_text() -> String {
    let now = CLOCK_FLOOR + Duration::days(1);
    let authority = Authority::make("box", &[], now).expect("a CA");
    let wanted = Subjects { names: vec!["localhost".to_owned()], addresses: Vec::new() };
    authority.issue(&wanted, now).expect("a leaf").0.to_pem().to_owned()
}

fn key_part(text: &str) -> &str {
    &text[text.find("-----BEGIN PRIVATE").expect("a key")..]
}

fn write(dir: &TempDir, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("permissions");
    path
}

fn refusal(certificate: &Path, key: &Path) -> String {
    load_pair(certificate, key).expect_err("refused").to_string()
}

#[test]
fn the_hybrid_group_comes_first_and_early_data_is_off() {
    assert_eq!(provider().kx_groups[0].name(), NamedGroup::X25519MLKEM768);
    let text = pair_text();
    let certified = crate::ca::Leaf::from_pem(text.as_bytes()).and_then(|leaf| Ok(leaf.certified_key()?));
    let resolver = Resolver::new(certified.expect("a pair"));
    let tcp = tcp_config(Arc::clone(&resolver)).expect("a configuration");
    let quic = quic_config(resolver).expect("a configuration");
    assert_eq!(tcp.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    assert_eq!(quic.alpn_protocols, [b"h3".to_vec()]);
    for config in [tcp, quic] {
        assert_eq!(config.max_early_data_size, 0);
        assert!(config.ticketer.enabled());
        let versions: Vec<_> =
            config.crypto_provider().cipher_suites.iter().map(|s| s.version().version).collect();
        assert!(versions.iter().all(|v| matches!(v, ProtocolVersion::TLSv1_2 | ProtocolVersion::TLSv1_3)));
    }
}

#[test]
fn a_good_pair_loads_from_two_files_or_from_one() {
    let dir = TempDir::new().expect("a directory");
    let text = pair_text();
    let both = write(&dir, "both.pem", &text, 0o600);
    let key = write(&dir, "key.pem", key_part(&text), 0o400);
    assert_eq!(load_pair(&both, &both).expect("one file").cert.len(), 1);
    load_pair(&both, &key).expect("two files");
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_command_that_mends_it() {
    let dir = TempDir::new().expect("a directory");
    let text = pair_text();
    for mode in [0o640, 0o604, 0o660, 0o601] {
        let file = write(&dir, "both of us.pem", &text, mode);
        let said = refusal(&file, &file);
        assert!(said.contains(&format!("(mode {mode:04o})")), "{said}");
        assert!(said.ends_with(&format!("Run: chmod 600 '{}'", file.display())), "{said}");
    }
}

#[test]
fn each_refusal_names_its_file_and_what_is_wrong() {
    let dir = TempDir::new().expect("a directory");
    let (one, two) = (pair_text(), pair_text());
    let good = write(&dir, "good.pem", &one, 0o600);
    let other = write(&dir, "other.pem", key_part(&two), 0o600);
    let empty = write(&dir, "empty.pem", "", 0o600);
    let torn = write(&dir, "torn.pem", &one[..one.len() / 3], 0o600);
    let missing = dir.path().join("missing.pem");
    let large = write(&dir, "large.pem", &"x".repeat(1024 * 1024 + 1), 0o600);
    for (certificate, key, file, words) in [
        (&missing, &good, "missing.pem", "cannot be read"),
        (&good, &missing, "missing.pem", "cannot be read"),
        (&empty, &good, "empty.pem", "holds no certificate"),
        (&torn, &good, "torn.pem", "holds no certificate"),
        (&good, &empty, "empty.pem", "holds no unencrypted private key"),
        (&good, &other, "other.pem", "does not fit the certificate"),
        (&large, &good, "large.pem", "more than any certificate"),
    ] {
        let said = refusal(certificate, key);
        assert!(said.contains(file) && said.contains(words), "{said}");
    }
}
