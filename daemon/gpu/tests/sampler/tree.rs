//! The kernel's files, as it lays them out.
//!
//! Sources: Documentation/gpu/amdgpu/, Documentation/ABI/testing/sysfs-driver-intel-*-hwmon, Documentation/driver-api/thermal/sysfs-api.rst.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::machine::{Machine, Watched};

/// A machine without NVIDIA's driver, whose kernel tells what a test writes.
pub(crate) struct Tree {
    pub(crate) machine: Machine,
}

/// The folder of one device.
pub(crate) struct Device {
    folder: PathBuf,
    root: PathBuf,
    bus: String,
}

/// What the card of tests/sampler/amd.rs draws and how warm it is, as a Radeon RX 7900 XTX says it.
pub(crate) const RX_7900_XTX: [(&str, &str); 33] = [
    ("hwmon/hwmon3/name", "amdgpu\n"),
    ("hwmon/hwmon3/temp1_label", "edge\n"),
    ("hwmon/hwmon3/temp1_input", "54000\n"),
    ("hwmon/hwmon3/temp1_crit", "100000\n"),
    ("hwmon/hwmon3/temp1_crit_hyst", "-273150\n"),
    ("hwmon/hwmon3/temp1_emergency", "105000\n"),
    ("hwmon/hwmon3/temp2_label", "junction\n"),
    ("hwmon/hwmon3/temp2_input", "71500\n"),
    ("hwmon/hwmon3/temp2_crit", "110000\n"),
    ("hwmon/hwmon3/temp2_emergency", "115000\n"),
    ("hwmon/hwmon3/temp3_label", "mem\n"),
    ("hwmon/hwmon3/temp3_input", "80000\n"),
    ("hwmon/hwmon3/temp3_crit", "108000\n"),
    ("hwmon/hwmon3/temp3_emergency", "113000\n"),
    ("hwmon/hwmon3/power1_average", "303000000\n"),
    ("hwmon/hwmon3/power1_cap", "339000000\n"),
    ("hwmon/hwmon3/fan1_input", "1485\n"),
    ("hwmon/hwmon3/fan1_max", "3300\n"),
    ("hwmon/hwmon3/pwm1", "102\n"),
    ("hwmon/hwmon3/freq1_input", "2371000000\n"),
    ("hwmon/hwmon3/freq2_input", "1249000000\n"),
    ("pp_dpm_sclk", "0: 500Mhz \n1: 2371Mhz *\n2: 2526Mhz \n"),
    ("pp_dpm_mclk", "0: 96Mhz \n1: 456Mhz \n2: 772Mhz \n3: 1249Mhz *\n"),
    ("gpu_busy_percent", "97\n"),
    ("mem_busy_percent", "41\n"),
    ("mem_info_vram_total", "25753026560\n"),
    ("mem_info_vram_used", "1073741824\n"),
    ("current_link_speed", "16.0 GT/s PCIe\n"),
    ("max_link_speed", "16.0 GT/s PCIe\n"),
    ("current_link_width", "8\n"),
    ("max_link_width", "16\n"),
    ("unique_id", "3c7d3a92d06c4fb1\n"),
    ("power/runtime_status", "active\n"),
];

impl Tree {
    pub(crate) fn new() -> Self {
        let tree = Self { machine: Machine::bare() };
        fs::create_dir_all(tree.machine.sys().join("class/drm")).unwrap();
        tree
    }

    /// A card that is put in, with these files.
    pub(crate) fn card(
        &self,
        number: u32,
        bus: &str,
        id: &str,
        driver: &str,
        files: &[(&str, &str)],
    ) -> Device {
        let root = self.machine.sys();
        let folder = root.join("devices/pci0000:00").join(bus);
        let device = Device { folder: folder.clone(), root: root.clone(), bus: bus.to_owned() };
        for (path, content) in files {
            device.says(path, content);
        }
        let node = folder.join(format!("drm/card{number}"));
        fs::create_dir_all(&node).unwrap();
        symlink(&folder, node.join("device")).unwrap();
        // Last, as it is by this that it is found.
        device.driven_by(id, driver);
        fs::create_dir_all(root.join("bus/pci/devices")).unwrap();
        symlink(&folder, root.join("bus/pci/devices").join(bus)).unwrap();
        let nodes = root.join("class/drm");
        fs::create_dir_all(nodes.join(format!("card{number}-DP-1"))).unwrap();
        symlink(&node, nodes.join(format!("card{number}"))).unwrap();
        device
    }

    pub(crate) fn says(&self, path: &str, content: &str) {
        says(&self.machine.sys().join(path), content.as_bytes());
    }

    pub(crate) fn watched(&self) -> Watched {
        self.machine.watched()
    }
}

impl Device {
    /// In place, as the kernel changes what a file says.
    pub(crate) fn says(&self, path: &str, content: impl AsRef<[u8]>) {
        says(&self.folder.join(path), content.as_ref());
    }

    pub(crate) fn driven_by(&self, id: &str, driver: &str) {
        let bus = &self.bus;
        let said = format!("DRIVER={driver}\nPCI_CLASS=30000\nPCI_ID={id}\nPCI_SLOT_NAME={bus}\n");
        self.says("uevent", said.trim_start_matches("DRIVER=\n"));
    }

    /// Its driver lets it go: it is on the bus still, and has no node.
    pub(crate) fn unbound(&self, id: &str) {
        self.forgotten();
        self.driven_by(id, "");
    }

    /// It has fallen off the bus.
    pub(crate) fn gone(&self) {
        self.forgotten();
        fs::remove_file(self.root.join("bus/pci/devices").join(&self.bus)).unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }

    fn forgotten(&self) {
        for node in fs::read_dir(self.root.join("class/drm")).unwrap() {
            let node = node.unwrap().path();
            if fs::read_link(&node).is_ok_and(|to| to.starts_with(&self.folder)) {
                fs::remove_file(node).unwrap();
            }
        }
    }

    /// There is something else in a file's place.
    pub(crate) fn instead(&self, path: &str, put: impl Fn(&Path)) {
        let path = self.folder.join(path);
        fs::remove_file(&path).unwrap();
        put(&path);
    }
}

fn says(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A `gpu_metrics` of this revision and length, zero but for what is put in.
pub(crate) fn blob(format: u8, content: u8, size: u16, put: &[(usize, &[u8])]) -> Vec<u8> {
    let mut blob = vec![0; usize::from(size)];
    let size = size.to_ne_bytes();
    for (at, bytes) in [(0, size.as_slice()), (2, &[format, content])].iter().chain(put) {
        blob.get_mut(*at..at + bytes.len()).unwrap().copy_from_slice(bytes);
    }
    blob
}
