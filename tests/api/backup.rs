//! `ghostctl backup` and `restore` with the real daemon: what comes back, and what is refused without a trace.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    iter,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use age::{scrypt, secrecy::SecretString};
use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin::{self, Made},
    binary,
    client::{Caller, Family, Request, VERSIONS, plain, unix},
    daemon::{Daemon, Setup},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::ctl::{Ran, ran};

const PASSPHRASE: &str = "CANARY correct horse battery";

/// A directory of the test's own, with a state that outlives its daemon and a file with the passphrase.
struct Room {
    dir: TempDir,
}

impl Room {
    fn new() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("ghostllm-test-").tempdir()?;
        fs::write(dir.path().join("passphrase"), format!("{PASSPHRASE}\n"))?;
        Ok(Self { dir })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A daemon over the state of this name, in which every port wants a key.
    async fn daemon(&self, state: &str) -> Result<Daemon> {
        let mut setup = Setup::backend("ollama", "http://127.0.0.1:9");
        setup.listen.push_str("plain_auth = \"key\"\n");
        setup.state = false;
        setup.arguments = vec!["--state-dir".to_owned(), self.path(state).display().to_string()];
        Daemon::start(&setup).await
    }

    /// Runs ghostctl in this directory; nothing that it prints has the passphrase.
    async fn ctl(&self, socket: Option<&Path>, arguments: &[&str]) -> Result<Ran> {
        let mut command = Command::new(binary("ghostctl"));
        command.env_clear().stdin(Stdio::null()).current_dir(self.dir.path());
        if let Some(socket) = socket {
            command.arg("--socket").arg(socket);
        }
        let ran = ran(command.args(arguments).args(["--passphrase-file", "passphrase"])).await?;
        let Ran { out, err, .. } = &ran;
        ensure!(!out.contains("CANARY") && !err.contains("CANARY"), "the passphrase came out: {out}{err}");
        Ok(ran)
    }

    async fn backup(&self, daemon: &Daemon, arguments: &[&str]) -> Result<Ran> {
        self.ctl(Some(daemon.admin()?), &[&["backup"], arguments].concat()).await
    }

    async fn restore(&self, state: &str, arguments: &[&str]) -> Result<Ran> {
        let state = self.path(state).display().to_string();
        self.ctl(None, &[&["restore", "--state-dir", &state], arguments].concat()).await
    }

    /// The files below the state, with what is in them; the lock's holder aside.
    fn files(&self, state: &str) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        for folder in ["", "ca"] {
            for entry in fs::read_dir(self.path(state).join(folder)).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_file() && entry.file_name() != "lock" {
                    let name = path.strip_prefix(self.path(state)).unwrap_or(&path).display().to_string();
                    found.insert(name, fs::read(&path).unwrap_or_default());
                }
            }
        }
        found
    }

    /// What is in a backup, by name.
    fn opened(&self, file: &str) -> Result<BTreeMap<String, Vec<u8>>> {
        let sealed = fs::read(self.path(file))?;
        let identity = scrypt::Identity::new(SecretString::from(PASSPHRASE.to_owned()));
        let mut tar = age::Decryptor::new(sealed.as_slice())?.decrypt(iter::once(&identity as _))?;
        let mut all = Vec::new();
        tar.read_to_end(&mut all)?;
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(all.as_slice()).entries()? {
            let mut entry = entry?;
            let mut text = Vec::new();
            entry.read_to_end(&mut text)?;
            files.insert(entry.path()?.display().to_string(), text);
        }
        Ok(files)
    }

    /// Encrypts a tar as a backup; each guess of its passphrase is cheap.
    fn seal(&self, file: &str, tar: &[u8]) -> Result<()> {
        let mut recipient = scrypt::Recipient::new(SecretString::from(PASSPHRASE.to_owned()));
        recipient.set_work_factor(10);
        let encryptor = age::Encryptor::with_recipients(iter::once(&recipient as _))?;
        let mut sealed = encryptor.wrap_output(Vec::new())?;
        sealed.write_all(tar)?;
        Ok(fs::write(self.path(file), sealed.finish()?)?)
    }
}

async fn lets_in(daemon: &Daemon, key: &str) -> Result<bool> {
    daemon.secret(key);
    let request = Request::get("/v1/models").with("authorization", &format!("Bearer {key}"));
    let status = plain(daemon.plain(false)?, &request).await?.status;
    ensure!(matches!(status, 200 | 401), "{status}");
    Ok(status == 200)
}

async fn fingerprint(daemon: &Daemon) -> Result<String> {
    let certificates = admin::read(daemon, "certificates").await?;
    Ok(certificates["authority"]["sha256"].as_str().context("no CA")?.to_owned())
}

