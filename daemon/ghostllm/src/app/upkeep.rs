//! What changes while the program runs: the host's names and addresses, the certificates, the page, the memory, and whether
//! state that could not be written can be written again.
//!
//! Knows when to look. Refuses to know what is done about it. Invariant: it writes the log only when something has
//! changed.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use ghostllm_core::{
    ApiError,
    admin::{Authority, CertificateInfo, Certificates as Shown, FORM},
    backup,
    config::{Config, PlainAuth},
    error::Code,
};
use ghostllm_edge::{ca::LeftOut, guard::Guard, tls::Resolver};
use time::OffsetDateTime;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{Addresses, StartError, standing::Standing};
use crate::{
    admin::{Answering, Page, PageFacts},
    backend::registry::Registry,
    certificates::{self, Certificates, Files, Prepared, Said},
    date::rfc3339,
    host::Host,
    store::{StateDir, StateError, StateFile},
    tasks::reload::Apart,
};

/// A peak leaves up to hundreds of megabytes behind in the allocator (30 to 100 kB a stream were measured). Giving them back at
/// most this often costs nothing that is felt.
const TRIM_EVERY: Duration = Duration::from_secs(60);
/// Clients that keep their connections open never fall below half of their number.
const TRIM_ANYWAY: Duration = Duration::from_secs(600);
/// Connections are gone a little before what they held: 10,000 streams over HTTP/3 were seen to leave 270 MB behind a trim
/// that fell between the two. So often it is tried after one peak.
const TRIMS: u32 = 3;
/// So much more than at rest is worth it, in bytes.
const SPARE: u64 = 2 << 20;

/// The name that every box has, and every certificate of its own.
const LOCALHOST: &str = "localhost";

/// The folder of the CA in the state directory.
const FOLDER: &str = "ca";

/// The certificates' part of the state directory.
#[derive(Debug)]
pub(super) struct CaFiles {
    /// The folder itself.
    folder: StateDir,
    /// The state directory that it lies in.
    state: StateDir,
}

impl CaFiles {
    pub(super) fn open(state: &StateDir) -> Result<Self, StateError> {
        Ok(Self { folder: state.dir(FOLDER)?, state: state.clone() })
    }

    fn name(name: &str) -> &str {
        name.strip_prefix("ca/").unwrap_or(name)
    }
}

fn plain(error: StateError) -> io::Error {
    match error {
        StateError::Unwritable { source, .. } | StateError::Unreadable { source, .. } => source,
        refused @ (StateError::TooWide { .. } | StateError::Foreign { .. }) => {
            io::Error::new(io::ErrorKind::PermissionDenied, refused)
        }
        other => io::Error::other(other),
    }
}

impl Files for CaFiles {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.folder.read(Self::name(name)).map_err(plain)
    }

    fn write_private(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.folder.write_private(Self::name(name), bytes).map_err(plain)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.state.path().join(name)
    }
}

/// Writes what the certificates say to the log.
pub(super) fn say(said: &[Said]) {
    for said in said {
        match said {
            Said::Info(text) => tracing::info!("{text}"),
            Said::Warning(text) => tracing::warn!("{text}"),
        }
    }
}

pub(super) struct Upkeep {
    state: StateDir,
    certificates: Certificates<CaFiles>,
    host: Host,
    config: Arc<Config>,
    guard: Arc<Guard>,
    registry: Arc<Registry>,
    facts: PageFacts,
    page: watch::Sender<Arc<Page>>,
    shown: watch::Sender<Arc<Shown>>,
    memory: Memory,
}

