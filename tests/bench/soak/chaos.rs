//! What is done to the daemon and to its engines meanwhile: deaths, hangs, reloads, keys, certificates, an admin's orders.
//!
//! Knows what it does. Refuses to know who asks meanwhile. Invariants: each trouble is announced before it begins (`troubles`); when
//! the load is over, every engine is back, and the configuration is the first one again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    daemon::Signal,
    kept::Version,
    soak::{
        ledger::PREFIX,
        troubles::{Begun, Trouble},
        verdict::Asked,
    },
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    chance::Chance,
    engine::Engine,
    exchange::Told,
    lane::Lane,
    mix::{Draw, Key, Kind, Manner, count},
    stage::{AdminAsk, SPARE, Stage},
};

/// Between two of each sort; the sorts do not wait for one another.
const DEATHS: Duration = Duration::from_secs(5);
const RELOADS: Duration = Duration::from_secs(4);
const KEYS: Duration = Duration::from_secs(3);
const RENEWALS: Duration = Duration::from_secs(15);
const QUESTIONS: Duration = Duration::from_millis(400);
/// A reload asks new backends for their lists, and waits for them.
const RELOADED: Duration = Duration::from_secs(20);

/// How reloads of unsound configurations are noted.
pub(crate) const REFUSED: &str = "reloads refused";

/// All of it, until the load is over.
pub(crate) async fn all(stage: &Arc<Stage>, notices: &watch::Receiver<u64>, round: u64) -> Result<()> {
    let chance = |nth| Chance::new(stage.seed, round << 32 | 0x1000 | nth);
    tokio::try_join!(
        deaths(stage, chance(1)),
        reloads(stage, notices.clone(), chance(2)),
        keys(stage, chance(3)),
        renewals(stage),
        questions(stage, chance(4)),
    )?;
    Ok(())
}

async fn deaths(stage: &Stage, mut chance: Chance) -> Result<()> {
    let [_, mortal, frail] = &stage.engines;
    for nth in 1_usize.. {
        if !stage.goes_on_after(DEATHS.mul_f64(chance.between(5, 15) as f64 / 10.0)).await {
            break;
        }
        match nth % 4 {
            1 => dies(stage, mortal, chance.millis(500, 3000)).await?,
            2 => dies(stage, frail, chance.millis(500, 3000)).await?,
            3 => hangs(stage, mortal, chance.millis(1000, 6000)).await?,
            _ => {
                let (one, other) = (chance.millis(500, 3000), chance.millis(500, 3000));
                tokio::try_join!(dies(stage, mortal, one), dies(stage, frail, other))?;
            }
        }
    }
    Ok(())
}

async fn dies(stage: &Stage, engine: &Engine, rest: Duration) -> Result<()> {
    let trouble = stage.troubles.announce(engine.name, Trouble::Dead, Instant::now());
    stage.note("engines killed", format!("{} killed", engine.name));
    engine.die().await?;
    stage.troubles.certain(trouble, Instant::now());
    stage.goes_on_after(rest).await;
    stage.troubles.ending(trouble, Instant::now());
    engine.come_back().await?;
    stage.troubles.over(trouble, Instant::now());
    stage.note("engines back", format!("{} back", engine.name));
    Ok(())
}

async fn hangs(stage: &Stage, engine: &Engine, rest: Duration) -> Result<()> {
    let trouble = stage.troubles.announce(engine.name, Trouble::Hung, Instant::now());
    stage.note("engines stopped", format!("{} stopped", engine.name));
    engine.hang().await?;
    stage.troubles.certain(trouble, Instant::now());
    stage.goes_on_after(rest).await;
    stage.troubles.ending(trouble, Instant::now());
    engine.go_on().await?;
    stage.troubles.over(trouble, Instant::now());
    stage.note("engines going on", format!("{} goes on", engine.name));
    Ok(())
}

async fn reloads(stage: &Stage, mut notices: watch::Receiver<u64>, mut chance: Chance) -> Result<()> {
    let mut absent = None;
    for nth in 1_usize.. {
        let goes_on = stage.goes_on_after(RELOADS.mul_f64(chance.between(5, 15) as f64 / 10.0)).await;
        // The last one puts everything back.
        let round = if goes_on { nth } else { 1 };
        reload(stage, &mut notices, round, &mut absent).await.with_context(|| format!("reload {nth}"))?;
        if !goes_on {
            break;
        }
    }
    Ok(())
}

