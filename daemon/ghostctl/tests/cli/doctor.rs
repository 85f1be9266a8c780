//! `ghostctl doctor`: each fault is made, and named with its next step. The system's files are a test's own (`--root`), so that no
//! test depends on the machine that it runs on.

mod cards;
mod fixes;
mod ports;

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use ghostllm_core::admin::{DoctorReport, DoctorResult};
use serde_json::json;
use tempfile::TempDir;
use unicode_width::UnicodeWidthStr;

use crate::{
    Ran,
    canned::{Daemon, KEY, status, usual},
};

/// A box on which all is well, before a fault is made.
pub(crate) struct House {
    dir: TempDir,
}

const TCP: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

impl House {
    pub(crate) fn well() -> Self {
        let house = Self { dir: tempfile::tempdir().unwrap() };
        let state = house.state("");
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
        house.listen("0100007F:2CAA 00000000:0000 0A", 1);
        house.put("proc/sys/kernel/hostname", "localhost\n");
        house.put("proc/sys/kernel/osrelease", "6.12.0\n");
        house.put("proc/sys/net/ipv6/conf/all/disable_ipv6", "0\n");
        house.put("proc/sys/net/core/rmem_max", "4194304\n");
        house.put("proc/meminfo", "MemTotal: 16000000 kB\nMemAvailable:    8000000 kB\n");
        house.limits("65536", "0");
        house.put("etc/group", "root:x:0:\nghostllm-admin:x:999:\n");
        house.put("etc/os-release", "PRETTY_NAME=\"Debian 13\"\n");
        house.put("usr/lib/systemd/system/ghostllm.service", "");
        fs::create_dir_all(house.root().join("run/systemd/system")).unwrap();
        house.program("systemctl", "exit 1");
        house.program("ghostllm", "exit 0");
        house
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn state(&self, name: &str) -> PathBuf {
        self.dir.path().join("state").join(name)
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A file of state.
    fn keep(&self, name: &str, text: &str) -> PathBuf {
        let path = self.state(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn listen(&self, socket: &str, inode: u32) {
        let line = format!("   0: {socket} 00000000:00000000 00:00000000 00000000  0        0 {inode} 1\n");
        self.put("proc/net/tcp", &format!("{TCP}{line}"));
    }

    fn limits(&self, files: &str, core: &str) {
        self.put(
            "proc/4711/limits",
            &format!("Max core file size        {core}      unlimited  bytes\nMax open files            {files}     {files}   files\n"),
        );
    }

    /// A program in `PATH`.
    fn program(&self, name: &str, does: &str) {
        let path = self.dir.path().join("bin").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{does}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn command(&self, socket: &Path, arguments: &[&str]) -> Command {
        // Beside a copy of ghostctl lies no other ghostllm than the one in PATH.
        let own = self.dir.path().join("own");
        fs::create_dir_all(&own).unwrap();
        let copy = own.join("ghostctl");
        if !copy.exists() {
            fs::hard_link(env!("CARGO_BIN_EXE_ghostctl"), &copy)
                .or_else(|_| fs::copy(env!("CARGO_BIN_EXE_ghostctl"), &copy).map(drop))
                .unwrap();
        }
        let mut command = Command::new(copy);
        command
            .env_clear()
            .envs(crate::counted())
            .env("PATH", self.dir.path().join("bin"))
            .stdin(std::process::Stdio::null());
        command.arg("doctor").arg("--socket").arg(socket).arg("--root").arg(self.root());
        command.arg("--state-dir").arg(self.state("")).args(arguments);
        command
    }

    pub(crate) fn doctor(&self, socket: &Path, arguments: &[&str]) -> Ran {
        self.command(socket, arguments).output().unwrap().into()
    }

    fn report(&self, socket: &Path) -> (Option<i32>, DoctorReport) {
        let ran = self.doctor(socket, &["--json"]);
        let report = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        (ran.code, report)
    }
}

/// A daemon on which all is well.
pub(crate) fn daemon() -> Daemon {
    changed("", |_| ())
}

/// The same, but for the answer to this question.
fn changed(line: &'static str, change: impl Fn(&mut serde_json::Value) + Send + Sync + 'static) -> Daemon {
    Daemon::answering(move |asked| {
        let mut answer = match asked.line.as_str() {
            "GET /audit?last=100" => usual("GET /audit?last=20").unwrap(),
            "GET /keys" => json!({ "version": 1, "keys": [], "first_waits_since": null }),
            "GET /routes" => json!({ "version": 1, "routes": [] }),
            other => usual(other).unwrap(),
        };
        if asked.line == "GET /status" {
            for listener in answer["listeners"].as_array_mut().unwrap() {
                listener["serves"] = json!(true);
            }
            answer["program"] = json!(env!("CARGO_PKG_VERSION"));
        }
        if asked.line == "GET /certificates" {
            answer["authority"]["pem"] = json!(ca_until("360101000000Z"));
        }
        if asked.line == line {
            change(&mut answer);
        }
        crate::canned::response(200, &answer.to_string())
    })
}

#[test]
fn a_box_that_is_well_is_told_so() {
    let (house, daemon) = (House::well(), daemon());
    let (code, report) = house.report(&daemon.socket);
    let amiss: Vec<_> = report.checks.iter().filter(|check| check.result > DoctorResult::Note).collect();
    assert!(amiss.is_empty() && code == Some(0), "{code:?} {amiss:?}");
    assert!(report.checks.len() >= 25, "{}", report.checks.len());
}

type Fault = (&'static str, DoctorResult, &'static str, Box<dyn Fn(&House) -> Option<Daemon>>);

fn fault(
    id: &'static str,
    result: DoctorResult,
    next: &'static str,
    make: impl Fn(&House) -> Option<Daemon> + 'static,
) -> Fault {
    (id, result, next, Box::new(make))
}

/// Of what the daemon says.
fn of_the_daemon() -> Vec<Fault> {
    use DoctorResult::{Error, Note, Warning};
    vec![
        fault("version", Warning, "restart", |_| {
            Some(changed("GET /status", |status| status["program"] = json!("0.0.1")))
        }),
        fault("status", Warning, "systemctl start ollama", |_| {
            Some(changed("GET /status", |answer| answer["causes"] = status("degraded")["causes"].clone()))
        }),
        fault("listeners", Warning, "ghostctl status", |_| {
            Some(changed("GET /status", |answer| answer["listeners"][1]["serves"] = json!(false)))
        }),
        fault("certificate", Warning, "ghostctl cert renew", |_| {
            let soon = time::OffsetDateTime::now_utc() + time::Duration::days(9);
            let soon = soon.format(&time::format_description::well_known::Rfc3339).unwrap();
            Some(changed("GET /certificates", move |answer| answer["server"]["expires"] = json!(soon)))
        }),
        fault("certificate", Error, "ghostctl cert renew", |_| {
            Some(changed("GET /certificates", |answer| {
                answer["server"]["expires"] = json!("2026-01-01T00:00:00Z");
            }))
        }),
        fault("authority", Error, "ghostctl cert renew --new-ca", |_| {
            let pem = ca_until("260102000000Z");
            Some(changed("GET /certificates", move |answer| answer["authority"]["pem"] = json!(pem)))
        }),
        fault("backends", Note, "ghostctl backends test", |_| {
            Some(changed("GET /backends", |answer| answer["backends"][0]["up"] = json!(false)))
        }),
        fault("keys", Note, "ghostctl keys revoke", |_| {
            Some(changed("GET /keys", |answer| {
                *answer = usual("GET /keys").unwrap();
                answer["keys"][0]["state"] = json!("expired");
            }))
        }),
        fault("configuration", Error, "ghostctl reload", |_| {
            Some(changed("POST /config/check", |answer| {
                answer["sound"] = json!(false);
                answer["faults"] = json!(["ghostllm.toml:3: no such setting"]);
            }))
        }),
    ]
}

/// As much of a certificate as says when it ends.
fn ca_until(end: &str) -> String {
    let put = |tag: u8, inner: &[u8]| [&[tag, u8::try_from(inner.len()).unwrap()], inner].concat();
    let times = [put(0x17, b"260101000000Z"), put(0x17, end.as_bytes())].concat();
    let version = put(0xa0, &put(2, &[2]));
    let parts = [version, put(2, &[1]), put(0x30, &[]), put(0x30, &[]), put(0x30, &times)].concat();
    pem::encode(&pem::Pem::new("CERTIFICATE", put(0x30, &put(0x30, &parts))))
}

/// Of the state and the ports.
fn of_the_box() -> Vec<Fault> {
    use DoctorResult::{Error, Warning};
    vec![
        fault("daemon", Error, "ghostllm serve", |_| None),
        fault("state_directory", Error, "ls -ld", |house| {
            fs::remove_dir_all(house.state("")).unwrap();
            Some(daemon())
        }),
        fault("state_modes", Error, "chmod 600", |house| {
            let path = house.keep("keys.json", "{}");
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
            Some(daemon())
        }),
        fault("keys_file", Error, "put a good copy back", |house| {
            house.keep("keys.json.bad-20261128T090000Z", "{}");
            Some(daemon())
        }),
        fault("first_key", Warning, "ghostctl keys first", |house| {
            let path = house.keep("first-key", KEY);
            let old = SystemTime::now() - Duration::from_secs(25 * 3600);
            fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
            Some(daemon())
        }),
        fault("state_lock", Error, "kill 4711", |house| {
            // Held for as long as this process lives. A number alone is what one that has ended leaves behind.
            let lock = fs::File::open(house.keep("lock", "4711\n")).unwrap();
            lock.lock().unwrap();
            Box::leak(Box::new(lock));
            house.put("proc/4711/comm", "ghostllm\n");
            None
        }),
        fault("configuration", Error, "ghostllm config check", |house| {
            house.program("ghostllm", "echo 'ghostllm.toml:3: no such setting' >&2; exit 2");
            None
        }),
        fault("ports", Error, "ps -fp 77", |house| {
            house.listen("00000000:2CB3 00000000:0000 0A", 4242);
            house.put("proc/77/comm", "nginx\n");
            fs::create_dir(house.root().join("proc/77/fd")).unwrap();
            symlink("socket:[4242]", house.root().join("proc/77/fd/5")).unwrap();
            None
        }),
    ]
}

/// A GGUF file by a link into this folder, beside one that can be read.
fn linked(next: &'static str, folder: &'static str, mode: u32) -> Fault {
    fault("gguf_files", DoctorResult::Warning, next, move |house| {
        house.put("etc/passwd", "ghostllm-engine:x:998:998::/:/bin/false\n");
        let models = house.root().join("var/lib/ghostllm-engine/models");
        fs::create_dir_all(&models).unwrap();
        for (name, folder) in [("far.gguf", folder), ("near.gguf", "data/open")] {
            house.put(&format!("{folder}/m.gguf"), "GGUF");
            symlink(house.root().join(folder).join("m.gguf"), models.join(name)).unwrap();
        }
        if folder.ends_with("empty") {
            fs::remove_file(house.root().join(folder).join("m.gguf")).unwrap();
        }
        let shared = ["data", "data/open", "home"].map(|folder| (folder, 0o755));
        for (folder, mode) in shared.into_iter().chain([(folder, mode)]) {
            fs::create_dir_all(house.root().join(folder)).unwrap();
            fs::set_permissions(house.root().join(folder), fs::Permissions::from_mode(mode)).unwrap();
        }
        let fault = daemon();
        let (_, report) = house.report(&fault.socket);
        let (_, what, _) = said(&report, "gguf_files").unwrap();
        assert!(what.contains("far.gguf leads to ") && !what.contains("near.gguf"), "{what}");
        Some(fault)
    })
}

/// Of the system and the service.
fn of_the_system() -> Vec<Fault> {
    use DoctorResult::{Error, Note, Warning};
    vec![
        fault("ollama", Note, "ollama serve", |house| {
            house.put("proc/net/tcp", TCP);
            Some(daemon())
        }),
        fault("ollama_exposed", Warning, "OLLAMA_HOST=127.0.0.1", |house| {
            house.listen("00000000:2CAA 00000000:0000 0A", 1);
            Some(daemon())
        }),
        fault("gguf_files", Warning, "sudo chmod 644", |house| {
            house.put("etc/passwd", "root:x:0:0::/root:/bin/sh\nghostllm-engine:x:998:998::/:/bin/false\n");
            let models = "var/lib/ghostllm-engine/models";
            for (name, mode) in [("open.gguf", 0o644), ("closed.GGUF", 0o600), ("closed.txt", 0o600)] {
                house.put(&format!("{models}/{name}"), "GGUF");
                let path = house.root().join(models).join(name);
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            }
            Some(daemon())
        }),
        linked("sudo mv ", "home/somebody", 0o755),
        linked("/data/shut', or move the file", "data/shut", 0o750),
        linked("sudo ln -sf", "data/empty", 0o755),
        fault("host_name", Warning, "/etc/hosts", |house| {
            house.put("proc/sys/kernel/hostname", "no-such-box.invalid\n");
            Some(daemon())
        }),
        fault("ipv6", Note, "sysctl", |house| {
            house.put("proc/sys/net/ipv6/conf/all/disable_ipv6", "1\n");
            Some(daemon())
        }),
        fault("udp_buffers", Warning, "sysctl", |house| {
            house.put("proc/sys/net/core/rmem_max", "65536\n");
            Some(daemon())
        }),
        fault("memory", Warning, "ps -eo", |house| {
            house.put("proc/meminfo", "MemAvailable:     100000 kB\n");
            Some(daemon())
        }),
        fault("open_files", Warning, "LimitNOFILE", |house| {
            house.limits("1024", "0");
            Some(daemon())
        }),
        fault("core_dumps", Warning, "LimitCORE=0", |house| {
            house.limits("65536", "unlimited");
            Some(daemon())
        }),
        fault("unit", Error, "journalctl -u ghostllm", |house| {
            house.program("systemctl", "[ \"$1\" = is-failed ] && exit 0; exit 1");
            Some(daemon())
        }),
        fault("unit", Note, "ghostllm serve", |house| {
            fs::remove_dir_all(house.root().join("run/systemd")).unwrap();
            Some(daemon())
        }),
        fault("group", Warning, "groupadd", |house| {
            house.put("etc/group", "root:x:0:\n");
            Some(daemon())
        }),
    ]
}

#[test]
fn each_fault_is_named_with_its_next_step() {
    let faults = [of_the_daemon(), cards::faults(), of_the_box(), of_the_system()];
    let faults: Vec<Fault> = faults.into_iter().flatten().collect();
    for (id, result, next, make) in &faults {
        let house = House::well();
        let daemon = make(&house);
        let nobody = house.dir.path().join("admin.sock");
        let socket = daemon.as_ref().map_or(nobody, |daemon| daemon.socket.clone());
        let (code, report) = house.report(&socket);
        let found = report.checks.iter().find(|check| check.id == *id && check.result == *result);
        let found = found.unwrap_or_else(|| panic!("{id} is not named: {report:?}"));
        assert!(found.fix.as_ref().unwrap().contains(next), "{found:?}");
        assert!(!found.why.as_ref().unwrap().is_empty(), "{found:?}");
        assert_eq!(code, Some(i32::from(*result > DoctorResult::Note)), "{id}");
        if daemon.is_some() {
            let others =
                report.checks.iter().filter(|check| check.id != *id && check.result > DoctorResult::Note);
            assert_eq!(others.count(), 0, "{id}: something else is named: {report:?}");
        }
        println!("{id}: {} Next: {}", found.what, found.fix.as_ref().unwrap());
        let drawn: Ran = house.command(&socket, &[]).env("COLUMNS", "80").output().unwrap().into();
        assert!(drawn.out.lines().all(|line| line.width() <= 80), "{}", drawn.out);
    }
    println!("{} faults were made and named", faults.len());
    assert!(faults.len() >= 15);
}

#[test]
fn a_foreign_file_is_named_where_the_test_may_make_one() {
    let (house, daemon) = (House::well(), daemon());
    let path = house.keep("keys.json", "{}");
    if let Err(error) = chown(&path, Some(12_345), None) {
        println!("state_owner is not tested here, since only root gives files away: {error}");
        return;
    }
    let (code, report) = house.report(&daemon.socket);
    let found = report.checks.iter().find(|check| check.id == "state_owner").unwrap();
    assert_eq!((code, found.result), (Some(1), DoctorResult::Error), "{found:?}");
    assert!(found.fix.as_ref().unwrap().contains("chown"), "{found:?}");
}

/// What there is to say of this, if anything.
fn said(report: &DoctorReport, id: &str) -> Option<(DoctorResult, String, String)> {
    let check = report.checks.iter().find(|check| check.id == id && check.result != DoctorResult::Ok)?;
    Some((check.result, check.what.clone(), check.fix.clone().unwrap_or_default()))
}

#[test]
fn what_is_safe_is_mended_after_a_yes_and_nothing_else() {
    let house = House::well();
    let path = house.keep("keys.json", "{}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let target = house.dir.path().join("elsewhere");
    fs::write(&target, "").unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
    symlink(&target, house.state("link")).unwrap();
    let socket = house.dir.path().join("admin.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;

    let ran = house.doctor(&socket, &["--fix"]);
    assert!(ran.code == Some(2) && socket.exists() && mode(&path) == 0o644, "{ran:?}");
    let ran = house.doctor(&socket, &["--fix", "--yes"]);
    assert!(!socket.exists() && mode(&path) == 0o600 && mode(&target) == 0o644, "{ran:?}");
    for done in ["did chmod 600 ", "did rm "] {
        assert_eq!(ran.out.matches(done).count(), 1, "{ran:?}");
    }
    let daemon = daemon();
    let ran = house.doctor(&daemon.socket, &["--fix", "--yes"]);
    assert!(ran.code == Some(0) && daemon.socket.exists(), "{ran:?}");
}

#[test]
fn the_bundle_has_no_secret_and_mode_0600_and_replaces_nothing_unasked() {
    const CANARY: &str = "canaryQ7Zx";
    let house = House::well();
    house.keep("first-key", KEY);
    let daemon = changed("GET /config", |answer| {
        answer["toml"] = json!(format!(
            "# {CANARY}\n[listen]\nkey = \"/etc/ghostllm/server.key\"\nodd = \"sk-{CANARY}\"\nb = \"Bearer {CANARY}\"\n\
             c = \"-----BEGIN PRIVATE KEY-----\\n{CANARY}\\n-----END PRIVATE KEY-----\"\n"
        ));
        answer["of_a_newer_daemon"] = json!(CANARY);
    });
    let file = house.dir.path().join("report.txt");
    let name = file.to_str().unwrap();
    let run = |arguments: &[&str]| -> Ran {
        house.command(&daemon.socket, arguments).env("OPENAI_API_KEY", CANARY).output().unwrap().into()
    };
    let ran = run(&["--bundle", name]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = fs::read_to_string(&file).unwrap();
    for secret in [CANARY, KEY, &KEY[5..]] {
        assert_eq!(text.matches(secret).count(), 0, "{text}");
    }
    for there in ["/etc/ghostllm/server.key", "[redacted]", "=== audit ===", "linux 6.12.0", "Debian 13"] {
        assert!(text.contains(there), "{there}: {text}");
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let ran = run(&["--bundle", name]);
    assert!(ran.code == Some(1) && ran.err.contains("exists already"), "{ran:?}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(run(&["--bundle", name, "--yes"]).code, Some(0));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}
