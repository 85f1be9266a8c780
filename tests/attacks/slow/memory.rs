//! More readers who take nothing than a box of 128 MiB has room for, in a control group of that size: the kernel kills nobody, chats
//! beyond are refused with a word, and it is over when they leave.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use ghostllm_tests::{
    admin,
    cgroup::Group,
    client::{Answer, Dialled, Request, VERSIONS, Version, unix},
    daemon::Setup,
    process,
    sheet::Sheet,
};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    time::{sleep, timeout},
};

use super::readers::{Held, OF_A_CONNECTION, h1_asks, h2_asks, h3_dial, h3_reader};
use crate::support::{
    Place,
    h2::{self, SETTINGS},
    mib,
    torrent::{self, Torrent},
};

/// F-24 of the research on security.
const LIMIT: u64 = 128 << 20;
/// Readers come so many at a time, as many as F-04 has, until there is no room for one more: how many find room is each version's
/// own affair.
const WAVE: usize = 200;
/// If it has not come to that by then, nothing was shown.
const MOST: usize = 8000;
/// What ends a chat whose client takes nothing, answers no ping or keeps its window shut is out of the way for as long as this takes: an
/// answer that ends before its reader leaves was ended for want of memory.
const LIMITS: &str = "host_interval = \"1s\"\nwrite_idle = \"1h\"\ntcp_vanished = \"1h\"\nh2_ping = \"1h\"";
/// Twice what lies between two looks at the memory.
const MEASURED: Duration = Duration::from_millis(200);
/// By then all chats hold what they will, once their engine speaks.
const GROWN: Duration = Duration::from_secs(5);
/// A connection that is accepted no more is not waited for.
const ACCEPTED: Duration = Duration::from_secs(2);
/// An admin is answered within this at any time.
const ANSWERED: Duration = Duration::from_secs(1);
/// Once there is room, an honest caller has an answer within this.
const HEARD: Duration = Duration::from_secs(15);
/// By then the daemon has given up those of HTTP/3 whose goodbye was lost, as datagrams are (`limits.quic_idle`, 30 s), half as long again.
const GONE: Duration = Duration::from_secs(45);

/// What the daemon holds now, in bytes.
fn resident(place: &Place) -> Result<u64> {
    process::resident(place.daemon.id()?)
}

async fn shed(place: &Place) -> Result<f64> {
    let request = Request::get("/metrics");
    let asked = unix(place.daemon.admin()?, &request);
    let sheet = Sheet::read(&timeout(ANSWERED, asked).await.context("no metrics within a second")??.text())?;
    Ok(sheet.sum("ghostllm_shed_total", &[("why", "memory")]))
}

/// How soon an admin is answered.
async fn asked(place: &Place) -> Result<Duration> {
    let asked = Instant::now();
    shed(place).await?;
    Ok(asked.elapsed())
}

/// Waits until an honest caller has a whole answer, who tries again where there is none.
async fn answered(place: &Place, version: Version) -> Result<()> {
    let begun = Instant::now();
    loop {
        let caller = place.caller(version).await?;
        let answer = timeout(ACCEPTED, caller.send(&Request::chat("tiny", "Hello", true))).await;
        if let Ok(Ok(answer)) = &answer
            && answer.status == 200
            && answer.text().contains("[DONE]")
        {
            return Ok(());
        }
        let status = admin::read(&place.daemon, "status").await?;
        ensure!(begun.elapsed() < HEARD, "{version:?}: {answer:?}; {status}\n{}", place.daemon.stderr());
        sleep(Duration::from_millis(100)).await;
    }
}

fn is_refused(answer: &Answer) -> bool {
    let code = answer.json().is_ok_and(|body| body["error"]["code"] == "overloaded");
    answer.status == 503 && code && answer.header("retry-after") == Some("5")
}

