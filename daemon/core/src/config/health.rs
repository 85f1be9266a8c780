//! The `[[health]]`: what the admin wants to be told of, each at `/readyz/NAME`.
//!
//! Knows what makes a check whole. Refuses to know how anything is looked at. Invariant: a [`HealthCheck`] has a name of its
//! own and looks at exactly one thing, with the threshold that this thing needs.

mod values;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use values::{CardChoice, CheckName, ModelName, Room};

use super::{
    fault::{ConfigError, Place},
    rule::Rule,
    section::{Reader, Section, section},
    setting::quoted,
    show::Shown,
    tree::NamedTable,
    values::BackendName,
};

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Its name, unique.
    pub name: CheckName,
    /// What it looks at.
    pub subject: Subject,
}

/// What a check looks at, and what passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A backend, which must answer.
    Backend(BackendName),
    /// A model, which must be able to answer.
    Model(ModelName),
    /// The disk that this path is on, which must have so much free.
    Disk {
        /// A whole path.
        path: PathBuf,
        /// What must be free.
        free: Room,
    },
    /// Graphics cards.
    Cards {
        /// Which.
        which: CardChoice,
        /// What each of them must have.
        margin: Margin,
    },
}

/// How far a card must be from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Margin {
    /// So much of its memory is free.
    Free(Room),
    /// It is so many degrees Celsius below the temperature at which it slows itself down.
    BelowSlowdown(u32),
}

/// No card's own slowdown is further away than this from a cool room.
fn degrees() -> Rule<Option<u32>> {
    Rule::amount::<1, 100>("a number from 1 to 100")
}

section! {
    /// Checks of your own, one block for each: /readyz/NAME answers 200 where it passes and 503 where it does not, and
    /// tells whoever may see the status why. Each looks at one thing: a backend, a model, a disk or graphics cards.
    /// None is part of /readyz, which says whether the program can serve. What fails stands in `ghostctl status`.
    pub(super) struct Keys ("# [[health]]") {
        /// A name of the letters a to z, digits and hyphens: the NAME in /readyz/NAME.
        name: Option<CheckName> = None;
        /// A backend's name; it passes while that backend answers.
        backend: Option<BackendName> = None;
        /// A model, named as in a request; it passes while a backend that answers has it.
        model: Option<ModelName> = None;
        /// A file or directory, by its whole path; it passes while the disk that this is on has as much room as free says.
        /// As a service, the program sees nothing below /home and /root.
        disk: Option<PathBuf> = None;
        /// Graphics cards of any maker: "all", or one by its number ("0", as ghostctl gpu shows it) or its uuid (in ghostctl
        /// gpu --json; NVIDIA's are those of nvidia-smi -L); where there is no card, "processor". It passes while each of
        /// them has as much memory as free says, or is as cool as below_slowdown says. One that sleeps passes.
        gpu: Option<CardChoice> = None;
        /// For disk and gpu: what must be free, as a size ("10GiB") or a share of the whole ("5%").
        free: Option<Room> = None;
        /// For gpu, instead of free: it must be so many degrees Celsius below the temperature at which it slows itself down.
        below_slowdown: Option<u32> = None => degrees();
    }
}

/// Reads what one source says of a check, which need not be all of it.
pub(super) fn keys(named: &NamedTable, reader: &mut Reader) -> Keys {
    if let Err(why) = named.name.parse::<CheckName>() {
        let message = format!("health.name: {why}; it has only the letters a to z, digits and hyphens");
        reader.errors.push(ConfigError::new(named.place.clone(), message));
    }
    let mut section = Section::new("health", Some(&named.table), reader);
    let keys = Keys::read(&mut section);
    section.finish();
    keys
}

/// Reads one check; nothing if it is not whole, which is then reported.
pub(super) fn read(named: &NamedTable, reader: &mut Reader) -> Option<HealthCheck> {
    let before = reader.errors.len();
    let keys = keys(named, reader);
    if reader.errors.len() > before {
        // What is missing may only seem so, because it is misspelled.
        return None;
    }
    match subject(keys) {
        Ok(subject) => Some(HealthCheck { name: named.name.parse().ok()?, subject }),
        Err((key, why)) => {
            let place: &Place =
                key.and_then(|key| named.table.find(&[key])).map_or(&named.place, |node| &node.place);
            let message = format!("check \"{}\" {why}", named.name);
            reader.errors.push(ConfigError::new(place.clone(), message));
            None
        }
    }
}

