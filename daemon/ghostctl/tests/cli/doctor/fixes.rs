//! `ghostctl doctor --fix`: what is offered is shown first, done once, and looked at again; what an administrator has written stays.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
};

use ghostllm_core::admin::DoctorResult;

use super::{House, daemon, said};
use crate::Ran;

const DROP_IN: &str = "etc/systemd/system/ollama.service.d/ghostllm.conf";
const OVERRIDE: &str = "etc/systemd/system/ollama.service.d/override.conf";
/// Everybody reaches it.
const OPEN: &str = "00000000:2CAA 00000000:0000 0A";
/// Whoever is not root.
const NOBODY: u32 = 65_534;

/// A box with Ollama's unit, on which everybody reaches it until it is started anew.
fn with_ollama() -> House {
    let house = House::well();
    // What it listens at once its drop-in says so.
    fs::rename(house.root().join("proc/net/tcp"), house.root().join("loopback")).unwrap();
    house.listen(OPEN, 1);
    house.put(
        "etc/systemd/system/ollama.service",
        "[Service]\nEnvironment=\"PATH=/usr/bin:/bin\" OLLAMA_HOST=0.0.0.0\n",
    );
    let root = house.root().display().to_string();
    house.program(
        "systemctl",
        &format!(
            "case \"$1\" in\n\
             daemon-reload) echo \"$*\" >>{root}/ran ;;\n\
             try-restart) echo \"$*\" >>{root}/ran; /bin/cp {root}/loopback {root}/proc/net/tcp ;;\n\
             *) exit 1 ;;\nesac"
        ),
    );
    house
}

fn mode(path: PathBuf) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: PathBuf, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn ollama_is_bound_to_the_box_after_a_yes_and_once() {
    let (house, daemon) = (with_ollama(), daemon());
    let (code, report) = house.report(&daemon.socket);
    let (result, _, fix) = said(&report, "ollama_exposed").unwrap();
    assert!(
        code == Some(1) && result == DoctorResult::Warning && fix.contains("ghostctl doctor --fix"),
        "{fix}"
    );
    let (result, _, fix) = said(&report, "ollama_cloud").unwrap();
    assert!(result == DoctorResult::Note && fix.contains("ghostctl doctor --fix"), "{fix}");

    let asked = house.doctor(&daemon.socket, &["--fix"]);
    assert!(asked.code == Some(2) && !house.root().join(DROP_IN).exists(), "{asked:?}");
    for shown in [
        "ghostllm.conf would be:",
        "  Environment=OLLAMA_HOST=127.0.0.1:11434",
        "  Environment=OLLAMA_NO_CLOUD=1",
    ] {
        assert!(asked.out.lines().any(|line| line.ends_with(shown)), "{shown}: {asked:?}");
    }
    assert!(asked.err.contains("systemctl try-restart ollama.service"), "{asked:?}");
    assert!(!house.root().join("ran").exists(), "something was run");

    let done = house.doctor(&daemon.socket, &["--fix", "--yes"]);
    assert!(done.code == Some(0) && done.out.matches("did write ").count() == 1, "{done:?}");
    let written = fs::read_to_string(house.root().join(DROP_IN)).unwrap();
    assert!(
        written
            .ends_with("[Service]\nEnvironment=OLLAMA_HOST=127.0.0.1:11434\nEnvironment=OLLAMA_NO_CLOUD=1\n"),
        "{written}"
    );
    assert_eq!(mode(house.root().join(DROP_IN)), 0o644);
    let ran = fs::read_to_string(house.root().join("ran")).unwrap();
    assert_eq!(ran, "daemon-reload\ntry-restart ollama.service\n");
    for well in ["ollama_exposed", "ollama_cloud"] {
        assert!(
            done.out.lines().any(|line| line.contains(well) && !line.contains(':')),
            "{well} is not well: {done:?}"
        );
    }
    let again = house.doctor(&daemon.socket, &["--fix", "--yes"]);
    assert!(
        again.code == Some(0) && again.out.contains("Nothing that is safe to mend was found."),
        "{again:?}"
    );
    assert_eq!(fs::read_to_string(house.root().join("ran")).unwrap(), ran, "it is done twice");
}