/// How soon an honest caller hears that there is no room, where there is none.
async fn turned_away(place: &Place, version: Version) -> Result<Option<Duration>> {
    let caller = place.caller(version).await?;
    let begun = Instant::now();
    let answer = timeout(ACCEPTED, caller.send(&Request::chat("tiny", "Hello", true))).await;
    let refused = answer.is_ok_and(|answer| answer.is_ok_and(|answer| is_refused(&answer)));
    Ok(refused.then(|| begun.elapsed()))
}

/// When the engine speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    /// To each as it comes.
    AtOnce,
    /// To all of them, once there is no room for more.
    Late,
    /// To each as it comes, who takes what comes, and then, once there is no room for more, nothing any longer.
    ToReaders,
}

impl Speaks {
    async fn torrent(self) -> Result<Torrent> {
        Ok(match self {
            Self::AtOnce | Self::ToReaders => Torrent::start().await?,
            Self::Late => Torrent::silent().await?,
        })
    }
}

/// Those who are in come to hold all that they may: nobody is killed, and an admin is answered meanwhile; how soon at the most.
async fn grown(what: &str, place: &Place, group: &Group, torrent: &Torrent, held: &Held) -> Result<Duration> {
    let waiting = torrent.begun();
    ensure!(waiting >= WAVE, "{what}: only {waiting} chats were let in");
    // One of the two is news.
    torrent.speak();
    held.sated.send_replace(true);
    let (spoken, mut slowest) = (Instant::now(), Duration::ZERO);
    while spoken.elapsed() < GROWN {
        slowest = slowest.max(asked(place).await?);
        ensure!(group.killed()? == 0, "{what}: the kernel has killed it when all grew at once");
        sleep(MEASURED).await;
    }
    Ok(slowest)
}

/// A daemon in that group, with that engine beside the ordinary one.
async fn placed(group: &Group, torrent: &Torrent) -> Result<Place> {
    let url = format!("http://{}", torrent.address);
    Place::with(LIMITS, |setup| Setup {
        prefix: group.prefix(),
        ..setup.with_backend("beside", "openai", &url, "")
    })
    .await
}

async fn judge(
    what: &str,
    speaks: Speaks,
    wave: impl AsyncFn(&Place, &mut Held) -> Result<()>,
) -> Result<()> {
    let (group, torrent) = (Group::new(LIMIT)?, speaks.torrent().await?);
    let place = placed(&group, &torrent).await?;
    for version in VERSIONS {
        answered(&place, version).await?;
    }
    let rest = resident(&place)?;
    let (mut held, mut slowest) = (Held::default(), Duration::ZERO);
    let (mut readers, mut told) = (0, Vec::new());
    // Until nobody finds room, by whichever version: what readers hold still moves a little once they have come.
    while readers < MOST && told.len() < VERSIONS.len() {
        wave(&place, &mut held).await?;
        readers += WAVE;
        slowest = slowest.max(asked(&place).await?);
        // What was charged in advance is measured meanwhile: who is refused now finds no room, and is not one of too many at once.
        sleep(MEASURED).await;
        told.clear();
        for version in VERSIONS {
            let Some(within) = turned_away(&place, version).await? else { break };
            told.push(within);
        }
        ensure!(group.killed()? == 0, "{what}: the kernel has killed it");
    }
    if speaks != Speaks::AtOnce {
        slowest = slowest.max(grown(what, &place, &group, &torrent, &held).await?);
    }
    let (refused, peak) = (shed(&place).await?, place.daemon.peak_memory()?);
    ensure!(
        told.len() == VERSIONS.len(),
        "{what}: {readers} readers found room, and the daemon holds {}",
        mib(peak)
    );
    let (begun, ended) = (torrent.begun(), torrent.ended());
    println!(
        "{what}: of {} readers {begun} found room, {refused} were refused; the daemon held {} at the most, its group {} of {}, which \
         was at its limit {} times; the admin was answered within {slowest:.1?}, honest callers refused within {told:.1?}",
        readers,
        mib(peak),
        mib(group.peak()?),
        mib(LIMIT),
        group.pressed()?,
    );
    // No reader has left yet, and none that asked was given up.
    ensure!(ended == 0, "{what}: {ended} of {begun} chats that had begun were ended");
    let left = Instant::now();
    drop(held);
    for version in VERSIONS {
        answered(&place, version).await?;
    }
    let recovered = left.elapsed();
    // What the peak has left in the allocator goes back to the system.
    let back = rest + rest;
    while resident(&place)? > back && left.elapsed() < GONE {
        sleep(Duration::from_millis(100)).await;
    }
    let after = resident(&place)?;
    println!(
        "{what}: answers on each version {recovered:.1?} after they have left; the daemon held {} before, {} at its peak, {} {:.1?} after",
        mib(rest),
        mib(peak),
        mib(after),
        left.elapsed()
    );
    ensure!(after <= back, "{what}: {} are held after the peak, and {} before", mib(after), mib(rest));
    ensure!(group.killed()? == 0, "{what}: the kernel has killed it");
    place.end().await
}

