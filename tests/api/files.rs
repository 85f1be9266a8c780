//! `kind = "gguf"`: files by their path, good, absent, barred, torn and hostile.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Answer, Caller, Family, Request, Version, plain},
    daemon::{Daemon, Setup},
    double::Double,
    engine,
    ollama::Ollama,
    process,
    sse::Chat,
};
use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::{FRANCE, check_error, on_every_version};

on_every_version!(serves_a_file_under_its_name, tells_what_is_wrong_with_a_file);

/// Rounds come often, so that nobody waits for one.
const OFTEN: &str = "find_interval = \"50ms\"";

async fn serves_a_file_under_its_name(version: Version) -> Result<()> {
    let directory = TempDir::new()?;
    let path = directory.path().join("Named.Q8_0.gguf");
    fs::copy(engine::demo(), &path)?;
    let daemon = Daemon::start(&Setup::default().with_file("file", &path)).await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let listed = caller.send(&Request::get("/v1/models")).await?.json()?;
    let ids: Vec<_> = listed["data"].as_array().context("a list")?.iter().map(|model| &model["id"]).collect();
    ensure!(ids == ["Named.Q8_0"], "{listed}");
    for name in ["Named.Q8_0", "file/Named.Q8_0"] {
        for stream in [false, true] {
            let answer = caller.send(&Request::chat(name, FRANCE, stream)).await?;
            ensure!(answer.status == 200, "{name}: {} {}", answer.status, answer.text());
            if stream {
                let chat = Chat::read(&answer.body)?;
                ensure!(chat.done && !chat.text().is_empty(), "{}", answer.text());
                ensure!(chat.chunks.iter().all(|chunk| chunk["model"] == name), "{}", answer.text());
            } else {
                let json = answer.json()?;
                ensure!(json["model"] == name && json["choices"][0]["finish_reason"] == "stop", "{json}");
            }
        }
    }
    daemon.stop().await
}

/// Files that are none, by the names of their backends, with the words that say so.
fn wrecks(directory: &Path) -> Result<Vec<(&'static str, &'static str)>> {
    let good = fs::read(engine::demo())?;
    let file = |name: &str, bytes: &[u8]| fs::write(directory.join(format!("{name}-model.gguf")), bytes);
    file("torn", good.get(..700_000).context("a demo of a megabyte")?)?;
    // Every byte another, so that no part of it looks like a head.
    let noise = (0..100_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]);
    file("noise", &noise.collect::<Vec<_>>())?;
    // A true head that announces more than there can be: tensors, then keys, then one endless text.
    let head = |tensors: u64, keys: u64| {
        [b"GGUF".as_slice(), &3_u32.to_le_bytes(), &tensors.to_le_bytes(), &keys.to_le_bytes()].concat()
    };
    file("tensors", &head(u64::MAX, 1))?;
    file("keys", &head(1, u64::MAX))?;
    file("text", &[head(1, 1), (u64::MAX / 2).to_le_bytes().to_vec(), vec![b'a'; 1000]].concat())?;
    Ok(vec![
        ("absent", "there is no file"),
        ("torn", "cut short"),
        ("noise", "cannot be used"),
        ("tensors", "cannot be used"),
        ("keys", "cannot be used"),
        ("text", "cannot be used"),
    ])
}

/// Checks what a client hears of a file that cannot be served now.
fn check_unusable(answer: &Answer, words: &str) -> Result<String> {
    let text = check_error(answer, 503, Some("backend_unavailable"))?;
    ensure!(text.contains(words), "{words:?} is not in {text:?}");
    ensure!(answer.header("retry-after").is_some(), "no Retry-After");
    Ok(text)
}

async fn tells_what_is_wrong_with_a_file(version: Version) -> Result<()> {
    let directory = TempDir::new()?;
    let wrecks = wrecks(directory.path())?;
    let double = Double::start(Ollama::default()).await;
    let setup = Setup::default().with_backend("box", "ollama", &double.url(), "");
    let with_wreck = |setup: Setup, (name, _): &(&str, _)| {
        setup.with_file(name, &directory.path().join(format!("{name}-model.gguf")))
    };
    let daemon = Daemon::start(&wrecks.iter().fold(setup, with_wreck)).await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let process = daemon.engine()?;
    // Each name's two forms, whole and streamed, in turn.
    for (at, (name, words)) in wrecks.iter().enumerate() {
        let model = if at % 2 == 0 { format!("{name}-model") } else { format!("{name}/{name}-model") };
        let answer = caller.send(&Request::chat(&model, FRANCE, at % 4 < 2)).await?;
        check_unusable(&answer, words).with_context(|| model)?;
        daemon.wait_said(&format!("{name}-model.gguf does not answer: its file cannot be used")).await?;
    }
    for stream in [false, true] {
        let answer = caller.send(&Request::chat("tiny", FRANCE, stream)).await?;
        ensure!(answer.status == 200, "the others go on serving: {}", answer.text());
    }
    let listed = caller.send(&Request::get("/v1/models")).await?.text();
    ensure!(!listed.contains("-model"), "{listed}");
    ensure!(daemon.engine()? == process, "a file has ended the engine:\n{}", daemon.stderr());
    daemon.stop().await
}

