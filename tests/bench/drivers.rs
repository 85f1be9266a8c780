//! What requests feel of a graphics card's driver that fails (S21): a daemon whose driver has a fault beside one whose driver is sound, asked
//! by turns.
//!
//! Knows faults that a driver can have, and how the admin API tells each. Refuses to know the daemon's code. Invariants: a fault is seen to be
//! in force before anything is measured; both daemons have the same engine in front of them; fails where a request fails, or the 99th
//! percentile is far beyond what is promised.
#![expect(clippy::print_stdout, reason = "figures are printed")]

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Request, plain},
    daemon::{Daemon, Setup},
    double::Double,
    expect::FRANCE,
    machine::Machine,
    ollama::Ollama,
};
use serde_json::Value;

/// What is promised (S21): so much more at the 99th percentile.
const PROMISED: f64 = 1.10;
/// Beyond this no noise of a busy machine explains it.
const FAR_BEYOND: f64 = 1.5;
/// Requests to each, after some to warm up.
const REQUESTS: usize = 4000;
const WARM_UP: usize = 200;
const PATIENCE: Duration = Duration::from_secs(40);
/// Cards of a machine that has many.
const CARDS: u32 = 8;
/// How one says that it is sound.
const SOUND: Shown = ("/cards/7/state", "cool");

/// Where the admin API tells it, and what it says there.
type Shown = (&'static str, &'static str);

/// What is done to a machine's driver.
enum Done {
    /// Its cards say this as well.
    Says(&'static str),
    /// It lacks these symbols.
    Lacks(&'static [&'static str]),
    /// Its library is this.
    Is(&'static [u8]),
    /// It has none.
    Gone,
}

struct Fault {
    name: &'static str,
    done: Done,
    shown: Shown,
}

/// Codes of nvml.h: 4 no permission, 9 no driver, 18 another version, 999 unknown.
const FAULTS: [Fault; 12] = [
    Fault { name: "no library", done: Done::Gone, shown: ("/missing/0/cause", "no_library") },
    Fault {
        name: "a library that is none",
        done: Done::Is(b"\x7fELF?"),
        shown: ("/missing/0/cause", "bad_library"),
    },
    Fault {
        name: "no driver",
        done: Done::Says("init=9\n"),
        shown: ("/missing/0/cause", "driver_not_loaded"),
    },
    Fault {
        name: "another version",
        done: Done::Says("init=18\n"),
        shown: ("/missing/0/cause", "version_mismatch"),
    },
    Fault {
        name: "no permission",
        done: Done::Says("init=4\n"),
        shown: ("/missing/0/cause", "no_permission"),
    },
    Fault {
        name: "a start that hangs",
        done: Done::Says("hang=nvmlInit_v2\n"),
        shown: ("/missing/0/cause", "hangs"),
    },
    Fault { name: "one card lost", done: Done::Says("3.lost=1\n"), shown: ("/cards/3/state", "lost") },
    Fault { name: "one card hangs", done: Done::Says("3.hang=all\n"), shown: ("/cards/3/state", "stale") },
    Fault { name: "every card hangs", done: Done::Says("hang=all\n"), shown: ("/cards/7/state", "stale") },
    Fault {
        name: "no temperature to be had",
        done: Done::Says(
            "fail.nvmlDeviceGetTemperature=999\nfail.nvmlDeviceGetTemperatureV=999\nfail.nvmlDeviceGetMarginTemperature=999\n",
        ),
        shown: ("/cards/7/gpu/celsius/missing", ""),
    },
    Fault {
        name: "an old driver's symbols",
        done: Done::Lacks(&["nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetMemoryInfo_v2"]),
        shown: SOUND,
    },
    Fault { name: "an Xid each second", done: Done::Says("every Xid\n"), shown: ("/cards/3/state", "cool") },
];

/// A daemon with an engine, on a machine of its own.
struct Stage {
    _double: Double,
    machine: Machine,
    daemon: Daemon,
    address: SocketAddr,
}

impl Stage {
    async fn new(machine: Machine) -> Result<Self> {
        let double = Double::start(Ollama::default()).await;
        let mut setup = Setup::default().with_backend("box", "ollama", &double.url(), "");
        let library = machine.library().display().to_string();
        // The machine that this runs on has heat of its own.
        setup
            .config
            .push_str(&format!("\n[gpu]\nnvml_library = \"{library}\"\nsysfs_root = \"{library}.sys\"\n"));
        let daemon = Daemon::start(&setup).await?;
        let address = daemon.plain(false)?;
        Ok(Self { _double: double, machine, daemon, address })
    }

    async fn until(&self, (at, is): Shown) -> Result<()> {
        let so = |gpu: &Value| {
            let said = gpu.pointer(at).and_then(Value::as_str);
            said.is_some_and(|said| said == is || is.is_empty())
        };
        let shown = admin::until(&self.daemon, "gpu", PATIENCE, so).await;
        shown.map(drop).with_context(|| format!("{at} is not {is:?}"))
    }

