//! Clocks that are set while the daemon runs: by NTP, soon after a start in 1970 or a year ahead; and those that are lost again.
//!
//! Whoever asks has a clock that is right, and trusts the CA of the first start.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin, causes,
    client::{Caller, Family, Request, VERSIONS, Version},
    daemon::{Daemon, Setup},
    netns::Namespace,
    other_clock::OtherClock,
};
use serde_json::json;
use tempfile::TempDir;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{bare, streams::Engines};

/// How long a change may go unheard.
const HEARD: Duration = Duration::from_secs(10);
/// What a certificate that was made by a right clock lasts.
const LIFE: time::Duration = time::Duration::days(90);

const HOUR: time::Duration = time::Duration::hours(1);
const YEAR: time::Duration = time::Duration::days(365);

/// So far behind that 1970 is shown.
fn lost() -> time::Duration {
    OffsetDateTime::UNIX_EPOCH + time::Duration::days(1) - OffsetDateTime::now_utc()
}

/// A box whose state outlives the daemon, and whose clock is set at will.
struct Place {
    own: Namespace,
    clock: OtherClock,
    scratch: TempDir,
    setup: Setup,
}

impl Place {
    fn new(setup: Setup) -> Result<Self> {
        let (own, clock, scratch) = (Namespace::new()?, OtherClock::new()?, tempfile::tempdir()?);
        let state = scratch.path().canonicalize()?.join("state").display().to_string();
        let arguments = vec!["--state-dir".to_owned(), state];
        let setup = Setup { arguments, state: false, environment: clock.environment(), ..setup };
        Ok(Self { own, clock, scratch, setup })
    }

    async fn start(&self) -> Result<Daemon> {
        self.own.run(Daemon::start(&self.setup)).await
    }

    fn state(&self, name: &str) -> PathBuf {
        self.scratch.path().join("state").join(name)
    }

    /// Asks on every version, with a right clock and the CA of this file.
    async fn check_served(&self, daemon: &Daemon, ca: &[u8], key: &str) -> Result<()> {
        for version in VERSIONS {
            let answer = self.ask(daemon, version, ca, key).await?;
            ensure!(answer == 200, "{version:?}: {answer}\n{}", daemon.stderr());
        }
        Ok(())
    }

    async fn ask(&self, daemon: &Daemon, version: Version, ca: &[u8], key: &str) -> Result<u16> {
        let asked = async {
            let caller = Caller::keyless(daemon, version, Family::V4).await?;
            caller.trusting(ca).with_key(Some(key)).send(&Request::get("/v1/models")).await
        };
        let answer = self.own.run(asked).await;
        Ok(answer.with_context(|| format!("{version:?}; it wrote:\n{}", daemon.stderr()))?.status)
    }
}

async fn ends(daemon: &Daemon) -> Result<OffsetDateTime> {
    let shown = admin::read(daemon, "certificates").await?;
    Ok(OffsetDateTime::parse(shown["server"]["expires"].as_str().context("expires")?, &Rfc3339)?)
}

