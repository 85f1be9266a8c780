//! The box's own CA and leaf: loaded or made at the start, the leaf renewed when it is due.
//!
//! Knows the names of three files. Refuses to make a CA where traces of an older one are. Invariant: the leaf
//! in memory is at least as new as the one on disk, and it is shown even when it cannot be written.

use std::{path::PathBuf, sync::Arc};

use ghostllm_edge::ca::{Authority, CaError, Due, LEAF_LIFE, Leaf, LeftOut, Reason, Subjects};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::{
    ANEW, AUTHORITY, AUTHORITY_BEFORE, AUTHORITY_COPY, Complaint, Error, Files, LEAF, Said, Trust,
    check_mode, fix,
};
use crate::host::Host;

pub(super) struct Own<F> {
    files: Arc<F>,
    authority: Arc<Authority>,
    fingerprint: String,
    leaf: Leaf,
    left_out: Vec<LeftOut>,
}

/// A leaf that is to be issued.
pub(super) struct Issue<F> {
    files: Arc<F>,
    authority: Arc<Authority>,
    wanted: Subjects,
    why: &'static str,
}

impl<F: Files> Issue<F> {
    /// Issues it, and writes it. Blocks.
    pub(super) fn run(
        self,
        now: OffsetDateTime,
        said: &mut Vec<Said>,
    ) -> Result<(Leaf, CertifiedKey), CaError> {
        let (leaf, _) = issue(&*self.files, &self.authority, &self.wanted, now, self.why, said)?;
        let certified = leaf.certified_key()?;
        Ok((leaf, certified))
    }
}

impl<F: Files> Own<F> {
    pub(super) fn open(
        files: F,
        host: &Host,
        listen_names: &[String],
        now: OffsetDateTime,
        said: &mut Vec<Said>,
    ) -> Result<Self, Error> {
        let authority = match load_authority(&files)? {
            Some(authority) => authority,
            None => make_authority(&files, host, listen_names, now, said)?,
        };
        write_copy(&files, &authority, said);
        let fingerprint = authority.fingerprint();
        let name = authority.facts().common_name.as_deref().unwrap_or_default();
        said.push(Said::Info(format!(
            "the local CA is \"{name}\", SHA-256 {fingerprint}; clients get it at /ca.pem"
        )));
        let wanted = subjects(host, listen_names);
        let (leaf, left_out) = match load_leaf(&files, said) {
            Some(leaf) => keep_or_issue(&files, &authority, leaf, &wanted, now, said)?,
            None => issue(&files, &authority, &wanted, now, "there was none", said)?,
        };
        let (files, authority) = (Arc::new(files), Arc::new(authority));
        let own = Self { files, authority, fingerprint, leaf, left_out };
        own.say_left_out(said);
        Ok(own)
    }

    /// Makes the leaf anew, and the CA as well if that is asked for; the CA of before is kept beside the new one. Nothing is
    /// written before both can be used.
    pub(super) fn anew(
        files: F,
        host: &Host,
        listen_names: &[String],
        now: OffsetDateTime,
        new_authority: bool,
        said: &mut Vec<Said>,
    ) -> Result<Self, Error> {
        let wanted = subjects(host, listen_names);
        let why = "an admin asked for it";
        let (authority, leaf, left_out) = if new_authority {
            let authority = Authority::make(&host.short, &wanted.names, now)?;
            let (leaf, left_out) = authority.issue(&wanted, now)?;
            leaf.certified_key().map_err(CaError::from)?;
            put(&files, &authority, &leaf, now)?;
            said.push(Said::Info(format!("a local CA was made in {}", folder(&files).display())));
            said.push(Said::Info(issued(&leaf, why)));
            (authority, leaf, left_out)
        } else {
            // Whoever may have a certificate made may not thereby have a CA made.
            let Some(authority) = load_authority(&files)? else {
                let (path, folder) = (files.path(AUTHORITY), folder(&files));
                return Err(Error::Authority { path, why: "it is gone".to_owned(), folder });
            };
            let (leaf, left_out) = issue(&files, &authority, &wanted, now, why, said)?;
            (authority, leaf, left_out)
        };
        write_copy(&files, &authority, said);
        let fingerprint = authority.fingerprint();
        Ok(Self { fingerprint, files: Arc::new(files), authority: Arc::new(authority), leaf, left_out })
    }