    async fn ask(&self, request: &Request) -> Result<Duration> {
        let begun = Instant::now();
        let answer = plain(self.address, request).await?;
        let took = begun.elapsed();
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        Ok(took)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let sound = Stage::new(Machine::new(&cards())?).await?;
    sound.until(SOUND).await?;
    println!(
        "{REQUESTS} whole chats to each by turns, {CARDS} cards; promised: the 99th percentile changes by {:.0} % at the most\n",
        (PROMISED - 1.0) * 100.0
    );
    println!(
        "{:<26}{:>12}{:>12}{:>9}{:>12}{:>12}{:>9}",
        "the driver", "p50 sound", "faulty", "ratio", "p99 sound", "faulty", "ratio"
    );
    // What a machine is like at one time and at another: the same against the same.
    let mut far = Vec::new();
    let twin = Stage::new(Machine::new(&cards())?).await?;
    twin.until(SOUND).await?;
    let _noise = measured("sound (the noise)", &sound, &twin).await?;
    twin.daemon.stop().await?;
    let mut beyond = Vec::new();
    for fault in &FAULTS {
        let ratio = under(fault, &sound).await.with_context(|| fault.name.to_owned())?;
        if ratio > PROMISED {
            beyond.push(format!("{} ({ratio:.2})", fault.name));
        }
        if ratio > FAR_BEYOND {
            far.push(fault.name);
        }
    }
    sound.daemon.stop().await?;
    verdict(&beyond);
    ensure!(far.is_empty(), "far beyond what is promised: {}", far.join(", "));
    Ok(())
}

/// Whether the promise is kept. One that is not, and not by far, fails nothing: the noise above says how much of it is the machine's.
fn verdict(beyond: &[String]) {
    let (promised, faults) = ((PROMISED - 1.0) * 100.0, FAULTS.len());
    println!("\nevery request was answered");
    if beyond.is_empty() {
        println!("KEPT: with each of {faults} faults the 99th percentile is within {promised:.0} %");
    } else {
        let (count, names) = (beyond.len(), beyond.join(", "));
        println!("NOT KEPT: beyond {promised:.0} % with {count} of {faults} faults: {names}");
    }
}

/// The 99th percentile beside that of a sound one.
async fn under(fault: &Fault, sound: &Stage) -> Result<f64> {
    let lacks: &[&str] = if let Done::Lacks(symbols) = fault.done { symbols } else { &[] };
    let machine = Machine::of(&cards(), lacks)?;
    let says = match fault.done {
        Done::Gone => fs::remove_file(machine.library()).map(|()| "")?,
        Done::Is(bytes) => fs::write(machine.library(), bytes).map(|()| "")?,
        Done::Lacks(_) => "",
        Done::Says(lines) => lines,
    };
    // What fails at the start does so from the start on; a card does while it is asked.
    let at_start = says.contains("nit");
    if at_start {
        machine.becomes(&format!("{}{says}", cards()))?;
    }
    let stage = Stage::new(machine).await?;
    if !at_start && !says.is_empty() {
        stage.until(SOUND).await?;
        stage.machine.becomes(&format!("{}{says}", cards()))?;
    }
    stage.until(fault.shown).await?;
    let measured = measured(fault.name, sound, &stage);
    let ratio = if says.contains("every Xid") {
        tokio::select! { ratio = measured => ratio?, failed = events(&stage.machine) => return failed }
    } else {
        measured.await?
    };
    stage.daemon.stop().await?;
    Ok(ratio)
}

/// A fault of a card each second, until it is dropped.
async fn events(machine: &Machine) -> Result<f64> {
    for number in 1_u32.. {
        machine.becomes(&format!("{}3.xid=43#{number}\n", cards()))?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(f64::NAN)
}

/// Prints both, and gives the ratio of the 99th percentiles.
async fn measured(name: &str, sound: &Stage, other: &Stage) -> Result<f64> {
    let request = Request::chat("tiny", FRANCE, false);
    let (mut well, mut ill) = (Vec::with_capacity(REQUESTS), Vec::with_capacity(REQUESTS));
    for round in 0..WARM_UP + REQUESTS {
        // Who goes first finds the caches as the other has left them.
        let (a, b) = if round % 2 == 0 {
            let a = sound.ask(&request).await?;
            (a, other.ask(&request).await?)
        } else {
            let b = other.ask(&request).await?;
            (sound.ask(&request).await?, b)
        };
        if round >= WARM_UP {
            well.push(a);
            ill.push(b);
        }
    }
    let (well, ill) = (figures(well), figures(ill));
    let ratio = |a: Duration, b: Duration| b.as_secs_f64() / a.as_secs_f64();
    println!(
        "{name:<26}{:>12.0?}{:>12.0?}{:>9.2}{:>12.2?}{:>12.2?}{:>9.2}",
        well.0,
        ill.0,
        ratio(well.0, ill.0),
        well.1,
        ill.1,
        ratio(well.1, ill.1)
    );
    Ok(ratio(well.1, ill.1))
}

/// The median and the 99th percentile.
fn figures(mut taken: Vec<Duration>) -> (Duration, Duration) {
    taken.sort_unstable();
    let rank = |percent: usize| taken.get(taken.len() * percent / 100).copied().unwrap_or_default();
    (rank(50), rank(99))
}

/// Eight cards that are far from all their limits.
fn cards() -> String {
    let card = |number: u32| {
        format!(
            "{number}.name=NVIDIA Fake 4090\n{number}.memory=25769803776\n{number}.gpu_max=90\n{number}.slowdown=95\n\
             {number}.shutdown=110\n{number}.power=140000\n{number}.reasons=0\n{number}.temperature=50\n"
        )
    };
    format!("driver=580.95.05\ncount={CARDS}\n{}", (0..CARDS).map(card).collect::<String>())
}