/// Waits until the certificate lasts so long from now on, as told by a right clock; how long that took.
async fn until_lasts(daemon: &Daemon, wanted: time::Duration) -> Result<Duration> {
    let begun = Instant::now();
    loop {
        let lasts = ends(daemon).await? - OffsetDateTime::now_utc();
        if (lasts - wanted).abs() < HOUR {
            return Ok(begun.elapsed());
        }
        ensure!(begun.elapsed() < HEARD, "it lasts {lasts}, not {wanted}:\n{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn one_that_was_lost_is_set_right_and_the_certificate_is_made_anew() -> Result<()> {
    let place = Place::new(bare().with_limits("host_interval = \"500ms\""))?;
    place.clock.is_ahead(lost())?;
    let daemon = place.start().await?;
    let (ca, key) = (std::fs::read(place.state("ca/ca.pem"))?, first_key(&place, &daemon)?);
    ensure!(
        ends(&daemon).await? - OffsetDateTime::now_utc() > YEAR,
        "it ends soon: {}",
        ends(&daemon).await?
    );
    place.check_served(&daemon, &ca, &key).await?;
    // A key that is made now has its whole time from what is known; it is no reason to refuse one without an end.
    admin::make(&daemon, &json!({"name": "short", "expires_in_s": 3600})).await?;
    for _ in 0..2 {
        let status = admin::read(&daemon, "status").await?;
        ensure!(
            causes::codes(&status).contains(&"certificate") && causes::codes(&status).contains(&"clock_lost"),
            "{status}"
        );
        place.clock.is_ahead(time::Duration::ZERO)?;
        println!("made anew {:?} after the clock was set right", until_lasts(&daemon, LIFE).await?);
        let status = admin::read(&daemon, "status").await?;
        ensure!(!causes::codes(&status).contains(&"certificate"), "{status}");
        ensure!(!causes::codes(&status).contains(&"clock_lost"), "{status}");
        place.check_served(&daemon, &ca, &key).await?;
        // Nor does one that is lost again make it end.
        place.clock.is_ahead(lost())?;
        let begun = Instant::now();
        while ends(&daemon).await? - OffsetDateTime::now_utc() < YEAR {
            ensure!(begun.elapsed() < HEARD, "it is still the short one:\n{}", daemon.stderr());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        place.check_served(&daemon, &ca, &key).await?;
    }
    ensure!(daemon.stderr().contains("made while the clock was wrong"), "{}", daemon.stderr());
    daemon.stop().await
}

#[tokio::test]
async fn one_that_ran_a_year_ahead_is_set_right_and_the_certificate_is_made_anew() -> Result<()> {
    let place = Place::new(bare())?;
    place.clock.is_ahead(YEAR)?;
    let daemon = place.start().await?;
    let (ca, key) = (std::fs::read(place.state("ca/ca.pem"))?, first_key(&place, &daemon)?);
    until_lasts(&daemon, YEAR + LIFE).await?;
    place.check_served(&daemon, &ca, &key).await?;
    place.clock.is_ahead(time::Duration::ZERO)?;
    println!("made anew {:?} after the clock was set right", until_lasts(&daemon, LIFE).await?);
    place.check_served(&daemon, &ca, &key).await?;
    // That keys go by the year that the state has seen is told, and what to do about it.
    let status = admin::read(&daemon, "status").await?;
    let cause = causes::find(&status, "clock_lost").context("it is not told")?;
    let next = cause["next"].as_str().unwrap_or_default();
    ensure!(
        next.contains("timedatectl") && next.contains("ran ahead") && next.contains("ghostctl keys"),
        "{next}"
    );
    let made = admin::make(&daemon, &json!({"name": "new", "expires_in_s": 3600})).await?;
    ensure!(place.ask(&daemon, Version::H2, &ca, &made.key).await? == 200, "a new key has its whole time");
    daemon.stop().await
}

#[tokio::test]
async fn the_state_of_a_right_clock_serves_by_every_other() -> Result<()> {
    let place = Place::new(bare())?;
    let daemon = place.start().await?;
    let (ca, key) = (std::fs::read(place.state("ca/ca.pem"))?, first_key(&place, &daemon)?);
    place.check_served(&daemon, &ca, &key).await?;
    daemon.stop().await?;
    // The last is beyond the CA's own ten years: no certificate can be made, and the old one goes on.
    for ahead in [lost(), YEAR, lost(), time::Duration::ZERO, YEAR * 20, time::Duration::ZERO] {
        place.clock.is_ahead(ahead)?;
        let daemon = place.start().await?;
        daemon.secret(&key);
        place.check_served(&daemon, &ca, &key).await.with_context(|| format!("{ahead} ahead"))?;
        ensure!(std::fs::read(place.state("ca/ca.pem"))? == ca, "{ahead} ahead: there is a new CA");
        daemon.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn streams_live_through_each_of_them() -> Result<()> {
    let (own, clock) = (Namespace::new()?, OtherClock::new()?);
    let (engines, mut setup) = Engines::start(&own).await;
    setup.environment = clock.environment();
    clock.is_ahead(lost())?;
    let daemon = own.run(Daemon::start(&setup)).await?;
    let streams = engines.open(&own, &daemon, "127.0.0.1").await?;
    for ahead in [time::Duration::ZERO, YEAR, lost(), time::Duration::ZERO] {
        clock.is_ahead(ahead)?;
        // Whatever goes by the clock, looks at it within a second.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    engines.check_whole(streams, &daemon).await?;
    daemon.stop().await
}

/// The first key, from a state that is the test's own.
fn first_key(place: &Place, daemon: &Daemon) -> Result<String> {
    let key = std::fs::read_to_string(place.state("first-key"))?.trim().to_owned();
    daemon.secret(&key);
    Ok(key)
}
