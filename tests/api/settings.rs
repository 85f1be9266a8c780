//! Settings that an admin changes with `ghostctl config set`: in use at once, kept over restarts, whole or not at all.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use ghostllm_tests::{
    admin, binary,
    client::{Caller, Family, Request, Version, plain},
    daemon::{Daemon, Setup, Signal},
    double::Double,
    openai::{OpenAi, Style},
    strace::{Injected, traceable},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    FRANCE,
    ctl::{Ran, ctl, ran},
};

/// A state that outlives its daemons.
struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Result<Self> {
        Ok(Self { dir: tempfile::Builder::new().prefix("ghostllm-test-").tempdir()? })
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn setup(&self) -> Setup {
        let mut setup = Setup::backend("ollama", "http://127.0.0.1:9");
        setup.state = false;
        setup.arguments = vec!["--state-dir".to_owned(), self.state().display().to_string()];
        setup
    }

    async fn daemon(&self) -> Result<Daemon> {
        Daemon::start(&self.setup()).await
    }
}

/// Where no daemon runs.
async fn alone(arguments: &[&str]) -> Result<Ran> {
    ran(Command::new(binary("ghostctl")).env_clear().stdin(Stdio::null()).args(arguments)).await
}

async fn set(daemon: &Daemon, words: &[&str]) -> Result<Ran> {
    ctl(daemon, &[&["config", "set"], words].concat()).await
}

/// The value and the place of a setting, as `config show` has it.
async fn shown(daemon: &Daemon, line: &str) -> Result<bool> {
    let config = admin::read(daemon, "config").await?;
    Ok(config["toml"].as_str().unwrap_or_default().lines().any(|shown| shown == line))
}

/// The files of what is kept, both the same.
fn kept(state: &Path) -> Option<String> {
    let text = fs::read_to_string(state.join("settings.json")).ok()?;
    assert_eq!(fs::read_to_string(state.join("settings.json.last")).ok().as_ref(), Some(&text));
    Some(text)
}

/// The same while they may be written.
fn kept_quietly(state: &Path) -> Option<String> {
    let both = ["settings.json", "settings.json.last"].map(|name| fs::read_to_string(state.join(name)).ok());
    let [one, other] = both;
    one.filter(|text| other.as_ref() == Some(text))
}

