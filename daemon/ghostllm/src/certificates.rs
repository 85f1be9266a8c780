//! The certificate that the listeners show: the box's own from its local CA, or the one that a person brings.
//!
//! Knows where certificates are kept and when they are renewed; time, names and addresses come in as arguments.
//! Refuses to log and to wait: it returns what it did in words; what waits for a disk is a [`Work`], which somebody else does
//! where that holds up nobody.
//! Invariant: a CA that exists is never replaced by itself, because clients trust it; and whatever fails after
//! the start, the listeners keep a certificate.

mod given;
mod own;
#[cfg(test)]
mod tests;

pub use given::Given;

use std::{fs, io, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use ghostllm_edge::{
    ca::{CaError, Leaf, LeftOut, Reason},
    tls::{PairError, Resolver},
};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use crate::host::Host;

/// CA certificate and key. One file, so that no crash leaves half of a pair.
const AUTHORITY: &str = "ca/authority.pem";
/// The CA's certificate alone, for people to copy; never taken for the CA itself.
const AUTHORITY_COPY: &str = "ca/ca.pem";
/// The CA of before, since an admin asked for a new one; the moment follows, in Unix seconds.
const AUTHORITY_BEFORE: &str = "ca/authority.pem.before";
/// The server's certificate and key.
const LEAF: &str = "ca/server.pem";

/// The state directory, as far as certificates need it. Names are relative and may have one folder in front.
pub trait Files {
    /// The whole file; `None` when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Writes a file of mode 0600 in one step: after a crash the old one or the new one is there, whole.
    ///
    /// # Errors
    /// When it cannot be written; the old one is then still there.
    fn write_private(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Where the file lies, for messages.
    fn path(&self, name: &str) -> PathBuf;
}

/// Why the start has no certificate; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is there and cannot be read, or must not be, since others can (exit codes 74 and 77).
    #[error("the certificates in {path} cannot be read: {source}{}", crate::access::advice(path, source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's answer, or ours.
        source: io::Error,
    },
    /// The state directory cannot be written (exit code 74).
    #[error("the certificates in {path} cannot be kept: {source}; {}", crate::access::room(source))]
    State {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The CA is there but cannot be used.
    #[error(
        "the local CA in {path} cannot be used: {why}. No new one is made by itself, because clients trust this \
         one: restore the file from a backup (ghostctl restore); or, to begin with a new one, ghostctl cert renew --new-ca \
         where the daemon still runs, else delete {folder} and start it; then have every client trust the new CA"
    )]
    Authority {
        /// The CA's file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// The folder to delete.
        folder: PathBuf,
    },
    /// Others may read the CA's key, so anyone may have it.
    #[error(
        "the key in {path} can be read or changed by others (mode {mode:04o}). Run: chmod 600 {}",
        crate::access::quoted(path)
    )]
    TooWide {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The person's certificate and key cannot be used (exit code 2).
    #[error(transparent)]
    Given(#[from] PairError),
    /// The cryptography failed.
    #[error("the box's certificate could not be made: {0}")]
    Making(#[from] CaError),
}

/// What was done or found, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// As it should be.
    Info(String),
    /// Somebody should act.
    Warning(String),
}

/// Something about the certificate or its CA that somebody should act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Whether clients refuse the certificate already.
    pub ended: bool,
    /// What is wrong, in words.
    pub what: String,
    /// What to do about it.
    pub next: String,
}

/// What a client needs to trust this box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trust<'a> {
    /// The CA's certificate, for `/ca.pem`.
    pub pem: &'a str,
    /// The same in DER, for `/ca.crt`.
    pub der: &'a [u8],
    /// Its SHA-256 as `AB:CD:…`.
    pub fingerprint: &'a str,
}

/// What can be shown, before it is.
pub struct Prepared<F> {
    source: Source<F>,
    certified: CertifiedKey,
    said: Vec<Said>,
}

/// The certificates of this box and the resolver that shows them.
pub struct Certificates<F> {
    resolver: Arc<Resolver>,
    source: Source<F>,
    /// The last standing complaint, so that each is said once.
    complaint: Option<Complaint>,
    /// How often another source was taken: what was begun for one before it is nobody's.
    taken: u64,
}

/// What is to be done on the disk.
pub struct Work<F> {
    kind: Kind<F>,
    taken: u64,
}

/// What came of it.
pub struct Worked {
    outcome: Outcome,
    said: Vec<Said>,
    taken: u64,
}

enum Kind<F> {
    Issue(own::Issue<F>),
    Look(given::Look),
}

enum Outcome {
    Issued(Box<Result<(Leaf, CertifiedKey), CaError>>),
    Looked(Box<Option<given::Found>>),
}

impl<F: Files> Work<F> {
    /// Whether files of the box's own are written.
    pub fn writes(&self) -> bool {
        matches!(self.kind, Kind::Issue(_))
    }

    /// Does it. Blocks.
    pub fn run(self, now: OffsetDateTime) -> Worked {
        let mut said = Vec::new();
        let outcome = match self.kind {
            Kind::Issue(issue) => Outcome::Issued(Box::new(issue.run(now, &mut said))),
            Kind::Look(look) => Outcome::Looked(Box::new(look.run())),
        };
        Worked { outcome, said, taken: self.taken }
    }
}