/// Connections that have asked, each held as its reader does; the kernel takes so much for one, where that is said.
async fn h1_asked<R: Future<Output = Result<()>> + Send + 'static>(
    place: &Place,
    held: &mut Held,
    buffer: Option<usize>,
    reader: impl Fn(Dialled, watch::Receiver<bool>) -> R,
) -> Result<()> {
    let caller = place.caller(Version::H1).await?;
    let request = h1_asks(place.daemon.key.as_deref().context("no key")?);
    for _ in 0..WAVE / 20 {
        let dialled = join_all((0..20).map(|_| timeout(ACCEPTED, caller.dial()))).await;
        for mut dialled in dialled.into_iter().flatten().flatten() {
            if let Some(bytes) = buffer {
                SockRef::from(&dialled.socket).set_recv_buffer_size(bytes)?;
            }
            // One that has been closed meanwhile is one less.
            let _asked = dialled.wire.write_all(&request).await;
            held.tasks.spawn(reader(dialled, held.sated.subscribe()));
        }
    }
    Ok(())
}

async fn h1_wave(place: &Place, held: &mut Held) -> Result<()> {
    h1_asked(place, held, Some(4096), |dialled, _sated| async move {
        let _open = dialled;
        std::future::pending().await
    })
    .await
}

/// Readers who take all that comes, a little at a time, until they are sated.
async fn h1_reading_wave(place: &Place, held: &mut Held) -> Result<()> {
    h1_asked(place, held, None, |mut dialled, mut sated| async move {
        read_until(&mut dialled, &mut sated).await;
        let _open = dialled;
        std::future::pending().await
    })
    .await
}

/// More than a chat is charged, and then as little as keeps it from being stalled.
async fn read_until(dialled: &mut Dialled, sated: &mut watch::Receiver<bool>) {
    let mut bytes = vec![0; 16 << 10];
    let mut taken = 0;
    while !*sated.borrow_and_update() {
        if taken > 400 << 10 {
            let _sated = timeout(MEASURED, sated.changed()).await;
        }
        match timeout(ACCEPTED, dialled.wire.read(&mut bytes)).await {
            Ok(Ok(more)) if more > 0 => taken += more,
            _ => return,
        }
    }
}