/// The last act of this name in the audit log.
async fn noted(daemon: &Daemon, act: &str) -> Result<Value> {
    let log = admin::read(daemon, "audit").await?;
    let entries = log["entries"].as_array().context("no entries")?;
    entries
        .iter()
        .rev()
        .find(|entry| entry["act"] == act)
        .cloned()
        .with_context(|| format!("no {act}: {log}"))
}

/// Lines of a private key in these bytes, as a tar or a log would have them.
fn has_private_key(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"PRIVATE KEY")
}

#[tokio::test]
async fn a_backup_makes_another_state_the_same_box() -> Result<()> {
    let room = Room::new()?;
    let daemon = room.daemon("one").await?;
    let kept = admin::make(&daemon, &json!({"name": "kept"})).await?;
    let revoked = admin::make(&daemon, &json!({"name": "revoked"})).await?;
    admin::done(&daemon, "DELETE", &format!("keys/{}", revoked.id), None).await?;
    let ca = fingerprint(&daemon).await?;
    let ran = room.backup(&daemon, &["whole", "--with-ca-key"]).await?;
    ensure!(ran.code == Some(0) && ran.out.contains("state/keys.json"), "{ran:?}");
    ensure!(!has_private_key(ran.out.as_bytes()) && !ran.out.contains(&kept.key[13..]), "{ran:?}");
    ensure!(ran.out.lines().all(|line| line.chars().count() <= 80), "{ran:?}");
    let mode = fs::metadata(room.path("whole"))?.permissions().mode() & 0o7777;
    ensure!(mode == 0o600, "{mode:o}");
    ensure!(noted(&daemon, "state.backup").await?["detail"] == "with the CA's key");
    let late = admin::make(&daemon, &json!({"name": "late"})).await?;
    daemon.stop().await?;

    // On a state that has keys and a CA of its own.
    let other = room.daemon("two").await?;
    let foreign = admin::make(&other, &json!({"name": "foreign"})).await?;
    ensure!(fingerprint(&other).await? != ca);
    other.stop().await?;
    let before = room.files("two");
    let ran = room.restore("two", &["whole"]).await?;
    ensure!(ran.code == Some(2) && ran.err.contains("--yes"), "it is asked for first: {ran:?}");
    ensure!(room.files("two") == before, "a question changes nothing");
    let ran = room.restore("two", &["whole", "--yes", "--json"]).await?;
    ensure!(ran.code == Some(0), "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out)?;
    let aside: Vec<&str> =
        told["before"].as_array().context("before")?.iter().filter_map(Value::as_str).collect();
    for name in ["keys.json", "keys.json.last", "ca/authority.pem", "ca/ca.pem", "ca/server.pem", "audit.log"]
    {
        let kept = aside.iter().find(|aside| aside.starts_with(&format!("{name}.before-restore-")));
        let kept = kept.with_context(|| format!("{name} was not set aside: {told}"))?;
        ensure!(before.get(name) == room.files("two").get(*kept), "{kept}");
        let mode = fs::metadata(room.path("two").join(name))?.permissions().mode() & 0o7777;
        ensure!(mode == 0o600, "{name} {mode:o}");
    }
    let other = room.daemon("two").await?;
    ensure!(lets_in(&other, &kept.key).await?, "a key of before the backup works");
    for Made { id, key } in [&revoked, &late, &foreign] {
        ensure!(!lets_in(&other, key).await?, "{id} must not");
    }
    ensure!(fingerprint(&other).await? == ca, "the CA is the same");
    let entry = noted(&other, "state.restore").await?;
    ensure!(
        entry["result"] == "done" && entry["who"].as_str().is_some_and(|who| who.starts_with("uid ")),
        "{entry}"
    );
    noted(&other, "keys.revoke").await?;
    other.stop().await
}

#[tokio::test]
async fn without_the_cas_key_no_private_key_is_in_it_and_a_new_state_has_a_new_ca() -> Result<()> {
    let room = Room::new()?;
    let daemon = room.daemon("one").await?;
    let kept = admin::make(&daemon, &json!({"name": "kept"})).await?;
    let ca = fingerprint(&daemon).await?;
    let ran = room.backup(&daemon, &["plain", "--json"]).await?;
    ensure!(ran.code == Some(0), "{ran:?}");
    let manifest: Value = serde_json::from_str(&ran.out)?;
    ensure!(manifest["version"] == 1 && manifest["with_ca_key"] == false, "{manifest}");
    let files = room.opened("plain")?;
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    ensure!(
        names
            == [
                "config/00-ghostllm.toml",
                "manifest.json",
                "state/audit.log",
                "state/ca/ca.pem",
                "state/keys.json"
            ],
        "{names:?}"
    );
    for (name, text) in &files {
        ensure!(!has_private_key(text), "{name} has a private key");
        ensure!(
            !text.windows(43).any(|part| part == &kept.key.as_bytes()[13..56]),
            "{name} has a key's secret"
        );
    }
    ensure!(noted(&daemon, "state.backup").await?["detail"] == "without the CA's key");
    daemon.stop().await?;

    let ran = room.restore("new", &["--list", "plain"]).await?;
    ensure!(
        ran.code == Some(0) && ran.out.contains("state/keys.json") && !room.path("new").exists(),
        "{ran:?}"
    );
    ensure!(ran.out.lines().all(|line| line.chars().count() <= 80), "{ran:?}");
    // Nothing is there to be replaced, so that nobody has to be asked.
    let ran = room.restore("new", &["plain"]).await?;
    ensure!(ran.code == Some(0), "{ran:?}");
    let mode = fs::metadata(room.path("new"))?.permissions().mode() & 0o7777;
    ensure!(mode == 0o700, "{mode:o}");
    let names: Vec<String> = room.files("new").into_keys().collect();
    ensure!(names == ["audit.log", "keys.json", "keys.json.last"], "{names:?}");
    let new = room.daemon("new").await?;
    ensure!(lets_in(&new, &kept.key).await? && fingerprint(&new).await? != ca);
    new.stop().await?;

    // The box that it came from keeps its CA.
    ensure!(room.restore("one", &["plain", "--yes"]).await?.code == Some(0));
    let same = room.daemon("one").await?;
    ensure!(lets_in(&same, &kept.key).await? && fingerprint(&same).await? == ca);
    same.stop().await
}

fn member(name: &str, kind: tar::EntryType, size: u64, text: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    if kind == tar::EntryType::Symlink {
        header.set_link_name("/etc/passwd").unwrap();
    }
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    tar.extend_from_slice(text);
    tar.resize(tar.len().next_multiple_of(512), 0);
    tar
}

#[tokio::test]
async fn what_is_no_sound_backup_changes_nothing_and_leaves_nothing() -> Result<()> {
    use tar::EntryType as Kind;
    let room = Room::new()?;
    let daemon = room.daemon("one").await?;
    ensure!(room.backup(&daemon, &["good", "--with-ca-key"]).await?.code == Some(0));
    daemon.stop().await?;
    let good = fs::read(room.path("good"))?;
    let files = room.opened("good")?;
    let manifest = files.get("manifest.json").context("no manifest")?;
    let listed = member("manifest.json", Kind::Regular, manifest.len() as u64, manifest);
    let keys = files.get("state/keys.json").context("no keys")?;
    let mut newer: Value = serde_json::from_slice(manifest)?;
    newer["version"] = json!(2);
    let newer = serde_json::to_vec(&newer)?;
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(room.path("flipped"), flipped)?;
    fs::write(room.path("cut"), &good[..good.len() - 100])?;
    fs::write(room.path("short"), &good[..60])?;
    fs::write(room.path("text"), "no backup at all")?;
    // Every file as it is listed, but for the keys.
    let changed: Vec<u8> = keys.iter().map(|byte| if *byte == b'1' { b'2' } else { *byte }).collect();
    let others = files.iter().filter(|(name, _)| *name != "manifest.json").map(|(name, text)| {
        let text = if name == "state/keys.json" { &changed } else { text };
        member(name, Kind::Regular, text.len() as u64, text)
    });
    let swapped: Vec<Vec<u8>> = iter::once(listed.clone()).chain(others).collect();
    for (file, tars) in [
        ("climbs", vec![listed.clone(), member("../x", Kind::Regular, 1, b"x")]),
        ("absolute", vec![listed.clone(), member("/tmp/x", Kind::Regular, 1, b"x")]),
        ("link", vec![listed.clone(), member("state/keys.json", Kind::Symlink, 0, b"")]),
        ("unknown", vec![listed.clone(), member("state/other", Kind::Regular, 1, b"x")]),
        ("large", vec![listed.clone(), member("state/keys.json", Kind::Regular, 1 << 32, b"x")]),
        ("newer", vec![member("manifest.json", Kind::Regular, newer.len() as u64, &newer)]),
        ("lacking", vec![listed]),
        ("swapped", swapped),
    ] {
        room.seal(file, &[tars.concat(), vec![0; 1024]].concat())?;
    }
    let before = room.files("one");
    for (file, why) in [
        ("flipped", "cut off or changed"),
        ("cut", "cut off or changed"),
        ("short", "no whole backup"),
        ("text", "no whole backup"),
        ("climbs", "no file of a backup"),
        ("absolute", "no file of a backup"),
        ("link", "no plain file"),
        ("unknown", "no file of a backup"),
        ("large", "and may have"),
        ("newer", "newer ghostctl"),
        ("lacking", "not there"),
        ("swapped", "is not as it is listed"),
    ] {
        for state in ["one", "new"] {
            let ran = room.restore(state, &[file, "--yes"]).await?;
            ensure!(
                ran.code == Some(1) && ran.err.contains(why) && ran.err.contains("Next: "),
                "{file}: {ran:?}"
            );
        }
        ensure!(room.files("one") == before && !room.path("new").exists(), "{file} left something");
    }
    fs::write(room.path("passphrase"), "CANARY another passphrase\n")?;
    let ran = room.restore("one", &["good", "--yes"]).await?;
    ensure!(ran.code == Some(1) && ran.err.contains("does not open with this passphrase"), "{ran:?}");
    ensure!(room.files("one") == before);
    Ok(())
}

#[tokio::test]
async fn a_running_daemon_a_file_that_exists_and_a_short_passphrase_are_in_the_way() -> Result<()> {
    let room = Room::new()?;
    let daemon = room.daemon("one").await?;
    ensure!(room.backup(&daemon, &["file"]).await?.code == Some(0));
    let (file, before) = (fs::read(room.path("file"))?, room.files("one"));
    let ran = room.restore("one", &["file", "--yes"]).await?;
    let process = daemon.id()?.to_string();
    ensure!(
        ran.code == Some(1) && ran.err.contains(&process) && ran.err.contains("systemctl stop ghostllm"),
        "{ran:?}"
    );
    ensure!(room.files("one") == before);
    let ran = room.backup(&daemon, &["file"]).await?;
    ensure!(
        ran.code == Some(1) && ran.err.contains("--yes") && fs::read(room.path("file"))? == file,
        "{ran:?}"
    );
    fs::write(room.path("passphrase"), "CANARY 1234\n")?;
    let ran = room.backup(&daemon, &["file", "--yes"]).await?;
    ensure!(
        ran.code == Some(1) && ran.err.contains("12 characters") && fs::read(room.path("file"))? == file,
        "{ran:?}"
    );
    fs::write(room.path("passphrase"), PASSPHRASE)?;
    let ran = room.backup(&daemon, &["file", "--yes"]).await?;
    ensure!(ran.code == Some(0) && fs::read(room.path("file"))? != file, "{ran:?}");
    ensure!(!room.path("file.part").exists());
    let ran = room.backup(&daemon, &["nowhere/file"]).await?;
    ensure!(ran.code == Some(1) && !room.path("nowhere").exists(), "{ran:?}");
    daemon.stop().await
}

#[tokio::test]
async fn the_state_is_given_out_on_the_box_alone() -> Result<()> {
    let daemon = Daemon::start(&Setup::backend("ollama", "http://127.0.0.1:9")).await?;
    let key = admin::of_role(&daemon, "admin").await?.key;
    for version in VERSIONS {
        let caller = Caller::new(&daemon, version, Family::V4).await?.with_key(Some(&key));
        let answer = caller.send(&Request::get(&admin::path("backup"))).await?;
        ensure!(answer.status == 403 && answer.text().contains("ghostctl backup"), "{}", answer.text());
    }
    ensure!(noted(&daemon, "state.backup").await?["result"] == "denied");
    // What comes through a proxy to the socket comes from elsewhere.
    let proxied = Request::get(&admin::path("backup"))
        .with("x-forwarded-for", "192.0.2.1")
        .with("authorization", &format!("Bearer {key}"));
    let answer = unix(daemon.admin()?, &proxied).await?;
    ensure!(answer.status == 403, "{} {}", answer.status, answer.text());
    for (query, status) in [("", 200), ("?authority=false", 200), ("?authority=yes", 400), ("?x", 400)] {
        let answer = admin::ask(&daemon, "GET", &format!("backup{query}"), None).await?;
        ensure!(answer.status == status, "{query}: {}", answer.status);
        ensure!(status != 200 || answer.header("content-type") == Some("application/x-tar"), "{query}");
        ensure!(!has_private_key(&answer.body), "{query}");
    }
    let whole = admin::ask(&daemon, "GET", "backup?authority=true", None).await?;
    ensure!(whole.status == 200 && has_private_key(&whole.body));
    daemon.stop().await
}
