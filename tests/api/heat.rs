//! A card that becomes hot: how soon fewer requests run, who waits and who is refused, what people are told, and that nothing that runs is
//! ended. The card is a text file (tests/fake-nvml), and the daemon the real one.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    causes::{self, cause, codes},
    client::{Answer, Caller, End, Event, Family, Request, Stream, Version},
    daemon::{Daemon, Setup},
    double::Double,
    expect::check_whole,
    machine::Machine,
    ollama::Ollama,
    script::Sin,
    sheet::Sheet,
};
use serde_json::{Value, json};

use crate::{FRANCE, check_error};

const PATIENCE: Duration = Duration::from_secs(20);
/// From a card's word to lowered admission (S22).
const HEEDED: Duration = Duration::from_secs(2);
/// From a card's loss to the word of it (F-58).
const LOST: Duration = Duration::from_secs(5);
/// A card that is far from all its limits.
pub(crate) const COOL: &str = "driver=580.95.05\ncount=1\n0.name=NVIDIA Fake 4090\n0.memory=25769803776\n0.free=1073741824\n\
                    0.gpu_max=90\n0.slowdown=95\n0.shutdown=110\n0.power=140000\n0.reasons=0\n0.temperature=50\n";
/// Its hardware has slowed it down, and says that it is for its heat (`nvmlClocksEventReasonHwSlowdown`, `…HwThermalSlowdown`).
pub(crate) const SLOWED: &str = "0.temperature=96\n0.reasons=72\n";
/// The same, held right where its hardware slows it down.
const HELD: &str = "0.temperature=95\n0.reasons=72\n";
/// Its driver has slowed it down (`nvmlClocksEventReasonSwThermalSlowdown`), below where its hardware would.
const SOFT: &str = "0.temperature=91\n0.reasons=32\n";
/// It is about to switch itself off.
const AT_ITS_END: &str = "0.temperature=109\n0.reasons=72\n";

/// An Ollama whose answers go on as they are let, a card, and a daemon that watches it.
struct Stage {
    double: Double,
    machine: Machine,
    daemon: Daemon,
}

impl Stage {
    async fn new(gpu: &str) -> Result<Self> {
        let double = Double::start(Ollama::default()).await;
        let machine = Machine::new(COOL)?;
        let daemon = Daemon::start(&setup(&double, &machine, gpu)).await?;
        let stage = Self { double, machine, daemon };
        stage.until(|gpu| gpu["cards"][0]["state"] == "cool").await?;
        Ok(stage)
    }

    /// From now on the card says this as well.
    fn says(&self, lines: &str) -> Result<()> {
        self.machine.becomes(&format!("{COOL}{lines}"))
    }

    async fn gpu(&self) -> Result<Value> {
        admin::read(&self.daemon, "gpu").await
    }

    /// Waits until that is so, and gives how long it took.
    async fn until(&self, so: impl Fn(&Value) -> bool) -> Result<Duration> {
        self.within(PATIENCE, so).await
    }

    async fn within(&self, patience: Duration, so: impl Fn(&Value) -> bool) -> Result<Duration> {
        let begun = Instant::now();
        admin::until(&self.daemon, "gpu", patience, so).await?;
        Ok(begun.elapsed())
    }

    async fn caller(&self) -> Result<Caller> {
        Caller::new(&self.daemon, Version::H2, Family::V4).await
    }

    /// A chat that goes on until it is let end.
    async fn stream(&self, caller: &Caller) -> Result<Stream> {
        self.double.misbehave("tiny", Sin::Gated);
        caller.open(&Request::chat("tiny", FRANCE, true)).await
    }

    /// How many chats its engine was asked for.
    fn asked(&self) -> usize {
        self.double.seen_at("/api/chat").len()
    }
}

pub(crate) fn setup(double: &Double, machine: &Machine, gpu: &str) -> Setup {
    let mut setup = Setup::default().with_backend("box", "ollama", &double.url(), "");
    let library = machine.library().display().to_string();
    // The machine that the test runs on has heat of its own.
    let sysfs = machine.sysfs().display().to_string();
    setup
        .config
        .push_str(&format!("\n[gpu]\nnvml_library = \"{library}\"\nsysfs_root = \"{sysfs}\"\n{gpu}\n"));
    // Headers go out at once, whether the engine has said something or not.
    setup.with_limits("header_wait = \"50ms\"")
}