    /// Names and addresses of the leaf.
    pub(super) fn names(&self) -> Vec<String> {
        let facts = self.leaf.facts();
        facts.names.iter().cloned().chain(facts.addresses.iter().map(ToString::to_string)).collect()
    }

    pub(super) fn certified_key(&self) -> Result<CertifiedKey, CaError> {
        Ok(self.leaf.certified_key()?)
    }

    /// A new leaf, if it is time for one, to be issued apart.
    pub(super) fn due(
        &mut self,
        host: &Host,
        listen_names: &[String],
        now: OffsetDateTime,
        said: &mut Vec<Said>,
    ) -> Option<Issue<F>> {
        let wanted = subjects(host, listen_names);
        let (_, left_out) = self.authority.scope().sort(&wanted);
        let news = left_out != self.left_out;
        self.left_out = left_out;
        if news {
            self.say_left_out(said);
        }
        let due = self.authority.due(&self.leaf, &wanted, now)?;
        let (files, authority) = (Arc::clone(&self.files), Arc::clone(&self.authority));
        Some(Issue { files, authority, wanted, why: words(due) })
    }

    /// Takes what was issued; the listeners' new certificate.
    ///
    /// # Errors
    /// In words, when none could be issued; the old leaf stays.
    pub(super) fn issued(
        &mut self,
        issued: Result<(Leaf, CertifiedKey), CaError>,
        now: OffsetDateTime,
    ) -> Result<CertifiedKey, Complaint> {
        let (leaf, certified) = issued.map_err(|error| self.overdue(&error, now))?;
        self.leaf = leaf;
        Ok(certified)
    }

    /// A renewal that was due and failed.
    fn overdue(&self, error: &CaError, now: OffsetDateTime) -> Complaint {
        let next = match error {
            CaError::Expired(_) => format!("set the clock, if it is wrong (timedatectl); else run {ANEW}"),
            CaError::NothingPermitted => format!("run {ANEW}"),
            _ => {
                "it is tried again every few seconds; ghostctl cert renew says what is in its way".to_owned()
            }
        };
        let what = format!("the certificate is due but could not be renewed: {error}");
        Complaint { ended: now > self.not_after(), what, next }
    }

    pub(super) fn trust(&self) -> Trust<'_> {
        Trust {
            pem: self.authority.certificate_pem(),
            der: self.authority.certificate_der(),
            fingerprint: &self.fingerprint,
        }
    }

    pub(super) fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    pub(super) fn not_before(&self) -> OffsetDateTime {
        self.leaf.facts().not_before
    }

    pub(super) fn not_after(&self) -> OffsetDateTime {
        self.leaf.facts().not_after
    }

    pub(super) fn renew_at(&self) -> OffsetDateTime {
        self.authority.renew_at(&self.leaf)
    }

    pub(super) fn complaint(&self, now: OffsetDateTime) -> Option<Complaint> {
        if !self.authority.clock_is_plausible(now) {
            let what = format!(
                "the clock shows {}, which cannot be right: the certificate is not valid yet by it, and is issued for a long time",
                now.date()
            );
            let next = "set the clock (timedatectl); the certificate is then replaced by itself".to_owned();
            return Some(Complaint { ended: false, what, next });
        }
        let end = self.authority.facts().not_after;
        let (ended, day) = (now >= end, end.date());
        (end - now < LEAF_LIFE).then(|| Complaint {
            ended,
            what: match ended {
                true => format!("the local CA ended on {day}, so clients refuse the certificate"),
                false => format!("the local CA ends on {day}"),
            },
            next: format!("run {ANEW}"),
        })
    }

    /// One line for all that have the same reason: a box may have many addresses.
    pub(super) fn left_out_lines(&self) -> impl Iterator<Item = (Reason, String)> {
        let mut reasons: Vec<Reason> = Vec::new();
        for left in &self.left_out {
            if !reasons.contains(&left.reason) {
                reasons.push(left.reason);
            }
        }
        reasons.into_iter().map(|reason| {
            let of_it = self.left_out.iter().filter(|left| left.reason == reason);
            let list = of_it.map(|left| left.subject.as_str()).collect::<Vec<_>>().join(", ");
            let fix = fix(reason);
            (reason, format!("not in the certificate: {list} ({reason}). {fix}"))
        })
    }

    fn say_left_out(&self, said: &mut Vec<Said>) {
        for (reason, line) in self.left_out_lines() {
            // Nearly every box with IPv6 has a global address, and nothing is wrong with it.
            said.push(if reason == Reason::AddressOutside { Said::Info(line) } else { Said::Warning(line) });
        }
    }
}

