//! Which models there are: GGUF files in the directories, files that were named, and the demo.
//!
//! Knows files and their heads. Knows nothing of llama.cpp or HTTP. Invariant: every model that it hands out has been
//! judged sound in the state in which the file was when last looked at.

use crate::error::Failure;
use crate::gguf::{GgufError, Summary};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// The name under which the demo is shown.
pub const DEMO: &str = "ghostllm-demo";
/// The demo's bytes: `demo/` holds the scripts that made it.
static DEMO_BYTES: &[u8] = include_bytes!("../demo/ghostllm-demo.gguf");

/// What a service with `ProtectHome=yes` does not see (systemd.exec(5)).
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// So many links in a row the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Where a model's bytes are.
#[derive(Debug, Clone)]
pub enum Origin {
    /// In this file.
    File(PathBuf),
    /// In this program.
    BuiltIn(&'static [u8]),
}

/// A model that can be loaded.
#[derive(Debug)]
pub struct Model {
    /// The name by which it is asked for.
    pub id: String,
    /// Where its bytes are.
    pub origin: Origin,
    /// What its head tells.
    pub summary: Summary,
    /// Whether it is the demo.
    pub demo: bool,
    /// When the file was last changed.
    pub changed: SystemTime,
    /// Whether the caller named the file, so that it is theirs to mend.
    pub asked: bool,
}

impl Model {
    #[cfg(test)]
    pub(crate) fn demo_for_tests() -> Self {
        built_in_demo().unwrap()
    }
}

/// What was found at a path, and the state of the file then.
#[derive(Debug, Clone)]
struct Known {
    length: u64,
    changed: SystemTime,
    model: Result<Arc<Model>, String>,
}

#[derive(Debug, Default)]
struct Memory {
    seen: HashMap<PathBuf, Known>,
    /// Files that were named in load requests, by model name.
    named: BTreeMap<String, PathBuf>,
}

/// All models.
#[derive(Debug)]
pub struct Library {
    directories: Vec<PathBuf>,
    /// The most files of one directory.
    files: usize,
    demo: Option<Arc<Model>>,
    memory: Mutex<Memory>,
}

/// Where the demo comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demo {
    /// The one in this program.
    BuiltIn,
    /// This file.
    File(PathBuf),
    /// There shall be none.
    None,
}

impl Library {
    /// The models in these directories, of each at most so many files.
    ///
    /// # Errors
    /// When the demo's file is not sound.
    pub fn new(directories: Vec<PathBuf>, files: usize, demo: &Demo) -> Result<Self, Failure> {
        let demo = match demo {
            Demo::None => None,
            Demo::BuiltIn => Some(built_in_demo().map_err(|error| Failure::internal(error.to_string()))?),
            Demo::File(path) => Some(Model { demo: true, id: DEMO.into(), ..open(path, true)? }),
        };
        Ok(Self { directories, files, demo: demo.map(Arc::new), memory: Mutex::default() })
    }

