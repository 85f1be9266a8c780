//! Where an engine of ours listens, and where its models are.
//!
//! Knows how long the path of a socket may be. Invariant: the directory of the socket is open to our user alone.

use std::{
    fs::{self, DirBuilder},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::store::StateDir;

/// `sun_path` holds 108 bytes with the closing zero (unix(7)).
const LONGEST: usize = 107;
const NAME: &str = "engine.sock";
/// Names are tried until one is free; this many are only taken if somebody means it.
const TRIES: u32 = 100;

/// The place of the socket. A directory that was made for it alone goes with this value.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) socket: PathBuf,
    made: Option<PathBuf>,
}

impl Place {
    /// `run/` in the state directory; where that makes too long a path, a new directory in one of `short`.
    ///
    /// # Errors
    /// If none of them will do: the sentence that says why, place by place.
    pub(super) fn find(state: &StateDir, short: &[PathBuf]) -> Result<Self, String> {
        let first = state.dir("run").map_err(|error| error.to_string());
        let mut trouble = match first.and_then(|run| fitting(&absolute(run.path()))) {
            Ok(socket) => return Ok(Self { socket, made: None }),
            Err(trouble) => vec![trouble],
        };
        for parent in short {
            // The names that are tried differ by a few bytes; what is too long is found before anything is made.
            match fitting(&parent.join(name(TRIES))).and_then(|_| private(parent)) {
                Ok(made) => return Ok(Self { socket: made.join(NAME), made: Some(made) }),
                Err(why) => trouble.push(why),
            }
        }
        Err(format!(
            "the embedded engine is not started, since there is no place for its socket: {}; use a state directory \
             with a shorter path that this user can write to",
            trouble.join("; ")
        ))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(made) = &self.made else { return };
        // The engine removes its socket unless it was killed; what cannot be removed is left to whoever clears /tmp.
        let _gone_already = fs::remove_file(&self.socket);
        let _left = fs::remove_dir(made);
    }
}

fn fitting(directory: &Path) -> Result<PathBuf, String> {
    let socket = directory.join(NAME);
    let bytes = socket.as_os_str().len();
    if bytes <= LONGEST {
        return Ok(socket);
    }
    Err(format!("{} has {bytes} bytes, and a socket's path holds {LONGEST}", socket.display()))
}

fn name(number: u32) -> String {
    format!("ghostllm-{}-{number}", std::process::id())
}

/// A new directory that is ours alone. Creating fails on whatever is there already, links included, so that in `/tmp`
/// nobody can have laid one out for us.
fn private(parent: &Path) -> Result<PathBuf, String> {
    for number in 0..TRIES {
        let path = parent.join(name(number));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("{}: {error}", path.display())),
        }
    }
    Err(format!("{}: all names like {} are taken", parent.display(), name(0)))
}

/// The directory of the models: the configured one, else `models/` in the state directory, which is made.
pub(super) fn models(configured: Option<&Path>, state: &StateDir) -> PathBuf {
    let models = absolute(configured.unwrap_or(&state.path().join("models")));
    let there = if configured.is_some() {
        fs::read_dir(&models).map(drop)
    } else {
        DirBuilder::new().recursive(true).mode(0o700).create(&models)
    };
    if let Err(error) = there {
        tracing::warn!(
            "models cannot be read from {}: {error}; the demo model is all there is",
            models.display()
        );
    }
    models
}

/// The child shares our working directory, but a log should say where things are.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_: io::Error| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn state(below: &Path, letters: usize) -> StateDir {
        StateDir::open(&below.join("s".repeat(letters))).unwrap()
    }

    #[test]
    fn a_short_path_is_in_the_state_directory() {
        let base = tempfile::tempdir().unwrap();
        let place = Place::find(&state(base.path(), 5), &[]).unwrap();
        assert_eq!(place.socket, base.path().join("sssss/run/engine.sock"));
        let mode = fs::metadata(base.path().join("sssss/run")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(place);
        assert!(base.path().join("sssss/run").exists());
    }

    #[test]
    fn the_longest_path_fits_and_one_byte_more_goes_elsewhere() {
        let base = tempfile::tempdir().unwrap();
        let rest = "//run/engine.sock".len();
        let letters = LONGEST - rest - base.path().as_os_str().len();
        let place = Place::find(&state(base.path(), letters), &[]).unwrap();
        assert_eq!(place.socket.as_os_str().len(), LONGEST);
        std::os::unix::net::UnixListener::bind(&place.socket).unwrap();

        let longer = state(base.path(), letters + 1);
        let refused = Place::find(&longer, &[]).unwrap_err();
        assert!(refused.contains("has 108 bytes"), "{refused}");
        let short = base.path().to_owned();
        // Another's directory of that name is not used.
        fs::create_dir(short.join(name(0))).unwrap();
        let absent = base.path().join("absent");
        let place = Place::find(&longer, &[absent, short.clone()]).unwrap();
        let made = short.join(name(1));
        assert_eq!(place.socket, made.join(NAME));
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(&place.socket, "").unwrap();
        drop(place);
        assert!(!made.exists() && short.join(name(0)).exists());
    }

    #[test]
    fn every_place_that_fails_is_named() {
        let base = tempfile::tempdir().unwrap();
        let absent = base.path().join("absent");
        let refused = Place::find(&state(base.path(), 120), std::slice::from_ref(&absent)).unwrap_err();
        assert!(refused.contains("a socket's path holds 107"), "{refused}");
        assert!(refused.contains(absent.to_str().unwrap()), "{refused}");
    }

    #[test]
    fn models_have_a_directory() {
        let base = tempfile::tempdir().unwrap();
        let state = state(base.path(), 1);
        assert_eq!(models(None, &state), base.path().join("s/models"));
        let mode = fs::metadata(base.path().join("s/models")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(models(Some(Path::new("/elsewhere")), &state), Path::new("/elsewhere"));
    }
}
