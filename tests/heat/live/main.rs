//! `heat-live`: a simulated card and its engine at the speed of a clock, behind the real daemon.
//!
//! Knows a daemon's address, the file of the fake NVML, and where its own engine is to listen. Refuses to know the governor: the daemon has
//! it. Invariant: the same arrivals whether they go to the daemon or, for the figures without it, to the engine itself.
//!
//! The daemon's configuration names `--engine` as a backend of OpenAI's language and the library beside `--nvml` as `gpu.nvml_library`.
//! `--speed=10` makes ten seconds of the card of one of the daemon's: enough to see the parts at work, not for figures, since the governor's
//! own times are the clock's.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "figures are printed, and what is wrong with an option"
)]

mod ask;
mod engine;
mod nvml;
mod world;

use std::{
    io,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use ghostllm_heat_claim::claim::{Mix, Tally, Trial, trials};
use tokio::{net::TcpListener, sync::Mutex, task::JoinSet, time::interval};

use ask::{Answered, Asker, Keys};
use world::World;

/// How often the world goes on, by the clock.
const BEAT: Duration = Duration::from_millis(20);

struct Options {
    daemon: Option<String>,
    engine: String,
    keys: (Option<String>, Option<String>),
    nvml: Option<PathBuf>,
    trial: Trial,
    seconds: f64,
    speed: f64,
}

fn options() -> Result<Options, String> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        given.iter().find_map(|argument| argument.strip_prefix("--")?.strip_prefix(name)?.strip_prefix('='))
    };
    let number = |name: &str, usual: f64| {
        value(name)
            .map_or(Ok(usual), |text| text.parse().map_err(|_| format!("--{name}={text} is no number")))
    };
    let all = trials();
    let which = value("trial").unwrap_or("0");
    let trial = which.parse::<usize>().ok().and_then(|place| all.get(place)).ok_or_else(|| {
        let names = all.iter().enumerate().map(|(place, trial)| {
            format!("{place}: {}, {}, {}", trial.card.name, trial.place, trial.arrivals.name())
        });
        format!("--trial={which} is none of\n{}", names.collect::<Vec<_>>().join("\n"))
    })?;
    Ok(Options {
        daemon: value("daemon").map(str::to_owned),
        engine: value("engine").unwrap_or("127.0.0.1:0").to_owned(),
        keys: (value("key").map(str::to_owned), value("background-key").map(str::to_owned)),
        nvml: value("nvml").map(PathBuf::from),
        trial: *trial,
        seconds: number("seconds", 3600.0)?,
        speed: number("speed", 1.0)?.max(0.01),
    })
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("heat-live: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let options = options()?;
    let listener = TcpListener::bind(&options.engine).await?;
    let engine = listener.local_addr()?.to_string();
    let world = Arc::new(Mutex::new(World::new(&options.trial.card, &options.trial.case)));
    tokio::spawn(engine::serve(listener, world.clone()));
    let (interactive, background) = options.keys.clone();
    let keys = Keys { interactive: interactive.clone(), background: background.or(interactive) };
    let asker = Asker::new(options.daemon.clone().unwrap_or_else(|| engine.clone()), keys);
    println!("the engine listens at {engine}; requests go to {}", asker.address());
    let tally = drive(&options, &world, asker).await?;
    println!("{}", row(&tally));
    Ok(())
}

/// Goes on by the clock until the time is over; who is still waiting then counts for nothing.
async fn drive(options: &Options, world: &Mutex<World>, asker: Asker) -> io::Result<Tally> {
    let mut mix = Mix::new(options.trial.arrivals, &options.trial.card, options.trial.most, 1);
    let (mut tally, mut asked) = (Tally::default(), JoinSet::<Answered>::new());
    let (asker, begun, mut beat) = (Arc::new(asker), Instant::now(), interval(BEAT));
    let mut written = f64::NEG_INFINITY;
    loop {
        beat.tick().await;
        let now = begun.elapsed().as_secs_f64() * options.speed;
        if now >= options.seconds {
            break;
        }
        let mut world = world.lock().await;
        while world.now() < now {
            world.tick(&mut tally, options.trial.outage);
            for job in mix.come(world.now()) {
                asked.spawn(asker.clone().ask(job, begun, options.speed));
            }
        }
        if let Some(path) = &options.nvml
            && now - written >= options.speed.min(1.0)
        {
            written = now;
            nvml::write(path, world.device())?;
        }
        drop(world);
        while let Some(Ok(one)) = asked.try_join_next() {
            match one {
                Answered::Whole(done) => tally.done(&done),
                Answered::Never(job) => tally.never(&job),
            }
        }
    }
    tally.joules = world.lock().await.device().joules();
    Ok(tally)
}

fn row(tally: &Tally) -> String {
    format!(
        "{:.0} thousand tokens/h; p50 {:.1} s, p99 {:.1} s, to the first token {:.1} s; {} unanswered; {:.3} tokens/J; busy {:.0} %; \
         {:.0} MHz; {:.1} °C at most; driver slow {:.0} s, hardware slow {:.0} s; off {} times",
        tally.an_hour() / 1e3,
        tally.median(),
        tally.last(),
        tally.first(),
        tally.unanswered,
        tally.a_joule(),
        100.0 * tally.utilisation(),
        tally.mhz(),
        tally.hottest,
        tally.slow[0],
        tally.slow[1],
        tally.shutdowns,
    )
}
