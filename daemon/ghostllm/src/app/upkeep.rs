//! What changes while the program runs: the host's names and addresses, which of them are served, the certificates, the page, the
//! memory, and whether state that could not be written can be written again.
//!
//! Knows when to look. Refuses to know what is done about it. Invariants: it writes the log only when something has
//! changed; no look is put off by what an admin orders meanwhile, and none waits for a disk.

mod files;
mod memory;
mod names;
mod renewal;

use std::{future::pending, sync::Arc};

use bytes::Bytes;
use ghostllm_core::{
    ApiError,
    admin::{Authority, CertificateInfo, Certificates as Shown, FORM},
    config::{Config, PlainAuth},
};
use ghostllm_edge::{guard::Guard, tls::Resolver};
use serde_json::json;
use time::OffsetDateTime;
use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle, spawn_blocking},
    time::{Instant, sleep_until},
};

use super::{Addresses, StartError, away::Wanted, standing::Standing};
use crate::{
    admin::{Answering, Page, PageFacts, events::Journal},
    backend::registry::{Registry, Snapshot},
    certificates::{Certificates, Complaint, Prepared, Said, Worked},
    date::rfc3339,
    host::Host,
    process,
    store::{StateDir, StateFile, audit::Audit},
    tasks::{reload::Apart, state::PANICKED},
};
pub(super) use files::CaFiles;
use memory::Memory;
use names::{borne, reachable, shown_name};
use renewal::Renewal;
pub(super) use renewal::Renewed;

/// Writes what the certificates say to the log.
pub(super) fn say(said: &[Said]) {
    for said in said {
        match said {
            Said::Info(text) => tracing::info!("{text}"),
            Said::Warning(text) => tracing::warn!("{text}"),
        }
    }
}

/// Where it is kept and told what has happened.
pub(super) struct Records {
    pub(super) state: StateDir,
    pub(super) audit: Audit,
    pub(super) journal: Journal,
}

pub(super) struct Upkeep {
    records: Records,
    certificates: Certificates<CaFiles>,
    host: Host,
    wanted: Wanted,
    config: Arc<Config>,
    guard: Arc<Guard>,
    registry: Arc<Registry>,
    models: watch::Receiver<Arc<Snapshot>>,
    facts: PageFacts,
    page: watch::Sender<Arc<Page>>,
    shown: watch::Sender<Arc<Shown>>,
    memory: Memory,
    /// When it looks next. Kept here, since the wait for it is given up at each order.
    look_at: Instant,
    /// A look at a disk that could not be written. There is one at a time: a sick disk must not take up one thread after the other.
    looking: Option<JoinHandle<()>>,
    /// A certificate that is being made.
    renewing: Option<Renewal>,
    /// What is due of itself, and is being done on the disk.
    working: Option<Working>,
}

/// Work on the disk, and whether it writes the box's own files.
struct Working {
    writes: bool,
    doing: JoinHandle<Worked>,
}