enum Source<F> {
    Own(Box<own::Own<F>>),
    Given(Box<given::Loaded>),
}

impl<F: Files> Certificates<F> {
    /// Takes the given certificate; without one loads or makes the box's CA and leaf. `listen_names` are the
    /// configuration's further names.
    ///
    /// # Errors
    /// See [`Error`]; a damaged leaf is none, it is issued anew.
    pub fn open(
        files: F,
        given: Option<Given>,
        host: &Host,
        listen_names: &[String],
        now: OffsetDateTime,
    ) -> Result<(Self, Vec<Said>), Error> {
        let prepared = match given {
            Some(given) => Self::prepare_given(given)?,
            None => Self::prepare_own(files, host, listen_names, now)?,
        };
        let Prepared { source, certified, mut said } = prepared;
        let mut opened = Self { resolver: Resolver::new(certified), source, complaint: None, taken: 0 };
        opened.complain(now, None, &mut said);
        Ok((opened, said))
    }

    /// Whether a start could go on with the box's own CA, or make the first one; nothing is made. Blocks.
    ///
    /// # Errors
    /// Why it could not.
    pub fn trial(files: &F) -> Result<(), Error> {
        own::load_authority(files).map(drop)
    }

    /// A person's certificate, to be shown later or never.
    ///
    /// # Errors
    /// As [`Certificates::open`].
    pub fn prepare_given(given: Given) -> Result<Prepared<F>, Error> {
        let (certified, loaded) = given::Loaded::open(given)?;
        let said = vec![Said::Info(loaded.describe())];
        Ok(Prepared { source: Source::Given(Box::new(loaded)), certified, said })
    }

    /// The box's own, likewise.
    ///
    /// # Errors
    /// As [`Certificates::open`].
    pub fn prepare_own(
        files: F,
        host: &Host,
        listen_names: &[String],
        now: OffsetDateTime,
    ) -> Result<Prepared<F>, Error> {
        let mut said = Vec::new();
        let own = own::Own::open(files, host, listen_names, now, &mut said)?;
        Ok(Prepared { certified: own.certified_key()?, source: Source::Own(Box::new(own)), said })
    }

    /// The box's own, made anew though nothing is due; with a new CA, if that is wanted.
    ///
    /// # Errors
    /// As [`Certificates::open`].
    pub fn prepare_anew(
        files: F,
        host: &Host,
        listen_names: &[String],
        now: OffsetDateTime,
        new_authority: bool,
    ) -> Result<Prepared<F>, Error> {
        let mut said = Vec::new();
        let own = own::Own::anew(files, host, listen_names, now, new_authority, &mut said)?;
        Ok(Prepared { certified: own.certified_key()?, source: Source::Own(Box::new(own)), said })
    }

    /// Whether a person's files are as they were when they were last looked at.
    #[must_use]
    pub fn is_current(&self) -> bool {
        match &self.source {
            Source::Own(_) => true,
            Source::Given(loaded) => loaded.is_current(),
        }
    }

    /// Shows this from now on, to every handshake that begins.
    pub fn take(&mut self, prepared: Prepared<F>, now: OffsetDateTime) -> Vec<Said> {
        let Prepared { source, certified, mut said } = prepared;
        self.resolver.replace(certified);
        self.source = source;
        self.taken += 1;
        self.complain(now, None, &mut said);
        said
    }