impl Upkeep {
    pub(super) fn new(
        state: StateDir,
        certificates: Certificates<CaFiles>,
        host: Host,
        addresses: &Addresses,
        config: Arc<Config>,
        registry: &Arc<Registry>,
    ) -> Self {
        let facts = PageFacts {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            name: String::new(),
            names: Vec::new(),
            tls_port: addresses.tls.port(),
            plain: addresses.plain.first().copied().map(reachable),
            plain_wants_key: false,
            fingerprint: None,
            answering: Answering::Nothing,
        };
        let guard = Arc::new(Guard::new(super::rules(&config, &host, certificates.given_names())));
        let (page, registry) = (watch::Sender::new(Arc::new(Page::render(&facts))), Arc::clone(registry));
        let (shown, memory) = (watch::Sender::new(Arc::new(shown(&certificates))), Memory::default());
        let mut upkeep =
            Self { state, certificates, host, config, guard, registry, facts, page, shown, memory };
        upkeep.render();
        upkeep
    }

    pub(super) fn page(&self) -> watch::Receiver<Arc<Page>> {
        self.page.subscribe()
    }

    /// What clients are shown, as the admin API tells it.
    pub(super) fn shown(&self) -> watch::Receiver<Arc<Shown>> {
        self.shown.subscribe()
    }

    /// The box's own short name.
    pub(super) fn host(&self) -> &str {
        &self.host.short
    }

    pub(super) fn guard(&self) -> &Arc<Guard> {
        &self.guard
    }

    pub(super) fn resolver(&self) -> Arc<Resolver> {
        self.certificates.resolver()
    }

    /// The box's own CA, where it shows one: PEM and DER.
    pub(super) fn authority(&self) -> Option<(Bytes, Bytes)> {
        let trust = self.certificates.trust()?;
        Some((Bytes::copy_from_slice(trust.pem.as_bytes()), Bytes::copy_from_slice(trust.der)))
    }

    pub(super) fn fingerprint(&self) -> Option<&str> {
        self.facts.fingerprint.as_deref()
    }

    /// What the certificate lacks, in a sentence for each reason.
    pub(super) fn left_out(&self) -> Vec<String> {
        self.certificates.left_out_lines()
    }

    /// The name that the box's page uses.
    pub(super) fn name(&self) -> &str {
        &self.facts.name
    }

    /// What makes other certificates ready to be shown, apart from this: it reads files, and may write some.
    pub(super) fn preparation(
        &self,
        config: &Config,
    ) -> impl FnOnce() -> Result<Prepared<CaFiles>, StartError> + Send + use<> {
        let (state, host, config) = (self.state.clone(), self.host.clone(), config.clone());
        move || {
            if let Some(pair) = super::given_pair(&config)? {
                return Ok(Certificates::prepare_given(pair)?);
            }
            let (names, now) = (super::listen_names(&config), OffsetDateTime::now_utc());
            Ok(Certificates::prepare_own(CaFiles::open(&state)?, &host, &names, now)?)
        }
    }

    /// Whether the files of an owner's certificate are as they were when they were last looked at.
    pub(super) fn is_certificate_current(&self) -> bool {
        self.certificates.is_current()
    }

    /// Goes by another configuration from now on, and shows other certificates, where there are.
    pub(super) fn take(&mut self, config: Arc<Config>, certificates: Option<Prepared<CaFiles>>) {
        self.config = config;
        if let Some(prepared) = certificates {
            say(&self.certificates.take(prepared, OffsetDateTime::now_utc()));
        }
        self.replace_rules();
        self.render();
    }

    fn replace_rules(&self) {
        self.guard.replace(super::rules(&self.config, &self.host, self.certificates.given_names()));
    }

    /// Renders the page anew if anything that stands in it has changed.
    pub(super) fn render(&mut self) {
        let snapshot = self.registry.snapshot();
        let answering = match (snapshot.ready(), snapshot.only_demo()) {
            (false, _) => Answering::Nothing,
            (true, true) => Answering::DemoOnly,
            (true, false) => Answering::Model,
        };
        let (own, given) = (super::listen_names(&self.config), self.certificates.given_names());
        let names = borne(&own, &self.host, self.certificates.left_out(), given.as_deref());
        let facts = PageFacts {
            answering,
            name: shown_name(&names),
            names,
            plain_wants_key: self.config.listen.plain_auth == PlainAuth::Key,
            fingerprint: self.certificates.trust().map(|trust| trust.fingerprint.to_owned()),
            ..self.facts.clone()
        };
        if facts != self.facts {
            self.page.send_replace(Arc::new(Page::render(&facts)));
            self.facts = facts;
        }
        let now = shown(&self.certificates);
        self.shown.send_if_modified(|shown| {
            let changed = **shown != now;
            if changed {
                *shown = Arc::new(now);
            }
            changed
        });
    }