impl Upkeep {
    pub(super) fn new(
        records: Records,
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
        let page = watch::Sender::new(Arc::new(Page::render(&facts)));
        let shown = watch::Sender::new(Arc::new(shown(&certificates)));
        let mut upkeep = Self {
            records,
            certificates,
            host,
            wanted: Wanted::new(addresses),
            config,
            guard,
            registry: Arc::clone(registry),
            models: registry.watch(),
            facts,
            page,
            shown,
            memory: Memory::default(),
            look_at: Instant::now(),
            looking: None,
            renewing: None,
            working: None,
        };
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

    /// Looks whether what is listened for is there.
    pub(super) fn look_at_addresses(&mut self, standing: &Standing) {
        self.wanted.look(standing);
    }

    /// The box's own short name.
    pub(super) fn host(&self) -> &str {
        &self.host.short
    }

    /// The audit log, which this looks at again after a failure.
    pub(super) fn audit(&self) -> &Audit {
        &self.records.audit
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

    /// What is wrong with the certificate or its CA.
    pub(super) fn complaint(&self) -> Option<&Complaint> {
        self.certificates.complaint()
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
        let (state, host, config) = (self.records.state.clone(), self.host.clone(), config.clone());
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
        // A shorter interval counts at once.
        self.look_at = self.look_at.min(Instant::now() + self.config.limits.host_interval);
        if let Some(prepared) = certificates {
            self.show(prepared, "replaced");
        }
        self.replace_rules();
        self.render();
    }

    /// Shows another certificate from now on.
    fn show(&mut self, prepared: Prepared<CaFiles>, what: &str) {
        say(&self.certificates.take(prepared, OffsetDateTime::now_utc()));
        self.tell_certificate(what);
    }

    fn tell_certificate(&self, what: &str) {
        let ends = self.certificates.not_after().map(rfc3339);
        self.records.journal.say("certificate", json!({"what": what, "expires": ends}));
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

    /// What is in the CA's files: its certificate, and where `authority` asks for it its key and the server's as well.
    ///
    /// # Errors
    /// For whoever asked; the log has the cause.
    pub(super) async fn ca_files(&self, authority: bool, apart: &Apart) -> Result<Vec<StateFile>, ApiError> {
        if self.is_writing() {
            // They may be half of the CA of before.
            return Err(renewal::goes_on());
        }
        let state = self.records.state.clone();
        let read = apart.run(move || files::read(&state, authority)).await;
        let files = read.map_err(|why| StartError::internal("the CA cannot be read", why));
        files.and_then(|files| Ok(files?)).map_err(|error| {
            tracing::error!("the CA's files cannot be read for a backup: {error}");
            ApiError::internal()
        })
    }

    /// Looks after it all until a renewal has ended, which it gives; `connections` says how many there are, and were at most since
    /// it last said so, `standing` hears what has changed. The wait may be given up and begun again at any time.
    pub(super) async fn run(
        &mut self,
        connections: impl Fn() -> (usize, usize),
        standing: &Standing,
    ) -> Renewed {
        loop {
            tokio::select! {
                () = sleep_until(self.look_at) => {
                    self.look_at = Instant::now() + self.config.limits.host_interval;
                    let (open, most) = connections();
                    self.memory.look(open, most, process::resident().unwrap_or_default());
                    self.look(standing);
                    self.look_at_state(standing);
                }
                // The registry outlives this loop, so the wait cannot fail.
                _ = self.models.changed() => self.render(),
                () = looked(&mut self.looking) => self.tell_writes(standing),
                worked = worked(&mut self.working) => self.worked(worked, standing),
                (renewal, outcome) = renewal::ended(&mut self.renewing) => {
                    return self.renewed(renewal, outcome, standing);
                }
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
        self.look_at_addresses(standing);
        // What is being made will be shown, and its files are being written.
        if self.renewing.is_none() && self.working.is_none() {
            self.begin_work();
        } else {
            // A disk that hangs for weeks must not hide that the certificate ends.
            say(&self.certificates.meanwhile(OffsetDateTime::now_utc()));
        }
        standing.certified(self.left_out(), self.complaint());
        standing.is_called(&self.host.short);
        self.render();
    }

    fn begin_work(&mut self) {
        let names = super::listen_names(&self.config);
        let (work, said) = self.certificates.due(OffsetDateTime::now_utc(), &self.host, &names);
        say(&said);
        self.working = work.map(|work| Working {
            writes: work.writes(),
            doing: spawn_blocking(move || work.run(OffsetDateTime::now_utc())),
        });
    }

    /// Takes what was done on the disk.
    fn worked(&mut self, worked: Result<Worked, JoinError>, standing: &Standing) {
        let worked = match worked {
            Ok(worked) => worked,
            Err(_its_words) => return tracing::error!("the look at the certificates failed: {PANICKED}"),
        };
        let (given, resolver) = (self.certificates.given_names(), self.certificates.resolver());
        let before = resolver.current();
        say(&self.certificates.worked(worked, OffsetDateTime::now_utc()));
        if self.certificates.given_names() != given {
            self.replace_rules();
        }
        if !Arc::ptr_eq(&before, &resolver.current()) {
            self.tell_certificate(if given.is_some() { "replaced" } else { "renewed" });
        }
        standing.certified(self.left_out(), self.complaint());
        self.render();
    }

    /// Whether the box's own certificate is being written.
    fn is_writing(&self) -> bool {
        self.renewing.is_some() || self.working.as_ref().is_some_and(|working| working.writes)
    }

    fn tell_writes(&self, standing: &Standing) {
        standing.writes(!self.records.state.is_alarmed());
        standing.audits(!self.records.audit.is_alarmed());
    }

    /// Looks whether what could not be written can be, where there is such a thing.
    fn look_at_state(&mut self, standing: &Standing) {
        self.tell_writes(standing);
        let (state, audit) = (self.records.state.clone(), self.records.audit.clone());
        if self.looking.is_none() && (state.is_alarmed() || audit.is_alarmed()) {
            self.looking = Some(spawn_blocking(move || {
                state.look_again();
                audit.look_again();
            }));
        }
    }
}

/// Waits for the end of a look; for ever, where there is none.
async fn looked(looking: &mut Option<JoinHandle<()>>) {
    match looking {
        // A panic would have been said.
        Some(look) => drop(look.await),
        None => pending().await,
    }
    *looking = None;
}

/// Waits for the end of work on the disk; for ever, where there is none.
async fn worked(working: &mut Option<Working>) -> Result<Worked, JoinError> {
    let worked = match working {
        Some(working) => (&mut working.doing).await,
        None => pending().await,
    };
    *working = None;
    worked
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
            begins: certificates.not_before().map(rfc3339),
            expires: certificates.not_after().map(rfc3339),
            renews: certificates.renew_at().map(rfc3339),
        },
        authority,
        left_out: certificates.left_out_lines(),
    }
}