fn count(gpu: &Value, of: &str, class: &str) -> u64 {
    gpu["governor"][of][class].as_u64().unwrap_or(u64::MAX)
}

/// It was answered whole.
pub(crate) fn whole(answer: &Answer) -> Result<()> {
    check_whole(answer, true)
}

#[tokio::test]
async fn a_slowed_card_has_fewer_requests_begin_within_two_seconds_and_none_is_ended() -> Result<()> {
    let stage = Stage::new("").await?;
    let caller = stage.caller().await?;
    let mut running = Vec::new();
    for _ in 0..4 {
        running.push(stage.stream(&caller).await?);
    }
    stage.until(|gpu| count(gpu, "running", "interactive") == 4).await?;
    stage.says(SLOWED)?;
    let took = stage
        .until(|gpu| {
            let decision = &gpu["governor"]["decision"];
            decision["cause"] == "heat"
                && decision["limits"]["interactive"].as_u64().is_some_and(|limit| limit < 4)
        })
        .await?;
    println!("S22: {took:?} from the bit to lowered admission");
    ensure!(took <= HEEDED, "{took:?}");
    let late = stage.stream(&caller).await?;
    stage.until(|gpu| count(gpu, "waiting", "interactive") == 1).await?;
    ensure!(stage.asked() == 4, "its engine was asked for one that waits");
    let status = admin::read(&stage.daemon, "status").await?;
    cause(&status, "gpu_thermal", "warning", "because of card 0 (NVIDIA Fake 4090): ")?;
    ensure!(status["condition"] == "degraded", "{status}");
    stage.daemon.wait_said("card 0 (NVIDIA Fake 4090) is slowed down by its heat").await?;
    stage.daemon.wait_said("because of card 0 (NVIDIA Fake 4090): ").await?;
    // Those that run are answered to their end, and the one that waits after them.
    stage.double.release(1000);
    for stream in running {
        whole(&stream.finish().await?)?;
    }
    whole(&late.finish().await?)?;
    stage.until(|gpu| gpu["governor"]["running"] == json!({"interactive": 0, "background": 0})).await?;
    stage.daemon.stop().await
}

/// A card that was slowed down before it got hotter than its hardware's limit: how many ran at once is known all the same, and the
/// background that had given way to that is no halving that the next would be five seconds from (F-60).
async fn lowered_as_soon_after(before: &str, gpu: &str) -> Result<()> {
    let stage = Stage::new(gpu).await?;
    stage.says(before)?;
    stage.until(|gpu| gpu["governor"]["decision"]["cause"] == "heat").await?;
    let caller = stage.caller().await?;
    let mut running = Vec::new();
    for _ in 0..10 {
        running.push(stage.stream(&caller).await?);
    }
    let all = |gpu: &Value| {
        count(gpu, "running", "interactive") == 10 && gpu["governor"]["decision"]["most"]["interactive"] == 10
    };
    stage.until(all).await?;
    stage.says(SLOWED)?;
    let lowered = |gpu: &Value| {
        let limit = gpu["governor"]["limits"]["interactive"].as_u64();
        limit.filter(|limit| *limit < 10)
    };
    let took = stage.until(|gpu| lowered(gpu).is_some()).await?;
    println!("S22: {took:?} from the bit to lowered admission of a card that said {before:?}, {gpu:?}");
    let limit = lowered(&stage.gpu().await?);
    ensure!(took <= HEEDED && limit.is_some_and(|limit| limit >= 2), "{took:?} {limit:?}");
    stage.double.release(1000);
    for stream in running {
        whole(&stream.finish().await?)?;
    }
    stage.daemon.stop().await
}

#[tokio::test]
async fn a_card_that_its_hardware_held_before_has_fewer_begin_as_soon() -> Result<()> {
    lowered_as_soon_after(HELD, "").await
}

