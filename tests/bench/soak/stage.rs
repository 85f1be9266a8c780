//! The daemon, its engines, and all that is known of a run while it goes on.
//!
//! Knows how they are started and how the daemon is configured in each round. Refuses to know what is done to them. Invariant: every
//! configuration leaves the one engine that never suffers as it is.

use std::{
    net::Ipv4Addr,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use ghostllm_tests::{
    admin,
    client::{Request, unix},
    daemon::{Daemon, Setup},
    kept::{Place, Version},
    soak::{
        ledger::{Ledger, PREFIX, Seen, Way},
        troubles::Troubles,
        verdict::{Asked, Came, End, judge},
    },
};
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    Plan,
    engine::Engine,
    mix::{Draw, Key, Kind, Manner},
    score::Score,
};

/// The engine that never suffers.
pub(crate) const STEADY: &str = "steady";
/// Those that are killed and stopped.
pub(crate) const MORTAL: &str = "mortal";
pub(crate) const FRAIL: &str = "frail";
/// The first one under another name, which only some configurations have.
pub(crate) const SPARE: &str = "spare";

/// A model that never says a word is given up soon, and so is one that hangs.
const TIMEOUTS: &str = "timeouts = { first_byte = \"3s\", idle = \"3s\" }";
/// Configurations that must be refused.
const FAULTS: [&str; 4] = [
    "\n[limits.more]\n",
    "\nnonsense\n",
    "\n[[backends]]\nname = \"steady\"\n",
    "\n[[backends]]\nname = \"new\"\nkind = \"openai\"\nurl = \"http://127.0.0.1:1\"\nkey_file = \"/nowhere\"\n",
];

/// One configuration.
pub(crate) struct Round {
    pub(crate) setup: Setup,
    pub(crate) sound: bool,
    /// It has the backend that comes and goes.
    pub(crate) spare: bool,
}

pub(crate) struct Stage {
    pub(crate) daemon: Daemon,
    pub(crate) engines: [Engine; 3],
    pub(crate) ledger: Ledger,
    pub(crate) troubles: Troubles,
    pub(crate) seed: u64,
    pub(crate) begun: Instant,
    score: Mutex<Score>,
    over: watch::Sender<bool>,
    key: String,
}

impl Stage {
    pub(crate) async fn start(plan: &Plan) -> Result<Self> {
        let engines = [
            Engine::start(STEADY, "ollama").await?,
            Engine::start(MORTAL, "ollama").await?,
            Engine::start(FRAIL, "openai").await?,
        ];
        let setup = Setup { program: plan.program.clone(), ..configuration(&engines, 0, true).setup };
        let daemon = Daemon::start(&setup).await?;
        let key = daemon.key.clone().context("the daemon made no first key")?;
        Ok(Self {
            daemon,
            engines,
            ledger: Ledger::default(),
            troubles: Troubles::default(),
            seed: plan.seed,
            begun: Instant::now(),
            score: Mutex::default(),
            over: watch::Sender::new(false),
            key,
        })
    }

    /// The configuration of this round; the first one has it all.
    pub(crate) fn round(&self, round: usize) -> Round {
        configuration(&self.engines, round, round % 5 != 3)
    }

    /// Where this version is served.
    pub(crate) fn place(&self, version: Version) -> Result<Place> {
        let port = match version {
            Version::Plain => self.daemon.plain(false)?.port(),
            Version::H1 | Version::H2 => self.daemon.tls,
            Version::H3 => self.daemon.quic.context("the daemon serves no HTTP/3")?,
        };
        let address = (Ipv4Addr::LOCALHOST, port).into();
        Ok(Place { version, address, ca: self.daemon.state("ca/ca.pem"), key: None })
    }

    pub(crate) fn key<'a>(&'a self, version: Version, key: &'a Key) -> Option<&'a str> {
        match key {
            Key::This(key) => Some(key),
            Key::First if version == Version::Plain => None,
            Key::First => Some(&self.key),
        }
    }