#[tokio::test]
async fn names_the_command_that_lets_it_read_a_file() -> Result<()> {
    let directory = TempDir::new()?;
    let (file, inner) = (directory.path().join("barred.gguf"), directory.path().join("inner"));
    fs::create_dir(&inner)?;
    let hidden = inner.join("hidden.gguf");
    for path in [&file, &hidden] {
        fs::copy(engine::demo(), path)?;
    }
    for path in [&file, &inner] {
        fs::set_permissions(path, Permissions::from_mode(0o000))?;
    }
    let setup = Setup::default().with_file("barred", &file).with_file("hidden", &hidden).with_limits(OFTEN);
    let binary = engine::bounded(directory.path())?;
    let daemon = Daemon::start(&setup.with_engine(&format!("binary = \"{}\"", binary.display()))).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    for (model, command, path, mode) in [
        ("barred", format!("sudo chmod a+r '{}'", file.display()), &file, 0o444),
        ("hidden", format!("sudo chmod a+x '{}'", inner.display()), &inner, 0o755),
    ] {
        check_unusable(&caller.send(&Request::chat(model, FRANCE, false)).await?, &command)?;
        daemon.wait_said(&command).await?;
        // What was advised helps, without a restart.
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        daemon.wait_said(&format!("its models: {model}")).await?;
        let answer = caller.send(&Request::chat(model, FRANCE, false)).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    }
    daemon.stop().await
}

#[tokio::test]
async fn picks_up_a_file_that_appears_later_and_misses_one_that_goes() -> Result<()> {
    let directory = TempDir::new()?;
    let path = directory.path().join("later.gguf");
    let daemon = Daemon::start(&Setup::default().with_file("file", &path).with_limits(OFTEN)).await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V6).await?;
    daemon.wait_said("there is no file").await?;
    ensure!(plain(daemon.plain(false)?, &Request::get("/readyz")).await?.status == 503, "nothing can answer");
    engine::put(&path, &fs::read(engine::demo())?)?;
    daemon.wait_said("its models: later").await?;
    ensure!(plain(daemon.plain(false)?, &Request::get("/readyz")).await?.status == 200, "it can answer now");
    ensure!(caller.send(&Request::chat("later", FRANCE, false)).await?.status == 200, "it answers");
    fs::remove_file(&path)?;
    check_unusable(&caller.send(&Request::chat("later", FRANCE, true)).await?, "there is no file")?;
    daemon.wait_said("later.gguf does not answer any more").await?;
    daemon.stop().await
}

#[tokio::test]
async fn serves_each_file_of_one_name_by_its_own_path() -> Result<()> {
    let directory = TempDir::new()?;
    let [ends, endless] = ["ends", "endless"].map(|name| directory.path().join(name));
    for place in [&ends, &endless] {
        fs::create_dir(place)?;
    }
    let [ends, endless] = [ends, endless].map(|place| place.join("same.gguf"));
    fs::copy(engine::demo(), &ends)?;
    fs::write(&endless, engine::endless())?;
    let setup = Setup::default().with_file("ends", &ends).with_file("endless", &endless);
    let daemon = Daemon::start(&setup).await?;
    // In the engine's own directory lies a third one, which nobody has configured.
    fs::write(daemon.state("models/same.gguf"), engine::endless())?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    for (name, reason) in [("ends/same", "stop"), ("endless/same", "length"), ("same", "stop")] {
        let messages = json!([{"role": "user", "content": FRANCE}]);
        let body = json!({"model": name, "messages": messages, "max_tokens": 40, "temperature": 0});
        let answer = caller.send(&Request::post("/v1/chat/completions", &body)).await?.json()?;
        ensure!(answer["choices"][0]["finish_reason"] == reason, "{name}: {answer}");
    }
    daemon.stop().await
}

#[tokio::test]
async fn knows_its_files_after_the_engine_was_started_anew() -> Result<()> {
    let directory = TempDir::new()?;
    let path = directory.path().join("kept.gguf");
    fs::copy(engine::demo(), &path)?;
    // No round comes that could tell the new engine of the file.
    let setup = Setup::default().with_file("file", &path).with_limits("find_interval = \"1h\"");
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    ensure!(caller.send(&Request::chat("kept", FRANCE, false)).await?.status == 200, "it answers");
    let process = daemon.engine()?;
    process::signal(process, Signal::SIGKILL)?;
    process::wait_gone(process).await?;
    // Each question is a round trip; a test that hangs is ended by its runner.
    loop {
        let answer = caller.send(&Request::chat("kept", FRANCE, false)).await?;
        if answer.status == 200 {
            return daemon.stop().await;
        }
        ensure!(matches!(answer.status, 502 | 503), "the model is not unknown: {}", answer.text());
    }
}
