//! Which files of the journal there are, and whether they may be read: libsystemd passes over what may not, and would show an empty
//! journal for a closed one.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::{
    exit::{Exit, Failure},
    output,
};

/// Where a system's journal lies: what is kept, and what lasts until the next start.
const PLACES: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// Files of a journal.
#[derive(Debug, Default)]
struct Files {
    readable: usize,
    closed: Vec<PathBuf>,
}

/// Ends with the way out where there is no journal, or where it is closed to whoever asks.
pub(super) fn check(directory: Option<&Path>) -> Result<(), Failure> {
    let mut files = Files::default();
    match directory {
        Some(directory) => {
            // Only here is a missing directory somebody's mistake.
            if let Err(error) = fs::read_dir(directory) {
                let missing = error.kind() != ErrorKind::PermissionDenied;
                let exit = if missing { Exit::NotFound } else { Exit::Denied };
                let message = format!("the journal in {} cannot be read: {error}", directory.display());
                return Err(Failure::new(exit, message).next(format!("ls -ld {}", directory.display())));
            }
            files.look(directory, true, &|_| true);
        }
        // The users' own journals hold nothing of a service.
        None => PLACES
            .iter()
            .for_each(|place| files.look(Path::new(place), true, &|name| name.starts_with("system"))),
    }
    let first = files.closed.first().map(|path| path.display().to_string());
    match (files.readable, first) {
        (0, Some(first)) => Err(Failure::new(
            Exit::Denied,
            format!("the journal may not be read by you ({first}); root may, and the groups systemd-journal and adm"),
        )
        .next("sudo ghostctl logs; for good: sudo usermod -aG systemd-journal \"$USER\", and log in anew")),
        (0, None) => Err(none(directory)),
        (_, Some(first)) => {
            output::say(&format!(
                "Of the journal's files {} may not be read by you ({first}), and what is in them is missing here. Next: sudo ghostctl \
                 logs",
                files.closed.len()
            ));
            Ok(())
        }
        (_, None) => Ok(()),
    }
}

fn none(directory: Option<&Path>) -> Failure {
    match directory {
        Some(directory) => Failure::new(Exit::NotFound, format!("there is no journal in {}", directory.display()))
            .next("name the directory that has the .journal files, or the one above it"),
        None => Failure::new(Exit::NotFound, "this system keeps no journal")
            .next("systemctl status systemd-journald; a daemon that systemd has not started logs to its standard error"),
    }
}

impl Files {
    /// Counts those in this directory, and in the directories of machines below it.
    fn look(&mut self, directory: &Path, below: bool, wanted: &dyn Fn(&str) -> bool) {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return self.closed.push(directory.to_owned());
            }
            Err(_none) => return,
        };
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if below && path.is_dir() {
                self.look(&path, false, wanted);
            } else if (name.ends_with(".journal") || name.ends_with(".journal~")) && wanted(&name) {
                match File::open(&path) {
                    Ok(_file) => self.readable += 1,
                    Err(error) if error.kind() == ErrorKind::PermissionDenied => self.closed.push(path),
                    // It has been rotated away since.
                    Err(_gone) => {}
                }
            }
        }
    }
}