/// Takes the configuration of this round, by an order, a signal, or the file alone.
async fn reload(
    stage: &Stage,
    notices: &mut watch::Receiver<u64>,
    nth: usize,
    absent: &mut Option<Begun>,
) -> Result<()> {
    let round = stage.round(nth);
    // A refused one takes nothing away.
    let (leaves, comes) = match (round.sound, round.spare) {
        (true, false) => (absent.is_none(), None),
        (true, true) => (false, absent.take()),
        (false, _) => (false, None),
    };
    if leaves {
        *absent = Some(stage.troubles.announce(SPARE, Trouble::Absent, Instant::now()));
    }
    if let Some(back) = comes {
        stage.troubles.ending(back, Instant::now());
    }
    let how = ["by an order", "by a signal", "by the file"][nth % 3];
    let what = if round.sound { "reloads" } else { REFUSED };
    stage.note(what, format!("reload {nth} {how}, sound: {}", round.sound));
    let before = *notices.borrow();
    stage.daemon.configure(&round.setup)?;
    if nth.is_multiple_of(3) {
        let (method, rest, route) = ("POST", "reload", "/admin/api/v1/reload");
        let asked = if round.sound { Asked::Says("\"taken\":true") } else { Asked::Refused(409, "conflict") };
        stage.ask(AdminAsk { kind: Kind::Reload, method, rest, route, order: None, asked }).await;
    } else {
        if nth % 3 == 1 {
            stage.daemon.signal(Signal::SIGHUP)?;
        }
        let reloaded = notices.wait_for(|reloads| *reloads > before);
        tokio::time::timeout(RELOADED, reloaded).await.context("it was not read")??;
        let (kind, method, rest, route) = (Kind::Reload, "GET", "config", "/admin/api/v1/config");
        let asked = Asked::Says("{");
        let config = stage.ask(AdminAsk { kind, method, rest, route, order: None, asked }).await;
        let refused = config.is_some_and(|config| config["refused"].is_string());
        ensure!(refused != round.sound, "it is sound: {}, and refused: {refused}", round.sound);
    }
    if let Some(gone) = absent.filter(|_| leaves) {
        stage.troubles.certain(gone, Instant::now());
    }
    if let Some(back) = comes {
        stage.troubles.over(back, Instant::now());
    }
    Ok(())
}

/// A key is made and used, rotated and used, and revoked while its stream is read.
async fn keys(stage: &Arc<Stage>, mut chance: Chance) -> Result<()> {
    let mut lanes = Vec::new();
    for (nth, version) in [Version::H1, Version::H2, Version::H3].into_iter().enumerate() {
        lanes.push(Lane::new(stage, version, Chance::new(stage.seed, 0x2000 + nth as u64))?);
    }
    for nth in 0_usize.. {
        if !stage.goes_on_after(KEYS.mul_f64(chance.between(5, 15) as f64 / 10.0)).await {
            break;
        }
        let lane = &mut lanes[nth % 3];
        if chance.once_in(3) {
            cancelled(stage, lane).await;
        } else {
            one_key(stage, lane, nth).await;
        }
    }
    Ok(())
}

fn keyed(key: &str, asked: Asked) -> Draw {
    let (to, stream) = if let Asked::Count { to, stream } = asked { (to, stream) } else { (200, true) };
    Draw { key: Key::This(key.to_owned()), asked, ..count(Kind::Keys, "paced", to, stream) }
}

