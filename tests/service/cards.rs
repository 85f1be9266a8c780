//! NVIDIA's device nodes, where the driver comes late, as udev loads it: what it would tell is laid over /proc, and a program that notes what it
//! is asked stands for nvidia-modprobe.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::{Result, ensure};
use ghostllm_tests::{nspawn::Container, root};

/// The unit that makes them.
const UNIT: &str = "ghostllm-nvidia.service";

/// Lays a card there, as the driver tells of it.
fn card(container: &Container, address: &str, minor: u32) -> Result<()> {
    let text = format!("Model: \t\t NVIDIA H200\nBus Location: \t {address}\nDevice Minor: \t {minor}\n");
    container.write(&format!("/proc/driver/nvidia/gpus/{address}/information"), &text)
}

#[tokio::test]
async fn each_card_has_its_node_by_the_drivers_own_number_whenever_it_comes() -> Result<()> {
    let container = Container::boot().await?;
    let asked = container.path("/run/asked");
    container.write("/usr/bin/nvidia-modprobe", "#!/bin/sh\necho \"$@\" >>/run/asked\n")?;
    fs::set_permissions(container.path("/usr/bin/nvidia-modprobe"), fs::Permissions::from_mode(0o755))?;
    // As at a boot whose driver is not there yet.
    container.systemctl(&format!("start {UNIT}")).await?;
    ensure!(!asked.exists(), "it is run without a driver");
    let mounted = container.run(&["mount", "-t", "tmpfs", "tmpfs", "/proc/driver"]).await?;
    ensure!(mounted.status.success(), "{mounted:?}");
    card(&container, "0000:01:00.0", 3)?;
    container.systemctl(&format!("start {UNIT}")).await?;
    ensure!(fs::read_to_string(&asked)? == "-c 3\n-u\n", "{}", fs::read_to_string(&asked)?);
    // Another, which the driver takes over later: nothing of before may keep it from being run anew.
    fs::remove_file(&asked)?;
    card(&container, "0000:02:00.0", 0)?;
    container.systemctl(&format!("start {UNIT}")).await?;
    ensure!(fs::read_to_string(&asked)? == "-c 3\n-c 0\n-u\n", "{}", fs::read_to_string(&asked)?);
    container.end().await
}

/// Nothing here has udev: what its rule says is read.
#[test]
fn udev_starts_it_when_the_driver_takes_a_card_over() -> Result<()> {
    let rules = fs::read_to_string(root().join("systemd/ghostllm-nvidia.rules"))?;
    let rule: Vec<_> = rules.lines().filter(|line| !line.starts_with('#')).collect();
    ensure!(rule.len() == 1, "{rules}");
    let wants = format!("ENV{{SYSTEMD_WANTS}}+=\"{UNIT}\"");
    for part in ["SUBSYSTEM==\"pci\"", "DRIVER==\"nvidia\"", "TAG+=\"systemd\"", &wants] {
        ensure!(rule[0].contains(part), "{part} is not in {rules}");
    }
    ensure!(root().join("systemd").join(UNIT).exists(), "there is no {UNIT}");
    let packaged = fs::read_to_string(root().join("packaging/debian/rules"))?;
    let place = "install -Dm644 systemd/ghostllm-nvidia.rules $(DAEMON)/usr/lib/udev/rules.d/";
    ensure!(packaged.contains(place), "the package has no such rule");
    // What a name matches is looked up at the daemon's start, when there may be no driver yet; its number holds always.
    for unit in ["ghostllm.service", "ghostllm-engine.service"] {
        let text = fs::read_to_string(root().join("systemd").join(unit))?;
        ensure!(text.contains("\nDeviceAllow=char-195 rw\n"), "{unit} keeps a driver that comes late out");
    }
    Ok(())
}