#[tokio::test]
async fn a_card_that_its_driver_held_before_has_fewer_begin_as_soon() -> Result<()> {
    // Of eight one gives way to that already.
    lowered_as_soon_after(SOFT, "background = 8").await
}

#[tokio::test]
async fn a_card_that_its_driver_held_before_has_fewer_begin_as_soon_where_limits_are_set() -> Result<()> {
    lowered_as_soon_after(SOFT, "interactive = 10\nbackground = 8").await
}

#[tokio::test]
async fn a_card_that_its_hardware_slows_down_is_told_also_where_no_fewer_requests_may_run() -> Result<()> {
    // Limits are set, and nobody waits to whom the background could give way.
    let stage = Stage::new("interactive = 4").await?;
    stage.says(HELD)?;
    stage.until(|gpu| gpu["governor"]["decision"]["cause"] == "heat").await?;
    let gpu = stage.gpu().await?;
    let none = json!({"interactive": null, "background": null});
    ensure!(gpu["governor"]["decision"]["limits"] == none, "{gpu:#}");
    let status = admin::read(&stage.daemon, "status").await?;
    cause(
        &status,
        "gpu_heat",
        "warning",
        "card 0 (NVIDIA Fake 4090): it is slowed down by its heat at 95 °C",
    )?;
    ensure!(status["condition"] == "degraded" && !codes(&status).contains(&"gpu_thermal"), "{status}");
    whole(&stage.caller().await?.send(&Request::chat("tiny", FRANCE, true)).await?)?;
    // What it was a moment ago is no cause any more.
    stage.says("")?;
    causes::until(&stage.daemon, |status| !codes(status).contains(&"gpu_heat")).await?;
    stage.daemon.stop().await
}

#[tokio::test]
async fn of_two_places_for_the_background_one_gives_way_where_no_limit_is_set() -> Result<()> {
    let stage = Stage::new("").await?;
    stage.says(HELD)?;
    let told = json!({"interactive": null, "background": 1});
    let took = stage.until(|gpu| gpu["governor"]["limits"] == told).await?;
    ensure!(took <= HEEDED, "{took:?}");
    cause(&admin::read(&stage.daemon, "status").await?, "gpu_thermal", "warning", "1 of 2 background and ")?;
    stage.daemon.stop().await
}

#[tokio::test]
async fn the_background_that_heat_lets_not_begin_in_time_is_told_so() -> Result<()> {
    let stage = Stage::new("queue_wait = \"1s\"").await?;
    stage.says(SLOWED)?;
    stage.until(|gpu| gpu["governor"]["limits"]["background"] == 0).await?;
    let caller = stage.caller().await?;
    let background = Request::chat("tiny", FRANCE, false).with("GhostLLM-Priority", "background");
    let late = caller.send(&background).await?;
    check_error(&late, 503, Some("gpu_thermal"))?;
    ensure!(late.header("retry-after") == Some("30"), "{:?}", late.header("retry-after"));
    ensure!(stage.asked() == 0, "its engine was asked");
    whole(&caller.send(&Request::chat("tiny", FRANCE, true)).await?)?;
    stage.daemon.stop().await
}

#[tokio::test]
async fn a_card_without_memory_of_its_own_has_the_machine_s_beside_it() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let machine = Machine::new("driver=580.95.05\ncount=1\n0.name=NVIDIA GB10\n0.temperature=40\n")?;
    let daemon = Daemon::start(&setup(&double, &machine, "")).await?;
    let shares = |gpu: &Value| gpu["cards"][0]["memory"]["shared"].is_object();
    let gpu = admin::until(&daemon, "gpu", PATIENCE, shares).await?;
    let memory = &gpu["cards"][0]["memory"];
    ensure!(memory["used"]["missing"] == "it shares the machine's memory", "{memory}");
    let (used, total) = (memory["shared"]["used"].as_u64(), memory["shared"]["total"].as_u64());
    ensure!(used > Some(1 << 20) && used < total, "{memory}");
    daemon.stop().await
}

