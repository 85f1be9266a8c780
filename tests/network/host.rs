//! The hosts that it starts on, a row each: what is served there and what is said of the rest, that the certificate fits, and how soon it
//! is ready.
//!
//! What comes or goes while it runs is in `changes`, `coming` and `clocks`.

use std::{
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use ghostllm_tests::{
    admin, binary,
    client::{Caller, Request, VERSIONS, plain},
    daemon::{Daemon, Setup},
    netns::Namespace,
    other_clock::OtherClock,
    root,
};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::process::Command;

use crate::address;

/// How soon it is ready, from its start on.
const READY: Duration = Duration::from_secs(2);
/// A machine that does much else is asked so often.
const TRIES: usize = 3;

/// The box's addresses on the cable, and its neighbour's.
const BOTH: &[&str] = &["fd00:1::1/64", "192.168.7.1/24"];
const NEIGHBOUR: &[&str] = &["fd00:1::2/64", "192.168.7.2/24"];

/// What a box shows of the time.
#[derive(Clone, Copy)]
enum Clock {
    Right,
    /// 1970: it has no battery, and has heard of no other clock yet.
    Lost,
    YearAhead,
}

/// A host, and what is to be seen on it.
struct Row {
    name: &'static str,
    /// Whether loopback is up.
    loopback: bool,
    /// Its addresses beside loopback's.
    has: &'static [&'static str],
    /// What else is done to it: `ip …` or `sysctl NAME VALUE`.
    host: &'static [&'static str],
    /// Whether its kernel knows AF_INET6.
    family: bool,
    /// Where its only engine would be.
    engine: &'static str,
    clock: Clock,
    /// Where it serves, for the box itself and for its neighbour.
    own: &'static [&'static str],
    near: &'static [&'static str],
    /// All that it warns of, each once; nothing else.
    warns: &'static [&'static str],
    /// How the listeners that are told not to serve begin.
    missing: &'static [&'static str],
    /// The other causes that the status names.
    causes: &'static [&'static str],
    /// What `ghostctl doctor` says of it.
    doctor: &'static [(&'static str, &'static str)],
}

const ORDINARY: Row = Row {
    name: "both families",
    loopback: true,
    has: BOTH,
    host: &[],
    family: true,
    engine: "http://127.0.0.1:1",
    clock: Clock::Right,
    own: &["127.0.0.1", "::1"],
    near: &["fd00:1::1", "192.168.7.1"],
    warns: &[],
    missing: &[],
    causes: &[],
    doctor: &[("clock", "ok"), ("ipv6", "ok"), ("listeners", "ok")],
};

/// The network says so only after three seconds.
const ENGINE_OFF: Row =
    Row { name: "both families, and its engine's box is off", engine: "http://192.168.7.9:1", ..ORDINARY };

/// No loopback of IPv4 either, so that a plain port is away.
const IPV6_ONLY: Row = Row {
    name: "IPv6 only",
    has: &["fd00:1::1/64"],
    host: &["ip address del 127.0.0.1/8 dev lo"],
    own: &["::1"],
    near: &["fd00:1::1"],
    warns: &["no interface has 127.0.0.1 yet, or no more. It is served by itself once one has it"],
    missing: &["plain HTTP at 127.0.0.1:"],
    doctor: &[("listeners", "warning")],
    ..ORDINARY
};

const IPV4_ONLY: Row = Row {
    name: "IPv4 only",
    has: &["192.168.7.1/24"],
    host: &["sysctl net.ipv6.conf.eth0.disable_ipv6 1"],
    near: &["192.168.7.1"],
    ..ORDINARY
};

const NO_NETWORK: Row =
    Row { name: "no network yet", has: &[], host: &["ip link set eth0 down"], near: &[], ..ORDINARY };

const NO_LOOPBACK: Row = Row {
    name: "no network, not even loopback",
    loopback: false,
    own: &[],
    warns: &["no interface has 127.0.0.1 yet", "no interface has ::1 yet"],
    missing: &["plain HTTP at 127.0.0.1:", "plain HTTP at [::1]:"],
    doctor: &[],
    ..NO_NETWORK
};

