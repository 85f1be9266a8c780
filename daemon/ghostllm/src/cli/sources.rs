//! Where the configuration comes from: which files there are, the environment, the arguments.
//!
//! Knows directories and names of files. Refuses to know what stands in them. Invariant: of a file that is there, and of
//! several of which one must be meant, none is passed over in silence.

use std::{
    env, fs,
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use clap::Args;
use ghostllm_core::config::{ConfigError, Loaded, Source};

use super::Failure;
use crate::{access, app::named, exit, store::settings::Kept, tasks::reload::Origin};

/// Where an administrator's configuration lies.
const SYSTEM: &str = "/etc/ghostllm";
/// What the main file may be called.
const MAIN: [&str; 3] = ["ghostllm.toml", "ghostllm.yaml", "ghostllm.yml"];
/// No configuration comes near to this; the example with all settings is a fiftieth of it.
const LARGEST: u64 = 1 << 20;
/// What else can be done about a file that cannot be read.
const ANOTHER: &str = "name another with --config FILE";
/// How the names of further files end.
const ENDINGS: [&str; 3] = ["toml", "yaml", "yml"];

/// Settings on the command line.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Settings {
    /// The profile to lie over the other settings: dev, staging or prod
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Option<String>,
    /// One setting, over the file's and the environment's; may be repeated: --set listen.tls=[::]:443
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

/// Reads the configuration from this file, or what is found, and everything over it.
pub(super) fn load(file: Option<&Path>, settings: &Settings, kept: &Kept) -> Result<Loaded, Failure> {
    read(&files(file)?, settings, kept)
}

/// Reads the configuration from these files, and everything over them.
pub(super) fn read(files: &[PathBuf], settings: &Settings, kept: &Kept) -> Result<Loaded, Failure> {
    Loaded::read(&gathered(files, settings, kept)?).map_err(|errors| faults(&errors))
}

fn gathered(files: &[PathBuf], settings: &Settings, kept: &Kept) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for path in files {
        let bytes = contents(path).map_err(|error| unreadable(path, &error))?;
        sources.push(Source::File { name: path.display().to_string(), bytes });
    }
    sources.push(kept.source());
    sources.push(Source::Environment(env::vars_os().collect()));
    sources.push(Source::Set(settings.set.clone()));
    sources.extend(settings.profile.clone().map(Source::Profile));
    Ok(sources)
}

/// The same sources, read anew while the program runs.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) file: Option<PathBuf>,
    pub(super) settings: Settings,
    pub(super) kept: Kept,
}

impl Origin for Again {
    fn files(&self) -> Result<Vec<PathBuf>, String> {
        files(self.file.as_deref()).map_err(|failure| failure.message)
    }

    fn read(&self, files: &[PathBuf]) -> Result<Loaded, String> {
        let sources = gathered(files, &self.settings, &self.kept).map_err(while_running)?;
        Loaded::read(&sources).map_err(|errors| first(&errors, self.file.as_deref()))
    }

