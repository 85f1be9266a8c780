//! This system's trust in the CA.
//!
//! Knows Debian's way of doing it, and the commands for other systems. Refuses to guess: where Debian's way is not there, nothing is
//! changed. Invariant: what was done is printed, and nothing but that is done.

use std::{
    env, fs,
    io::{self, ErrorKind},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use ghostllm_core::admin::Authority;

use super::export;
use crate::{
    arguments::Context,
    exit::{Exit, Failure},
    output::{self, Tone, text},
    socket,
};

/// Where Debian looks for certificates of the box's owner; the ending matters.
const PLACE: &str = "/usr/local/share/ca-certificates/ghostllm-ca.crt";
/// Takes what lies there into the system's list.
const UPDATE: &str = "update-ca-certificates";

pub(super) fn run(authority: &Authority, print: bool, context: &Context) -> Result<(), Failure> {
    if print {
        return output::print(&on_each_system(&text::clean(&authority.sha256)));
    }
    let certificate = export::certificate(&authority.pem)?;
    let place = Path::new(PLACE);
    let Some(update) = program(UPDATE).filter(|_| place.parent().is_some_and(Path::is_dir)) else {
        let message = format!("this system has no {UPDATE}, and nothing was changed");
        return Err(Failure::new(Exit::Failed, message)
            .next("ghostctl cert trust --print, which shows each system's way"));
    };
    let text = pem::encode(&certificate).replace("\r\n", "\n");
    replace(place, text.as_bytes()).map_err(|error| not_written(&error, context))?;
    let said = |words: &str| output::print(&context.screen.hanging("", Tone::Plain, words));
    said(&format!("wrote {PLACE}, whose SHA-256 is"))?;
    said(&format!("  {}", text::clean(&authority.sha256).replacen(':', ": ", 16).replacen(": ", ":", 15)))?;
    let ended = Command::new(&update).output();
    let ended = ended.map_err(|error| not_taken(&format!("{} cannot be run: {error}", update.display())))?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        return Err(not_taken(&format!("{UPDATE} failed ({}): {}", ended.status, said.trim())));
    }
    said(&format!("ran {}", update.display()))?;
    said(
        "Programs that use this system's list trust the box now; Firefox, Python and Node have their own: ghostctl cert trust --print",
    )
}

/// In `PATH`, or where Debian has it: a person's `PATH` may lack it.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    places.map(|place| place.join(name)).find(|program| program.is_file())
}

/// Beside it first, so that nobody ever reads half of it.
fn replace(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = place.with_extension("crt.new");
    fs::write(&beside, bytes)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o644))?;
    fs::rename(&beside, place)
}

fn not_written(error: &io::Error, context: &Context) -> Failure {
    let message = format!("{PLACE} cannot be written: {error}; nothing was changed");
    if error.kind() != ErrorKind::PermissionDenied {
        return Failure::new(Exit::Failed, message).next("df -h /usr/local; findmnt -T /usr/local");
    }
    // Root has another home, and sudo hands no variables on.
    let socket = context.client.socket().ok().filter(|path| path != Path::new(socket::SERVICE));
    let named = socket.map(|path| format!("--socket '{}' ", path.display())).unwrap_or_default();
    Failure::new(Exit::Denied, message).next(format!("sudo ghostctl {named}cert trust"))
}

fn not_taken(why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("{why}; the certificate lies in {PLACE}"))
        .next(format!("sudo {UPDATE} --fresh"))
}

fn on_each_system(sha256: &str) -> String {
    format!(
        "\
On the box, first: ghostctl cert export ghostllm-ca.pem
Then, where that file is:

Debian, Ubuntu
  sudo cp ghostllm-ca.pem {PLACE}
  sudo {UPDATE}
Fedora, RHEL
  sudo cp ghostllm-ca.pem /etc/pki/ca-trust/source/anchors/
  sudo update-ca-trust
Arch
  sudo trust anchor --store ghostllm-ca.pem
macOS
  sudo security add-trusted-cert -d -r trustRoot \\
    -k /Library/Keychains/System.keychain ghostllm-ca.pem
Windows, as an administrator
  certutil -addstore -f Root ghostllm-ca.pem
Chromium on Linux (libnss3-tools)
  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n GhostLLM -i ghostllm-ca.pem
Firefox
  Settings, Privacy & Security, View Certificates, Authorities, Import
Python: export SSL_CERT_FILE=$PWD/ghostllm-ca.pem
Node:   export NODE_EXTRA_CA_CERTS=$PWD/ghostllm-ca.pem
curl:   curl --cacert ghostllm-ca.pem ...

It is the right one if its SHA-256 is
  {}
",
        sha256.replacen(':', ":\n  ", 16).replacen(":\n  ", ":", 15)
    )
}