#[tokio::test]
async fn a_card_at_its_end_has_new_requests_refused_and_lets_them_in_again_once_it_is_cool() -> Result<()> {
    let stage = Stage::new("").await?;
    let caller = stage.caller().await?;
    let mut running = stage.stream(&caller).await?;
    stage.double.release(1);
    running.until("data: ").await?;
    stage.says(AT_ITS_END)?;
    let took = stage.until(|gpu| gpu["governor"]["decision"]["gate"] == "refuse").await?;
    ensure!(took <= HEEDED, "{took:?}");
    let status = admin::read(&stage.daemon, "status").await?;
    cause(&status, "gpu_thermal", "error", "because of card 0 (NVIDIA Fake 4090): ")?;
    for request in [Request::chat("tiny", FRANCE, true), Request::chat("tiny", FRANCE, false)] {
        let refused = caller.send(&request).await?;
        check_error(&refused, 503, Some("gpu_thermal"))?;
        let after: u64 = refused.header("retry-after").context("no Retry-After")?.parse()?;
        ensure!((1..=120).contains(&after), "{after}");
    }
    let sheet = Sheet::of(&stage.daemon).await?;
    ensure!(
        sheet.text.contains("ghostllm_gpu_gate_refused_total{reason=\"gpu_thermal\"} 2"),
        "{}",
        sheet.text
    );
    ensure!(sheet.text.contains("ghostllm_gpu_temperature_celsius{gpu=\"0\",sensor=\"gpu\"} 109"));
    // What runs goes on meanwhile.
    stage.double.release(1000);
    let mut body = Vec::new();
    loop {
        match running.next().await? {
            Event::Data(data) => body.extend(data),
            Event::End(end) => break ensure!(end == End::Clean, "{end:?}"),
        }
    }
    ensure!(String::from_utf8_lossy(&body).contains("[DONE]"));
    stage.says("")?;
    let cooled = Instant::now();
    // Half a minute without a reason for less (Policy::wait), and a second's look.
    stage.within(Duration::from_secs(60), |gpu| gpu["governor"]["decision"]["gate"] == "open").await?;
    println!("{:?} from cool to open", cooled.elapsed());
    whole(&caller.send(&Request::chat("tiny", FRANCE, true)).await?)?;
    // It opens for as few as can be, and rises from there.
    let gpu = stage.gpu().await?;
    let decision = &gpu["governor"]["decision"];
    ensure!(decision["limits"]["interactive"].as_u64() < decision["most"]["interactive"].as_u64(), "{gpu:#}");
    ensure!(codes(&admin::read(&stage.daemon, "status").await?).contains(&"gpu_thermal"));
    stage.daemon.stop().await
}

#[tokio::test]
async fn a_driver_that_hangs_keeps_no_request_waiting() -> Result<()> {
    let stage = Stage::new("").await?;
    let caller = stage.caller().await?;
    stage.says("0.hang=all\n")?;
    stage.until(|gpu| gpu["cards"][0]["state"] == "stale" && gpu["cards"][0]["late_s"].is_number()).await?;
    let status = admin::read(&stage.daemon, "status").await?;
    cause(&status, "gpu_silent", "error", "card 0 (NVIDIA Fake 4090): it has not answered for ")?;
    let sheet = Sheet::of(&stage.daemon).await?;
    ensure!(sheet.text.contains("ghostllm_gpu_state{gpu=\"0\",state=\"stale\"} 1"), "{}", sheet.text);
    ensure!(!sheet.text.contains("ghostllm_gpu_temperature_celsius{"), "what it said last is not how it is");
    let begun = Instant::now();
    for _ in 0..20 {
        whole(&caller.send(&Request::chat("tiny", FRANCE, true)).await?)?;
    }
    println!("{:?} for 20 chats while the driver hangs", begun.elapsed());
    ensure!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let tasks = admin::read(&stage.daemon, "tasks").await?;
    let heat = tasks["tasks"].as_array().into_iter().flatten().find(|task| task["name"] == "heat");
    ensure!(heat.is_some_and(|heat| heat["state"] == "running" && heat["restarts"] == 0), "{tasks}");
    // Nor does it keep the program from its end.
    stage.daemon.stop().await
}