async fn one_key(stage: &Stage, lane: &mut Lane, nth: usize) {
    let order = async |method, rest: &str, route, order: Option<Value>| {
        let asked = Asked::Says("{");
        let order = order.as_ref();
        stage.ask(AdminAsk { kind: Kind::Keys, method, rest, route, order, asked }).await
    };
    let text = |answer: &Value, field: &str| answer[field].as_str().unwrap_or_default().to_owned();
    let make = json!({"name": format!("soak {nth}"), "role": "user"});
    // What has failed is in the score.
    let Some(made) = order("POST", "keys", "/admin/api/v1/keys", Some(make)).await else { return };
    stage.note("keys made, rotated, revoked", "a key");
    let (id, key) = (text(&made, "id"), text(&made, "key"));
    lane.ask(&[keyed(&key, Asked::Count { to: 5, stream: false })]).await;
    let overlap = json!({"overlap_s": 60});
    let route = "/admin/api/v1/keys/{id}/rotate";
    let Some(next) = order("POST", &format!("keys/{id}/rotate"), route, Some(overlap)).await else { return };
    let (next_id, next_key) = (text(&next, "id"), text(&next, "key"));
    let used = Asked::Count { to: 5, stream: true };
    lane.ask(&[keyed(&next_key, used.clone())]).await;
    lane.ask(&[keyed(&key, used)]).await;
    let told = Arc::new(Told::default());
    let ends = Asked::Fails { to: 200, stream: true, status: 401, code: "invalid_api_key" };
    let stream = [Draw { manner: Manner::Tells(Arc::clone(&told)), ..keyed(&next_key, ends) }];
    let route = "/admin/api/v1/keys/{id}";
    let revoked = async {
        told.first().await;
        order("DELETE", &format!("keys/{next_id}"), route, None).await;
    };
    // A stream that never begins is in the score, and its key is nobody's any more.
    tokio::select! {
        ((), ()) = async { tokio::join!(lane.ask(&stream), revoked) } => {}
        () = tokio::time::sleep(RELOADED * 3) => {}
    }
    order("DELETE", &format!("keys/{id}"), route, None).await;
    for gone in [&key, &next_key] {
        lane.ask(&[keyed(gone, Asked::Refused(401, "invalid_api_key"))]).await;
    }
}

/// An admin ends a stream by its id.
async fn cancelled(stage: &Stage, lane: &mut Lane) {
    let told = Arc::new(Told::default());
    let asked = Asked::Fails { to: 200, stream: true, status: 403, code: "request_cancelled" };
    let manner = Manner::Tells(Arc::clone(&told));
    let stream = [Draw { asked, manner, ..count(Kind::Cancelled, "paced", 200, true) }];
    let cancel = async {
        let rest = format!("requests/{PREFIX}{}", told.first().await);
        let (kind, method, route) = (Kind::Cancelled, "DELETE", "/admin/api/v1/requests/{id}");
        stage.ask(AdminAsk { kind, method, rest: &rest, route, order: None, asked: Asked::Says("{") }).await;
    };
    stage.note("chats ended by an admin", "a chat ended by an admin");
    tokio::select! {
        ((), ()) = async { tokio::join!(lane.ask(&stream), cancel) } => {}
        () = tokio::time::sleep(RELOADED * 3) => {}
    }
}

async fn renewals(stage: &Stage) -> Result<()> {
    while stage.goes_on_after(RENEWALS).await {
        stage.note("certificates renewed", "a certificate renewed");
        let (kind, method, rest) = (Kind::Admin, "POST", "certificates/renew");
        let (route, asked) = ("/admin/api/v1/certificates/renew", Asked::Says("authority"));
        stage.ask(AdminAsk { kind, method, rest, route, order: None, asked }).await;
    }
    Ok(())
}

/// What an admin's page would ask again and again.
async fn questions(stage: &Stage, mut chance: Chance) -> Result<()> {
    let some = [
        ("status", "/admin/api/v1/status"),
        ("tasks", "/admin/api/v1/tasks"),
        ("requests", "/admin/api/v1/requests"),
        ("backends", "/admin/api/v1/backends"),
        ("keys", "/admin/api/v1/keys"),
        ("config", "/admin/api/v1/config"),
        ("audit", "/admin/api/v1/audit"),
        ("models", "/admin/api/v1/models"),
    ];
    while stage.goes_on_after(QUESTIONS).await {
        let (rest, route) = chance.of(&some).unwrap_or(some[0]);
        let (kind, method, asked) = (Kind::Admin, "GET", Asked::Says("{"));
        stage.ask(AdminAsk { kind, method, rest, route, order: None, asked }).await;
    }
    Ok(())
}