fn folder(files: &impl Files) -> PathBuf {
    files.path("ca")
}

fn subjects(host: &Host, listen_names: &[String]) -> Subjects {
    let names = host.names.iter().chain(listen_names).cloned().collect();
    Subjects { names, addresses: host.addresses.clone() }
}

fn words(due: Due) -> &'static str {
    match due {
        Due::Old => "two thirds of the old one's time are over",
        Due::Clock => "the old one was made while the clock was wrong, or the clock has been lost",
        Due::Subjects => "the box's names or addresses have changed",
        Due::OtherAuthority => "the old one is not of this CA",
    }
}

/// The CA on disk; `None` where there has never been one.
pub(super) fn load_authority(files: &impl Files) -> Result<Option<Authority>, Error> {
    let path = files.path(AUTHORITY);
    let unusable = |why: String| Error::Authority { path: path.clone(), why, folder: folder(files) };
    let read = |name| files.read(name).map_err(|source| Error::Unreadable { path: files.path(name), source });
    if let Some(text) = read(AUTHORITY)? {
        check_mode(path.clone())?;
        return Authority::from_pem(&text).map(Some).map_err(|error| unusable(error.to_string()));
    }
    // The copy is written after the CA, so a copy alone means that the CA was lost.
    match read(AUTHORITY_COPY)? {
        Some(_) => Err(unusable(format!("it is gone, while its certificate is still in {AUTHORITY_COPY}"))),
        None => Ok(None),
    }
}

/// Keeps the CA of before, for whoever has asked for a new one by mistake; one of an earlier time stays.
fn keep_before(files: &impl Files, now: OffsetDateTime) -> Result<(), Error> {
    let path = files.path(AUTHORITY);
    let unreadable = |source| Error::Unreadable { path, source };
    let Some(text) = files.read(AUTHORITY).map_err(unreadable)? else { return Ok(()) };
    let name = format!("{AUTHORITY_BEFORE}-{}", now.unix_timestamp());
    let failed = |source| Error::State { path: files.path(&name), source };
    files.write_private(&name, &text).map_err(failed)
}

/// Puts a new CA and its leaf in the place of those before. The CA's file decides: until it is there the old one is whole, and a
/// start that finds the new leaf beside it issues another.
fn put(files: &impl Files, authority: &Authority, leaf: &Leaf, now: OffsetDateTime) -> Result<(), Error> {
    let failed = |name| move |source| Error::State { path: files.path(name), source };
    keep_before(files, now)?;
    let old = files.read(LEAF).ok().flatten();
    files.write_private(LEAF, leaf.to_pem().as_bytes()).map_err(failed(LEAF))?;
    files.write_private(AUTHORITY, authority.to_pem().as_bytes()).map_err(|source| {
        if let Some(old) = old {
            // The next start would mend it as well.
            let _back = files.write_private(LEAF, &old);
        }
        failed(AUTHORITY)(source)
    })
}