    fn faults(&self, files: &[PathBuf]) -> Vec<String> {
        let Ok(sources) = gathered(files, &self.settings, &self.kept) else {
            return unread(files).into_iter().map(while_running).collect();
        };
        match Loaded::read(&sources) {
            Ok(loaded) => named::faults(&loaded, false).into_iter().map(|fault| fault.text).collect(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A failure in words that leave out the advice to start otherwise: the options are those of the start.
fn while_running(failure: Failure) -> String {
    let advice = [format!("; or {ANOTHER}"), format!("; {ANOTHER}")];
    advice.iter().fold(failure.message, |text, advice| text.replace(advice, ""))
}

/// The files that cannot be read.
fn unread(files: &[PathBuf]) -> Vec<Failure> {
    let failed = |path: &PathBuf| contents(path).err().map(|error| unreadable(path, &error));
    files.iter().filter_map(failed).collect()
}

/// The first of the faults, and what prints all of them.
fn first(errors: &[ConfigError], file: Option<&Path>) -> String {
    let first = errors.first().map(ToString::to_string).unwrap_or_default();
    let file = file.map(|file| format!(" {}", file.display())).unwrap_or_default();
    match errors.len() {
        0 | 1 => first,
        2 => format!("{first} (and another fault: `ghostllm config check{file}` prints both)"),
        count => format!("{first} (and {} more faults: `ghostllm config check{file}` prints all)", count - 1),
    }
}

/// What is in a file, which may be /dev/null. A pipe would hold the start until somebody writes, and be empty when it is read
/// again.
fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    if !kind.is_file() && !kind.is_char_device() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// All of them, and what to do.
fn faults(errors: &[ConfigError]) -> Failure {
    listed(&errors.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// Fails where files cannot be read, and names all of them.
pub(super) fn check_readable(files: &[PathBuf]) -> Result<(), Failure> {
    let unread = unread(files);
    let code = if unread.iter().all(|failure| failure.code == exit::PERMISSION) {
        exit::PERMISSION
    } else {
        exit::USAGE
    };
    let lines: Vec<String> = unread.into_iter().map(|failure| failure.message).collect();
    if lines.is_empty() { Ok(()) } else { Err(Failure { code, message: lines.join("\n") }) }
}

/// What is wrong with the files that a sound configuration names, as a start would find it.
pub(super) fn check_named(loaded: &Loaded) -> Result<(), Failure> {
    let faults = named::faults(loaded, true);
    let Some(first) = faults.first() else { return Ok(()) };
    let same = faults.iter().all(|fault| fault.code == first.code);
    let code = if same { first.code } else { exit::USAGE };
    let lines: Vec<_> = faults.iter().map(|fault| fault.text.clone()).collect();
    Err(Failure { code, ..listed(&lines) })
}

fn listed(faults: &[String]) -> Failure {
    let lines: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
    let (count, thing) = (faults.len(), if faults.len() == 1 { "fault" } else { "faults" });
    Failure::usage(format!(
        "the configuration has {count} {thing}:{lines}\nMend what stands there, and look again with `ghostllm config \
         check`; what another source lies over counts as well. `ghostllm config reference` explains every setting."
    ))
}

/// The files to read, the lowest first: the named one, or what is found.
pub(super) fn files(named: Option<&Path>) -> Result<Vec<PathBuf>, Failure> {
    let own = own_directory();
    let Some(named) = named else {
        let system = found(Path::new(SYSTEM))?;
        if !system.is_empty() {
            return Ok(system);
        }
        // A home that this user may not enter is another's: systemd's ProtectHome= leaves HOME as it is.
        let own = own.filter(|own| !own.try_exists().is_err_and(|error| access::is_denied(&error)));
        return own.map_or_else(|| Ok(Vec::new()), |own| found(&own));
    };
    let mut files = vec![named.to_owned()];
    let whole = std::path::absolute(named).unwrap_or_else(|_| named.to_owned());
    let is_main = whole.file_name().and_then(|name| name.to_str()).is_some_and(|name| MAIN.contains(&name));
    let home =
        whole.parent().filter(|parent| *parent == Path::new(SYSTEM) || own.as_deref() == Some(*parent));
    if let (true, Some(home)) = (is_main, home) {
        files.extend(further(home)?);
    }
    Ok(files)
}

/// Where a user's own configuration lies.
fn own_directory() -> Option<PathBuf> {
    let home = env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".config")));
    home.map(|home| home.join("ghostllm"))
}

/// The main file in this directory, and those in its `conf.d`.
fn found(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut main = Vec::new();
    for path in MAIN.map(|name| directory.join(name)) {
        // A link that leads nowhere is there as well: somebody means it to be read.
        match fs::symlink_metadata(&path) {
            Ok(_) => main.push(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&path, &error)),
        }
    }
    if let [first, second, ..] = main.as_slice() {
        return Err(Failure::usage(format!(
            "there are two configurations, {} and {}, and one counts; take the other away",
            first.display(),
            second.display()
        )));
    }
    main.extend(further(directory)?);
    Ok(main)
}

/// The files in `conf.d`, in the order of their names.
fn further(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let directory = directory.join("conf.d");
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&directory, &error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(&directory, &error))?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if !hidden && ENDINGS.contains(&ending) && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let name = path.display();
    if access::is_denied(error) {
        let message = format!(
            "the configuration {name} cannot be read: {error}. {}; or {ANOTHER}",
            access::next_step(path)
        );
        return Failure { code: exit::PERMISSION, message };
    }
    Failure::usage(format!("the configuration {name} cannot be read: {error}; {ANOTHER}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let failure = load(Some(Path::new("/nowhere/ghostllm.toml")), &Settings::default(), &Kept::default())
            .unwrap_err();
        assert_eq!(failure.code, exit::USAGE);
        assert!(failure.message.contains("/nowhere/ghostllm.toml"), "{}", failure.message);
    }

    #[test]
    fn only_files_are_read_and_no_endless_ones() {
        let directory = tempfile::tempdir().unwrap();
        let (pipe, large) = (directory.path().join("a.toml"), directory.path().join("b.toml"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        let comment = "#".repeat(usize::try_from(LARGEST).unwrap());
        fs::write(&large, &comment).unwrap();
        assert!(load(Some(&large), &Settings::default(), &Kept::default()).is_ok());
        fs::write(&large, comment + "#").unwrap();
        for (path, wanted) in [
            (pipe.as_path(), "it is no file"),
            (directory.path(), "it is a directory"),
            (large.as_path(), "larger than 1 MiB"),
            (Path::new("/dev/zero"), "larger than 1 MiB"),
        ] {
            let failure = load(Some(path), &Settings::default(), &Kept::default()).unwrap_err();
            assert!(failure.code == exit::USAGE && failure.message.contains(wanted), "{failure:?}");
        }
        assert!(load(Some(Path::new("/dev/null")), &Settings::default(), &Kept::default()).is_ok());
    }

    #[test]
    fn a_link_that_leads_nowhere_is_not_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["ghostllm.toml", "conf.d/10-a.toml"] {
            let link = directory.path().join(name);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink("/nowhere/a.toml", &link).unwrap();
            let files = found(directory.path()).unwrap();
            let failure = read(&files, &Settings::default(), &Kept::default()).unwrap_err();
            assert!(failure.message.contains(&link.display().to_string()), "{failure:?}");
            fs::remove_file(&link).unwrap();
        }
    }

    #[test]
    fn files_are_found_in_the_order_of_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        assert!(found(at).unwrap().is_empty());
        fs::create_dir_all(at.join("conf.d/50-folder.toml")).unwrap();
        for name in ["20-b.yaml", "10-a.toml", "9.yml", ".hidden.toml", "20-b.toml.dpkg-old", "README"] {
            fs::write(at.join("conf.d").join(name), "").unwrap();
        }
        let names = |files: Vec<PathBuf>| -> Vec<String> {
            files.iter().map(|path| path.strip_prefix(at).unwrap().display().to_string()).collect()
        };
        let parts = ["conf.d/10-a.toml", "conf.d/20-b.yaml", "conf.d/9.yml"];
        assert_eq!(names(found(at).unwrap()), parts, "without a main file");
        fs::write(at.join("ghostllm.yml"), "").unwrap();
        assert_eq!(names(found(at).unwrap()), [&["ghostllm.yml"], parts.as_slice()].concat());
        fs::write(at.join("ghostllm.toml"), "").unwrap();
        let failure = found(at).unwrap_err();
        assert!(
            failure.code == exit::USAGE && failure.message.contains("take the other away"),
            "{failure:?}"
        );
    }
}
