//! The daemon itself: whom it lets in after damage, that it serves while its disk fails, and who holds its state.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Answer, Request, plain, unix},
    daemon::{Daemon, Setup, Signal},
    double::Double,
    expect::{FRANCE, PARIS, check_error},
    ollama::Ollama,
    root,
    sse::Chat,
    strace::{Injected, traceable},
};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    alerts,
    disks::{Mount, UNSHARE, mounted},
    shell,
};

/// The alert's end is looked for this often.
const OFTEN: &str = "host_interval = \"100ms\"";

/// A state directory that outlives its daemons.
struct Home {
    _scratch: TempDir,
    state: PathBuf,
    setup: Setup,
}

impl Home {
    fn new(setup: Setup) -> Result<Self> {
        let scratch = tempfile::tempdir()?;
        let state = scratch.path().canonicalize()?.join("state");
        let arguments = vec!["--state-dir".to_owned(), state.display().to_string()];
        Ok(Self { _scratch: scratch, state, setup: Setup { arguments, state: false, ..setup } })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }
}

/// A daemon that wants a key everywhere, and looks for no model.
fn closed() -> Setup {
    let mut setup = Setup::backend("ollama", "http://127.0.0.1:1");
    setup.listen.push_str("plain_auth = \"key\"\n");
    setup
}

/// Asks with that key.
async fn ask(daemon: &Daemon, key: &str) -> Result<Answer> {
    let request = Request::get("/v1/models").with("authorization", &format!("Bearer {key}"));
    plain(daemon.plain(false)?, &request).await
}

/// Who had the key is let in, and nobody else.
async fn check_closed(daemon: &Daemon, key: &str) -> Result<()> {
    ensure!(ask(daemon, key).await?.status == 200, "the key is not let in:\n{}", daemon.stderr());
    let keyless = plain(daemon.plain(false)?, &Request::get("/v1/models")).await?;
    ensure!(keyless.status == 401, "without a key: {} {}", keyless.status, keyless.text());
    Ok(())
}

fn first_key(path: &Path) -> Result<String> {
    let key = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(key.trim().to_owned())
}

#[tokio::test]
async fn a_damaged_keys_file_is_said_loudly_and_its_copy_lets_the_same_key_in() -> Result<()> {
    let home = Home::new(closed())?;
    Daemon::start(&home.setup).await?.stop().await?;
    let key = first_key(&home.file("first-key"))?;
    for (at, damage) in [&b""[..], b"{", &[0; 700]].into_iter().enumerate() {
        fs::write(home.file("keys.json"), damage)?;
        let daemon = Daemon::start(&home.setup).await?;
        let said = daemon.stderr();
        let line = said.lines().find(|line| line.contains("is set aside")).context("it says nothing")?;
        ensure!(
            line.contains("ERROR") && line.contains("last good copy") && line.contains(".bad-2"),
            "{line}"
        );
        check_closed(&daemon, &key).await?;
        ensure!(fs::read(home.file("keys.json"))? == fs::read(home.file("keys.json.last"))?, "not mended");
        ensure!(home.state.read_dir()?.filter(is_aside).count() == at + 1, "it was not kept");
        daemon.stop().await?;
    }
    Ok(())
}

fn is_aside(entry: &std::io::Result<fs::DirEntry>) -> bool {
    entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().contains(".bad-"))
}

/// No start, however often a supervisor tries, and no new key, until a person has decided. The first start says these words,
/// or every one.
async fn check_refused(home: &Home, words: &str, always: bool) -> Result<String> {
    let mut first = None;
    for at in 0..3 {
        let ended = Daemon::fail(&home.setup).await?;
        ensure!(ended.code == Some(74), "start {at}: exit code {:?}:\n{}", ended.code, ended.stderr);
        let last = ended.stderr.lines().last().unwrap_or_default().to_owned();
        ensure!(last.contains("nobody can be let in") && last.contains(".bad-2"), "start {at}: {last}");
        ensure!(at == 0 || !always || last.contains(words), "start {at}: {last}");
        first.get_or_insert(last);
    }
    let first = first.context("a start")?;
    println!("{first}");
    ensure!(first.contains(words), "{first}");
    ensure!(!home.file("keys.json").exists() && !home.file("first-key").exists(), "a new key was made");
    Ok(first)
}

#[tokio::test]
async fn keys_and_copy_damaged_open_nothing_until_a_person_decides() -> Result<()> {
    let home = Home::new(closed())?;
    let daemon = Daemon::start(&home.setup).await?;
    let key = first_key(&home.file("first-key"))?;
    check_closed(&daemon, &key).await?;
    daemon.stop().await?;
    let good = fs::read(home.file("keys.json"))?;
    fs::write(home.file("keys.json"), &good[1..])?;
    fs::write(home.file("keys.json.last"), &good[..good.len() - 20])?;
    let error = check_refused(&home, "cannot be used", false).await?;
    // A backup put back opens again, to the same key.
    fs::write(home.file("keys.json"), &good)?;
    shell(&format!("chmod 600 '{}'", home.file("keys.json").display()))?;
    let daemon = Daemon::start(&home.setup).await?;
    check_closed(&daemon, &key).await?;
    daemon.stop().await?;
    // Beginning anew takes that very command, besides the files themselves.
    for name in ["keys.json", "keys.json.last"] {
        fs::remove_file(home.file(name))?;
    }
    ensure!(Daemon::fail(&home.setup).await?.code == Some(74), "it begins anew by itself");
    shell(error.rsplit_once("run: ").context("a command")?.1)?;
    let daemon = Daemon::start(&home.setup).await?;
    ensure!(first_key(&home.file("first-key"))? != key, "the old key again");
    ensure!(ask(&daemon, &key).await?.status == 401, "the old key is let in");
    daemon.stop().await
}