const BINDV6ONLY: Row = Row { name: "bindv6only=1", host: &["sysctl net.ipv6.bindv6only 1"], ..ORDINARY };

const DISABLED: Row = Row {
    name: "disable_ipv6=1",
    has: &["192.168.7.1/24"],
    host: &["sysctl net.ipv6.conf.all.disable_ipv6 1", "sysctl net.ipv6.conf.default.disable_ipv6 1"],
    own: &["127.0.0.1"],
    near: &["192.168.7.1"],
    warns: &["IPv4 alone is served. To have it: sysctl net.ipv6.conf.all.disable_ipv6=0"],
    missing: &["IPv6 is not served now"],
    doctor: &[("ipv6", "note"), ("listeners", "warning")],
    ..ORDINARY
};

const DISABLED_ON_LOOPBACK: Row = Row {
    name: "disable_ipv6=1 on loopback alone",
    host: &["sysctl net.ipv6.conf.lo.disable_ipv6 1"],
    own: &["127.0.0.1"],
    warns: &["no interface has ::1 yet, or no more. It is served by itself once one has it"],
    missing: &["plain HTTP at [::1]:"],
    doctor: &[],
    ..ORDINARY
};

const NO_FAMILY: Row = Row {
    name: "no AF_INET6",
    family: false,
    own: &["127.0.0.1"],
    near: &["192.168.7.1"],
    warns: &["which its kernel lacks", "TCP [::1]:0 cannot be bound"],
    missing: &["IPv6 is not served", "plain HTTP at [::1]:"],
    doctor: &[("listeners", "warning")],
    ..ORDINARY
};

const LOST: Row = Row {
    name: "a clock in 1970",
    clock: Clock::Lost,
    warns: &[
        "the clock shows 1970-01-02, which cannot be right",
        "the clock shows less than the state knows it to be",
    ],
    causes: &["certificate", "clock_lost"],
    doctor: &[("clock", "error")],
    ..ORDINARY
};

const AHEAD: Row = Row { name: "a clock a year ahead", clock: Clock::YearAhead, doctor: &[], ..ORDINARY };

// What comes together where a box boots: each half is told as it is alone.
const NO_NETWORK_IN_1970: Row =
    Row { name: "no network, in 1970", has: NO_NETWORK.has, host: NO_NETWORK.host, near: &[], ..LOST };

const IPV4_ONLY_AHEAD: Row =
    Row { name: "IPv4 only, a year ahead", clock: Clock::YearAhead, doctor: &[], ..IPV4_ONLY };

const NO_FAMILY_IN_1970: Row = Row {
    name: "no AF_INET6, in 1970",
    clock: Clock::Lost,
    warns: &[
        "which its kernel lacks",
        "TCP [::1]:0 cannot be bound",
        "the clock shows 1970-01-02, which cannot be right",
        "the clock shows less than the state knows it to be",
    ],
    causes: LOST.causes,
    ..NO_FAMILY
};

/// It starts there, serves what it can and says the rest.
macro_rules! on {
    ($($test:ident: $row:expr,)*) => {
        $(
            #[tokio::test]
            async fn $test() -> Result<()> {
                let row = $row;
                let ready = row.check().await.with_context(|| row.name)?;
                println!("{:>6} ms until it is ready: {}", ready.as_millis(), row.name);
                Ok(())
            }
        )*
    };
}

on! {
    it_starts_with_both_families: ORDINARY,
    it_starts_where_its_engine_s_box_is_off: ENGINE_OFF,
    it_starts_with_ipv6_only: IPV6_ONLY,
    it_starts_with_ipv4_only: IPV4_ONLY,
    it_starts_without_a_network: NO_NETWORK,
    it_starts_without_loopback: NO_LOOPBACK,
    it_starts_with_bindv6only: BINDV6ONLY,
    it_starts_where_ipv6_is_disabled: DISABLED,
    it_starts_where_ipv6_is_disabled_on_loopback: DISABLED_ON_LOOPBACK,
    it_starts_without_the_family_of_ipv6: NO_FAMILY,
    it_starts_in_1970: LOST,
    it_starts_a_year_ahead: AHEAD,
    it_starts_without_a_network_in_1970: NO_NETWORK_IN_1970,
    it_starts_with_ipv4_only_a_year_ahead: IPV4_ONLY_AHEAD,
    it_starts_without_the_family_in_1970: NO_FAMILY_IN_1970,
}