#[tokio::test]
async fn a_setting_is_in_use_at_once_and_kept_until_it_is_unset() -> Result<()> {
    let home = Home::new()?;
    let daemon = home.daemon().await?;
    let ran = set(&daemon, &["limits.drain_grace", "7s", "log.level", "debug"]).await?;
    ensure!(ran.code == Some(0) && ran.err.is_empty(), "{ran:?}");
    ensure!(ran.out == "Kept, and in use: limits.drain_grace, log.level\n", "{ran:?}");
    let line = "drain_grace = \"7s\" # ghostctl config set limits.drain_grace";
    ensure!(shown(&daemon, line).await?, "not in use");
    let config = admin::read(&daemon, "config").await?;
    ensure!(config["kept"] == json!({"limits.drain_grace": "7s", "log.level": "debug"}), "{config}");
    let audit = admin::read(&daemon, "audit?last=1").await?;
    let entry = &audit["entries"][0];
    ensure!(entry["act"] == "config.set" && entry["result"] == "done", "{entry}");
    ensure!(entry["detail"] == "limits.drain_grace = 7s; log.level = debug", "{entry}");
    daemon.stop().await?;

    let daemon = home.daemon().await?;
    ensure!(shown(&daemon, line).await?, "not kept");
    // A reload of the files takes nothing of it away.
    daemon.reload().await?;
    ensure!(shown(&daemon, line).await?, "gone with a reload");
    let ran = ctl(&daemon, &["config", "unset", "limits.drain_grace"]).await?;
    ensure!(ran.code == Some(0), "{ran:?}");
    ensure!(shown(&daemon, "drain_grace = \"30s\" # default").await?, "still in use");
    let ran = ctl(&daemon, &["config", "unset", "limits.drain_grace"]).await?;
    ensure!(ran.code == Some(5) && ran.err.contains("those that are: log.level"), "{ran:?}");
    daemon.stop().await?;
    ensure!(kept(&home.state()).is_some_and(|text| !text.contains("drain_grace")));
    // Root looks at it whosever it is.
    if nix::unistd::geteuid().is_root() {
        for path in
            [home.state(), home.state().join("settings.json"), home.state().join("settings.json.last")]
        {
            std::os::unix::fs::chown(path, Some(65534), Some(65534))?;
        }
    }
    let shown = Command::new(binary("ghostllm"))
        .env_clear()
        .args(["config", "show", "/dev/null", "--state-dir"])
        .arg(home.state())
        .output()
        .await?;
    let text = String::from_utf8(shown.stdout)?;
    ensure!(text.contains("level = \"debug\" # ghostctl config set log.level"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_backend_is_added_by_several_settings_at_once() -> Result<()> {
    let home = Home::new()?;
    let daemon = home.daemon().await?;
    let other = Double::start(OpenAi::new(Style::Vllm, "other")).await;
    let half = set(&daemon, &["backends.my-box.kind", "openai"]).await?;
    ensure!(half.code == Some(2) && half.err.contains("my-box") && half.err.contains("url"), "{half:?}");
    ensure!(kept(&home.state()).is_none(), "half of a backend is kept");
    let ran = set(&daemon, &["backends.my-box.kind", "openai", "backends.my-box.url", &other.url()]).await?;
    ensure!(ran.code == Some(0), "{ran:?}");
    admin::done(&daemon, "POST", "backends/my-box/test", None).await?;
    let chat = Request::chat("other", FRANCE, false);
    ensure!(plain(daemon.plain(true)?, &chat).await?.status == 200, "not in use");
    let ran = ctl(&daemon, &["config", "unset", "backends.my-box.kind", "backends.my-box.url"]).await?;
    ensure!(ran.code == Some(0), "{ran:?}");
    ensure!(plain(daemon.plain(true)?, &chat).await?.status != 200, "still in use");
    daemon.stop().await
}

#[tokio::test]
async fn what_cannot_be_used_is_not_kept_and_says_why() -> Result<()> {
    let home = Home::new()?;
    let daemon = home.daemon().await?;
    for (words, code, told) in [
        (&["log.level", "loud"][..], 2, "ghostctl config set log.level: log.level: \"loud\""),
        (&["log.levle", "debug"], 2, "did you mean"),
        (&["log", "debug"], 2, "expected a table"),
        (&["backends.ollama.name", "x"], 2, "cannot be changed"),
        (&["limits.drain_grace", "7s", "log.level", "loud"], 2, "\"loud\""),
        (&["listen.certificate", "/nowhere.pem"], 2, "listen.key"),
        (&["backends.ollama.key_file", "/nowhere.key"], 2, "/nowhere.key"),
        (&["log.level"], 2, "the setting log.level has no value"),
        (&["log.level=debug"], 2, "write log.level debug"),
        (&["log.level", "debug", "log.level", "info"], 2, "twice"),
    ] {
        let ran = set(&daemon, words).await?;
        ensure!(ran.code == Some(code) && ran.out.is_empty(), "{words:?}: {ran:?}");
        ensure!(ran.err.contains(told), "{words:?}: {ran:?}");
        let next = ran.err.lines().last().unwrap_or_default();
        ensure!(next.contains("ghostctl ") || next.contains("`ghostllm "), "{words:?}: {ran:?}");
    }
    ensure!(kept(&home.state()).is_none(), "something is kept");
    ensure!(shown(&daemon, "drain_grace = \"30s\" # default").await?, "something is in use");
    let status = admin::read(&daemon, "status").await?;
    ensure!(!status["causes"].to_string().contains("configuration"), "{status}");
    // A fault in a file is told as that, and mended it is no hindrance.
    let good = fs::read_to_string(daemon.config())?;
    fs::write(daemon.config(), format!("{good}\n[limits_]\n"))?;
    let ran = set(&daemon, &["log.level", "debug"]).await?;
    ensure!(
        ran.code == Some(1) && ran.err.contains("ghostllm.toml") && ran.err.contains("limits_"),
        "{ran:?}"
    );
    // Nor does it do without a file that has vanished, which may have closed something.
    fs::write(daemon.config(), "")?;
    let ran = set(&daemon, &["log.level", "debug"]).await?;
    ensure!(ran.code == Some(1) && ran.err.contains("is empty, renamed or gone"), "{ran:?}");
    fs::write(daemon.config(), good)?;
    ensure!(set(&daemon, &["log.level", "debug"]).await?.code == Some(0));
    daemon.stop().await
}

/// A daemon at whose disk this call takes so long, with one setting that is kept already.
async fn slowed(home: &Home, call: &str, seconds: u64) -> Result<(Daemon, Injected)> {
    let daemon = Daemon::start(&traceable(home.setup())).await?;
    ensure!(set(&daemon, &["limits.drain_grace", "7s"]).await?.code == Some(0));
    let slow = Injected::slow(daemon.id()?, call, Duration::from_secs(seconds)).await?;
    Ok((daemon, slow))
}

/// That the next start finds this.
async fn finds(home: &Home, grace: &str) -> Result<()> {
    let daemon = home.daemon().await?;
    let line = format!("drain_grace = \"{grace}\" # ghostctl config set limits.drain_grace");
    ensure!(shown(&daemon, &line).await?, "{}", set(&daemon, &["show"]).await?.err);
    daemon.stop().await
}

#[tokio::test]
async fn what_was_given_up_on_a_slow_disk_is_not_kept_later_not_even_by_a_crash() -> Result<()> {
    let home = Home::new()?;
    // Before either file has its new name, two of them are done, which is longer than whoever sets it waits.
    let (daemon, slow) = slowed(&home, "fsync", 6).await?;
    let ran = set(&daemon, &["limits.drain_grace", "9s"]).await?;
    ensure!(ran.code == Some(1) && ran.err.contains("The settings are as they were: "), "{ran:?}");
    ensure!(ran.err.contains("does not answer") && ran.err.contains("Next: "), "{ran:?}");
    daemon.signal(Signal::SIGKILL)?;
    daemon.wait().await?;
    slow.end()?;
    finds(&home, "7s").await
}

#[tokio::test]
async fn what_is_about_to_be_done_by_a_slow_disk_is_waited_for() -> Result<()> {
    let home = Home::new()?;
    // Four of them, the last two behind the point from which on it can be seen.
    let (daemon, slow) = slowed(&home, "fsync", 4).await?;
    let ran = set(&daemon, &["limits.drain_grace", "9s"]).await?;
    ensure!(ran.code == Some(0), "{ran:?}");
    slow.end()?;
    ensure!(
        shown(&daemon, "drain_grace = \"9s\" # ghostctl config set limits.drain_grace").await?,
        "it is not in use"
    );
    daemon.stop().await?;
    finds(&home, "9s").await
}

#[tokio::test]
async fn what_came_too_late_is_taken_back_and_said_to_be_uncertain_until_then() -> Result<()> {
    let home = Home::new()?;
    // Two of them give the new content its names.
    let (daemon, slow) = slowed(&home, "/^rename", 12).await?;
    let before = kept(&home.state());
    let ran = set(&daemon, &["limits.drain_grace", "9s"]).await?;
    let words = "The settings are as they were, unless ghostllm ends before they are taken back: ";
    ensure!(ran.code == Some(1) && ran.err.contains(words) && ran.err.contains("Next: "), "{ran:?}");
    slow.end()?;
    let begun = Instant::now();
    while kept_quietly(&home.state()) != before {
        ensure!(begun.elapsed() < Duration::from_secs(30), "{:?}", kept_quietly(&home.state()));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    daemon.stop().await?;
    finds(&home, "7s").await
}

#[tokio::test]
async fn a_failing_disk_leaves_both_files_and_what_is_in_use_as_they_were() -> Result<()> {
    let home = Home::new()?;
    let daemon = Daemon::start(&traceable(home.setup())).await?;
    ensure!(set(&daemon, &["limits.drain_grace", "7s"]).await?.code == Some(0));
    let before = kept(&home.state());
    let failing = Injected::into(daemon.id()?, "fsync").await?;
    let ran = set(&daemon, &["limits.drain_grace", "9s"]).await?;
    ensure!(ran.code == Some(1) && ran.err.contains("Next: "), "{ran:?}");
    failing.end()?;
    ensure!(kept(&home.state()) == before, "{:?}", kept(&home.state()));
    let line = "drain_grace = \"7s\" # ghostctl config set limits.drain_grace";
    ensure!(shown(&daemon, line).await?, "it is in use");
    ensure!(set(&daemon, &["limits.drain_grace", "9s"]).await?.code == Some(0));
    daemon.stop().await
}

#[tokio::test]
async fn those_that_are_set_at_once_are_all_kept() -> Result<()> {
    let home = Home::new()?;
    let daemon = home.daemon().await?;
    let names = ["limits.drain_grace", "limits.h2_linger", "limits.backend_idle", "limits.config_interval"];
    let at = &daemon;
    let each = names.map(|name| async move { (name, set(at, &[name, "6s"]).await) });
    for (name, ran) in futures_util::future::join_all(each).await {
        let ran = ran?;
        ensure!(ran.code == Some(0), "{name}: {ran:?}");
    }
    let config = admin::read(&daemon, "config").await?;
    for name in names {
        ensure!(config["kept"][name] == "6s", "{config}");
    }
    daemon.stop().await?;
    let text = kept(&home.state()).unwrap_or_default();
    ensure!(names.iter().all(|name| text.contains(name)), "{text}");
    Ok(())
}

#[tokio::test]
async fn what_lies_over_it_is_named() -> Result<()> {
    let home = Home::new()?;
    let mut setup = home.setup().with_environment("GHOSTLLM_LOG__LEVEL", "info");
    setup.arguments.extend(["--set".to_owned(), "limits.drain_grace=5s".to_owned()]);
    let daemon = Daemon::start(&setup).await?;
    for (key, value, place) in [
        ("log.level", "debug", "environment variable GHOSTLLM_LOG__LEVEL"),
        ("limits.drain_grace", "7s", "--set limits.drain_grace"),
    ] {
        let ran = set(&daemon, &[key, value]).await?;
        ensure!(ran.code == Some(1) && ran.err.contains(place), "{ran:?}");
    }
    ensure!(kept(&home.state()).is_none());
    // Over a profile it lies itself.
    let profile = format!(
        "profile = \"dev\"\n{}\n[profiles.dev.limits]\nrefused_linger = \"3s\"\n",
        fs::read_to_string(daemon.config())?
    );
    fs::write(daemon.config(), profile)?;
    daemon.reload().await?;
    ensure!(set(&daemon, &["limits.refused_linger", "4s"]).await?.code == Some(0));
    ensure!(shown(&daemon, "refused_linger = \"4s\" # ghostctl config set limits.refused_linger").await?);
    daemon.stop().await
}

#[tokio::test]
async fn a_setting_that_needs_a_restart_says_so_and_is_taken_then() -> Result<()> {
    let home = Home::new()?;
    let daemon = home.daemon().await?;
    let ran = set(&daemon, &["limits.threads", "1"]).await?;
    ensure!(ran.code == Some(0) && ran.out.contains("These need a restart: limits.threads"), "{ran:?}");
    daemon.stop().await?;
    let daemon = home.daemon().await?;
    ensure!(shown(&daemon, "threads = 1 # ghostctl config set limits.threads").await?);
    daemon.stop().await
}

#[tokio::test]
async fn over_the_network_an_admin_changes_settings_but_none_that_names_a_file() -> Result<()> {
    let home = Home::new()?;
    let daemon = home.daemon().await?;
    let key = admin::of_role(&daemon, "admin").await?.key;
    let caller = Caller::keyless(&daemon, Version::H2, Family::V4).await?.with_key(Some(&key));
    let change = |set: Value| Request::post(&admin::path("config"), &json!({"set": set})).method("PATCH");
    let answer = caller.send(&change(json!({"log.level": "debug"}))).await?;
    ensure!(answer.status == 200 && answer.json()?["changed"] == json!(["log.level"]), "{}", answer.text());
    for name in [
        "backends.ollama.key_file",
        "backends.new.path",
        "listen.certificate",
        "listen.key",
        "listen.admin",
        "engine.binary",
        "engine.models",
        "engine.socket",
    ] {
        let answer = caller.send(&change(json!({name: "/etc/passwd"}))).await?;
        let text = answer.text();
        ensure!(
            answer.status == 403 && text.contains("ghostctl config set"),
            "{name}: {} {text}",
            answer.status
        );
    }
    // A backend's own key would go wherever its address leads.
    let file = home.dir.path().join("box.key");
    fs::write(&file, "box-secret\n")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    daemon.secret("box-secret");
    let ran = set(&daemon, &["backends.ollama.key_file", &file.display().to_string()]).await?;
    ensure!(ran.code == Some(0), "{ran:?}");
    let stolen = json!({"backends.ollama.url": "http://127.0.0.1:10"});
    let answer = caller.send(&change(stolen.clone())).await?;
    ensure!(answer.status == 403 && answer.text().contains("ollama.url"), "{}", answer.text());
    ensure!(ctl(&daemon, &["config", "unset", "backends.ollama.key_file"]).await?.code == Some(0));
    ensure!(caller.send(&change(stolen)).await?.status == 200, "it has no key any more");
    for role in ["operator", "user", "viewer"] {
        let key = admin::of_role(&daemon, role).await?.key;
        let caller = Caller::keyless(&daemon, Version::H1, Family::V6).await?.with_key(Some(&key));
        let answer = caller.send(&change(json!({"log.level": "info"}))).await?;
        ensure!(answer.status == 403, "{role}: {}", answer.status);
    }
    let answer = caller.send(&change(json!({"log.level": key}))).await?;
    ensure!(answer.status == 400 && !answer.text().contains(&key), "{}", answer.text());
    ensure!(kept(&home.state()).is_some_and(|text| text.contains("debug") && !text.contains("passwd")));
    daemon.stop().await
}

#[tokio::test]
async fn kept_settings_that_prevent_a_start_are_taken_away_without_the_daemon() -> Result<()> {
    let home = Home::new()?;
    let state = home.state().display().to_string();
    let daemon = home.daemon().await?;
    let ran = set(&daemon, &["listen.tls", "[ff02::1]:443", "log.level", "debug"]).await?;
    ensure!(ran.code == Some(0), "{ran:?}");
    let running = alone(&["config", "unset", "listen.tls", "--state-dir", &state]).await?;
    ensure!(running.code == Some(1) && running.err.contains("the daemon runs"), "{running:?}");
    daemon.stop().await?;
    let mut setup = home.setup();
    // The file says none, so that the kept one counts.
    setup.listen = setup.listen.replace("tls = \"[::]:0\"\n", "");
    let ended = Daemon::fail(&setup).await?;
    ensure!(ended.stderr.contains("ff02::1"), "{}", ended.stderr);
    ensure!(ended.stderr.contains("ghostctl config unset listen.tls"), "{}", ended.stderr);
    let gone = alone(&["--socket", "/nowhere.sock", "config", "unset", "listen.tls"]).await?;
    ensure!(gone.code == Some(3) && gone.err.contains("--state-dir"), "{gone:?}");
    let other = alone(&["config", "unset", "listen.plain", "--state-dir", &state]).await?;
    ensure!(other.code == Some(5) && other.err.contains("listen.tls, log.level"), "{other:?}");
    let ran = alone(&["config", "unset", "listen.tls", "--state-dir", &state]).await?;
    ensure!(ran.code == Some(0) && ran.out.contains("listen.tls"), "{ran:?}");
    ensure!(fs::read_to_string(home.state().join("audit.log"))?.contains("unset without the daemon"));
    let daemon = home.daemon().await?;
    ensure!(
        shown(&daemon, "level = \"debug\" # ghostctl config set log.level").await?,
        "the others are gone"
    );
    daemon.stop().await
}

#[tokio::test]
async fn damaged_settings_are_mended_by_their_copy_and_never_passed_over() -> Result<()> {
    let home = Home::new()?;
    let daemon = home.daemon().await?;
    ensure!(set(&daemon, &["limits.drain_grace", "7s"]).await?.code == Some(0));
    daemon.stop().await?;
    let file = home.state().join("settings.json");
    fs::write(&file, "{")?;
    let daemon = home.daemon().await?;
    ensure!(shown(&daemon, "drain_grace = \"7s\" # ghostctl config set limits.drain_grace").await?);
    daemon.stop().await?;
    ensure!(kept(&home.state()).is_some(), "not mended");
    for name in ["settings.json", "settings.json.last"] {
        fs::write(home.state().join(name), "{")?;
    }
    for _ in 0..2 {
        let ended = Daemon::fail(&home.setup()).await?;
        ensure!(ended.code == Some(74) && ended.stderr.contains("ghostctl config set"), "{ended:?}");
    }
    for entry in fs::read_dir(home.state())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains(".bad-") {
            fs::remove_file(entry.path())?;
        }
    }
    home.daemon().await?.stop().await
}