#[tokio::test]
async fn a_keys_file_of_a_newer_version_is_set_aside_and_opens_nothing() -> Result<()> {
    let home = Home::new(closed())?;
    let daemon = Daemon::start(&home.setup).await?;
    let key = first_key(&home.file("first-key"))?;
    check_closed(&daemon, &key).await?;
    daemon.stop().await?;
    let older = fs::read(home.file("keys.json"))?;
    // The copy is of before, when this key was let in.
    let newer = keyless_of_version(9);
    fs::write(home.file("keys.json"), &newer)?;
    // A supervisor's next start says it again: else people would read last that it can be removed.
    let error = check_refused(&home, "is of version 9, written by a newer ghostllm", true).await?;
    let way_back = error.split("run: ").nth(1).and_then(|rest| rest.split(". To begin").next());
    shell(way_back.context("the way back")?)?;
    ensure!(fs::read_to_string(home.file("keys.json"))? == newer, "it is not what the newer one left");
    ensure!(older != newer.as_bytes(), "it never was another");
    Ok(())
}

/// No key at all, in a version that is to come.
fn keyless_of_version(version: usize) -> String {
    let content = "{\"keys\":[]}";
    let crc32 = format!("{:08x}", crc32(format!("keys\n{version}\n{content}").as_bytes()));
    format!("{{\"kind\":\"keys\",\"version\":{version},\"crc32\":\"{crc32}\",\"content\":{content}}}")
}

/// The line of README.Debian that puts a file of before back, with the state lying there.
fn going_back(state: &Path) -> Result<String> {
    let page = fs::read_to_string(root().join("packaging/debian/ghostllm.README.Debian"))?;
    let chapter = page.split("Going back to an older version\n").nth(1).context("no such chapter")?;
    let line =
        chapter.lines().find_map(|line| line.strip_prefix("    sudo cp -p ")).context("no such line")?;
    Ok(format!("cp -p {}", line.replace("/var/lib/ghostllm", &state.display().to_string())))
}

/// N, N-1: an upgrade has brought the keys to a form that this program does not know, and has kept what there was beside it.
#[tokio::test]
async fn an_older_daemon_starts_with_what_its_readme_has_one_put_back() -> Result<()> {
    let home = Home::new(closed())?;
    let daemon = Daemon::start(&home.setup).await?;
    let key = first_key(&home.file("first-key"))?;
    check_closed(&daemon, &key).await?;
    daemon.stop().await?;
    let ours: serde_json::Value = serde_json::from_slice(&fs::read(home.file("keys.json"))?)?;
    let known = usize::try_from(ours["version"].as_u64().context("no version")?)?;
    let kept = format!("keys.json.v{known}");
    let line = going_back(&home.state)?;
    ensure!(line.contains(&kept), "README.Debian names another version than this program's, {known}: {line}");
    fs::copy(home.file("keys.json"), home.file(&kept))?;
    for name in ["keys.json", "keys.json.last"] {
        fs::write(home.file(name), keyless_of_version(known + 1))?;
    }
    // Before it is started over it, and after; there with a shell's marks around the names.
    for begun in [false, true] {
        if begun {
            check_refused(&home, &format!("is of version {}, written by a newer ghostllm", known + 1), true)
                .await?;
        }
        let (code, said) = crate::upgrade::look(&home.state)?;
        ensure!(code == Some(74) && said.replace('\'', "").contains(&line), "begun {begun}: {code:?} {said}");
    }
    shell(&line)?;
    let (code, said) = crate::upgrade::look(&home.state)?;
    ensure!(code == Some(0), "{code:?} {said}");
    let daemon = Daemon::start(&home.setup).await?;
    check_closed(&daemon, &key).await?;
    daemon.stop().await
}

/// CRC-32 as of ISO 3309, a bit at a time: another one than the daemon's.
fn crc32(bytes: &[u8]) -> u32 {
    let fold = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), fold))
}

/// A chat, and a request with the key; the first key's file goes at its first use, which a failing disk keeps from
/// happening.
async fn serves(daemon: &Daemon, key: &str) -> Result<()> {
    let answer = plain(daemon.plain(false)?, &Request::chat("tiny", FRANCE, false)).await?;
    ensure!(answer.status == 200 && answer.text().contains(PARIS), "{} {}", answer.status, answer.text());
    let answer = plain(daemon.plain(false)?, &Request::chat("tiny", FRANCE, true)).await?;
    let chat = Chat::read(&answer.body)?;
    ensure!(chat.done && chat.text() == PARIS, "{} {}", answer.status, answer.text());
    let answer = ask(daemon, key).await?;
    ensure!(answer.status == 200, "{} {}; it wrote:\n{}", answer.status, answer.text(), daemon.stderr());
    Ok(())
}