    /// Makes the box's own certificate anew, and its CA where that is asked for; gives what clients are shown then.
    ///
    /// # Errors
    /// For whoever asked; the log has the cause.
    pub(super) async fn renew(&mut self, authority: bool) -> Result<Shown, ApiError> {
        if self.certificates.trust().is_none() {
            return Err(ApiError::new(
                Code::Conflict,
                "This box shows its owner's certificate (listen.certificate), which only its owner can renew: replace the file, \
                 then run ghostctl reload.",
            ));
        }
        let (state, host, config) = (self.state.clone(), self.host.clone(), Arc::clone(&self.config));
        // It is waited for however long it takes: given up, it would still be done, and nobody would know.
        let prepared = spawn_blocking(move || {
            let (names, now) = (super::listen_names(&config), OffsetDateTime::now_utc());
            let prepared = Certificates::prepare_anew(CaFiles::open(&state)?, &host, &names, now, authority)?;
            Ok::<_, StartError>(prepared)
        });
        let prepared =
            prepared.await.map_err(|error| StartError::internal("the certificate cannot be renewed", error));
        let prepared = prepared.flatten().map_err(|error| {
            tracing::error!("the certificate could not be renewed: {error}");
            match error {
                StartError::Certificates(certificates::Error::State { .. }) => ApiError::state_unwritable(),
                _ => ApiError::internal(),
            }
        })?;
        self.take(Arc::clone(&self.config), Some(prepared));
        Ok((**self.shown.borrow()).clone())
    }

    /// What is in the CA's files: its certificate, and where `authority` asks for it its key and the server's as well.
    ///
    /// # Errors
    /// For whoever asked; the log has the cause.
    pub(super) async fn ca_files(&self, authority: bool, apart: &Apart) -> Result<Vec<StateFile>, ApiError> {
        let names: &[&'static str] = match authority {
            true => &[backup::AUTHORITY, backup::AUTHORITY_COPY, backup::LEAF],
            false => &[backup::AUTHORITY_COPY],
        };
        let state = self.state.clone();
        let read = apart.run(move || {
            let files = CaFiles::open(&state)?;
            let read =
                |name: &&'static str| Ok(files.folder.read(CaFiles::name(name))?.map(|text| (*name, text)));
            names
                .iter()
                .filter_map(|name| read(name).transpose())
                .collect::<Result<Vec<StateFile>, StateError>>()
        });
        let files = read.await.map_err(|why| StartError::internal("the CA cannot be read", why));
        files.and_then(|files| Ok(files?)).map_err(|error| {
            tracing::error!("the CA's files cannot be read for a backup: {error}");
            ApiError::internal()
        })
    }

    /// Looks after it all for ever; `connections` says how many there are, and were at most since it last said so, `standing` hears
    /// what has changed.
    pub(super) async fn run(&mut self, connections: impl Fn() -> (usize, usize), standing: &Standing) {
        let mut ticks = interval(self.config.limits.host_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut models = self.registry.watch();
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let (open, most) = connections();
                    self.memory.look(open, most, resident().unwrap_or_default());
                    self.look(standing);
                    standing.writes(!self.state.is_alarmed());
                    look_at_state(&self.state).await;
                }
                // The registry outlives this loop, so the wait cannot fail.
                _ = models.changed() => self.render(),
            }
        }
    }

    /// Looks at the host and the certificates.
    fn look(&mut self, standing: &Standing) {
        let host = Host::read_whole().unwrap_or_else(|| self.host.clone());
        // The guard hears of it first: what the certificate names is answered.
        if host != self.host {
            self.host = host;
            self.replace_rules();
        }
        let (before, given_before) = (self.left_out(), self.certificates.given_names());
        let names = super::listen_names(&self.config);
        say(&self.certificates.tick(OffsetDateTime::now_utc(), &self.host, &names));
        if self.certificates.given_names() != given_before {
            self.replace_rules();
        }
        let after = self.left_out();
        if after != before {
            standing.lacks(after);
        }
        standing.is_called(&self.host.short);
        self.render();
    }
}