    /// The models to show, by name. The demo is among them only while there is no other that talks.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Model>> {
        let mut models: Vec<Arc<Model>> = self.scan().into_values().filter_map(Result::ok).collect();
        if !models.iter().any(|model| model.summary.generates_text()) {
            models.extend(self.demo.iter().cloned());
        }
        models
    }

    /// The model of that name, or in the file at that absolute path: two files may bear one name.
    ///
    /// # Errors
    /// 404 if there is none, 500 if its file is not sound; for a path as [`Library::add`].
    pub fn find(&self, id: &str) -> Result<Arc<Model>, Failure> {
        if Path::new(id).is_absolute() {
            return self.add(Path::new(id));
        }
        match self.scan().remove(id) {
            Some(Ok(model)) => Ok(model),
            Some(Err(problem)) => Err(Failure::model_file(false, problem)),
            None => match &self.demo {
                Some(demo) if demo.id == id => Ok(Arc::clone(demo)),
                _ => Err(Failure::model_not_found(id)),
            },
        }
    }

    /// Takes in the file at `path` and returns its model.
    ///
    /// # Errors
    /// 400 with what is wrong with the file, and the command that mends its permissions.
    pub fn add(&self, path: &Path) -> Result<Arc<Model>, Failure> {
        if !path.is_absolute() {
            return Err(Failure::invalid("path", format!("path is {path:?}; it must be absolute")));
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        match look(&mut memory, path, true) {
            Ok(model) => {
                memory.named.insert(model.id.clone(), path.to_owned());
                Ok(model)
            }
            Err(problem) => Err(Failure::model_file(true, problem)),
        }
    }

    /// Everything in the directories and all that was named; the first of a name counts.
    fn scan(&self) -> BTreeMap<String, Result<Arc<Model>, String>> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = BTreeMap::new();
        let mut paths: Vec<(PathBuf, bool)> =
            self.directories.iter().flat_map(|dir| files(dir, self.files)).map(|p| (p, false)).collect();
        paths.extend(memory.named.values().map(|path| (path.clone(), true)));
        for (path, asked) in paths {
            let model = look(&mut memory, &path, asked);
            let of_use = |model: &Arc<Model>| model.summary.generates_text() || model.summary.embeds();
            if model.as_ref().is_ok_and(|model| !of_use(model)) {
                continue;
            }
            found.entry(name_of(&path)).or_insert(model);
        }
        found
    }
}

/// Looks at a file, unless it is as it was when last looked at.
fn look(memory: &mut Memory, path: &Path, asked: bool) -> Result<Arc<Model>, String> {
    let (length, changed) = match std::fs::metadata(path) {
        Ok(status) => (status.len(), changed(&status)),
        Err(error) => {
            let problem = explain(path, &GgufError::Io(error));
            // Of what a caller names, nothing is kept: there is no end of names.
            let known = Known { length: 0, changed: SystemTime::UNIX_EPOCH, model: Err(problem) };
            return if asked { known.model } else { keep(memory, path, known) };
        }
    };
    if let Some(known) = memory.seen.get(path)
        && known.length == length
        && known.changed == changed
        && known.model.is_ok()
    {
        return known.model.clone();
    }
    let model = open(path, asked).map(Arc::new).map_err(|failure| failure.message);
    keep(memory, path, Known { length, changed, model })
}

/// Keeps what was found, and says what is wrong with it, unless that was so before.
fn keep(memory: &mut Memory, path: &Path, known: Known) -> Result<Arc<Model>, String> {
    let model = known.model.clone();
    let before = memory.seen.insert(path.to_owned(), known).and_then(|known| known.model.err());
    if let Err(problem) = &model
        && before.as_ref() != Some(problem)
    {
        tracing::warn!(path = %path.display(), "not a usable model: {problem}");
    }
    model
}

fn changed(status: &Metadata) -> SystemTime {
    status.modified().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn open(path: &Path, asked: bool) -> Result<Model, Failure> {
    let refuse = |path: &Path, error: &GgufError| Failure::model_file(asked, explain(path, error));
    for part in other_parts(path) {
        Summary::of_file(&part).map_err(|error| refuse(&part, &error))?;
    }
    let summary = Summary::of_file(path).map_err(|error| refuse(path, &error))?;
    let changed = std::fs::metadata(path).map_or(SystemTime::UNIX_EPOCH, |status| changed(&status));
    Ok(Model {
        id: name_of(path),
        origin: Origin::File(path.to_owned()),
        summary,
        demo: false,
        changed,
        asked,
    })
}

fn built_in_demo() -> Result<Model, GgufError> {
    let summary = Summary::read(DEMO_BYTES, DEMO_BYTES.len() as u64)?;
    let origin = Origin::BuiltIn(DEMO_BYTES);
    Ok(Model { id: DEMO.into(), origin, summary, demo: true, changed: SystemTime::UNIX_EPOCH, asked: false })
}

/// GGUF files right inside a directory, sorted; of a split model only the first part.
fn files(directory: &Path, most: usize) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf")))
        .filter(|path| split_part(path).is_none_or(|(_, part, _)| part == 1))
        .take(most)
        .collect();
    paths.sort();
    paths
}