/// One connection with all the streams that it may have, and no window for any.
async fn h2_reader(dialled: Dialled, asks: &[u8], held: &mut Held) -> Result<()> {
    let mut wire = dialled.wire;
    wire.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    // SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 section 6.5.2).
    wire.write_all(&h2::frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await?;
    wire.write_all(asks).await?;
    wire.flush().await?;
    held.tasks.spawn(async move {
        let mut bytes = vec![0; 64 << 10];
        while wire.read(&mut bytes).await? > 0 {}
        std::future::pending().await
    });
    Ok(())
}

async fn h2_wave(place: &Place, held: &mut Held) -> Result<()> {
    let caller = place.caller(Version::H2).await?;
    let asks = h2_asks(place.daemon.key.as_deref().context("no key")?);
    for _ in 0..WAVE / OF_A_CONNECTION {
        // A connection that is not accepted, or closed again, is one less.
        if let Ok(Ok(dialled)) = timeout(ACCEPTED, caller.dial()).await {
            let _came = h2_reader(dialled, &asks, held).await;
        }
    }
    Ok(())
}

async fn h3_wave(place: &Place, held: &mut Held) -> Result<()> {
    let caller = place.caller(Version::H3).await?;
    let key = place.daemon.key.as_deref().context("no key")?;
    for _ in 0..WAVE / OF_A_CONNECTION {
        if let Ok(Ok(quic)) = timeout(ACCEPTED, h3_dial(&caller, 100)).await {
            let _came = h3_reader(quic, key, false, held).await;
        }
    }
    Ok(())
}

#[tokio::test]
async fn in_128_mib_http_1_1_readers_are_refused_and_nobody_is_killed() -> Result<()> {
    judge("HTTP/1.1 over TLS", Speaks::AtOnce, h1_wave).await
}

#[tokio::test]
async fn in_128_mib_http_2_readers_are_refused_and_nobody_is_killed() -> Result<()> {
    judge("HTTP/2", Speaks::AtOnce, h2_wave).await
}

#[tokio::test]
async fn in_128_mib_http_3_readers_are_refused_and_nobody_is_killed() -> Result<()> {
    judge("HTTP/3", Speaks::AtOnce, h3_wave).await
}

#[tokio::test]
async fn in_128_mib_an_engine_that_speaks_late_to_all_http_1_1_readers_has_nobody_killed() -> Result<()> {
    judge("HTTP/1.1 over TLS, an engine that speaks late", Speaks::Late, h1_wave).await
}

#[tokio::test]
async fn in_128_mib_an_engine_that_speaks_late_to_all_http_2_readers_has_nobody_killed() -> Result<()> {
    judge("HTTP/2, an engine that speaks late", Speaks::Late, h2_wave).await
}

#[tokio::test]
async fn in_128_mib_an_engine_that_speaks_late_to_all_http_3_readers_has_nobody_killed() -> Result<()> {
    judge("HTTP/3, an engine that speaks late", Speaks::Late, h3_wave).await
}

#[tokio::test]
async fn in_128_mib_http_1_1_readers_who_stop_at_once_have_nobody_killed() -> Result<()> {
    judge("HTTP/1.1 over TLS, readers who stop at once", Speaks::ToReaders, h1_reading_wave).await
}

/// Answers in one piece, each as long as one may be, come to more than the group has.
#[tokio::test]
async fn in_128_mib_answers_in_one_piece_are_refused_and_nobody_is_killed() -> Result<()> {
    const ANSWERS: usize = 12;
    let (group, torrent) = (Group::new(LIMIT)?, Torrent::start().await?);
    let place = placed(&group, &torrent).await?;
    let asked = (0..ANSWERS).map(async |_| {
        let caller = place.caller(Version::H1).await?;
        caller.send(&Request::chat(torrent::MODEL, "Hello", false)).await
    });
    let answers = join_all(asked).await.into_iter().collect::<Result<Vec<_>>>()?;
    ensure!(group.killed()? == 0, "the kernel has killed it");
    let whole = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| is_refused(answer)).count();
    println!(
        "of {ANSWERS} answers of {} {whole} were given, {refused} refused; its group held {} at the most",
        mib(torrent::WHOLE as u64),
        mib(group.peak()?)
    );
    ensure!(whole + refused == ANSWERS && refused > 0, "{whole} and {refused}: {:?}", answers.last());
    answered(&place, Version::H1).await?;
    place.end().await
}