#[tokio::test]
async fn a_lost_card_is_told_and_nothing_is_refused_for_it() -> Result<()> {
    let stage = Stage::new("").await?;
    stage.says("0.lost=1\n")?;
    let took = stage.until(|gpu| gpu["cards"][0]["state"] == "lost").await?;
    println!("F-58: {took:?} until a card that is lost is told");
    ensure!(took <= LOST, "{took:?}");
    let status = admin::read(&stage.daemon, "status").await?;
    cause(&status, "gpu_lost", "error", "card 0 (NVIDIA Fake 4090): it is lost")?;
    whole(&stage.caller().await?.send(&Request::chat("tiny", FRANCE, true)).await?)?;
    stage.daemon.stop().await
}

#[tokio::test]
async fn a_card_that_is_damaged_is_told() -> Result<()> {
    let stage = Stage::new("").await?;
    stage.says("0.uncorrected=3\n0.remapped=4\n0.remap_pending=1\n0.remap_failed=1\n0.xid=95\n")?;
    let broken = |gpu: &Value| {
        let faults = &gpu["cards"][0]["faults"];
        faults["rows_failed"]["value"] == true
            && faults["xid"]["value"] == 95
            && faults["xid_age_s"].is_number()
    };
    stage.until(broken).await?;
    let status = admin::read(&stage.daemon, "status").await?;
    cause(
        &status,
        "gpu_memory",
        "error",
        "card 0 (NVIDIA Fake 4090): it could not replace a row of its memory",
    )?;
    cause(&status, "gpu_xid", "error", "card 0 (NVIDIA Fake 4090): it has told Xid 95 ")?;
    let sheet = Sheet::of(&stage.daemon).await?;
    ensure!(sheet.text.contains("ghostllm_gpu_memory_rows_failed{gpu=\"0\"} 1"), "{}", sheet.text);
    stage.daemon.stop().await
}

#[tokio::test]
async fn a_driver_that_was_replaced_under_it_is_told() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let machine = Machine::new(&format!("{COOL}init=18\n"))?;
    let daemon = Daemon::start(&setup(&double, &machine, "")).await?;
    admin::until(&daemon, "gpu", PATIENCE, |gpu| gpu["missing"][0]["cause"] == "version_mismatch").await?;
    let status = admin::read(&daemon, "status").await?;
    cause(
        &status,
        "gpu_driver",
        "error",
        "NVIDIA's library and the loaded driver are of different versions",
    )?;
    daemon.stop().await
}

#[tokio::test]
async fn where_no_limit_is_none_is_shown() -> Result<()> {
    let none = json!({"interactive": null, "background": null});
    let stage = Stage::new("").await?;
    let gpu = stage.gpu().await?;
    ensure!(gpu["governor"]["limits"] == none && gpu["governor"]["decision"]["limits"] == none, "{gpu:#}");
    stage.daemon.stop().await?;
    let stage = Stage::new("interactive = 3").await?;
    let gpu = stage.gpu().await?;
    ensure!(gpu["governor"]["limits"] == json!({"interactive": 3, "background": 3}), "{gpu:#}");
    ensure!(gpu["governor"]["decision"]["limits"] == none, "heat lowers none of them: {gpu:#}");
    stage.daemon.stop().await
}

#[tokio::test]
async fn a_machine_without_a_driver_says_why_there_is_no_card() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let mut setup = Setup::default().with_backend("box", "ollama", &double.url(), "");
    setup
        .config
        .push_str("\n[gpu]\nnvml_library = \"/nowhere/libnvidia-ml.so.1\"\nsysfs_root = \"/nowhere/sys\"\n");
    let daemon = Daemon::start(&setup).await?;
    let gpu = admin::until(&daemon, "gpu", PATIENCE, |gpu| gpu["missing"][0].is_object()).await?;
    let missing = &gpu["missing"][0];
    ensure!(missing["cause"] == "no_library" && missing["fault"] == false, "{gpu}");
    ensure!(missing["words"].as_str().is_some_and(|words| words.contains("/nowhere/")), "{gpu}");
    ensure!(gpu["cards"] == json!([]) && gpu["governor"]["decision"].is_null(), "{gpu}");
    let history = admin::ask(&daemon, "GET", "gpu/history?card=0", None).await?;
    check_error(&history, 404, Some("not_found"))?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    whole(&caller.send(&Request::chat("tiny", FRANCE, true)).await?)?;
    ensure!(codes(&admin::read(&daemon, "status").await?).iter().all(|code| !code.starts_with("gpu")));
    daemon.stop().await
}