/// The certificates, as the admin API tells them.
fn shown(certificates: &Certificates<CaFiles>) -> Shown {
    let authority = certificates
        .trust()
        .map(|trust| Authority { sha256: trust.fingerprint.to_owned(), pem: trust.pem.to_owned() });
    Shown {
        version: FORM,
        server: CertificateInfo {
            names: certificates.names(),
            expires: certificates.not_after().map(rfc3339),
            renews: certificates.renew_at().map(rfc3339),
        },
        authority,
        left_out: certificates.left_out_lines(),
    }
}

/// Ends the alert that state cannot be written, once it can.
async fn look_at_state(state: &StateDir) {
    if state.is_alarmed() {
        let state = state.clone();
        // A sick disk may take its time; a panic would have been said.
        let _looked = spawn_blocking(move || state.look_again()).await;
    }
}

/// Gives the allocator's spare memory back after a peak: glibc keeps it, and nothing else asks for it.
#[derive(Debug, Default)]
struct Memory {
    /// What the process held when it was first looked at, and when that was.
    rest: Option<(u64, Instant)>,
    peak: usize,
    /// How often it was given back since that peak.
    times: u32,
    trimmed: Option<Instant>,
}

impl Memory {
    fn look(&mut self, open: usize, most: usize, resident: u64) {
        if self.is_due(open, most, resident) {
            let given = ghostllm_sys::trim();
            tracing::debug!(peak = self.peak, open, resident, given, "spare memory was given back");
            (self.times, self.trimmed) = (self.times + 1, Some(Instant::now()));
            if self.times >= TRIMS {
                (self.peak, self.times) = (open, 0);
            }
        }
    }

    /// Whether much is held that a peak has left, and that was not given back a short time ago.
    fn is_due(&mut self, open: usize, most: usize, resident: u64) -> bool {
        if most > self.peak {
            (self.peak, self.times) = (most, 0);
        }
        let (rest, begun) = *self.rest.get_or_insert((resident, Instant::now()));
        let rested = self.trimmed.is_none_or(|trimmed| trimmed.elapsed() >= TRIM_EVERY);
        let over = self.peak > 0 && open <= self.peak / 2;
        let anyway = self.trimmed.unwrap_or(begun).elapsed() >= TRIM_ANYWAY;
        resident > rest.saturating_add(SPARE) && (over && rested || anyway)
    }
}

/// The process's memory in bytes (`VmRSS` of proc(5)).
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// What others can reach the box by and its certificate bears, since clients refuse anything else, as a URL spells it: the
/// person's own names first, then the host's as others use them, then its addresses. Of a person's own certificate, all that
/// it bears, those that the box is known by first.
fn borne(names: &[String], host: &Host, left_out: &[LeftOut], given: Option<&[String]>) -> Vec<String> {
    let others = host.names.iter().filter(|name| *name != LOCALHOST);
    let addresses = host.addresses.iter().filter(|address| !address.is_loopback() && !is_link_local(address));
    let addresses: Vec<String> = addresses.map(ToString::to_string).collect();
    let known = names.iter().chain([&host.short]).chain(others).chain(&addresses);
    let has = |name: &String| match given {
        Some(given) => given.contains(name),
        None => left_out.iter().all(|left| left.subject != *name),
    };
    let mut all: Vec<String> = Vec::new();
    for name in known.filter(|name| has(name)).chain(given.unwrap_or_default()) {
        let spelt = if name.parse::<Ipv6Addr>().is_ok() { format!("[{name}]") } else { name.clone() };
        if !all.contains(&spelt) {
            all.push(spelt);
        }
    }
    all
}

/// Such an address needs the name of the reader's own interface, which the page cannot know.
fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(six) if six.is_unicast_link_local())
}

