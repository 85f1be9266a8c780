//! A certificate and key that a person brings: loaded at the start, read again when the files change.
//!
//! Knows two paths. Refuses to judge whom the certificate names. Invariant: a pair that cannot be used never
//! takes the place of one that can.

use std::path::PathBuf;

use ghostllm_edge::{ca::Facts, tls};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use super::{Complaint, Said};
use crate::stamp::Stamp;

/// How long before its end a person is told; certificates of public CAs are renewed about a month before.
const NOTICE: Duration = Duration::days(14);

/// Where the person's files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The certificate chain in PEM, the server's own first.
    pub certificate: PathBuf,
    /// Its private key in PEM; the same file may hold both.
    pub key: PathBuf,
}

/// The pair that is shown, and the state of the files when they were last looked at.
pub(super) struct Loaded {
    given: Given,
    stamp: [Option<Stamp>; 2],
    /// What is wrong with the files as they are now, if anything.
    failed: Option<Complaint>,
    facts: Option<Facts>,
}

/// A look at the files.
pub(super) struct Look {
    given: Given,
    stamp: [Option<Stamp>; 2],
}

/// What has changed.
pub(super) struct Found {
    stamp: [Option<Stamp>; 2],
    pair: Result<CertifiedKey, tls::PairError>,
}

impl Look {
    /// Reads the files, if they have changed. Blocks.
    pub(super) fn run(self) -> Option<Found> {
        let stamp = self.given.stamp();
        if stamp == self.stamp {
            return None;
        }
        let pair = tls::load_pair(&self.given.certificate, &self.given.key);
        Some(Found { stamp, pair })
    }
}

impl Loaded {
    pub(super) fn open(given: Given) -> Result<(CertifiedKey, Self), tls::PairError> {
        // Stamped before it is read: a change in between is then seen at the next look.
        let stamp = given.stamp();
        let certified = tls::load_pair(&given.certificate, &given.key)?;
        let facts = facts(&certified);
        Ok((certified, Self { given, stamp, failed: None, facts }))
    }

    /// A look at the files, to be done apart.
    pub(super) fn look(&self) -> Look {
        Look { given: self.given.clone(), stamp: self.stamp }
    }

    /// Takes what the look has found: another certificate, where there is a good one.
    ///
    /// # Errors
    /// What is wrong with the files, in words; the same at every look until they change once more.
    pub(super) fn looked(
        &mut self,
        found: Option<Found>,
        said: &mut Vec<Said>,
    ) -> Result<Option<CertifiedKey>, Complaint> {
        let Some(Found { stamp, pair }) = found else { return self.failed.clone().map_or(Ok(None), Err) };
        self.stamp = stamp;
        match pair {
            Ok(certified) => {
                self.failed = None;
                self.facts = facts(&certified);
                said.push(Said::Info(self.describe()));
                Ok(Some(certified))
            }
            Err(error) => {
                let failed = Complaint {
                    ended: false,
                    what: format!("the changed certificate is not taken, the one before it stays: {error}"),
                    next: "put a certificate and its key in the place of both files; they are loaded by themselves"
                        .to_owned(),
                };
                self.failed = Some(failed.clone());
                Err(failed)
            }
        }
    }

    /// Whether the files are as they were at the last look, and good.
    pub(super) fn is_current(&self) -> bool {
        self.failed.is_none() && self.given.stamp() == self.stamp
    }

    pub(super) fn describe(&self) -> String {
        let path = self.given.certificate.display();
        match &self.facts {
            Some(facts) => {
                let addresses = facts.addresses.iter().map(ToString::to_string);
                let names = facts.names.iter().cloned().chain(addresses).collect::<Vec<_>>().join(", ");
                format!(
                    "the certificate {path} is loaded: for {names}, valid until {}",
                    facts.not_after.date()
                )
            }
            None => format!("the certificate {path} is loaded"),
        }
    }

    pub(super) fn complaint(&self, now: OffsetDateTime) -> Option<Complaint> {
        let facts = self.facts.as_ref()?;
        let path = self.given.certificate.display();
        let renew = "renew it; the new file is loaded by itself";
        let complaint =
            |ended, what: String, next: &str| Some(Complaint { ended, what, next: next.to_owned() });
        if now < facts.not_before {
            let what = format!(
                "the certificate {path} is not valid before {}, and the clock is behind that",
                facts.not_before.date()
            );
            return complaint(
                true,
                what,
                "set the clock (timedatectl), or bring a certificate that is valid",
            );
        }
        let end = facts.not_after.date();
        if now > facts.not_after {
            return complaint(
                true,
                format!("the certificate {path} ended on {end}, so clients refuse it"),
                renew,
            );
        }
        let soon = now > facts.not_after - NOTICE;
        soon.then(|| complaint(false, format!("the certificate {path} ends on {end}"), renew)).flatten()
    }

    /// The names and addresses that the certificate bears, but for wildcards, which nobody can ask for.
    pub(super) fn names(&self) -> Vec<String> {
        let facts = self.facts.iter();
        facts
            .flat_map(|facts| {
                facts.names.iter().cloned().chain(facts.addresses.iter().map(ToString::to_string))
            })
            .filter(|name| !name.contains('*'))
            .map(|name| name.to_ascii_lowercase())
            .collect()
    }

    pub(super) fn not_before(&self) -> Option<OffsetDateTime> {
        self.facts.as_ref().map(|facts| facts.not_before)
    }

    pub(super) fn not_after(&self) -> Option<OffsetDateTime> {
        self.facts.as_ref().map(|facts| facts.not_after)
    }
}

impl Given {
    fn stamp(&self) -> [Option<Stamp>; 2] {
        [Stamp::of(&self.certificate), Stamp::of(&self.key)]
    }
}

fn facts(certified: &CertifiedKey) -> Option<Facts> {
    certified.cert.first().and_then(|certificate| Facts::read(certificate).ok())
}