#[tokio::test]
async fn what_a_card_has_been_through_is_told() -> Result<()> {
    let stage = Stage::new("every = \"50ms\"\nnear_every = \"50ms\"").await?;
    stage.says("0.temperature=70\n")?;
    stage.until(|gpu| gpu["cards"][0]["gpu"]["celsius"]["value"] == 70.0).await?;
    let card = &stage.gpu().await?["cards"][0];
    ensure!(card["name"] == "NVIDIA Fake 4090" && card["margins"]["slower"] == 20.0, "{card:#}");
    ensure!(card["power"]["watts"]["value"] == 140.0 && card["fan"]["missing"].is_string(), "{card:#}");
    for span in ["10m", "24h"] {
        let history = admin::read(&stage.daemon, &format!("gpu/history?card=0&span={span}")).await?;
        let last = history["points"].as_array().and_then(|points| points.last()).context("no point")?;
        ensure!(last["celsius"] == 70.0 && last["margin"] == 20.0 && last["state"] == "cool", "{history:#}");
    }
    let wrong = admin::ask(&stage.daemon, "GET", "gpu/history?span=1h", None).await?;
    check_error(&wrong, 400, Some("invalid_value"))?;
    stage.daemon.stop().await
}

#[tokio::test]
async fn the_hottest_place_of_a_card_is_in_both_of_its_histories() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let machine = Machine::new("count=0\n")?;
    machine.gets_radeon()?;
    let daemon = Daemon::start(&setup(&double, &machine, "every = \"50ms\"")).await?;
    let hottest = |gpu: &Value| gpu["cards"][0]["hotspot"]["celsius"]["value"].as_f64();
    admin::until(&daemon, "gpu", PATIENCE, |gpu| hottest(gpu) == Some(100.0)).await?;
    for span in ["10m", "24h"] {
        let history = admin::read(&daemon, &format!("gpu/history?card=0&span={span}")).await?;
        let last = history["points"].as_array().and_then(|points| points.last()).context("no point")?;
        let told = (&last["celsius"], &last["hotspot"], &last["memory_heat"]);
        ensure!(told == (&json!(54.0), &json!(100.0), &json!(80.0)), "{history:#}");
    }
    daemon.stop().await
}

/// How many readings are in this: each is a value, or says in words why there is none.
fn each_has_a_value_or_says_why(told: &Value) -> Result<usize> {
    let Some(fields) = told.as_object() else { return Ok(0) };
    match (fields.get("value"), fields.get("missing")) {
        (None, None) => fields.values().map(each_has_a_value_or_says_why).sum(),
        (Some(_), None) => Ok(1),
        (None, Some(why)) if why.as_str().is_some_and(|why| !why.is_empty()) => Ok(1),
        _ => anyhow::bail!("no reading: {told}"),
    }
}

#[tokio::test]
async fn what_a_processor_does_not_tell_is_no_card_s_fault() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let machine = Machine::new("count=0\n")?;
    machine.warms(50_000)?;
    let daemon = Daemon::start(&setup(&double, &machine, "")).await?;
    let celsius = |gpu: &Value| gpu["cards"][0]["gpu"]["celsius"]["value"].as_f64();
    let gpu = admin::until(&daemon, "gpu", PATIENCE, |gpu| celsius(gpu) == Some(50.0)).await?;
    let processor = &gpu["cards"][0];
    ensure!(
        processor["maker"] == "processor" && processor["gpu"]["to_soft"]["value"] == 35.0,
        "{processor:#}"
    );
    ensure!(processor["fan"]["missing"] == "this processor does not tell it", "{processor:#}");
    ensure!(processor["memory"]["used"]["missing"] == "it shares the machine's memory", "{processor:#}");
    ensure!(!processor.to_string().contains("card"), "{processor:#}");
    let readings = each_has_a_value_or_says_why(processor)?;
    ensure!(readings >= 30, "{readings} readings");
    daemon.stop().await
}