async fn until_gone(path: &Path, daemon: &Daemon, key: &str) -> Result<()> {
    let begun = Instant::now();
    while path.exists() {
        ensure!(begun.elapsed() < Duration::from_secs(10), "{} stays:\n{}", path.display(), daemon.stderr());
        ask(daemon, key).await?;
    }
    Ok(())
}

#[tokio::test]
async fn goes_on_serving_while_its_disk_is_read_only_or_full() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let home = Home::new(Setup::backend("ollama", &double.url()).with_limits(OFTEN))?;
    let mut prefix: Vec<String> = UNSHARE.iter().copied().map(str::to_owned).collect();
    prefix.extend([mounted(1 << 20), home.state.display().to_string()]);
    let daemon = Daemon::start(&Setup { prefix, ..home.setup.clone() }).await?;
    let mount = Mount::of(daemon.id()?, &home.state);
    let file = mount.seen().join("first-key");
    let key = first_key(&file)?;
    mount.remount("ro")?;
    for _ in 0..3 {
        serves(&daemon, &key).await?;
    }
    ensure!(file.exists(), "a read-only disk has lost a file");
    ensure!(alerts(&daemon.stderr()) == (1, 0), "one alert:\n{}", daemon.stderr());
    daemon.wait_status("state cannot be written, so keys and certificates cannot be changed").await?;
    mount.remount("rw")?;
    // Nobody has to ask anything for that.
    daemon.wait_said("state can be written again").await?;
    until_gone(&file, &daemon, &key).await?;
    mount.fill()?;
    serves(&daemon, &key).await?;
    // Nothing is done that the audit log has no room for.
    let order = Request::post(&admin::path("keys"), &json!({"name": "another"}));
    let socket = mount.seen().join("admin.sock");
    let refused = unix(&socket, &order).await?;
    let said = check_error(&refused, 507, Some("state_unwritable"))?;
    ensure!(said.starts_with("Nothing was done"), "{said}");
    mount.empty()?;
    let made = unix(&socket, &order).await?;
    ensure!(made.status == 200, "{} {}", made.status, made.text());
    admin::made(&daemon, &made.json()?)?;
    ensure!(alerts(&daemon.stderr()) == (1, 1), "{}", daemon.stderr());
    daemon.stop().await
}

#[tokio::test]
async fn goes_on_serving_while_fsync_fails() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let home = Home::new(traceable(Setup::backend("ollama", &double.url()).with_limits(OFTEN)))?;
    let daemon = Daemon::start(&home.setup).await?;
    let key = first_key(&home.file("first-key"))?;
    let injected = Injected::into(daemon.id()?, "fsync").await?;
    for _ in 0..3 {
        serves(&daemon, &key).await?;
    }
    daemon.wait_said("could not be removed").await?;
    ensure!(alerts(&daemon.stderr()) == (1, 0), "one alert:\n{}", daemon.stderr());
    ensure!(daemon.stderr().contains("Input/output error"), "{}", daemon.stderr());
    injected.end()?;
    daemon.wait_said("state can be written again").await?;
    serves(&daemon, &key).await?;
    ensure!(alerts(&daemon.stderr()) == (1, 1), "{}", daemon.stderr());
    daemon.stop().await
}

#[tokio::test]
async fn a_second_daemon_says_who_holds_the_state_and_takes_it_once_that_is_dead() -> Result<()> {
    let home = Home::new(closed())?;
    let first = Daemon::start(&home.setup).await?;
    let key = first_key(&home.file("first-key"))?;
    let before = fs::read(home.file("keys.json"))?;
    let ended = Daemon::fail(&home.setup).await?;
    ensure!(ended.code == Some(74), "exit code {:?}:\n{}", ended.code, ended.stderr);
    let holder = format!("in use by another ghostllm (process {})", first.id()?);
    ensure!(ended.stderr.contains(&holder), "not {holder:?}:\n{}", ended.stderr);
    // Nor once somebody has taken the file away, since it looked left behind.
    fs::remove_file(home.file("lock"))?;
    let ended = Daemon::fail(&home.setup).await?;
    ensure!(ended.code == Some(74), "exit code {:?}:\n{}", ended.code, ended.stderr);
    ensure!(ended.stderr.contains("in use by another ghostllm; stop that one"), "{}", ended.stderr);
    ensure!(fs::read(home.file("keys.json"))? == before, "the second one has written");
    check_closed(&first, &key).await?;
    // The kernel lets go of it, however the first one ends.
    first.signal(Signal::SIGKILL)?;
    first.wait().await?;
    let second = Daemon::start(&home.setup).await?;
    check_closed(&second, &key).await?;
    second.stop().await
}