    pub(crate) fn score(&self) -> MutexGuard<'_, Score> {
        self.score.lock().expect("nobody panics while he holds it")
    }

    /// Since the run has begun.
    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(crate) fn note(&self, what: &'static str, text: impl Into<String>) {
        self.score().note(self.now(), what, text.into());
    }

    /// No more is asked for; what was begun is finished.
    pub(crate) fn set_over(&self, over: bool) {
        self.over.send_replace(over);
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Waits so long, or until it is over; whether it goes on.
    pub(crate) async fn goes_on_after(&self, rest: Duration) -> bool {
        let mut over = self.over.subscribe();
        tokio::time::timeout(rest, over.wait_for(|over| *over)).await.is_err()
    }

    /// Judges an answer, and counts it.
    pub(crate) fn settle(&self, draw: &Draw, over: &str, number: u64, came: &Came) {
        let suffered =
            draw.engine.map(|engine| self.troubles.of(engine, came.sent, came.ended)).unwrap_or_default();
        let verdict = judge(&draw.asked, came, &suffered);
        self.score().add(self.now(), draw, (over, number), came, verdict);
    }

    /// Asks over the admin's socket; the answer's JSON, where it is as it should be.
    pub(crate) async fn ask(&self, ask: AdminAsk<'_>) -> Option<Value> {
        let AdminAsk { kind, method, rest, route, order, asked } = ask;
        let number = self.ledger.send();
        let request = match order {
            Some(order) => Request::post(&admin::path(rest), order),
            None => Request::get(&admin::path(rest)),
        };
        let request = request.method(method).with("x-request-id", &format!("{PREFIX}{number}"));
        let sent = Instant::now();
        let answer = match self.daemon.admin() {
            Ok(socket) => unix(socket, &request).await,
            Err(error) => Err(error),
        };
        let (status, body, end) = match answer {
            Ok(answer) => (Some(answer.status), answer.body, whole(&answer.end)),
            Err(error) => (None, Vec::new(), End::Never(format!("{error:#}"))),
        };
        let way = Way { route, http: "HTTP/1.1" };
        self.ledger.end(number, way, status.map_or(Seen::Nothing, Seen::Status));
        let json = serde_json::from_slice(&body).ok();
        let came = Came { sent, ended: Instant::now(), status, body, end, resets: false };
        let (key, manner, engine) = (Key::First, Manner::Whole, None);
        let (path, body) = (admin::path(rest), Bytes::from(request.body));
        let draw = Draw { kind, method, path, route, body, key, asked, engine, manner };
        self.settle(&draw, "socket", number, &came);
        json.filter(|_| status == Some(200))
    }
}

/// A question or an order over the admin's socket.
pub(crate) struct AdminAsk<'a> {
    pub(crate) kind: Kind,
    pub(crate) method: &'static str,
    /// The path behind the prefix.
    pub(crate) rest: &'a str,
    pub(crate) route: &'static str,
    pub(crate) order: Option<&'a Value>,
    pub(crate) asked: Asked,
}

fn whole(end: &ghostllm_tests::client::End) -> End {
    match end {
        ghostllm_tests::client::End::Clean => End::Whole,
        ghostllm_tests::client::End::Broken(text) => End::Broken(text.clone()),
    }
}

fn configuration(engines: &[Engine; 3], round: usize, spare: bool) -> Round {
    let [steady, mortal, frail] = engines;
    let mut setup = Setup {
        // A Ctrl-C is for the soak alone, which has a summary to write.
        prefix: vec!["setsid".to_owned()],
        ..Setup::default()
    };
    setup = setup.with_backend(STEADY, "ollama", &steady.url(), TIMEOUTS);
    setup = setup.with_backend(MORTAL, "ollama", &mortal.url(), TIMEOUTS);
    setup = setup.with_backend(FRAIL, "openai", &frail.url(), TIMEOUTS);
    if spare {
        setup = setup.with_backend(SPARE, "ollama", &steady.url(), TIMEOUTS);
    }
    // Limits of requests and connections; those of backends would make each of them anew, what it has listed included.
    let limits = format!(
        "wrong_keys = 1000000\nstreams = {}\nbody = \"{}KiB\"\nheader_count = {}\nuri_bytes = \"{}KiB\"",
        50 + round % 50,
        64 + round % 64,
        60 + round % 40,
        4 + round % 4,
    );
    setup = setup.with_limits(&limits);
    setup.listen.push_str(&format!("names = [\"round-{}.internal\"]\n", round % 5));
    // Each request has its record either way.
    let log = ["level = \"info\"\nfilter = [\"ghostllm::pipeline::record=debug\"]", "level = \"debug\""];
    setup.config.push_str(&format!("\n[log]\n{}\n", log[round % 2]));
    let sound = round % 4 != 2;
    if !sound {
        setup.config.push_str(FAULTS[round / 4 % FAULTS.len()]);
    }
    Round { setup, sound, spare }
}