impl Row {
    /// Starts it there and looks at all of it; how long the start took.
    async fn check(&self) -> Result<Duration> {
        let clock = self.clock()?;
        let mut setup = Setup::backend("ollama", self.engine);
        setup.environment = clock.as_ref().map(OtherClock::environment).unwrap_or_default();
        if !self.family {
            setup.prefix = vec![
                "python3".to_owned(),
                root().join("tests/support/without-ipv6.py").display().to_string(),
            ];
        }
        let mut took = Vec::new();
        for _ in 0..TRIES {
            let (own, peer) = self.host()?;
            let begun = Instant::now();
            let daemon = own.run(Daemon::start(&setup)).await?;
            took.push(begun.elapsed());
            let looked = self.look(&own, &peer, &daemon, &setup).await;
            looked.with_context(|| format!("it wrote:\n{}", daemon.stderr()))?;
            daemon.stop().await?;
            if let Some(ready) = took.last().filter(|took| **took <= READY) {
                return Ok(*ready);
            }
        }
        bail!("ready after {took:?}, each time later than {READY:?}")
    }

    fn clock(&self) -> Result<Option<OtherClock>> {
        let clock = match self.clock {
            Clock::Right => return Ok(None),
            Clock::Lost | Clock::YearAhead => OtherClock::new()?,
        };
        match self.clock {
            Clock::Lost => clock.shows(OffsetDateTime::UNIX_EPOCH + time::Duration::days(1))?,
            _ => clock.is_ahead(time::Duration::days(365))?,
        }
        Ok(Some(clock))
    }

    /// The host, and its neighbour.
    fn host(&self) -> Result<(Namespace, Namespace)> {
        let (own, peer) = (Namespace::without_loopback()?, Namespace::new()?);
        if self.loopback {
            own.ip("link set lo up")?;
        }
        own.cable(("eth0", self.has), &peer, ("eth0", NEIGHBOUR))?;
        for step in self.host {
            let words: Vec<_> = step.split_whitespace().collect();
            match words[..] {
                ["sysctl", name, value] => own.sysctl(name, value)?,
                ["ip", ..] => own.ip(&words[1..].join(" "))?,
                _ => bail!("what is {step:?}?"),
            }
        }
        Ok((own, peer))
    }

    async fn look(&self, own: &Namespace, peer: &Namespace, daemon: &Daemon, setup: &Setup) -> Result<()> {
        let process = daemon.id()?;
        for (from, places) in [(own, self.own), (peer, self.near)] {
            for at in places {
                check_named(from, daemon, at).await?;
            }
        }
        for at in self.own {
            let at = daemon.plain(at.contains(':'))?;
            let answer = own.run(plain(at, &Request::get("/healthz"))).await?;
            ensure!(answer.status == 200, "plain at {at}: {} {}", answer.status, answer.text());
        }
        self.check_certificate(daemon).await?;
        self.check_warnings(daemon)?;
        self.check_causes(&admin::read(daemon, "status").await?)?;
        let report = doctor(own, daemon, setup).await?;
        for (id, result) in self.doctor {
            ensure!(worst(&report, id) == *result, "the doctor of {id}, instead of {result}: {report:#}");
        }
        ensure!(daemon.id()? == process, "it was started anew");
        Ok(())
    }

    /// It is for what the box has, and for nothing else that any row has.
    async fn check_certificate(&self, daemon: &Daemon) -> Result<()> {
        let shown = admin::read(daemon, "certificates").await?;
        let names = shown["server"]["names"].as_array().context("names")?;
        for address in BOTH.iter().map(|address| address.split('/').next().unwrap_or_default()) {
            let has = self.has.iter().any(|own| own.starts_with(&format!("{address}/")));
            ensure!(names.iter().any(|name| name == address) == has, "{address} in {names:?}");
        }
        Ok(())
    }

