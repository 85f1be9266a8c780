//! Which socket is the daemon's.
//!
//! Knows where it may lie. Refuses to connect. Invariant: one that a person has named is the only one that is looked at.

use std::{
    env,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::exit::{Exit, Failure};

/// Where the package's socket unit makes it.
pub(crate) const SERVICE: &str = "/run/ghostllm/admin.sock";
/// In the state directory.
const NAME: &str = "admin.sock";
/// The service's state directory.
const STATE: &str = "/var/lib/ghostllm";
/// Names the socket, as `--socket` does.
const VARIABLE: &str = "GHOSTLLM_SOCKET";

/// The next steps where the daemon is not reachable.
pub(crate) const START: &str = "systemctl start ghostllm, or ghostllm serve; where it runs already, give its socket with \
                                --socket";

/// The socket that a person has named, else the first that exists.
pub(crate) fn find(named: Option<&PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return Ok(path.clone());
    }
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = variable(VARIABLE) {
        return Ok(path);
    }
    let tried = candidates(variable);
    // One that may not be looked for counts as there: whoever connects is told that it is denied.
    let there = |path: &&PathBuf| match path.symlink_metadata() {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    };
    tried.iter().find(there).cloned().ok_or_else(|| nowhere(&tried))
}

/// The state directory: that of the daemon's socket where it lies in one, else the first place of state that exists.
pub(crate) fn state(socket: Option<&Path>) -> Option<PathBuf> {
    let beside = socket.filter(|socket| *socket != Path::new(SERVICE) && socket.ends_with(NAME));
    if let Some(directory) = beside.and_then(Path::parent) {
        return Some(directory.to_owned());
    }
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let places = candidates(variable).into_iter().filter(|path| path != Path::new(SERVICE));
    let mut directories = places.filter_map(|path| path.parent().map(Path::to_owned));
    directories.find(|directory| {
        directory.symlink_metadata().is_ok_and(|facts| facts.is_dir() || facts.is_symlink())
    })
}

fn candidates(variable: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let home = variable("HOME").map(|home| home.join(".local/state/ghostllm"));
    let places = [
        // systemd gives several directories with a colon between them.
        variable("STATE_DIRECTORY").map(|list| env::split_paths(&list).next().unwrap_or_default()),
        variable("XDG_STATE_HOME").map(|state| state.join("ghostllm")),
        home,
        Some(PathBuf::from(STATE)),
    ];
    let mut all = vec![PathBuf::from(SERVICE)];
    for path in places.into_iter().flatten().map(|place| place.join(NAME)) {
        if !all.contains(&path) {
            all.push(path);
        }
    }
    all
}

fn nowhere(tried: &[PathBuf]) -> Failure {
    let list: String = tried.iter().map(|path| format!("\n  {}", path.display())).collect();
    let message =
        format!("the daemon is not reachable: there is no admin socket in any of its places:{list}");
    Failure::new(Exit::Unreachable, message).next(START)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_looked_at_in_order_each_once() {
        let variable = |name: &str| match name {
            "STATE_DIRECTORY" => Some(PathBuf::from("/srv/a:/srv/b")),
            "XDG_STATE_HOME" => Some(PathBuf::from("/home/me/.local/state")),
            "HOME" => Some(PathBuf::from("/home/me")),
            _ => None,
        };
        let found: Vec<String> = candidates(variable).iter().map(|path| path.display().to_string()).collect();
        let wanted = [
            "/run/ghostllm/admin.sock",
            "/srv/a/admin.sock",
            "/home/me/.local/state/ghostllm/admin.sock",
            "/var/lib/ghostllm/admin.sock",
        ];
        assert_eq!(found, wanted);
        assert_eq!(candidates(|_| None).len(), 2);
    }
}
