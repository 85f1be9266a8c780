//! Where the daemon keeps its state and its admin's socket when nobody has said it.
//!
//! Knows the places and their order. Refuses to look whether anything is there. Invariant: `ghostctl` and the daemon's own
//! program go by this one list.

use std::{env, ffi::OsString, path::PathBuf};

/// Where the package's socket unit makes the admin's socket.
pub const ADMIN_SOCKET: &str = "/run/ghostllm/admin.sock";

/// Its name in a state directory.
pub const ADMIN_NAME: &str = "admin.sock";

/// Names the socket, as `ghostctl --socket` does.
pub const ADMIN_VARIABLE: &str = "GHOSTLLM_SOCKET";

/// The service's state directory.
pub const STATE: &str = "/var/lib/ghostllm";

/// Where the package's socket unit makes the engine's socket.
pub const ENGINE_SOCKET: &str = "/run/ghostllm-engine/engine.sock";

/// Where the package's engine looks for GGUF files, which its user must be able to read.
pub const ENGINE_MODELS: &str = "/var/lib/ghostllm-engine/models";

/// The user of the package's engine.
pub const ENGINE_USER: &str = "ghostllm-engine";

/// Where the admin's socket may be, the likeliest first, each place once. An empty variable is none.
pub fn admin_sockets(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let places = [
        // systemd gives several directories with a colon between them.
        variable("STATE_DIRECTORY").map(|list| env::split_paths(&list).next().unwrap_or_default()),
        variable("XDG_STATE_HOME").map(|state| state.join("ghostllm")),
        variable("HOME").map(|home| home.join(".local/state/ghostllm")),
        Some(PathBuf::from(STATE)),
    ];
    let mut all = vec![PathBuf::from(ADMIN_SOCKET)];
    for path in places.into_iter().flatten().map(|place| place.join(ADMIN_NAME)) {
        if !all.contains(&path) {
            all.push(path);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_named_in_order_each_once() {
        let variable = |name: &str| match name {
            "STATE_DIRECTORY" => Some("/srv/a:/srv/b".into()),
            "XDG_STATE_HOME" => Some("/home/me/.local/state".into()),
            "HOME" => Some("/home/me".into()),
            _ => None,
        };
        let found: Vec<String> =
            admin_sockets(variable).iter().map(|path| path.display().to_string()).collect();
        let wanted = [
            "/run/ghostllm/admin.sock",
            "/srv/a/admin.sock",
            "/home/me/.local/state/ghostllm/admin.sock",
            "/var/lib/ghostllm/admin.sock",
        ];
        assert_eq!(found, wanted);
        assert_eq!(admin_sockets(|_| None).len(), 2);
        assert_eq!(admin_sockets(|_| Some(OsString::new())).len(), 2);
    }
}