    fn check_warnings(&self, daemon: &Daemon) -> Result<()> {
        let said = daemon.stderr();
        let mut warned = Vec::new();
        for line in said.lines() {
            let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            let message = line["message"].as_str().unwrap_or_default().to_owned();
            ensure!(line["level"] != "ERROR", "{message}");
            // Every row's, whose backend is none.
            let of_backend =
                message.starts_with("no model can answer yet") || message.starts_with("ollama at ");
            if line["level"] == "WARN" && !of_backend {
                warned.push(message);
            }
        }
        for words in self.warns {
            let times = warned.iter().filter(|message| message.contains(words)).count();
            ensure!(times == 1, "{words:?} is said {times} times in {warned:#?}");
        }
        ensure!(warned.len() == self.warns.len(), "{warned:#?}");
        Ok(())
    }

    fn check_causes(&self, status: &Value) -> Result<()> {
        let (mut missing, mut causes) = (self.missing.to_vec(), self.causes.to_vec());
        for cause in status["causes"].as_array().context("causes")? {
            let (code, what) = (&cause["code"], cause["what"].as_str().unwrap_or_default());
            ensure!(cause["next"].as_str().is_some_and(|next| next.len() > 5), "{cause}");
            match code.as_str().unwrap_or_default() {
                // Every row's.
                "no_model" | "backend_down" | "first_key_waits" => {}
                "listener_missing" => missing.retain(|begins| !what.starts_with(begins)),
                code => {
                    let place = causes.iter().position(|wanted| *wanted == code);
                    causes.remove(place.with_context(|| format!("nothing is amiss so: {cause}"))?);
                }
            }
        }
        ensure!(missing.is_empty() && causes.is_empty(), "not told: {missing:?} {causes:?}: {status:#}");
        let told = status["causes"].as_array().into_iter().flatten();
        let told = told.filter(|cause| cause["code"] == "listener_missing").count();
        ensure!(told == self.missing.len(), "{status:#}");
        // The listener itself says so as well.
        for listener in status["listeners"].as_array().context("listeners")? {
            let at = listener["address"].as_str().unwrap_or_default();
            let away = listener["kind"] == "plain" && !self.own.iter().any(|own| at.contains(own));
            ensure!(listener["serves"] == !away, "{listener}");
        }
        Ok(())
    }
}

/// GETs /healthz by the very address, for which the certificate must be, on every HTTP version.
pub(crate) async fn check_named(from: &Namespace, daemon: &Daemon, at: &str) -> Result<()> {
    let authority = if at.contains(':') { format!("[{at}]") } else { at.to_owned() };
    for version in VERSIONS {
        let caller = Caller::at(daemon, version, address(at))?.expecting(at);
        let asked = from.run(caller.send(&Request::get("/healthz").authority(&authority))).await;
        let answer = asked.with_context(|| format!("{version:?} at {at}"))?;
        ensure!(answer.status == 200, "{version:?} at {at}: {} {}", answer.status, answer.text());
    }
    Ok(())
}

/// `ghostctl doctor` there, by the daemon's own clock.
async fn doctor(own: &Namespace, daemon: &Daemon, setup: &Setup) -> Result<Value> {
    let mut command = Command::new(binary("ghostctl"));
    command.env_clear().envs(setup.environment.iter().cloned()).args(["doctor", "--json", "--socket"]);
    command.arg(daemon.admin()?).arg("--state-dir").arg(daemon.state("")).current_dir(Path::new("/"));
    let ran: Output = own.run(async move { command.output().await }).await?;
    serde_json::from_slice(&ran.stdout).with_context(|| format!("{ran:?}"))
}

/// The worst that is said under this name.
fn worst(report: &Value, id: &str) -> String {
    let results = report["checks"].as_array().into_iter().flatten().filter(|check| check["id"] == id);
    let results: Vec<_> = results.filter_map(|check| check["result"].as_str()).collect();
    let order = ["error", "warning", "note", "ok"];
    let found = order.iter().find(|result| results.contains(result));
    found.map_or_else(|| format!("nothing of {results:?}"), ToString::to_string)
}
