//! Control groups for memory, both versions: which ones hold a process, what their files say, and how much room that leaves.
//!
//! Knows the texts of proc(5) and of the kernel's cgroup-v1/memory.rst and cgroup-v2.rst. Refuses to read a file. Invariants: of
//! several groups around a process the one that is nearest to its limit decides; what the kernel gives back by itself before it
//! kills is not counted.

use std::fmt;

/// Where the kernel's texts lie.
pub const GROUPS: &str = "/proc/self/cgroup";
/// The other.
pub const MOUNTS: &str = "/proc/self/mountinfo";

/// The most that the first version shows where there is no limit is one page less than 2⁶³; nobody has a quarter of that.
const NO_LIMIT: u64 = 1 << 61;

/// So many points below a bound it is over: one that is crossed by each request and each answer would say nothing.
const BACK: u64 = 5;

/// Which of the two hierarchies limits memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for memory alone.
    One,
    /// One hierarchy for everything.
    Two,
}

/// The files of a group, one within the other up to the root that this process sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// Whose files they are.
    pub version: Version,
    /// Their directories, the process's own first.
    pub directories: Vec<String>,
}

/// What a group's memory amounts to, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What it may have.
    pub limit: u64,
    /// What it has and cannot do without: its use less the file pages, of late in use or not.
    pub used: u64,
}

/// A text of the kernel's that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file} has {text:?}, which is no number of bytes")]
pub struct Unread {
    /// The file.
    pub file: &'static str,
    /// Its beginning.
    pub text: String,
}

impl Version {
    /// The file with the limit.
    #[must_use]
    pub const fn limit(self) -> &'static str {
        match self {
            Self::One => "memory.limit_in_bytes",
            Self::Two => "memory.max",
        }
    }

    /// The file with a limit from which on the kernel kills nobody, but holds up whoever takes more (systemd's `MemoryHigh=`), if there
    /// is such a thing.
    #[must_use]
    pub const fn high(self) -> Option<&'static str> {
        match self {
            Self::One => None,
            Self::Two => Some("memory.high"),
        }
    }

    /// The file with what is in use.
    #[must_use]
    pub const fn usage(self) -> &'static str {
        match self {
            Self::One => "memory.usage_in_bytes",
            Self::Two => "memory.current",
        }
    }

    /// The file that says of what that consists.
    #[must_use]
    pub const fn stat(self) -> &'static str {
        "memory.stat"
    }

    /// The lines there of the file pages, those of the groups within included: of which nobody has made use of late, and the others.
    const fn pages(self) -> (&'static str, &'static str) {
        match self {
            Self::One => ("total_inactive_file", "total_active_file"),
            Self::Two => ("inactive_file", "active_file"),
        }
    }
}

impl Groups {
    /// The groups that hold a process, out of its [`GROUPS`] and [`MOUNTS`]; none where no hierarchy for memory is mounted.
    #[must_use]
    pub fn of(groups: &str, mounts: &str) -> Option<Self> {
        // Where the first version has memory, the second has not.
        let one = groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let memory = fields.next()?.split(',').any(|controller| controller == "memory");
            fields.next().filter(|_| memory)
        });
        let two = || groups.lines().find_map(|line| line.strip_prefix("0::"));
        let (version, own) =
            one.map(|path| (Version::One, path)).or_else(|| two().map(|path| (Version::Two, path)))?;
        let mounts: Vec<Mount> = mounts.lines().filter_map(|line| Mount::of(line, version)).collect();
        // A container may see its hierarchy from a root that the path knows nothing of: then its mount is its own group.
        let within = mounts.iter().find_map(|mount| Some((mount, mount.within(own)?)));
        let (mount, rest) = within.or_else(|| mounts.first().map(|mount| (mount, "")))?;
        let mut directories = vec![format!("{}{rest}", mount.point)];
        let mut rest = rest;
        while let Some((parent, _)) = rest.rsplit_once('/') {
            directories.push(format!("{}{parent}", mount.point));
            rest = parent;
        }
        Some(Self { version, directories })
    }
}

/// A hierarchy's mount.
struct Mount {
    /// Where in the hierarchy it begins.
    root: String,
    /// Where it is.
    point: String,
}

impl Mount {
    /// That of a line of proc(5)'s mountinfo, if it is one of this version's for memory.
    fn of(line: &str, version: Version) -> Option<Self> {
        let (mount, kind) = line.split_once(" - ")?;
        let (mut mount, mut kind) = (mount.split(' ').skip(3), kind.split(' '));
        let (root, point) = (unescaped(mount.next()?), unescaped(mount.next()?));
        let fits = match (kind.next()?, version) {
            ("cgroup", Version::One) => kind.nth(1)?.split(',').any(|option| option == "memory"),
            ("cgroup2", Version::Two) => true,
            _ => false,
        };
        fits.then_some(Self { root, point })
    }

