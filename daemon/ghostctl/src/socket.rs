//! Which socket is the daemon's.
//!
//! Knows where it may lie. Refuses to connect. Invariant: one that a person has named is the only one that is looked at.

use std::{
    env,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use ghostllm_core::places;

use crate::exit::{Exit, Failure};

/// Where the package's socket unit makes it.
pub(crate) const SERVICE: &str = places::ADMIN_SOCKET;

/// The next steps where the daemon is not reachable.
pub(crate) const START: &str = "systemctl start ghostllm, or ghostllm serve; where it runs already, give its socket with \
                                --socket";

/// The socket that a person has named, else the first that exists.
pub(crate) fn find(named: Option<&PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return Ok(path.clone());
    }
    let variable = env::var_os(places::ADMIN_VARIABLE).filter(|value| !value.is_empty());
    if let Some(path) = variable {
        return Ok(PathBuf::from(path));
    }
    let tried = places::admin_sockets(|name| env::var_os(name));
    // One that may not be looked for counts as there: whoever connects is told that it is denied.
    let there = |path: &&PathBuf| match path.symlink_metadata() {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    };
    tried.iter().find(there).cloned().ok_or_else(|| nowhere(&tried))
}

/// The state directory: that of the daemon's socket where it lies in one, else the first place of state that exists.
pub(crate) fn state(socket: Option<&Path>) -> Option<PathBuf> {
    let beside =
        socket.filter(|socket| *socket != Path::new(SERVICE) && socket.ends_with(places::ADMIN_NAME));
    if let Some(directory) = beside.and_then(Path::parent) {
        return Some(directory.to_owned());
    }
    let all = places::admin_sockets(|name| env::var_os(name));
    let beside = all.into_iter().filter(|path| path != Path::new(SERVICE));
    let mut directories = beside.filter_map(|path| path.parent().map(Path::to_owned));
    directories.find(|directory| {
        directory.symlink_metadata().is_ok_and(|facts| facts.is_dir() || facts.is_symlink())
    })
}

fn nowhere(tried: &[PathBuf]) -> Failure {
    let list: String = tried.iter().map(|path| format!("\n  {}", path.display())).collect();
    let message =
        format!("the daemon is not reachable: there is no admin socket in any of its places:{list}");
    Failure::new(Exit::Unreachable, message).next(START)
}
