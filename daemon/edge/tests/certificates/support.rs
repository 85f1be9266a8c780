//! What the certificate tests share: a moment, names and addresses of each kind, and running a verifier.
//!
//! Invariant: a verifier that is missing fails the test with the package that brings it.

use std::{
    io,
    process::{Command, Output, Stdio},
    sync::Arc,
    time::Duration as StdDuration,
};

use ghostllm_edge::{
    ca::{Authority, CLOCK_FLOOR, Subjects},
    tls,
};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use time::{Duration, OffsetDateTime};

/// A moment at which the program exists.
pub(crate) fn now() -> OffsetDateTime {
    CLOCK_FLOOR + Duration::days(200)
}

/// Owned strings.
pub(crate) fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// A box with names and addresses of every kind that its CA permits.
pub(crate) fn everything() -> Subjects {
    let names = ["localhost", "x.local", "x.internal", "x.home.arpa"];
    let addresses = [
        "127.0.0.1",
        "127.1.2.3",
        "::1",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.254",
        "192.168.1.7",
        "169.254.3.4",
        "100.64.0.1",
        "100.127.255.254",
        "fe80::1:2",
        "fc00::1",
        "fd12:3456::1",
    ];
    Subjects {
        names: strings(&names),
        addresses: addresses.map(|text| text.parse().expect("an address")).to_vec(),
    }
}

/// Verifies a leaf as a rustls client of that name would.
pub(crate) fn rustls_verify(
    authority: &Authority,
    leaf_pem: &str,
    name: &str,
    at: OffsetDateTime,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate_der().clone())?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), tls::provider())
        .build()
        .expect("a verifier");
    let leaf = CertificateDer::from_pem_slice(leaf_pem.as_bytes()).expect("PEM");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let seconds = u64::try_from(at.unix_timestamp()).expect("after 1970");
    let at = UnixTime::since_unix_epoch(StdDuration::from_secs(seconds));
    verifier.verify_server_cert(&leaf, &[], &name, &[], at).map(|_verified| ())
}

/// What a program did and said.
#[derive(Debug)]
pub(crate) struct Outcome {
    line: String,
    good: bool,
    said: String,
}

impl Outcome {
    /// The program must have agreed; what it said.
    pub(crate) fn passed(self) -> String {
        assert!(self.good, "{} failed: {}", self.line, self.said);
        self.said
    }

    /// The program must have refused, with these words among its own.
    pub(crate) fn refused(self, words: &str) {
        self.refused_in(&[words]);
    }

    /// The same, where versions of the program word one cause differently.
    pub(crate) fn refused_in(self, wordings: &[&str]) {
        assert!(!self.good, "{} should have refused: {}", self.line, self.said);
        let said = wordings.iter().any(|words| self.said.contains(words));
        assert!(said, "{} said: {}", self.line, self.said);
    }
}

/// Runs a program to its end.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Outcome {
    outcome(program, arguments, Command::new(program).args(arguments).stdin(Stdio::null()).output())
}

/// Runs a program to its end beside the server that it talks to.
pub(crate) async fn run_async(program: &str, arguments: &[&str]) -> Outcome {
    let mut command = tokio::process::Command::new(program);
    outcome(program, arguments, command.args(arguments).stdin(Stdio::null()).output().await)
}

fn outcome(program: &str, arguments: &[&str], output: io::Result<Output>) -> Outcome {
    let package = if program == "openssl" { "openssl" } else { "libnss3-tools" };
    let output = output.unwrap_or_else(|error| {
        panic!("this test needs `{program}` ({error}); on Debian: apt-get install {package}")
    });
    let said = [output.stdout, output.stderr].concat();
    Outcome {
        line: format!("{program} {}", arguments.join(" ")),
        good: output.status.success(),
        said: String::from_utf8_lossy(&said).into_owned(),
    }
}
