//! Certificates over a life: first start, restarts, renewals, damage, and a person's own files.

use std::{cell::Cell, fs::Permissions, rc::Rc};

use ghostllm_edge::ca::{Authority, CLOCK_FLOOR, Facts, Subjects};
use tempfile::TempDir;
use time::Duration;

use super::*;

/// A directory that can be told to be full.
#[derive(Clone)]
struct Directory {
    root: Rc<TempDir>,
    full: Rc<Cell<bool>>,
    /// The file of this name alone cannot be written.
    refused: Rc<Cell<Option<&'static str>>>,
}

impl Directory {
    fn new() -> Self {
        Self {
            root: Rc::new(TempDir::new().expect("a directory")),
            full: Rc::default(),
            refused: Rc::default(),
        }
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file")
    }

    fn put(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).expect("written");
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).expect("permissions");
    }

    fn open(&self, now: OffsetDateTime) -> (Certificates<Self>, Vec<Said>) {
        self.try_open(None, now).expect("certificates")
    }

    fn try_open(
        &self,
        given: Option<Given>,
        now: OffsetDateTime,
    ) -> Result<(Certificates<Self>, Vec<Said>), Error> {
        Certificates::open(self.clone(), given, &host(&[]), &[], now)
    }

    fn refusal(&self) -> String {
        self.try_open(None, now()).err().expect("refused").to_string()
    }
}

impl Files for Directory {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    fn write_private(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if self.full.get() || self.refused.get() == Some(name) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        fs::create_dir_all(self.path("ca"))?;
        let new = self.path("ca/new");
        fs::write(&new, bytes)?;
        fs::set_permissions(&new, Permissions::from_mode(0o600))?;
        fs::rename(new, self.path(name))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }
}

/// What `ghostctl cert renew --new-ca` has done.
fn anew(files: &Directory, names: &[String], host: &Host) -> Result<Prepared<Directory>, Error> {
    Certificates::prepare_anew(files.clone(), host, names, now(), true)
}

fn now() -> OffsetDateTime {
    CLOCK_FLOOR + Duration::days(30)
}

/// A box in a network of its own, with further addresses.
fn host(more: &[&str]) -> Host {
    let mut host = Host::new("box", "search lan.example", &[]);
    host.addresses.extend(more.iter().map(|text| text.parse::<std::net::IpAddr>().expect("an address")));
    host
}

fn shown<F: Files>(certificates: &Certificates<F>) -> Facts {
    Facts::read(&certificates.resolver().current().cert[0]).expect("a certificate")
}

fn joined(said: &[Said]) -> String {
    let line = |said: &Said| match said {
        Said::Info(text) => format!("info: {text}\n"),
        Said::Warning(text) => format!("warning: {text}\n"),
    };
    said.iter().map(line).collect()
}