#[tokio::test]
async fn who_only_watches_is_told_and_nothing_comes_of_it() -> Result<()> {
    let stage = Stage::new("governor = \"watch\"").await?;
    stage.says(AT_ITS_END)?;
    stage.until(|gpu| gpu["governor"]["decision"]["gate"] == "refuse").await?;
    whole(&stage.caller().await?.send(&Request::chat("tiny", FRANCE, true)).await?)?;
    cause(&admin::read(&stage.daemon, "status").await?, "gpu_thermal", "note", "were gpu.governor \"on\"")?;
    stage.daemon.wait_said("only watched (gpu.governor)").await?;
    stage.daemon.stop().await
}

#[tokio::test]
async fn the_background_waits_for_its_own_limit_and_who_leaves_leaves_no_trace() -> Result<()> {
    let stage = Stage::new("background = 1\nqueue = 1").await?;
    let caller = stage.caller().await?;
    stage.double.misbehave("tiny", Sin::Gated);
    let flex = json!({
        "model": "tiny", "stream": true, "service_tier": "flex", "messages": [{"role": "user", "content": FRANCE}],
    });
    let first = caller.open(&Request::post("/v1/chat/completions", &flex)).await?;
    ensure!(first.header("x-ghostllm-ignored").is_none(), "flex is heeded");
    stage.until(|gpu| count(gpu, "running", "background") == 1).await?;
    let background = Request::chat("tiny", FRANCE, true).with("GhostLLM-Priority", "background");
    let second = caller.open(&background).await?;
    stage.until(|gpu| count(gpu, "waiting", "background") == 1).await?;
    let refused = caller.send(&background).await?;
    check_error(&refused, 503, Some("queue_full"))?;
    ensure!(refused.header("retry-after").is_some());
    let wrong = Request::chat("tiny", FRANCE, true).with("GhostLLM-Priority", "soon");
    check_error(&caller.send(&wrong).await?, 400, None)?;
    // Interactive ones have no limit here.
    let urgent = Request::post("/v1/chat/completions", &flex).with("GhostLLM-Priority", "interactive");
    let third = caller.open(&urgent).await?;
    stage.until(|gpu| count(gpu, "running", "interactive") == 1).await?;
    let _connection = second.leave().await?;
    stage.until(|gpu| count(gpu, "waiting", "background") == 0).await?;
    ensure!(stage.asked() == 2, "the one that left was asked for");
    stage.double.release(1000);
    whole(&first.finish().await?)?;
    whole(&third.finish().await?)?;
    stage.until(|gpu| gpu["governor"]["running"] == json!({"interactive": 0, "background": 0})).await?;
    stage.daemon.stop().await
}

#[tokio::test]
async fn one_caller_does_not_fill_the_queue_for_the_others() -> Result<()> {
    let stage = Stage::new("interactive = 1\nqueue = 2").await?;
    let caller = stage.caller().await?;
    let first = stage.stream(&caller).await?;
    stage.until(|gpu| count(gpu, "running", "interactive") == 1).await?;
    let second = stage.stream(&caller).await?;
    stage.until(|gpu| count(gpu, "waiting", "interactive") == 1).await?;
    let refused = caller.send(&Request::chat("tiny", FRANCE, true)).await?;
    check_error(&refused, 503, Some("queue_full"))?;
    ensure!(refused.text().contains("half of the waiting places"), "{}", refused.text());
    let key = admin::make(&stage.daemon, &json!({"name": "another"})).await?.key;
    let other = stage.caller().await?.with_key(Some(&key));
    let third = stage.stream(&other).await?;
    stage.until(|gpu| count(gpu, "waiting", "interactive") == 2).await?;
    let full = other.send(&Request::chat("tiny", FRANCE, true)).await?;
    check_error(&full, 503, Some("queue_full"))?;
    ensure!(full.text().contains("every waiting place"), "{}", full.text());
    stage.double.release(1000);
    for stream in [first, second, third] {
        whole(&stream.finish().await?)?;
    }
    stage.daemon.stop().await
}