#[test]
fn what_an_administrator_has_written_is_named_and_stays() {
    let (house, daemon) = (with_ollama(), daemon());
    let own = "[Service]\nEnvironment=OLLAMA_HOST=0.0.0.0:11434\nEnvironment=OLLAMA_NO_CLOUD=true\n";
    house.put(OVERRIDE, own);
    let (_, report) = house.report(&daemon.socket);
    let (_, _, fix) = said(&report, "ollama_exposed").unwrap();
    assert!(fix.contains("override.conf says OLLAMA_HOST=0.0.0.0:11434"), "{fix}");
    assert!(said(&report, "ollama_cloud").is_none(), "{report:?}");
    let ran = house.doctor(&daemon.socket, &["--fix", "--yes"]);
    assert!(ran.code == Some(1) && ran.out.contains("Nothing that is safe to mend"), "{ran:?}");
    assert_eq!(fs::read_to_string(house.root().join(OVERRIDE)).unwrap(), own);
    assert!(!house.root().join(DROP_IN).exists());

    // What it says nothing of is offered alone.
    house.put(OVERRIDE, "[Service]\nEnvironment=OLLAMA_HOST=127.0.0.1\n");
    let ran = house.doctor(&daemon.socket, &["--fix", "--yes"]);
    assert!(ran.out.contains("did write "), "{ran:?}");
    let written = fs::read_to_string(house.root().join(DROP_IN)).unwrap();
    assert!(written.contains("OLLAMA_NO_CLOUD=1") && !written.contains("OLLAMA_HOST"), "{written}");

    // One of the very name is theirs as well.
    let (house, theirs) = (with_ollama(), "[Service]\nEnvironment=OLLAMA_HOST=192.0.2.1\n");
    house.put(DROP_IN, theirs);
    let ran = house.doctor(&daemon.socket, &["--fix", "--yes"]);
    assert!(ran.out.contains("Nothing that is safe to mend"), "{ran:?}");
    assert_eq!(fs::read_to_string(house.root().join(DROP_IN)).unwrap(), theirs);
}

/// What such a file says counts before any drop-in's `Environment=`, which would mend nothing.
#[test]
fn a_file_of_variables_that_the_unit_names_is_an_administrators_too() {
    let (house, daemon) = (with_ollama(), daemon());
    house.put(
        OVERRIDE,
        "[Service]\nEnvironment=OLLAMA_HOST=127.0.0.1\nEnvironmentFile=-/etc/default/ollama\n",
    );
    house.put("etc/default/ollama", "# all of it\nOLLAMA_HOST=\"0.0.0.0:11434\"\nOLLAMA_NO_CLOUD=1\n");
    let (_, report) = house.report(&daemon.socket);
    let (_, _, fix) = said(&report, "ollama_exposed").unwrap();
    assert!(fix.contains("etc/default/ollama says OLLAMA_HOST=0.0.0.0:11434"), "{fix}");
    assert!(said(&report, "ollama_cloud").is_none(), "{report:?}");
    let ran = house.doctor(&daemon.socket, &["--fix", "--yes"]);
    assert!(ran.out.contains("Nothing that is safe to mend"), "{ran:?}");
    assert!(!house.root().join(DROP_IN).exists());
}

/// The note on its cloud is no reason to bind it anew, wherever an administrator has bound it and by which file.
#[test]
fn an_ollama_that_listens_to_the_box_alone_stays_where_it_is() {
    let (loopback, elsewhere) = ("0100007F:2CAA 00000000:0000 0A", "0100007F:3039 00000000:0000 0A");
    for (host, listens) in [
        ("", loopback),
        ("Environment=OLLAMA_HOST=127.0.0.1:11434\n", loopback),
        ("Environment=OLLAMA_HOST=127.0.0.1:12345\n", elsewhere),
        ("EnvironmentFile=/etc/default/ollama\n", elsewhere),
        // Its port is another's, whom everybody reaches.
        ("Environment=OLLAMA_HOST=127.0.0.1:12345\n", OPEN),
        ("EnvironmentFile=/etc/default/ollama\n", OPEN),
    ] {
        let (house, daemon) = (with_ollama(), daemon());
        house.put("etc/systemd/system/ollama.service", &format!("[Service]\n{host}"));
        house.put("etc/default/ollama", "OLLAMA_HOST=127.0.0.1:12345\n");
        house.listen(listens, 1);
        let (_, report) = house.report(&daemon.socket);
        let exposed = said(&report, "ollama_exposed").map(|(_, _, fix)| fix);
        assert_eq!(exposed.is_some(), listens == OPEN, "{host}{listens}: {report:?}");
        assert!(exposed.is_none_or(|fix| !fix.contains("--fix")), "{report:?}");
        let ran = house.doctor(&daemon.socket, &["--fix", "--yes"]);
        assert!(ran.out.contains("did write "), "{host}: {ran:?}");
        let written = fs::read_to_string(house.root().join(DROP_IN)).unwrap();
        assert!(
            written.ends_with("[Service]\nEnvironment=OLLAMA_NO_CLOUD=1\n"),
            "{host}{listens}: {written}"
        );
    }
}

