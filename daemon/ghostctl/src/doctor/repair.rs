//! What doctor may mend: what is safe, and can be undone.
//!
//! Invariants: nothing is done before all of it was shown and a person has said yes; each thing that was done is printed; no link is
//! followed, and no file is written over.

use std::{
    fmt,
    fs::{self, DirBuilder, Permissions},
    io,
    net::SocketAddr,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Access, OFlags, access},
    process::geteuid,
};

use super::{ask, bundle};
use crate::{
    arguments::Context,
    confirm,
    exit::{Exit, Failure},
    output::{self, text},
};

/// systemd itself waits 90 s for a service that does not end.
const LONG: Duration = Duration::from_secs(100);
/// How long a service that was started anew may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often that is looked at.
const OFTEN: Duration = Duration::from_millis(100);

/// Something that can be mended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Repair {
    /// The mode of a file with keys.
    Mode { path: PathBuf, mode: u32 },
    /// A socket at which nobody listens.
    Socket(PathBuf),
    /// A file of the system's configuration that is not there yet, and what has it take effect.
    Write { path: PathBuf, text: String, steps: Vec<Step> },
    /// Commands alone; whoever may write to `changes` may run them.
    Run { steps: Vec<Step>, changes: PathBuf },
}

/// One thing after a file was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A program and its arguments.
    Run(Vec<String>),
    /// Waits until somebody answers there.
    Answers(SocketAddr),
}

impl Step {
    pub(super) fn of(words: &[&str]) -> Self {
        Self::Run(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// What it said where it has failed.
    fn take(&self) -> Result<(), String> {
        match self {
            Self::Run(words) => {
                let mut words = words.iter();
                let mut command = Command::new(words.next().map(String::as_str).unwrap_or_default());
                command.args(words);
                match ask::run_within(LONG, command) {
                    Some((Some(0), _)) => Ok(()),
                    Some((_, said)) => Err(text::one_line(said.trim())),
                    None => Err("it cannot be run, or takes too long".to_owned()),
                }
            }
            Self::Answers(at) => {
                let begun = Instant::now();
                while !ask::answers(*at) {
                    if begun.elapsed() > PATIENCE {
                        return Err("nobody answers there yet".to_owned());
                    }
                    thread::sleep(OFTEN);
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(words) => f.write_str(&words.join(" ")),
            Self::Answers(at) => write!(f, "wait until {at} answers"),
        }
    }
}

/// How a repair has ended.
enum Ended {
    Done,
    /// There was nothing to do any more.
    Left,
    /// It was begun, and this has failed, as it said.
    Halfway(String),
}

impl Repair {
    fn command(&self) -> String {
        match self {
            Self::Mode { path, mode } => format!("chmod {mode:o} {}", path.display()),
            Self::Socket(path) => format!("rm {}", path.display()),
            Self::Write { path, steps, .. } => {
                let all = std::iter::once(format!("write {}", path.display()));
                all.chain(steps.iter().map(Step::to_string)).collect::<Vec<_>>().join("; ")
            }
            Self::Run { steps, .. } => steps.iter().map(Step::to_string).collect::<Vec<_>>().join("; "),
        }
    }

    /// Whether this user may, so that nobody is asked in vain.
    fn is_permitted(&self) -> bool {
        match self {
            Self::Mode { path, .. } => {
                let user = geteuid();
                user.is_root() || fs::metadata(path).is_ok_and(|facts| facts.uid() == user.as_raw())
            }
            Self::Socket(path) | Self::Write { path, .. } => path.parent().is_some_and(may_write),
            Self::Run { changes, .. } => may_write(changes),
        }
    }

    fn make(&self) -> io::Result<Ended> {
        match self {
            Self::Mode { path, mode } => narrow(path, *mode).map(|()| Ended::Done),
            Self::Socket(path) => remove(path),
            Self::Write { path, text, steps } => {
                if let Some(folder) = path.parent() {
                    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
                }
                match bundle::written(path, false, text, 0o644) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Ended::Left),
                    written => written.map(|()| taken(steps)),
                }
            }
            Self::Run { steps, .. } => Ok(taken(steps)),
        }
    }
}

/// One after the other, up to the first that fails.
fn taken(steps: &[Step]) -> Ended {
    let failed = steps.iter().find_map(|step| Some(format!("{step}: {}", step.take().err()?)));
    failed.map_or(Ended::Done, Ended::Halfway)
}

/// Whether this user may write to a folder, or make it.
fn may_write(folder: &Path) -> bool {
    let there = folder.ancestors().find(|folder| folder.exists());
    there.is_some_and(|folder| access(folder, Access::WRITE_OK).is_ok())
}

/// The file may have become a link since it was looked at.
fn narrow(path: &Path, mode: u32) -> io::Result<()> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let follows = fs::symlink_metadata(path)?.is_symlink() && path.is_dir();
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(if follows { 0 } else { flags });
    options.open(path)?.set_permissions(Permissions::from_mode(mode))
}

/// Somebody may listen by now.
fn remove(path: &Path) -> io::Result<Ended> {
    let refused =
        UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    let left = refused && fs::symlink_metadata(path)?.file_type().is_socket();
    if left {
        fs::remove_file(path)?;
    }
    Ok(if left { Ended::Done } else { Ended::Left })
}

/// Shows, asks, does and tells; whether anything was done.
pub(super) fn all(repairs: Vec<Repair>, yes: bool, context: &Context) -> Result<bool, Failure> {
    // With --json, standard output is the report's alone.
    let tell = |words: &str| if context.json { said(words) } else { output::line(&text::clean(words)) };
    let (mine, roots): (Vec<Repair>, Vec<Repair>) = repairs.into_iter().partition(Repair::is_permitted);
    for repair in &roots {
        tell(&format!("only root may {}", repair.command()))?;
    }
    if mine.is_empty() {
        if !roots.is_empty() {
            return Err(Failure::new(
                Exit::Denied,
                "this user may mend none of what was found; nothing was done",
            )
            .next("sudo ghostctl doctor --fix"));
        }
        tell("Nothing that is safe to mend was found.")?;
        return Ok(false);
    }
    let commands: Vec<String> = mine.iter().map(Repair::command).collect();
    for repair in &mine {
        if let Repair::Write { path, text, .. } = repair {
            tell(&format!("{} would be:", path.display()))?;
            text.lines().try_for_each(|line| tell(&format!("  {line}")))?;
        }
    }
    confirm::ask(yes, &format!("This will be done: {}.", commands.join("; ")))?;
    let mut done = false;
    for (repair, command) in mine.iter().zip(&commands) {
        match repair.make() {
            Ok(Ended::Done) => tell(&format!("did {command}"))?,
            Ok(Ended::Left) => {
                tell(&format!("left {command}: it is in use, or there, by now"))?;
                continue;
            }
            Ok(Ended::Halfway(what)) => tell(&format!("began {command}, and could not {what}"))?,
            Err(error) => {
                tell(&format!("could not {command}: {error}"))?;
                continue;
            }
        }
        done = true;
    }
    Ok(done)
}

fn said(words: &str) -> Result<(), Failure> {
    output::say(words);
    Ok(())
}