/// The key that is wrong (none where one is missing), and why.
type Wrong = (Option<&'static str>, String);

fn subject(keys: Keys) -> Result<Subject, Wrong> {
    const NOTHING: &str =
        "looks at nothing; write backend = \"NAME\", model = \"NAME\", disk = \"/PATH\" or gpu = \"all\"";
    let there = [
        ("backend", keys.backend.is_some()),
        ("model", keys.model.is_some()),
        ("disk", keys.disk.is_some()),
        ("gpu", keys.gpu.is_some()),
    ];
    let mut there = there.into_iter().filter(|(_, there)| *there).map(|(key, _)| key);
    if let (Some(one), Some(two)) = (there.next(), there.next()) {
        let why = format!(
            "has {one} and {two}, and looks at one thing alone; take one away, and write a check of its own for it"
        );
        return Err((Some(two), why));
    }
    let Keys { backend, model, disk, gpu, free, below_slowdown, .. } = keys;
    let warmth = below_slowdown.is_some();
    match (backend, model, disk, gpu) {
        (Some(backend), ..) => none("backend", free, warmth).map(|()| Subject::Backend(backend)),
        (_, Some(model), ..) => none("model", free, warmth).map(|()| Subject::Model(model)),
        (_, _, Some(_), _) if warmth => Err((
            Some("below_slowdown"),
            "is of a disk, which has no such temperature; take below_slowdown away".to_owned(),
        )),
        (_, _, Some(path), _) => of_disk(path, free),
        (_, _, _, Some(which)) if which.is_processor() && free.is_some() => Err((
            Some("free"),
            "is of the processor, which has no memory of its own; write below_slowdown = 10 instead"
                .to_owned(),
        )),
        (_, _, _, Some(which)) => Ok(Subject::Cards { which, margin: margin(free, below_slowdown)? }),
        _ => Err((None, NOTHING.to_owned())),
    }
}

/// What answers or does not has no threshold.
fn none(kind: &str, free: Option<Room>, warmth: bool) -> Result<(), Wrong> {
    let key = match (free, warmth) {
        (Some(_), _) => "free",
        (None, true) => "below_slowdown",
        (None, false) => return Ok(()),
    };
    Err((Some(key), format!("is of a {kind}, which answers or does not; take {key} away")))
}

fn of_disk(path: PathBuf, free: Option<Room>) -> Result<Subject, Wrong> {
    if !path.is_absolute() {
        let why = "has a disk that is no whole path; write one that begins with a slash".to_owned();
        return Err((Some("disk"), why));
    }
    let missing = || {
        let why = "has no threshold; write what must be free, for example free = \"10GiB\" or free = \"5%\"";
        (None, why.to_owned())
    };
    Ok(Subject::Disk { path, free: free.ok_or_else(missing)? })
}

fn margin(free: Option<Room>, below_slowdown: Option<u32>) -> Result<Margin, Wrong> {
    match (free, below_slowdown) {
        (Some(free), None) => Ok(Margin::Free(free)),
        (None, Some(degrees)) => Ok(Margin::BelowSlowdown(degrees)),
        (Some(_), Some(_)) => Err((
            Some("below_slowdown"),
            "has two thresholds; take one away, and write a check of its own for it".to_owned(),
        )),
        (None, None) => Err((
            None,
            "has no threshold; write one, for example free = \"2GiB\" or below_slowdown = 10".to_owned(),
        )),
    }
}

/// Shows one check.
pub(super) fn show(check: &HealthCheck, named: &NamedTable, out: &mut Shown) {
    out.header("[[health]]");
    out.value("name", &quoted(&named.name), &named.place.to_string());
    let table = Some(&named.table);
    match &check.subject {
        Subject::Backend(backend) => out.setting("backend", backend, table),
        Subject::Model(model) => out.setting("model", model, table),
        Subject::Disk { path, free } => {
            out.setting("disk", path, table);
            out.setting("free", free, table);
        }
        Subject::Cards { which, margin } => {
            out.setting("gpu", which, table);
            match margin {
                Margin::Free(free) => out.setting("free", free, table),
                Margin::BelowSlowdown(degrees) => out.setting("below_slowdown", degrees, table),
            }
        }
    }
}
