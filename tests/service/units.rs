//! The units by themselves: what systemd thinks of them, and which of its versions they need.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{binary, nspawn::Container, root};
use nix::sys::resource::{Resource, getrlimit};

/// The oldest systemd that is supported: Ubuntu 22.04's.
const OLDEST: u32 = 249;
/// What systemd-analyze may find of it, from 0 to 10 (the issue of the packages asks for no more).
const EXPOSURE: f64 = 1.5;

/// Every directive that a unit of ours has, with the version of systemd that brought it (its NEWS and manual pages; 0 where it is older
/// than both).
const SINCE: &str = "
[Unit] Description=0 PartOf=0 Wants=0 After=0 StartLimitIntervalSec=230
[Service] Type=0 NotifyAccess=0 ExecStart=0 ExecReload=0 Restart=0 RestartSec=0 TimeoutStartSec=188 TimeoutStopSec=188 WatchdogSec=0
[Service] KillMode=0 StateDirectory=235 StateDirectoryMode=235 LimitNOFILE=0 OOMPolicy=243 User=0 UMask=0 NoNewPrivileges=187
[Service] CapabilityBoundingSet=0 RestrictSUIDSGID=242 RestrictRealtime=231 RestrictNamespaces=233 LockPersonality=235
[Service] MemoryDenyWriteExecute=231 RemoveIPC=232 SystemCallArchitectures=209 SystemCallFilter=187 SystemCallErrorNumber=209
[Service] RestrictAddressFamilies=211 ProtectSystem=214 ProtectHome=214 PrivateTmp=0 ProtectProc=247 ProtectClock=245
[Service] LogRateLimitIntervalSec=240 ProtectKernelTunables=232 ProtectKernelModules=232 ProtectKernelLogs=244 ProtectControlGroups=232
[Service] DevicePolicy=208 DeviceAllow=208 LimitCORE=0 Environment=0 WorkingDirectory=0 OOMScoreAdjust=0 PrivateNetwork=0
[Service] MemoryMax=231 TasksMax=227 PrivateMounts=239 IPAddressDeny=235 PrivateUsers=232 ProtectHostname=242 RemainAfterExit=0
[Unit] Documentation=0 Requires=0 Before=0 ConditionPathIsDirectory=0 ConditionFileIsExecutable=0
[Socket] ListenStream=0 ListenDatagram=0 BindIPv6Only=0 Backlog=0 FreeBind=0 ReceiveBuffer=0 SendBuffer=0 Service=0 SocketUser=214
[Socket] SocketGroup=214 SocketMode=0 DirectoryMode=0 FileDescriptorName=227 RemoveOnStop=214 TriggerLimitIntervalSec=230
[Install] WantedBy=0
";

/// The directives of a unit, by section.
fn directives(text: &str) -> Vec<(String, String)> {
    let (mut section, mut found) = (String::new(), Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            line.clone_into(&mut section);
        } else if let Some((name, _)) = line.split_once('=') {
            found.push((section.clone(), name.to_owned()));
        }
    }
    found
}

/// Our units, by name.
fn units() -> Result<BTreeMap<String, String>> {
    let mut units = BTreeMap::new();
    for entry in fs::read_dir(root().join("systemd"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).context("a name")?.to_owned();
        if name.ends_with(".service") || name.ends_with(".socket") {
            units.insert(name, fs::read_to_string(path)?);
        }
    }
    ensure!(units.len() >= 5, "{:?}", units.keys());
    Ok(units)
}

#[test]
fn every_directive_is_known_to_the_oldest_systemd() -> Result<()> {
    let mut since = BTreeMap::new();
    for line in SINCE.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let section = words.next().context("a section")?;
        for (name, version) in words.filter_map(|word| word.split_once('=')) {
            since.insert((section.to_owned(), name.to_owned()), version.parse::<u32>()?);
        }
    }
    for (unit, text) in units()? {
        for directive in directives(&text) {
            let version = since.get(&directive);
            let version = version.with_context(|| format!("{unit}: since when is {directive:?} known?"))?;
            ensure!(*version <= OLDEST, "{unit}: {directive:?} came with systemd {version}");
        }
    }
    Ok(())
}

