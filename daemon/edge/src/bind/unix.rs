//! A Unix socket at a path of our own, which nobody but our user may connect to.
//!
//! Knows files of the kind socket. Refuses to know who is served there. Invariants: there is no moment at which somebody else
//! could connect; what lies at the path and is no socket, or one at which somebody listens, stays as it is.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sys::stat::{Mode, fchmod},
};
use socket2::{Domain, SockAddr, Socket, Type};

/// `sun_path` has 108 bytes, the closing zero among them (unix(7)).
const PATH_BYTES: usize = 107;

/// Connections that the kernel keeps for us until they are accepted; far more than are served.
const BACKLOG: i32 = 128;

/// Who may connect: connecting takes the right to write.
const OWNER: Mode = Mode::from_bits_truncate(0o600);

/// Why there is no Unix socket.
#[derive(Debug, thiserror::Error)]
pub enum UnixError {
    /// The kernel has no room for such a path.
    #[error("the path {} has {bytes} bytes, and that of a Unix socket may have {PATH_BYTES}", path.display())]
    TooLong {
        /// What was asked for.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
    /// Something else lies there.
    #[error("{} is no socket, and is left alone", path.display())]
    NoSocket {
        /// What was asked for.
        path: PathBuf,
    },
    /// Somebody listens there.
    #[error("another process listens at {}", path.display())]
    Taken {
        /// What was asked for.
        path: PathBuf,
    },
    /// Anything else, such as a directory that is not there.
    #[error("no socket can be made at {}: {source}", path.display())]
    Other {
        /// What was asked for.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The file of a socket that we have made; removed with this, unless another one has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    made: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<(Self, Mode)> {
        let facts = fs::symlink_metadata(path)?;
        let file = Self { path: path.to_owned(), made: (facts.dev(), facts.ino()) };
        Ok((file, Mode::from_bits_truncate(facts.mode())))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |facts: &fs::Metadata| (facts.dev(), facts.ino()) == self.made;
        if fs::symlink_metadata(&self.path).is_ok_and(|facts| is_ours(&facts))
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the socket's file could not be removed");
        }
    }
}

/// Makes a socket of mode 0600 at `path`, in the place of one that a process which is no more has left, and listens.
///
/// # Errors
/// See [`UnixError`].
pub fn unix(path: &Path) -> Result<(UnixListener, SocketFile), UnixError> {
    let bytes = path.as_os_str().len();
    if bytes > PATH_BYTES {
        return Err(UnixError::TooLong { path: path.to_owned(), bytes });
    }
    let other = |source| UnixError::Other { path: path.to_owned(), source };
    let address = SockAddr::unix(path).map_err(other)?;
    clear(path, &address)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(other)?;
    // The file gets the mode of the socket that it is made for, less the umask: it is never wider than this.
    fchmod(&socket, OWNER).map_err(|error| other(error.into()))?;
    socket.bind(&address).map_err(other)?;
    let (file, mode) = SocketFile::of(path).map_err(other)?;
    if mode != OWNER {
        return Err(other(io::Error::other(format!("the system gave it the mode {:o}", mode.bits()))));
    }
    // Only from here on could anybody connect.
    socket.listen(BACKLOG).and_then(|()| socket.set_nonblocking(true)).map_err(other)?;
    Ok((socket.into(), file))
}

/// Removes a socket at which nobody listens.
fn clear(path: &Path, address: &SockAddr) -> Result<(), UnixError> {
    let other = |source| UnixError::Other { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(other(error)),
        Ok(facts) if !facts.file_type().is_socket() => {
            return Err(UnixError::NoSocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    let asking = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(other)?;
    // Whoever listens and accepts nothing must not hold the start.
    asking.set_nonblocking(true).map_err(other)?;
    let refused = match asking.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // A full queue, or a socket of another type: somebody is there.
        Err(error) if is_somebody(&error) => return Err(UnixError::Taken { path: path.to_owned() }),
        Ok(()) => return Err(UnixError::Taken { path: path.to_owned() }),
        Err(error) => Err(error),
    };
    refused.map_err(other)
}

fn is_somebody(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EAGAIN | Errno::EPROTOTYPE))
}

#[cfg(test)]
mod tests {
    use std::os::unix::{
        fs::PermissionsExt,
        net::{UnixDatagram, UnixStream},
    };

    use super::*;

    #[test]
    fn it_is_its_owner_s_alone_and_goes_with_whoever_made_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let (listener, file) = unix(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode(), 0o140_600);
        let mut here = UnixStream::connect(&path).unwrap();
        let (mut there, _) = listener.accept().unwrap();
        io::Write::write_all(&mut here, b"x").unwrap();
        io::Read::read_exact(&mut there, &mut [0]).unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_one_is_replaced_and_a_living_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let dead = UnixListener::bind(&path).unwrap();
        assert!(matches!(unix(&path), Err(UnixError::Taken { .. })));
        drop(dead);
        let (_listener, file) = unix(&path).unwrap();
        // Somebody else has put one there; it is not ours to remove.
        fs::remove_file(&path).unwrap();
        let _theirs = UnixListener::bind(&path).unwrap();
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn whoever_listens_and_takes_nothing_is_somebody_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let full = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        full.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        full.listen(0).unwrap();
        let _queued = UnixStream::connect(&path).unwrap();
        assert!(matches!(unix(&path), Err(UnixError::Taken { .. })));
        let path = directory.path().join("d");
        let _datagrams = UnixDatagram::bind(&path).unwrap();
        assert!(matches!(unix(&path), Err(UnixError::Taken { .. })));
    }

    #[test]
    fn what_is_no_socket_stays() {
        let directory = tempfile::tempdir().unwrap();
        let [file, link, folder] = ["f", "l", "d"].map(|name| directory.path().join(name));
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(directory.path().join("nowhere"), &link).unwrap();
        fs::create_dir(&folder).unwrap();
        for path in [&file, &link, &folder] {
            assert!(matches!(unix(path), Err(UnixError::NoSocket { .. })), "{}", path.display());
            assert!(fs::symlink_metadata(path).is_ok());
        }
        assert_eq!(fs::read(&file).unwrap(), b"x");
        assert!(matches!(unix(&directory.path().join("none/s")), Err(UnixError::Other { .. })));
    }

    #[test]
    fn the_longest_path_passes_and_one_byte_more_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let rest = PATH_BYTES - directory.path().as_os_str().len() - 1;
        let path = directory.path().join("x".repeat(rest));
        drop(unix(&path).unwrap());
        let longer = directory.path().join("x".repeat(rest + 1));
        assert!(matches!(unix(&longer), Err(UnixError::TooLong { bytes: 108, .. })));
    }
}
