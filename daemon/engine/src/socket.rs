//! The socket that the engine listens on.
//!
//! Knows how to take one from systemd, and how to make one at a path without taking it from a living engine.
//! Invariant: a socket that it makes can be opened by its owner and group only.

use nix::sys::stat::{Mode, umask};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// `sun_path` holds 108 bytes with the closing zero.
const PATH_BYTES: usize = 107;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers there.
    #[error("another process already listens on {0}; end it, or choose another --socket")]
    Taken(String),
    /// The path cannot be a socket's.
    #[error("{0}")]
    Path(String),
    /// The system refused.
    #[error("cannot listen on {0}: {1}")]
    Io(String, io::Error),
}

/// The socket that was handed down (`LISTEN_FDS`), if any.
///
/// # Errors
/// When what was handed down is no Unix socket that listens.
pub fn inherited() -> io::Result<Option<UnixListener>> {
    listenfd::ListenFd::from_env().take_unix_listener(0)
}

/// Makes a socket at `path`, mode 0660, in place of one that a dead process left. To be called while there is one
/// thread, since it changes the process's umask for a moment.
///
/// # Errors
/// See [`SocketError`].
pub fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    let shown = path.display().to_string();
    if path.as_os_str().len() > PATH_BYTES {
        return Err(SocketError::Path(format!(
            "the path {shown} is too long for a socket; at most {PATH_BYTES} bytes"
        )));
    }
    clear(path, &shown)?;
    let before = umask(Mode::from_bits_truncate(0o117));
    let listener = UnixListener::bind(path);
    umask(before);
    listener.map_err(|error| SocketError::Io(shown, error))
}

fn clear(path: &Path, shown: &str) -> Result<(), SocketError> {
    let io = |error| SocketError::Io(shown.to_owned(), error);
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io(error)),
        Ok(status) if !status.file_type().is_socket() => Err(SocketError::Path(format!(
            "{shown} exists and is no socket; move it away, or choose another --socket"
        ))),
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Err(SocketError::Taken(shown.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(io)
            }
            Err(error) => Err(io(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_dead_socket_is_replaced_a_living_one_and_a_file_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(matches!(bind(&path), Err(SocketError::Taken(_))));
        drop(listener);
        drop(bind(&path).unwrap());
        let file = directory.path().join("f");
        std::fs::write(&file, "x").unwrap();
        assert!(matches!(bind(&file), Err(SocketError::Path(_))));
        assert!(matches!(bind(&directory.path().join("x".repeat(200))), Err(SocketError::Path(_))));
    }
}
