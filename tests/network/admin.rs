//! Who may connect to the admin's socket: the kernel goes by its file's mode, and by nothing else.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use anyhow::{Result, ensure};
use ghostllm_tests::{
    daemon::{Daemon, Setup},
    root,
};
use tokio::process::Command;

use crate::bare;

/// The daemon's user, the engine's, an admin and a stranger; each is alone in the group of its number.
const DAEMON: u32 = 54_321;
const ENGINE: u32 = 54_322;
const ADMIN: u32 = 54_323;
const STRANGER: u32 = 65_534;
/// The group `ghostllm-admin` of a box.
const ADMINS: u32 = 54_330;

/// Asks for the models, and says the status or why it may not connect.
const ASK: &str = "import errno, socket, sys
asking = socket.socket(socket.AF_UNIX)
try:
    asking.connect(sys.argv[1])
    asking.sendall(b'GET /v1/models HTTP/1.1\\r\\nhost: localhost\\r\\nconnection: close\\r\\n\\r\\n')
    print(asking.makefile('rb').readline().decode().split()[1])
except OSError as error:
    print(errno.errorcode[error.errno])";

/// What a process of that user hears, who is in these groups besides its own.
async fn heard(user: u32, groups: &[u32], path: &Path) -> Result<String> {
    let number = user.to_string();
    let groups = groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let groups = if groups.is_empty() { "--clear-groups".to_owned() } else { format!("--groups={groups}") };
    let output = Command::new("setpriv")
        .args([&format!("--reuid={number}"), &format!("--regid={number}"), &groups])
        .args(["/usr/bin/python3", "-c", ASK])
        .arg(path)
        .current_dir("/")
        .output()
        .await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

async fn check(path: &Path, who: &[(u32, &[u32], &str)]) -> Result<()> {
    for (user, groups, wanted) in who {
        let heard = heard(*user, groups, path).await?;
        ensure!(heard == *wanted, "the user {user} in {groups:?} hears {heard} instead of {wanted}");
    }
    Ok(())
}

/// A folder that everybody may look into.
fn open_folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

#[tokio::test]
async fn its_own_is_for_the_daemon_s_user_alone() -> Result<()> {
    let who: &[(u32, &[u32], &str)] =
        &[(DAEMON, &[], "200"), (0, &[], "200"), (STRANGER, &[], "EACCES"), (ENGINE, &[DAEMON], "EACCES")];
    let daemon = Daemon::start(&Setup { user: Some(DAEMON), ..bare() }).await?;
    check(daemon.admin()?, who).await?;
    daemon.stop().await?;
    // In a folder that lets everybody in, the file alone decides.
    let folder = open_folder()?;
    chown(folder.path(), Some(DAEMON), Some(DAEMON))?;
    let path = folder.path().join("admin.sock");
    let listen = format!("{}admin = \"{}\"\n", bare().listen, path.display());
    // A umask that takes nobody's right.
    let prefix = ["sh", "-c", "umask 0; exec \"$0\" \"$@\""].map(str::to_owned).to_vec();
    let daemon = Daemon::start(&Setup { listen, prefix, user: Some(DAEMON), ..bare() }).await?;
    check(&path, who).await?;
    daemon.stop().await
}

#[tokio::test]
async fn one_that_is_handed_down_is_for_its_group() -> Result<()> {
    let folder = open_folder()?;
    // The daemon's user has it made here; a unit would do so as root.
    chown(folder.path(), Some(DAEMON), Some(DAEMON))?;
    let path = folder.path().join("admin.sock");
    let script = folder.path().join("hand-down.py");
    std::fs::copy(root().join("tests/support/hand-down.py"), &script)?;
    let prefix =
        ["/usr/bin/python3", &script.display().to_string(), &format!("admin=0660:{}", path.display()), "--"];
    let prefix = prefix.map(str::to_owned).to_vec();
    let daemon = Daemon::start(&Setup { prefix, user: Some(DAEMON), ..bare() }).await?;
    ensure!(daemon.admin()? == path, "{}", daemon.admin()?.display());
    chown(&path, Some(0), Some(ADMINS))?;
    check(
        &path,
        &[
            (ADMIN, &[ADMINS], "200"),
            (0, &[], "200"),
            (ADMIN, &[], "EACCES"),
            (STRANGER, &[], "EACCES"),
            (ENGINE, &[DAEMON], "EACCES"),
            // Not even the daemon's own: who breaks into it gains no admin's rights by it.
            (DAEMON, &[], "EACCES"),
        ],
    )
    .await?;
    daemon.stop().await?;
    ensure!(path.exists(), "it is the unit's");
    Ok(())
}