    /// The resolver that both transports ask.
    pub fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.resolver)
    }

    /// What there is to do on the disk: to issue what is due, or to look at a person's files. Cheap enough for every few seconds: new
    /// addresses belong into the certificate within ten (F-78).
    pub fn due(
        &mut self,
        now: OffsetDateTime,
        host: &Host,
        listen_names: &[String],
    ) -> (Option<Work<F>>, Vec<Said>) {
        let mut said = Vec::new();
        let kind = match &mut self.source {
            Source::Own(own) => own.due(host, listen_names, now, &mut said).map(Kind::Issue),
            Source::Given(loaded) => Some(Kind::Look(loaded.look())),
        };
        if kind.is_none() {
            self.complain(now, None, &mut said);
        }
        (kind.map(|kind| Work { kind, taken: self.taken }), said)
    }

    /// The same while the disk is still at what was due before: nothing is begun, and what stands amiss is told all the same.
    pub fn meanwhile(&mut self, now: OffsetDateTime) -> Vec<Said> {
        let mut said = Vec::new();
        let of_now = self.of_now(now);
        // What has failed before says more, and is not mended yet; that the certificate has ended says most.
        let worse =
            |of_now: &Complaint| self.complaint.as_ref().is_none_or(|said| of_now.ended && !said.ended);
        if of_now.as_ref().is_some_and(worse) {
            self.complain(now, None, &mut said);
        }
        said
    }

    /// Takes what came of it, unless something else is shown since; says what it did.
    pub fn worked(&mut self, worked: Worked, now: OffsetDateTime) -> Vec<Said> {
        let Worked { outcome, mut said, taken } = worked;
        if taken != self.taken {
            return Vec::new();
        }
        let outcome = match (&mut self.source, outcome) {
            (Source::Own(own), Outcome::Issued(issued)) => own.issued(*issued, now).map(Some),
            (Source::Given(loaded), Outcome::Looked(found)) => loaded.looked(*found, &mut said),
            // Of another source, which `taken` tells already.
            _ => return Vec::new(),
        };
        let failed = match outcome {
            Ok(certified) => {
                certified.into_iter().for_each(|certified| self.resolver.replace(certified));
                None
            }
            Err(failed) => Some(failed),
        };
        self.complain(now, failed, &mut said);
        said
    }

    /// All of it at once.
    #[cfg(test)]
    fn tick(&mut self, now: OffsetDateTime, host: &Host, listen_names: &[String]) -> Vec<Said> {
        let (work, mut said) = self.due(now, host, listen_names);
        if let Some(work) = work {
            said.extend(self.worked(work.run(now), now));
        }
        said
    }

    /// The local CA for clients; `None` when a person's certificate is shown.
    pub fn trust(&self) -> Option<Trust<'_>> {
        match &self.source {
            Source::Own(own) => Some(own.trust()),
            Source::Given(_) => None,
        }
    }

    /// What the certificate lacks of the box's names and addresses; empty for a person's own.
    pub fn left_out(&self) -> &[LeftOut] {
        match &self.source {
            Source::Own(own) => own.left_out(),
            Source::Given(_) => &[],
        }
    }

    /// The same in words, each with what to do.
    pub fn left_out_lines(&self) -> Vec<String> {
        match &self.source {
            Source::Own(own) => own.left_out_lines().map(|(_, line)| line).collect(),
            Source::Given(_) => Vec::new(),
        }
    }

    /// The names and addresses that a person's own certificate bears: whoever brings one means to be reached by them. `None`
    /// where the box's own is shown, which follows the box's names and not the other way round.
    pub fn given_names(&self) -> Option<Vec<String>> {
        match &self.source {
            Source::Own(_) => None,
            Source::Given(loaded) => Some(loaded.names()),
        }
    }

    /// The names and addresses of the certificate that is shown.
    pub fn names(&self) -> Vec<String> {
        match &self.source {
            Source::Own(own) => own.names(),
            Source::Given(loaded) => loaded.names(),
        }
    }

    /// How to get something that is left out into the certificate.
    pub fn fix(&self, left_out: &LeftOut) -> String {
        match &self.source {
            Source::Own(_) => fix(left_out.reason),
            Source::Given(_) => String::new(),
        }
    }

    /// Since when the certificate that is shown is good; `None` where it cannot be read.
    pub fn not_before(&self) -> Option<OffsetDateTime> {
        match &self.source {
            Source::Own(own) => Some(own.not_before()),
            Source::Given(loaded) => loaded.not_before(),
        }
    }

    /// The last moment of the certificate that is shown; `None` when a person's cannot be read.
    pub fn not_after(&self) -> Option<OffsetDateTime> {
        match &self.source {
            Source::Own(own) => Some(own.not_after()),
            Source::Given(loaded) => loaded.not_after(),
        }
    }

    /// When the box renews its own certificate; `None` for a person's.
    pub fn renew_at(&self) -> Option<OffsetDateTime> {
        match &self.source {
            Source::Own(own) => Some(own.renew_at()),
            Source::Given(_) => None,
        }
    }

    /// What is wrong with the certificate or its CA, as of the last look.
    pub fn complaint(&self) -> Option<&Complaint> {
        self.complaint.as_ref()
    }

    fn of_now(&self, now: OffsetDateTime) -> Option<Complaint> {
        match &self.source {
            Source::Own(own) => own.complaint(now),
            Source::Given(loaded) => loaded.complaint(now),
        }
    }

    fn complain(&mut self, now: OffsetDateTime, failed: Option<Complaint>, said: &mut Vec<Said>) {
        let complaint = failed.or_else(|| self.of_now(now));
        if complaint != self.complaint {
            let line =
                |complaint: &Complaint| Said::Warning(format!("{}: {}", complaint.what, complaint.next));
            said.extend(complaint.as_ref().map(line));
            self.complaint = complaint;
        }
    }
}

/// What makes a new CA, where the daemon runs.
const ANEW: &str = "ghostctl cert renew --new-ca, and have every client trust the new CA";

fn fix(reason: Reason) -> String {
    match reason {
        Reason::NameOutside => format!("To include it, run {ANEW}"),
        Reason::AddressOutside => {
            format!("Use one of the box's names; or to include it, add it to `listen.names`, then run {ANEW}")
        }
        Reason::NotAName(_) => "Correct it in `listen.names` or in the host name".to_owned(),
        Reason::TooMany => "Use one of the names and addresses that are in it".to_owned(),
    }
}

/// Refuses a key that others may read; a file that is not there is nobody's.
fn check_mode(path: PathBuf) -> Result<(), Error> {
    let Ok(facts) = fs::metadata(&path) else { return Ok(()) };
    let mode = facts.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(Error::TooWide { path, mode }) }
}
