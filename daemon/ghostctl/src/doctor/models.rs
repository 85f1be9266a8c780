//! GGUF files of the package's engine: whether its user may read them.
//!
//! Knows where they lie and who reads them. Refuses to open one. Invariant: the mode of a person's own file is named and not changed.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
};

use ghostllm_core::places::{ENGINE_MODELS, ENGINE_USER};

use super::{Check, Finding, Needs, seen::Seen, state::quoted};

pub(super) const CHECKS: &[Check] = &[Check {
    id: "gguf_files",
    looks_at: "the engine's user may read the GGUF files in its directory",
    needs: Needs::Nothing,
    look: unreadable,
}];

/// Nobody keeps more models there; what is beyond is not looked at.
const MOST: usize = 1000;

/// Numbers of the engine's user and group; none where there is no such user.
fn engine(seen: &Seen) -> Option<(u32, u32)> {
    let users = seen.read("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').next() == Some(ENGINE_USER))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// As the kernel decides it (path_resolution(7)): the first of the three that fits counts.
fn may_read(facts: &Metadata, (user, group): (u32, u32)) -> bool {
    let bit = if facts.uid() == user {
        0o400
    } else if facts.gid() == group {
        0o040
    } else {
        0o004
    };
    facts.mode() & bit != 0
}

fn unreadable(seen: &Seen) -> Vec<Finding> {
    let Some(engine) = engine(seen) else { return Vec::new() };
    let files = fs::read_dir(seen.path(ENGINE_MODELS)).into_iter().flatten().flatten().take(MOST);
    let gguf = |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    let mut files: Vec<_> = files.map(|entry| entry.path()).filter(|path| gguf(path)).collect();
    files.sort();
    let found = files.iter().filter_map(|path| {
        // What a link leads to is what is read.
        let facts = fs::metadata(path).ok().filter(|facts| !may_read(facts, engine))?;
        let (mode, owner) = (facts.mode() & 0o7777, facts.uid());
        Some(Finding::warning(
            format!(
                "{} belongs to user {owner}, mode {mode:04o}: the engine's user may not read it",
                path.display()
            ),
            "the engine leaves it out, and nobody can ask its model",
            format!(
                "sudo chmod 644 {path}, or sudo chown {ENGINE_USER}: {path}; no restart is needed",
                path = quoted(path)
            ),
        ))
    });
    found.collect()
}