#[tokio::test]
async fn a_limit_that_is_raised_while_it_runs_lets_those_that_wait_begin() -> Result<()> {
    let stage = Stage::new("interactive = 1").await?;
    let caller = stage.caller().await?;
    let first = stage.stream(&caller).await?;
    let second = stage.stream(&caller).await?;
    stage.until(|gpu| count(gpu, "waiting", "interactive") == 1).await?;
    stage.daemon.reconfigure(&setup(&stage.double, &stage.machine, "interactive = 2")).await?;
    stage.until(|gpu| count(gpu, "running", "interactive") == 2).await?;
    stage.double.release(1000);
    whole(&first.finish().await?)?;
    whole(&second.finish().await?)?;
    stage.daemon.stop().await
}

#[tokio::test]
async fn every_kind_of_request_waits_at_the_one_gate() -> Result<()> {
    let stage = Stage::new("interactive = 1").await?;
    let caller = stage.caller().await?;
    let first = stage.stream(&caller).await?;
    stage.until(|gpu| count(gpu, "running", "interactive") == 1).await?;
    let response = json!({"model": "tiny", "input": FRANCE, "stream": true});
    let response = caller.open(&Request::post("/v1/responses", &response)).await?;
    let completion = json!({"model": "tiny", "prompt": FRANCE, "stream": true});
    let completion = caller.open(&Request::post("/v1/completions", &completion)).await?;
    let vectors = Request::post("/v1/embeddings", &json!({"model": "tiny-embed", "input": FRANCE}));
    let waiting = async {
        stage.until(|gpu| count(gpu, "waiting", "interactive") == 3).await?;
        ensure!(stage.double.seen_at("/api/embed").is_empty(), "its engine was asked for one that waits");
        stage.double.release(10_000);
        Ok(())
    };
    let (vectors, ()) = tokio::try_join!(caller.send(&vectors), waiting)?;
    ensure!(vectors.status == 200, "{}", vectors.text());
    whole(&first.finish().await?)?;
    for stream in [response, completion] {
        let answer = stream.finish().await?;
        ensure!(answer.status == 200 && answer.end == End::Clean, "{}", answer.text());
    }
    stage.until(|gpu| gpu["governor"]["running"] == json!({"interactive": 0, "background": 0})).await?;
    stage.daemon.stop().await
}

#[tokio::test]
async fn whoever_waits_too_long_is_told_so_and_a_stop_keeps_nobody_waiting() -> Result<()> {
    let stage = Stage::new("interactive = 1\nqueue_wait = \"1s\"").await?;
    let caller = stage.caller().await?;
    let first = stage.stream(&caller).await?;
    stage.until(|gpu| count(gpu, "running", "interactive") == 1).await?;
    let late = caller.send(&Request::chat("tiny", FRANCE, false)).await?;
    check_error(&late, 503, Some("queue_full"))?;
    ensure!(late.text().contains("taken for 1 s") && late.header("retry-after").is_some(), "{}", late.text());
    // A stream's head has gone out: it is told in the stream.
    let late = caller.send(&Request::chat("tiny", FRANCE, true)).await?;
    ensure!(late.status == 200 && late.text().contains("\"queue_full\""), "{}", late.text());
    let embed = Request::post("/v1/embeddings", &json!({"model": "tiny-embed", "input": FRANCE}));
    check_error(&caller.send(&embed).await?, 503, Some("queue_full"))?;
    ensure!(stage.asked() == 1, "its engine was asked for one that waited");
    stage.daemon.reconfigure(&setup(&stage.double, &stage.machine, "interactive = 1")).await?;
    let second = stage.stream(&caller).await?;
    stage.until(|gpu| count(gpu, "waiting", "interactive") == 1).await?;
    stage.daemon.terminate()?;
    let stopped = second.finish().await?;
    ensure!(stopped.text().contains("GhostLLM was stopped"), "{}", stopped.text());
    // The one that runs is given its time.
    stage.double.release(1000);
    whole(&first.finish().await?)?;
    stage.daemon.stop().await
}
