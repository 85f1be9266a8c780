//! GGUF files of the package's engine: whether its user may read them.
//!
//! Knows where they lie, where links lead, and who reads them. Refuses to open one. Invariant: the mode of a person's own file or folder is
//! named and not changed.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
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
/// What the engine's unit does not see (`ProtectHome=yes`).
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// The bits of a mode that let somebody read a file, and pass a folder.
const READ: u32 = 0o4;
const PASS: u32 = 0o1;

/// Numbers of the engine's user and group; none where there is no such user.
fn engine(seen: &Seen) -> Option<(u32, u32)> {
    let users = seen.read("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').next() == Some(ENGINE_USER))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// As the kernel decides it (path_resolution(7)): the first of the three that fits counts.
fn may(bit: u32, facts: &Metadata, (user, group): (u32, u32)) -> bool {
    let place = if facts.uid() == user {
        6
    } else if facts.gid() == group {
        3
    } else {
        0
    };
    facts.mode() & (bit << place) != 0
}

fn unreadable(seen: &Seen) -> Vec<Finding> {
    let Some(engine) = engine(seen) else { return Vec::new() };
    let files = fs::read_dir(seen.path(ENGINE_MODELS)).into_iter().flatten().flatten().take(MOST);
    let gguf = |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    let mut files: Vec<_> = files.map(|entry| entry.path()).filter(|path| gguf(path)).collect();
    files.sort();
    files.iter().filter_map(|path| barred(seen, path, engine).or_else(|| closed(path, engine))).collect()
}

fn finding(what: String, fix: String) -> Finding {
    Finding::warning(what, "the engine leaves it out, and nobody can ask its model", fix)
}

/// Of a link: whether the engine gets to where it leads.
fn barred(seen: &Seen, path: &Path, engine: (u32, u32)) -> Option<Finding> {
    let shown = path.display();
    let leads_to = fs::read_link(path).ok()?;
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Some(finding(
                format!("{shown} leads to {}, where there is no file", leads_to.display()),
                format!("sudo ln -sf /THE/FILE.gguf {path}, or sudo rm {path}", path = quoted(path)),
            ));
        }
        // Whoever may not look there cannot judge it.
        Err(_) => return None,
    };
    let leads = format!("{shown} leads to {}", target.display());
    let root = fs::canonicalize(seen.path("/")).ok()?;
    let inside = |place: &str| root.join(place.trim_start_matches('/'));
    if let Some(home) = HOMES.into_iter().find(|home| target.starts_with(inside(home))) {
        return Some(finding(
            format!("{leads}, and the engine's service sees nothing in {home} (ProtectHome=yes)"),
            format!(
                "sudo mv {target} {path}; sudo chmod 644 {path}; no restart is needed",
                target = quoted(&target),
                path = quoted(path)
            ),
        ));
    }
    let folders = target.ancestors().skip(1).take_while(|folder| folder.starts_with(&root));
    let shut = |folder: &&Path| fs::metadata(folder).is_ok_and(|facts| !may(PASS, &facts, engine));
    let shut: Vec<PathBuf> = folders.filter(shut).map(Path::to_owned).collect();
    let outermost = shut.last()?;
    let all: Vec<String> = shut.iter().rev().map(|folder| quoted(folder)).collect();
    Some(finding(
        format!("{leads}, and the engine's user may not pass the folder {}", outermost.display()),
        format!("sudo chmod a+x {}, or move the file; no restart is needed", all.join(" ")),
    ))
}

/// Whether the mode of what is read keeps the engine from it.
fn closed(path: &Path, engine: (u32, u32)) -> Option<Finding> {
    // What a link leads to is what is read.
    let facts = fs::metadata(path).ok().filter(|facts| !may(READ, facts, engine))?;
    let (mode, owner) = (facts.mode() & 0o7777, facts.uid());
    Some(finding(
        format!(
            "{} belongs to user {owner}, mode {mode:04o}: the engine's user may not read it",
            path.display()
        ),
        format!(
            "sudo chmod 644 {path}, or sudo chown {ENGINE_USER}: {path}; no restart is needed",
            path = quoted(path)
        ),
    ))
}