    /// What of a group's path lies within, nothing or from a slash on.
    fn within<'path>(&self, path: &'path str) -> Option<&'path str> {
        let rest = path.strip_prefix(self.root.trim_end_matches('/'))?.trim_end_matches('/');
        // A group outside of the process's own namespace is "/..".
        (rest.is_empty() || rest.starts_with('/') && !rest.starts_with("/..")).then_some(rest)
    }
}

/// A path as mountinfo has it: a space, a tab, a line's end and a backslash are three octal digits behind a backslash.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

impl Memory {
    /// What the files of a group with this limit say: all that it has, of which so much is [`reclaimable`].
    ///
    /// # Errors
    /// That of the usage is not as it should be.
    pub fn of(version: Version, limit: u64, usage: &str, reclaimable: u64) -> Result<Self, Unread> {
        Ok(Self { limit, used: number(version.usage(), usage)?.saturating_sub(reclaimable) })
    }

    /// Of several groups' the one with the least room for its size.
    #[must_use]
    pub fn nearest(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        all.into_iter().max_by_key(|memory| memory.per_million())
    }

    /// How much is used, in percent of the limit.
    #[must_use]
    pub fn percent(self) -> u64 {
        self.per_million() / 10_000
    }

    /// How many bytes are left below so many percent of the limit.
    #[must_use]
    pub fn below(self, percent: u64) -> u64 {
        self.share(percent).saturating_sub(self.used)
    }

    fn per_million(self) -> u64 {
        let used = u128::from(self.used) * 1_000_000 / u128::from(self.limit.max(1));
        u64::try_from(used).unwrap_or(u64::MAX)
    }

    fn share(self, percent: u64) -> u64 {
        u64::try_from(u128::from(self.limit) * u128::from(percent) / 100).unwrap_or(u64::MAX)
    }
}

/// The smallest of a group's limits, each with its file; none where none limits it.
///
/// # Errors
/// One of them is not as it should be.
pub fn limit<'text>(
    texts: impl IntoIterator<Item = (&'static str, &'text str)>,
) -> Result<Option<u64>, Unread> {
    let mut least: Option<u64> = None;
    for (file, text) in texts {
        if text.trim() == "max" {
            continue;
        }
        let limit = number(file, text)?;
        if limit < NO_LIMIT && least.is_none_or(|least| limit < least) {
            least = Some(limit);
        }
    }
    Ok(least)
}

/// The file pages, by a group's [`Version::stat`]: the kernel takes them back before it kills. Those in use are among them: a model's
/// weights that an engine has mapped and reads again and again, which may be more than all the rest.
///
/// # Errors
/// It does not say.
pub fn reclaimable(version: Version, stat: &str) -> Result<u64, Unread> {
    let (inactive, active) = version.pages();
    let inactive = number(version.stat(), line(stat, inactive).unwrap_or_default())?;
    Ok(inactive.saturating_add(count(stat, active)))
}

/// What the kernel holds for a group's sockets of the network; 0 where it does not say, as the first version.
#[must_use]
pub fn sockets(stat: &str) -> u64 {
    count(stat, "sock")
}

/// The number behind this word; 0 where there is none.
fn count(stat: &str, word: &str) -> u64 {
    line(stat, word).and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

/// What stands behind this word.
fn line<'text>(stat: &'text str, word: &str) -> Option<&'text str> {
    stat.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(f, "{:.1} of {:.1} MiB ({} %)", mib(self.used), mib(self.limit), self.percent())
    }
}

/// How much room there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Enough.
    #[default]
    Enough,
    /// None for chats that begin.
    Short,
    /// None to keep what can be done without.
    Dire,
}

/// From how many percent of the limit on it is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Short.
    pub short: u64,
    /// Dire.
    pub dire: u64,
}

impl Room {
    /// What is so now, where this was so before: a bound that was crossed is left some points below it.
    #[must_use]
    pub fn next(self, memory: Memory, bounds: Bounds) -> Self {
        let over = |bound: u64, room: Self| {
            let bound = if self >= room { bound.saturating_sub(BACK) } else { bound };
            memory.used >= memory.share(bound)
        };
        if over(bounds.dire, Self::Dire) {
            Self::Dire
        } else if over(bounds.short, Self::Short) {
            Self::Short
        } else {
            Self::Enough
        }
    }
}

fn number(file: &'static str, text: &str) -> Result<u64, Unread> {
    let text = text.trim();
    // A file of the kernel's has a few bytes here; who shows another is told where it begins.
    text.parse().map_err(|_| Unread { file, text: text.chars().take(32).collect() })
}

#[cfg(test)]
mod tests;