fn make_authority(
    files: &impl Files,
    host: &Host,
    listen_names: &[String],
    now: OffsetDateTime,
    said: &mut Vec<Said>,
) -> Result<Authority, Error> {
    let names: Vec<_> = host.names.iter().chain(listen_names).cloned().collect();
    let authority = Authority::make(&host.short, &names, now)?;
    let failed = |source| Error::State { path: files.path(AUTHORITY), source };
    files.write_private(AUTHORITY, authority.to_pem().as_bytes()).map_err(failed)?;
    said.push(Said::Info(format!("a local CA was made in {}", folder(files).display())));
    Ok(authority)
}

/// Writes the CA's certificate beside it, also after a crash in between; the start does not depend on it.
fn write_copy(files: &impl Files, authority: &Authority, said: &mut Vec<Said>) {
    let text = authority.certificate_pem().as_bytes();
    if files.read(AUTHORITY_COPY).is_ok_and(|there| there.as_deref() == Some(text)) {
        return;
    }
    if let Err(error) = files.write_private(AUTHORITY_COPY, text) {
        let path = files.path(AUTHORITY_COPY);
        said.push(Said::Warning(format!("{} could not be written: {error}", path.display())));
    }
}

/// The leaf on disk; a bad one is said and then as good as none, since a new one costs nothing.
fn load_leaf(files: &impl Files, said: &mut Vec<Said>) -> Option<Leaf> {
    let why = match files.read(LEAF) {
        Ok(None) => return None,
        Ok(Some(text)) => match (check_mode(files.path(LEAF)), Leaf::from_pem(&text)) {
            (Ok(()), Ok(leaf)) => return Some(leaf),
            (Err(error), _) => error.to_string(),
            (_, Err(error)) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    let path = files.path(LEAF);
    said.push(Said::Warning(format!("the certificate in {} is issued anew: {why}", path.display())));
    None
}

/// The leaf on disk if it will do. At the CA's end, or while the clock is far ahead, no new one can be issued:
/// then the old one is better than no start.
fn keep_or_issue(
    files: &impl Files,
    authority: &Authority,
    leaf: Leaf,
    wanted: &Subjects,
    now: OffsetDateTime,
    said: &mut Vec<Said>,
) -> Result<(Leaf, Vec<LeftOut>), CaError> {
    let (_, left_out) = authority.scope().sort(wanted);
    let Some(due) = authority.due(&leaf, wanted, now) else { return Ok((leaf, left_out)) };
    match issue(files, authority, wanted, now, words(due), said) {
        Err(CaError::Expired(_)) if due != Due::OtherAuthority => Ok((leaf, left_out)),
        outcome => outcome,
    }
}

fn issue(
    files: &impl Files,
    authority: &Authority,
    wanted: &Subjects,
    now: OffsetDateTime,
    why: &str,
    said: &mut Vec<Said>,
) -> Result<(Leaf, Vec<LeftOut>), CaError> {
    let (leaf, left_out) = authority.issue(wanted, now)?;
    said.push(Said::Info(issued(&leaf, why)));
    if let Err(error) = files.write_private(LEAF, leaf.to_pem().as_bytes()) {
        let path = files.path(LEAF);
        said.push(Said::Warning(format!(
            "the new certificate is in use but could not be written to {}: {error}. The next start issues another",
            path.display()
        )));
    }
    Ok((leaf, left_out))
}

fn issued(leaf: &Leaf, why: &str) -> String {
    let facts = leaf.facts();
    let (names, end) = (facts.names.join(", "), facts.not_after.date());
    let count = facts.addresses.len();
    format!("a certificate was issued, since {why}: for {names} and {count} addresses, valid until {end}")
}