/// A file's name without its ending and part number.
fn name_of(path: &Path) -> String {
    match split_part(path) {
        Some((stem, _, _)) => stem,
        None => path.file_stem().map_or(Cow::Borrowed("model"), |stem| stem.to_string_lossy()).into_owned(),
    }
}

/// The stem, number and count of `NAME-00001-of-00003.gguf`.
fn split_part(path: &Path) -> Option<(String, u32, u32)> {
    let stem = path.file_stem()?.to_str()?;
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (stem, part) = rest.rsplit_once('-')?;
    if part.len() != 5 || count.len() != 5 {
        return None;
    }
    Some((stem.to_owned(), part.parse().ok()?, count.parse().ok()?))
}

fn other_parts(path: &Path) -> Vec<PathBuf> {
    match split_part(path) {
        Some((stem, 1, count)) if count <= 999 => (2..=count)
            .map(|part| path.with_file_name(format!("{stem}-{part:05}-of-{count:05}.gguf")))
            .collect(),
        _ => Vec::new(),
    }
}

/// What is wrong with a file, and what to do.
fn explain(path: &Path, error: &GgufError) -> String {
    let shown = path.display();
    match error {
        GgufError::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            format!("the engine may not read {shown}; {}", permission_advice(path))
        }
        GgufError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => match target(path) {
            at if at == path => format!("there is no file {shown}"),
            at => format!("{shown} leads to {}, where there is no file", at.display()),
        },
        GgufError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!("{shown} cannot be used: it is cut short (an unfinished download?)")
        }
        GgufError::Io(error) => format!("{shown} cannot be read: {error}"),
        GgufError::Invalid(problem) => format!("{shown} cannot be used: {problem}"),
    }
}

/// Where a link leads, link by link; the path itself where it is none.
fn target(path: &Path) -> PathBuf {
    let mut at = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(next) = std::fs::read_link(&at) else { break };
        // An absolute one takes the place of all before it.
        at = at.parent().unwrap_or(Path::new("/")).join(next);
    }
    at
}

/// The chmod line: for the first directory on the way that may not be passed, else for the file.
fn permission_advice(path: &Path) -> String {
    let target = target(path);
    let barred = target.ancestors().skip(1).filter(|dir| is_barred(&dir.join("."))).last();
    match barred {
        Some(home) if HOMES.iter().any(|hidden| home == Path::new(hidden)) => format!(
            "its service hides {} from it (ProtectHome=): move {} to where it may look, such as beside its other models",
            home.display(),
            target.display()
        ),
        Some(directory) => format!("let it pass the directory: sudo chmod a+x '{}'", directory.display()),
        None => format!("let it: sudo chmod a+r '{}'", target.display()),
    }
}