/// What was written is there, and the next call goes on with what is left.
#[test]
fn a_step_that_fails_is_told_and_can_be_taken_again() {
    let (house, daemon) = (with_ollama(), daemon());
    let works = fs::read_to_string(house.dir.path().join("bin/systemctl")).unwrap();
    house.program("systemctl", "[ \"$1\" = daemon-reload ] && echo 'Access denied' >&2; exit 1");
    let ran = house.doctor(&daemon.socket, &["--fix", "--yes"]);
    assert!(
        ran.code == Some(1) && ran.out.contains("could not systemctl daemon-reload: Access denied"),
        "{ran:?}"
    );
    assert!(house.root().join(DROP_IN).exists());
    house.program("systemctl", works.split_once('\n').unwrap().1);
    let ran = house.doctor(&daemon.socket, &["--fix", "--yes"]);
    assert!(ran.code == Some(0) && ran.out.contains("did systemctl daemon-reload; "), "{ran:?}");
}

#[test]
fn who_may_not_is_told_of_sudo_and_changes_nothing() {
    let house = with_ollama();
    let nobody = house.dir.path().join("no.sock");
    // As the first call would, for one who may not write there.
    let _made = house.command(&nobody, &[]);
    chmod(house.dir.path().to_owned(), 0o755);
    let chmod_all = |mode| {
        for folder in ["etc", "etc/systemd", "etc/systemd/system"] {
            chmod(house.root().join(folder), mode);
        }
    };
    chmod_all(0o555);
    let mut command = house.command(&nobody, &["--fix", "--yes"]);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let ran: Ran = command.output().unwrap().into();
    assert!(ran.code == Some(4) && ran.err.contains("sudo ghostctl doctor --fix"), "{ran:?}");
    assert!(ran.out.contains("only root may write "), "{ran:?}");
    assert!(!house.root().join(DROP_IN).exists() && !house.root().join("ran").exists());
    // Else nobody but root can take the house down.
    chmod_all(0o755);
}

#[test]
fn keys_that_every_user_may_read_are_closed() {
    let (house, daemon) = (House::well(), daemon());
    house.put("etc/ghostllm/secrets/vllm-key", "secret");
    let (folder, file) =
        (house.root().join("etc/ghostllm/secrets"), house.root().join("etc/ghostllm/secrets/vllm-key"));
    chmod(file.clone(), 0o644);
    chmod(folder.clone(), 0o700);
    let (_, report) = house.report(&daemon.socket);
    assert!(said(&report, "secret_modes").is_none(), "nobody gets there: {report:?}");
    chmod(folder, 0o755);
    let (code, report) = house.report(&daemon.socket);
    let (result, what, fix) = said(&report, "secret_modes").unwrap();
    assert!(code == Some(1) && result == DoctorResult::Error && what.contains("0644"), "{what}");
    assert!(fix.contains("chmod o="), "{fix}");
    let ran = house.doctor(&daemon.socket, &["--fix", "--yes"]);
    assert!(ran.code == Some(0) && mode(file) == 0o640, "{ran:?}");
}

#[test]
fn the_group_and_the_kernels_buffers_are_made() {
    let (house, daemon) = (House::well(), daemon());
    let root = house.root().display().to_string();
    house.put("etc/group", "root:x:0:\n");
    house.put("proc/sys/net/core/rmem_max", "65536\n");
    house.program(
        "groupadd",
        &format!("[ \"$*\" = '--system ghostllm-admin' ] && echo ghostllm-admin:x:999: >>{root}/etc/group"),
    );
    house.program("systemctl", "[ \"$*\" = 'restart ghostllm-admin.socket' ]");
    house.program(
        "sysctl",
        &format!("[ \"$*\" = '--quiet --system' ] && echo 4194304 >{root}/proc/sys/net/core/rmem_max"),
    );
    let (_, report) = house.report(&daemon.socket);
    assert!(said(&report, "group").is_some() && said(&report, "udp_buffers").is_some(), "{report:?}");
    let ran = house.doctor(&daemon.socket, &["--fix", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let written = fs::read_to_string(house.root().join("etc/sysctl.d/60-ghostllm.conf")).unwrap();
    // No less than the package's own file gives, which is read before it.
    let packaged =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/debian/sysctl.conf"))
            .unwrap();
    let given: Vec<_> = packaged.lines().filter(|line| line.starts_with("net.core.")).collect();
    assert_eq!(given.len(), 2, "{packaged}");
    assert!(given.iter().all(|line| written.contains(line)), "{written}{packaged}");
    let (_, report) = house.report(&daemon.socket);
    assert!(said(&report, "group").is_none() && said(&report, "udp_buffers").is_none(), "{report:?}");
}