#[test]
fn the_first_start_makes_a_ca_and_a_leaf_and_prints_the_fingerprint() {
    let files = Directory::new();
    let (certificates, said) = files.open(now());
    let trust = certificates.trust().expect("a local CA");
    assert!(joined(&said).contains(&format!("SHA-256 {}", trust.fingerprint)), "{said:?}");
    assert!(!joined(&said).contains("warning"), "{said:?}");
    let names = ["box", "box.lan.example", "box.local", "localhost"];
    assert_eq!(shown(&certificates).names, names);
    assert_eq!(files.text(AUTHORITY_COPY), trust.pem);
    for name in [AUTHORITY, LEAF, AUTHORITY_COPY] {
        let mode = fs::metadata(files.path(name)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(certificates.renew_at(), Some(now() + Duration::days(60)));
    assert_eq!(certificates.not_after(), Some(now() + Duration::days(90)));
}

#[test]
fn a_restart_changes_nothing() {
    let files = Directory::new();
    let (first, _) = files.open(now());
    let (second, said) = files.open(now() + Duration::days(59));
    assert_eq!(first.trust(), second.trust());
    assert_eq!(shown(&first), shown(&second));
    assert!(!joined(&said).contains("issued"), "{said:?}");
}

#[test]
fn a_leaf_is_renewed_after_sixty_days_under_the_same_resolver() {
    let files = Directory::new();
    let (mut certificates, _) = files.open(now());
    let (resolver, before) = (certificates.resolver(), shown(&certificates));
    let late = now() + Duration::days(60);
    assert_eq!(certificates.tick(late - Duration::seconds(1), &host(&[]), &[]), []);
    assert_eq!(shown(&certificates), before);
    let said = joined(&certificates.tick(late, &host(&[]), &[]));
    assert!(said.contains("two thirds of the old one's time are over"), "{said}");
    assert!(Arc::ptr_eq(&resolver, &certificates.resolver()));
    assert_eq!(shown(&certificates).not_after, late + Duration::days(90));
    assert_eq!(certificates.tick(late, &host(&[]), &[]), [], "once is enough");
    assert_eq!(shown(&files.open(late).0), shown(&certificates), "it is on disk");
}

#[test]
fn a_new_address_is_in_the_certificate_at_the_next_tick_and_a_lost_one_is_not() {
    let (mut certificates, _) = Directory::new().open(now());
    let address = "192.168.7.7".parse().expect("an address");
    let said = joined(&certificates.tick(now(), &host(&["192.168.7.7"]), &[]));
    assert!(said.contains("names or addresses have changed"), "{said}");
    assert!(shown(&certificates).addresses.contains(&address));
    certificates.tick(now(), &host(&[]), &[]);
    assert!(!shown(&certificates).addresses.contains(&address));
}

#[test]
fn what_is_left_out_is_said_once_with_the_fix() {
    let files = Directory::new();
    let (mut certificates, _) = files.open(now());
    let before = shown(&certificates);
    let global = host(&["2001:db8::7", "203.0.113.7"]);
    let said = joined(&certificates.tick(now(), &global, &["gpu.example.com".to_owned()]));
    assert!(said.contains("info: not in the certificate: 203.0.113.7, 2001:db8::7"), "{said}");
    assert!(said.contains("warning: not in the certificate: gpu.example.com"), "{said}");
    assert!(said.contains("run ghostctl cert renew --new-ca"), "{said}");
    assert_eq!(shown(&certificates), before, "nothing to renew for that");
    assert_eq!(certificates.left_out().len(), 3);
    assert!(certificates.fix(&certificates.left_out()[1]).contains("listen.names"));
    assert_eq!(certificates.tick(now(), &global, &["gpu.example.com".to_owned()]), []);
}

#[test]
fn the_fix_works() {
    let files = Directory::new();
    let names = ["gpu.example.com", "203.0.113.7"].map(str::to_owned);
    let global = host(&["203.0.113.7"]);
    let open = || Certificates::open(files.clone(), None, &global, &names, now()).expect("certificates").0;
    files.open(now());
    assert_eq!(open().left_out().len(), 2);
    anew(&files, &names, &global).expect("a new CA");
    let certificates = open();
    assert_eq!(certificates.left_out(), []);
    assert!(shown(&certificates).names.contains(&names[0]));
}

#[test]
fn a_damaged_ca_is_never_replaced() {
    let files = Directory::new();
    let (certificates, _) = files.open(now());
    let fingerprint = certificates.trust().expect("a CA").fingerprint.to_owned();
    let good = files.text(AUTHORITY);
    for damaged in ["", "rubbish", &good[..good.len() / 2]] {
        files.put(AUTHORITY, damaged, 0o600);
        let said = files.refusal();
        let path = files.path(AUTHORITY).display().to_string();
        assert!(said.contains(&path) && said.contains("restore the file from a backup"), "{said}");
        assert_eq!(files.text(AUTHORITY), damaged, "left as it was, for whoever repairs it");
    }
    fs::remove_file(files.path(AUTHORITY)).expect("removed");
    assert!(files.refusal().contains("it is gone"), "a lost CA is not replaced either");
    files.put(AUTHORITY, &good, 0o600);
    assert_eq!(files.open(now()).0.trust().expect("a CA").fingerprint, fingerprint);
}

#[test]
fn a_disk_that_fails_says_what_it_needs() {
    for (error, wanted) in
        [(nix::errno::Errno::ENOSPC, "make room"), (nix::errno::Errno::EACCES, "make it writable")]
    {
        let said = Error::State { path: "/a".into(), source: error.into() }.to_string();
        assert!(said.contains("cannot be kept") && said.contains(wanted), "{said}");
    }
}

#[test]
fn a_ca_whose_key_others_may_read_is_refused() {
    let files = Directory::new();
    files.open(now());
    files.put(AUTHORITY, &files.text(AUTHORITY), 0o640);
    let path = files.path(AUTHORITY);
    assert!(files.refusal().ends_with(&format!("Run: chmod 600 '{}'", path.display())));
}

#[test]
fn a_damaged_or_foreign_leaf_is_issued_anew() {
    let files = Directory::new();
    let (certificates, _) = files.open(now());
    let good = files.text(LEAF);
    let other = Directory::new();
    other.open(now());
    for (text, mode, words) in [
        ("rubbish", 0o600, "issued anew"),
        (&good[..good.len() / 2], 0o600, "issued anew"),
        (&good, 0o644, "chmod 600"),
        (&other.text(LEAF), 0o600, "not of this CA"),
    ] {
        files.put(LEAF, text, mode);
        let (again, said) = files.open(now());
        assert!(joined(&said).contains(words), "{said:?}");
        assert_eq!(again.trust(), certificates.trust(), "the CA stays");
        assert_ne!(shown(&again).public_key, shown(&certificates).public_key);
    }
}

#[test]
fn a_crash_between_any_two_writes_of_the_first_start_is_mended() {
    for lost in [&[LEAF][..], &[LEAF, AUTHORITY_COPY]] {
        let files = Directory::new();
        let fingerprint = files.open(now()).0.trust().expect("a CA").fingerprint.to_owned();
        for name in lost {
            fs::remove_file(files.path(name)).expect("removed");
        }
        let (certificates, _) = files.open(now());
        assert_eq!(certificates.trust().expect("a CA").fingerprint, fingerprint);
        assert_eq!(files.text(AUTHORITY_COPY), certificates.trust().expect("a CA").pem);
    }
}

#[test]
fn a_full_disk_stops_the_first_start_but_no_renewal() {
    let files = Directory::new();
    files.full.set(true);
    assert!(matches!(files.try_open(None, now()), Err(Error::State { .. })));
    files.full.set(false);
    let (mut certificates, _) = files.open(now());
    files.full.set(true);
    let late = now() + Duration::days(61);
    let said = joined(&certificates.tick(late, &host(&[]), &[]));
    assert!(said.contains("warning: the new certificate is in use but could not be written"), "{said}");
    assert_eq!(shown(&certificates).not_after, late + Duration::days(90));
    assert_eq!(certificates.tick(late, &host(&[]), &[]), []);
}

#[test]
fn a_new_ca_comes_whole_or_not_at_all() {
    let files = Directory::new();
    let (mut certificates, _) = files.open(now());
    let before = (files.text(AUTHORITY), files.text(LEAF), files.text(AUTHORITY_COPY));
    for name in [LEAF, AUTHORITY] {
        files.refused.set(Some(name));
        assert!(matches!(anew(&files, &[], &host(&[])), Err(Error::State { .. })), "{name}");
        assert_eq!((files.text(AUTHORITY), files.text(LEAF), files.text(AUTHORITY_COPY)), before, "{name}");
    }
    // Its certificate for people is made good at the next start.
    files.refused.set(Some(AUTHORITY_COPY));
    let prepared = anew(&files, &[], &host(&[])).expect("a new CA");
    certificates.take(prepared, now());
    files.refused.set(None);
    let (again, said) = files.open(now());
    assert_eq!(shown(&again), shown(&certificates), "{said:?}");
    assert!(again.trust() == certificates.trust() && files.text(AUTHORITY) != before.0);
    assert_eq!(files.text(AUTHORITY_COPY), again.trust().expect("a CA").pem);
    // A crash behind the leaf leaves the CA of before, which a start gives another leaf.
    files.put(AUTHORITY, &before.0, 0o600);
    let (back, said) = files.open(now());
    assert!(joined(&said).contains("not of this CA") && back.trust() != again.trust(), "{said:?}");
}

#[test]
fn what_is_wrong_stands_until_it_is_mended() {
    let files = Directory::new();
    let lost = OffsetDateTime::UNIX_EPOCH + Duration::days(1);
    let (mut certificates, _) = files.open(lost);
    let said = certificates.complaint().expect("a complaint").clone();
    assert!(said.what.contains("not valid yet") && said.next.contains("set the clock"), "{said:?}");
    certificates.tick(now(), &host(&[]), &[]);
    assert_eq!(certificates.complaint(), None);
    let end = Facts::read(certificates.trust().expect("a CA").der).expect("a certificate").not_after;
    for (at, ended, words) in
        [(end - Duration::days(80), false, "ends on"), (end + Duration::days(1), true, "ended on")]
    {
        certificates.tick(at, &host(&[]), &[]);
        let said = certificates.complaint().expect("a complaint");
        assert!(said.ended == ended && said.what.contains(words), "{said:?}");
        assert!(said.next.contains("ghostctl cert renew --new-ca"), "{said:?}");
    }
    certificates.tick(end + Duration::days(1), &host(&["10.0.0.1"]), &[]);
    let said = certificates.complaint().expect("a complaint");
    assert!(said.ended && said.what.contains("could not be renewed"), "{said:?}");
}

#[test]
fn what_comes_while_the_disk_hangs_is_told_all_the_same() {
    let files = Directory::new();
    let (mut certificates, _) = files.open(now());
    let end = Facts::read(certificates.trust().expect("a CA").der).expect("a certificate").not_after;
    assert_eq!(certificates.meanwhile(now()), []);
    for (at, words) in [(end - Duration::days(80), "ends on"), (end + Duration::days(1), "ended on")] {
        let said = joined(&certificates.meanwhile(at));
        assert!(said.contains(words), "{said}");
        assert_eq!(certificates.meanwhile(at), [], "it is said twice");
    }
    assert_eq!(certificates.meanwhile(now()), []);
    assert!(certificates.complaint().is_some_and(|complaint| complaint.ended), "nothing has mended it");
}

#[test]
fn a_start_in_1970_serves_and_renews_once_the_clock_is_right() {
    let lost = OffsetDateTime::UNIX_EPOCH + Duration::days(1);
    let (mut certificates, said) = Directory::new().open(lost);
    assert!(joined(&said).contains("warning: the clock shows 1970-01-02"), "{said:?}");
    let facts = shown(&certificates);
    assert!(facts.not_before < now() && facts.not_after > now() + Duration::days(700));
    assert_eq!(certificates.tick(lost + Duration::seconds(10), &host(&[]), &[]), []);
    let said = joined(&certificates.tick(now(), &host(&[]), &[]));
    assert!(said.contains("the clock was wrong"), "{said}");
    assert_eq!(certificates.not_after(), Some(now() + Duration::days(90)));
}

#[test]
fn a_ca_near_its_end_is_said_once_and_the_last_leaf_stays() {
    let files = Directory::new();
    let (mut certificates, _) = files.open(now());
    let end = now() + Duration::days(3650);
    let said = joined(&certificates.tick(end - Duration::days(80), &host(&[]), &[]));
    assert!(said.contains("warning: the local CA ends on"), "{said}");
    assert_eq!(certificates.tick(end - Duration::days(1), &host(&[]), &[]), []);
    let said = joined(&certificates.tick(end, &host(&["10.0.0.1"]), &[]));
    assert!(said.contains("could not be renewed"), "{said}");
    assert_eq!(certificates.tick(end, &host(&["10.0.0.1"]), &[]), []);
    let (again, _) = files.open(end);
    assert_eq!(shown(&again), shown(&certificates), "the start goes on with the last leaf");
}

/// A pair as a person would bring it, and its authority's names.
fn pair(name: &str, from: OffsetDateTime) -> String {
    let wanted = Subjects { names: vec![name.to_owned()], addresses: Vec::new() };
    let authority = Authority::make("elsewhere", &wanted.names, from).expect("a CA");
    authority.issue(&wanted, from).expect("a leaf").0.to_pem().to_owned()
}

fn given(files: &Directory) -> Given {
    Given { certificate: files.path("cert.pem"), key: files.path("cert.pem") }
}

#[test]
fn a_persons_certificate_is_taken_and_no_ca_is_made() {
    let files = Directory::new();
    files.put("cert.pem", &pair("gpu.example.com", now()), 0o600);
    let (certificates, said) = files.try_open(Some(given(&files)), now()).expect("certificates");
    assert!(joined(&said).contains("for gpu.example.com, valid until"), "{said:?}");
    assert_eq!(shown(&certificates).names, ["gpu.example.com"]);
    assert_eq!(certificates.trust(), None);
    assert!(!files.path("ca").exists());
}

#[test]
fn a_changed_file_is_loaded_and_a_bad_one_leaves_the_old() {
    let files = Directory::new();
    files.put("cert.pem", &pair("one.example", now()), 0o600);
    let (mut certificates, _) = files.try_open(Some(given(&files)), now()).expect("certificates");
    let mut look = |expect: &str| {
        let said = joined(&certificates.tick(now(), &host(&[]), &[]));
        assert!(certificates.tick(now(), &host(&[]), &[]).is_empty(), "said once");
        assert_eq!(shown(&certificates).names, [expect]);
        said
    };
    assert_eq!(look("one.example"), "");
    let (two, three) = (pair("two.example", now()), pair("three.example", now()));
    let (certificate, _) = two.split_once("-----BEGIN PRIVATE").expect("a key");
    let (_, key) = three.split_once("-----BEGIN PRIVATE").expect("a key");
    let mixed = format!("{certificate}-----BEGIN PRIVATE{key}");
    for (text, mode, words) in [
        ("rubbish", 0o600, "holds no certificate"),
        (mixed.as_str(), 0o600, "does not fit the certificate"),
        (two.as_str(), 0o644, "chmod 600"),
    ] {
        files.put("cert.pem", text, mode);
        let said = look("one.example");
        assert!(said.starts_with("warning: ") && said.contains(words), "{said}");
    }
    fs::set_permissions(files.path("cert.pem"), Permissions::from_mode(0o600)).expect("permissions");
    assert!(look("two.example").contains("for two.example"), "the advice was followed");
    fs::remove_file(files.path("cert.pem")).expect("removed");
    assert!(look("two.example").contains("cannot be read"));
    files.put("cert.pem", &three, 0o600);
    assert!(look("three.example").contains("for three.example"));
}

#[test]
fn the_end_of_a_persons_certificate_is_announced() {
    let files = Directory::new();
    files.put("cert.pem", &pair("one.example", now()), 0o600);
    let (mut certificates, _) = files.try_open(Some(given(&files)), now()).expect("certificates");
    let end = certificates.not_after().expect("an end");
    assert!(joined(&certificates.tick(end - Duration::days(13), &host(&[]), &[])).contains("ends on"));
    assert_eq!(certificates.tick(end - Duration::days(1), &host(&[]), &[]), []);
    let said = joined(&certificates.tick(end + Duration::days(1), &host(&[]), &[]));
    assert!(said.contains("ended on"), "{said}");
    let early = certificates.tick(now() - Duration::days(400), &host(&[]), &[]);
    assert!(joined(&early).contains("is not valid before"), "{early:?}");
    assert!(certificates.complaint().is_some_and(|complaint| complaint.ended));
}

#[test]
fn a_bad_pair_at_the_start_is_an_error() {
    let files = Directory::new();
    assert!(matches!(files.try_open(Some(given(&files)), now()), Err(Error::Given(_))));
}