fn is_barred(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(directory: &Path) -> Library {
        Library::new(vec![directory.to_owned()], 3, &Demo::BuiltIn).unwrap()
    }

    fn ids(library: &Library) -> Vec<String> {
        library.list().iter().map(|model| model.id.clone()).collect()
    }

    #[test]
    fn the_demo_leaves_the_list_with_the_first_real_model() {
        let directory = tempfile::tempdir().unwrap();
        let library = library(directory.path());
        assert_eq!(ids(&library), [DEMO]);
        std::fs::write(directory.path().join("Real.Q8_0.gguf"), DEMO_BYTES).unwrap();
        assert_eq!(ids(&library), ["Real.Q8_0"]);
        assert!(library.find(DEMO).unwrap().demo);
        std::fs::remove_file(directory.path().join("Real.Q8_0.gguf")).unwrap();
        assert_eq!(ids(&library), [DEMO]);
    }

    #[test]
    fn torn_files_are_not_listed_and_say_why() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("torn.gguf");
        std::fs::write(&path, &DEMO_BYTES[..500_000]).unwrap();
        let library = library(directory.path());
        assert_eq!(ids(&library), [DEMO]);
        let failure = library.find("torn").unwrap_err();
        assert_eq!((failure.status.as_u16(), failure.code), (500, Some("model_unusable")));
        assert!(failure.message.contains("cut short"), "{failure}");
        assert_eq!(library.add(&path).unwrap_err().status.as_u16(), 400);
        assert!(
            library
                .add(&directory.path().join("none.gguf"))
                .unwrap_err()
                .message
                .contains("there is no file")
        );
        assert!(library.add(directory.path()).unwrap_err().message.contains("not a regular file"));
        assert_eq!(library.find("nobody").unwrap_err().code, Some("model_not_found"));
    }

    #[test]
    fn a_pipe_among_the_files_holds_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe.gguf");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::write(directory.path().join("real.gguf"), DEMO_BYTES).unwrap();
        let library = library(directory.path());
        assert_eq!(ids(&library), ["real"]);
        assert!(library.add(&pipe).unwrap_err().message.contains("not a regular file"));
    }

    #[test]
    fn two_files_of_one_name_are_told_apart_by_their_paths() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| directory.path().join(name).join("m.gguf"));
        for path in &paths {
            std::fs::create_dir(path.parent().unwrap()).unwrap();
            std::fs::write(path, DEMO_BYTES).unwrap();
        }
        let library = library(directory.path());
        for path in &paths {
            let model = library.find(path.to_str().unwrap()).unwrap();
            assert!(matches!(&model.origin, Origin::File(file) if file == path));
            assert_eq!(model.id, "m");
        }
        let absent = library.find("/nowhere/m.gguf").unwrap_err();
        assert_eq!((absent.status.as_u16(), absent.code), (400, Some("model_unusable")));
    }

    #[test]
    fn a_file_that_was_mended_is_looked_at_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("m.gguf");
        std::fs::write(&path, &DEMO_BYTES[..500_000]).unwrap();
        let library = library(directory.path());
        assert!(library.find("m").is_err());
        std::fs::write(&path, DEMO_BYTES).unwrap();
        assert!(library.find("m").is_ok());
    }

    #[test]
    fn so_many_files_of_a_directory_are_looked_at_and_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let library = library(directory.path());
        for (files, listed) in [("abc", 3), ("d", 3)] {
            for file in files.chars() {
                std::fs::write(directory.path().join(format!("{file}.gguf")), DEMO_BYTES).unwrap();
            }
            assert_eq!(ids(&library).len(), listed);
        }
    }

    #[test]
    fn split_models_have_one_name() {
        let path = Path::new("/m/big-00001-of-00003.gguf");
        assert_eq!(name_of(path), "big");
        assert_eq!(
            other_parts(path),
            [Path::new("/m/big-00002-of-00003.gguf"), Path::new("/m/big-00003-of-00003.gguf")]
        );
    }

    #[test]
    fn where_a_link_leads_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink("second", at("first.gguf")).unwrap();
        std::os::unix::fs::symlink("/nowhere/m.gguf", at("second")).unwrap();
        let problem = library(directory.path()).find("first").unwrap_err().message;
        assert!(
            problem.ends_with("first.gguf leads to /nowhere/m.gguf, where there is no file"),
            "{problem}"
        );
        std::os::unix::fs::symlink("round", at("round")).unwrap();
        assert_eq!(target(&at("round")), at("round"));
    }

    #[test]
    fn the_chmod_line_is_given() {
        let denied = GgufError::Io(std::io::ErrorKind::PermissionDenied.into());
        assert!(explain(Path::new("/x/m.gguf"), &denied).ends_with("sudo chmod a+r '/x/m.gguf'"));
    }
}