/// The name that the page's lines have for who has come by none of them.
fn shown_name(borne: &[String]) -> String {
    borne.first().map_or(LOCALHOST, String::as_str).to_owned()
}

/// An address that a program on the box can paste: not the one that stands for all.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, v6.port())),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use ghostllm_edge::ca::Reason;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn memory_is_given_back_after_a_peak_and_not_all_the_time() {
        let mut memory = Memory::default();
        let (rest, much) = (7 << 20, 300 << 20);
        assert!(!memory.is_due(0, 0, rest));
        // A peak that rose and fell between two looks; on HTTP/2 it may be one connection.
        assert!(!memory.is_due(1, 1, much), "it is not over");
        assert!(memory.is_due(0, 1, much));
        (memory.peak, memory.trimmed) = (0, Some(Instant::now()));
        assert!(!memory.is_due(0, 5000, much), "a moment later");
        tokio::time::advance(TRIM_EVERY).await;
        assert!(!memory.is_due(0, 0, rest + SPARE), "nothing to give");
        assert!(memory.is_due(0, 0, much));
        assert!(!memory.is_due(4000, 0, much), "most are still there");
        tokio::time::advance(TRIM_ANYWAY).await;
        assert!(memory.is_due(4000, 0, much));
        // One client, which stays from the start on.
        let mut memory = Memory::default();
        assert!(!memory.is_due(1, 1, rest) && !memory.is_due(1, 1, much));
        tokio::time::advance(TRIM_ANYWAY).await;
        assert!(memory.is_due(1, 1, much));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_still_held_at_the_first_time_is_given_back_at_another() {
        let mut memory = Memory::default();
        let (rest, much) = (7 << 20, 300 << 20);
        memory.look(0, 0, rest);
        memory.look(5000, 5000, much);
        for _ in 0..TRIMS {
            assert!(memory.is_due(0, 0, much));
            memory.look(0, 0, much);
            assert!(!memory.is_due(0, 0, much), "a moment later");
            tokio::time::advance(TRIM_EVERY).await;
        }
        assert!(!memory.is_due(0, 0, much), "it is not given back at all");
        memory.look(10, 10, much);
        assert!(memory.is_due(0, 0, much), "another peak");
    }

    #[test]
    fn the_page_names_only_what_the_certificate_bears() {
        let host = Host::new("Box", "search lan", &[]);
        let shown = |names: &[&str], left_out: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let lacks = |name: &&str| LeftOut { subject: (*name).to_owned(), reason: Reason::NameOutside };
            shown_name(&borne(&names, &host, &left_out.iter().map(lacks).collect::<Vec<_>>(), None))
        };
        assert_eq!(shown(&[], &[]), "box");
        assert_eq!(shown(&["llm.example.org"], &[]), "llm.example.org");
        assert_eq!(shown(&["llm.example.org"], &["llm.example.org"]), "box");
        assert_eq!(shown(&[], &["box", "box.lan"]), "box.local");
        assert_eq!(shown(&["192.168.1.7"], &[]), "192.168.1.7");
        assert_eq!(shown(&["fd00::5"], &[]), "[fd00::5]");
        assert_eq!(shown(&[], &["box", "box.lan", "box.local"]), LOCALHOST);
    }

    #[test]
    fn a_person_s_own_certificate_says_what_the_page_names() {
        let host = Host::new("Box", "search lan", &[]);
        let borne = |names: &[&str], given: &[&str]| {
            let [names, given] =
                [names, given].map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
            borne(&names, &host, &[], Some(&given))
        };
        assert_eq!(borne(&[], &["llm.example.org", "fd00::5"]), ["llm.example.org", "[fd00::5]"]);
        assert_eq!(borne(&[], &["llm.example.org", "box.lan"]), ["box.lan", "llm.example.org"]);
        assert_eq!(borne(&["b.example.org"], &["a.example.org", "b.example.org"])[0], "b.example.org");
        assert!(borne(&["b.example.org"], &[]).is_empty());
    }
}