/// The whole seconds that stand in a text behind these words.
fn seconds_behind(text: &str, words: &str) -> Result<u64> {
    let (_, rest) = text.split_once(words).with_context(|| format!("{words} is not in\n{text}"))?;
    let (number, _) = rest.split_once('s').context("seconds")?;
    Ok(number.parse()?)
}

/// An upgrade starts both anew: what the daemon lets end must not be broken off by its engine, nor by systemd.
#[test]
fn the_engine_lets_answers_end_for_as_long_as_the_daemon_and_systemd_waits_for_both() -> Result<()> {
    let configuration = fs::read_to_string(root().join("packaging/docs/ghostllm.toml"))?;
    let help = Command::new(binary("ghostllm-engine")).arg("--help").output()?;
    let daemons = seconds_behind(&configuration, "#drain_grace = \"")?;
    let engines = seconds_behind(&String::from_utf8(help.stdout)?, "\n  grace=")?;
    ensure!(engines >= daemons, "the engine breaks off after {engines} s what the daemon gives {daemons} s");
    let units = units()?;
    for (unit, grace) in [("ghostllm.service", daemons), ("ghostllm-engine.service", engines)] {
        let allowed = seconds_behind(&units[unit], "\nTimeoutStopSec=")?;
        ensure!(allowed >= grace + 10, "{unit} is killed after {allowed} s; its grace is {grace} s");
    }
    // So that the child which tries a file for one of these answers is not ended at once.
    ensure!(
        units["ghostllm-engine.service"].contains("\nKillMode=mixed\n"),
        "the engine's children are ended"
    );
    Ok(())
}

#[tokio::test]
async fn systemd_is_content_with_them() -> Result<()> {
    let container = Container::boot().await?;
    let names: Vec<_> = units()?.into_keys().collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    // The container has no man, and the pages come with the packages.
    let verify =
        container.run(&[&["systemd-analyze", "verify", "--man=no"], names.as_slice()].concat()).await?;
    let said = String::from_utf8_lossy(&[verify.stdout, verify.stderr].concat()).into_owned();
    ensure!(verify.status.success() && said.is_empty(), "{said}");
    // The check finds something where there is something.
    container.write("/etc/systemd/system/ghostllm.service.d/wrong.conf", "[Service]\nNoSuchThing=yes\n")?;
    let verify = container.run(&["systemd-analyze", "verify", "ghostllm.service"]).await?;
    ensure!(String::from_utf8_lossy(&verify.stderr).contains("NoSuchThing"), "nothing is found");
    container.end().await
}

#[tokio::test]
async fn the_running_service_is_exposed_to_little() -> Result<()> {
    let container = Container::started().await?;
    let found = container.run(&["systemd-analyze", "security", "--no-pager", "ghostllm.service"]).await?;
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    let level = found.lines().find_map(|line| line.split_once("exposure level for ghostllm.service: "));
    let level: f64 =
        level.and_then(|(_, rest)| rest.split_whitespace().next()).context("no level")?.parse()?;
    println!("systemd-analyze security: {level} of at most {EXPOSURE}");
    ensure!(level <= EXPOSURE, "{found}");
    let process = container.daemon().await?;
    let limits = fs::read_to_string(format!("/proc/{process}/limits"))?;
    let files =
        limits.lines().find(|line| line.starts_with("Max open files")).context("no limit of files")?;
    // A machine that gives root itself less, and no CAP_SYS_RESOURCE, gives no more to anybody.
    let most = getrlimit(Resource::RLIMIT_NOFILE)?.1.to_string();
    let given = files.split_whitespace().nth(3);
    println!("{given:?} open files, of 65536 and this machine's {most}");
    ensure!(given == Some("65536") || given == Some(&most), "{files}");
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    for wanted in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000"] {
        ensure!(status.contains(wanted), "{wanted} is not in\n{status}");
    }
    container.end().await
}
