//! Secrets that must come out nowhere, looked for in all that each daemon of every test has written and shows of itself.
//!
//! Knows keys, the PEM files of the state and proc(5). Refuses to know what a test is about: whatever it provokes is looked
//! through. Invariant: a secret that is found fails the test and is named by its place, never repeated; every look leaves a
//! line in `target/PROFILE/canary.log`, which `tests/support/canary.sh` counts at the end of `just test`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Result, ensure};
use memchr::memmem;
use serde_json::Value;

use crate::binary;

/// Stands in prompts, where a test wants to see that nobody repeats them.
pub const PROMPT: &str = "CANARY-4f1d";
/// Stands in what an engine says, as if it repeated its key.
pub const ENGINE_KEY: &str = "sk-CANARY-9a77";

/// Where the secret begins in a key: behind `gllm_` and the id, which may be shown.
const PUBLIC: usize = 13;
/// Digits of the secret; the checksum follows.
const SECRET: usize = 43;
/// What is shorter than this meets by chance, or names nothing.
const SHORTEST: usize = 8;
/// Most lines of a private key have 64 characters; the last may be too short to be anybody's.
const PEM_LINE: usize = 40;

/// Refuses a text in which a key stands with more than its id, whosever it is.
///
/// # Errors
/// One does.
pub fn no_key(place: &str, text: &str) -> Result<()> {
    let whole = text
        .split("gllm_")
        .skip(1)
        .any(|behind| behind.bytes().take_while(u8::is_ascii_alphanumeric).count() > PUBLIC - "gllm_".len());
    ensure!(!whole, "a key is repeated in {place}");
    Ok(())
}

/// The same of an answer, in which a key may stand as `key` of the outermost object: that is how one that was just made is given.
///
/// # Errors
/// When there is a whole key elsewhere in it.
pub fn no_key_but_a_new_one(place: &str, answer: &[u8]) -> Result<()> {
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(answer) else {
        return no_key(place, &String::from_utf8_lossy(answer));
    };
    answer.remove("key");
    no_key(place, &Value::Object(answer).to_string())
}

/// What is known of one daemon's secrets, and what has been seen of it.
#[derive(Debug)]
pub(crate) struct Watch {
    state: PathBuf,
    config: PathBuf,
    secrets: Mutex<Vec<(&'static str, String)>>,
    /// Place and content.
    seen: Vec<(String, Vec<u8>)>,
    environment: bool,
    done: bool,
}

impl Watch {
    pub(crate) fn new(state: PathBuf, config: PathBuf) -> Self {
        let known =
            [("a canary", PROMPT), ("a canary", ENGINE_KEY)].map(|(what, text)| (what, text.to_owned()));
        Self {
            state,
            config,
            secrets: Mutex::new(known.into()),
            seen: Vec::new(),
            environment: false,
            done: false,
        }
    }

    /// One more secret; of a key of this product, the part that is one.
    pub(crate) fn add(&self, what: &'static str, text: &str) {
        let text = text.trim();
        let secret = text.starts_with("gllm_").then(|| text.get(PUBLIC..PUBLIC + SECRET)).flatten();
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.push((what, secret.unwrap_or(text).to_owned()));
    }

    /// Looks at what a living process and those that it has started show of themselves. The environment is root's to see.
    /// The first look counts: later there may be no more than a zombie.
    pub(crate) fn look_at(&mut self, process: u32) {
        if !self.seen.is_empty() {
            return;
        }
        for id in [vec![process], children(process)].concat() {
            for file in ["cmdline", "environ"] {
                let place = format!("/proc/{id}/{file}");
                if let Ok(content) = fs::read(&place) {
                    self.environment |= file == "environ" && id == process && !content.is_empty();
                    self.seen.push((place, content));
                }
            }
        }
    }

    /// Looks through a part of standard error that nobody keeps.
    ///
    /// # Errors
    /// Where a secret was found.
    pub(crate) fn check_part(&self, stderr: &str) -> Result<()> {
        no_key("standard error", stderr)?;
        let files = files(&self.state);
        let private = private_lines(files.iter().chain(&self.owners())).into_keys();
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        secrets.extend(private.map(|line| ("a private key", line)));
        secrets.retain(|(_, text)| text.len() >= SHORTEST);
        for (what, text) in secrets {
            ensure!(
                memmem::find(stderr.as_bytes(), text.as_bytes()).is_none(),
                "{what} is in standard error"
            );
        }
        Ok(())
    }

    /// Looks through everything, once.
    ///
    /// # Errors
    /// Where a secret was found, with every place.
    pub(crate) fn check(&mut self, stderr: &str) -> Result<()> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(());
        }
        let files = files(&self.state);
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        secrets.extend(self.key_files());
        secrets.retain(|(_, text)| text.len() >= SHORTEST);
        let mut private = private_lines(files.iter().chain(&self.owners()));
        let quic = files.get_key_value("quic-key");
        private
            .extend(quic.map(|(name, key)| (String::from_utf8_lossy(key).trim().to_owned(), name.clone())));
        let mut found = Vec::new();
        let mut look = |place: &str, content: &[u8]| {
            for (what, text) in &secrets {
                if memmem::find(content, text.as_bytes()).is_some() {
                    found.push(format!("{what} is in {place}"));
                }
            }
            for (line, owner) in &private {
                if place != owner && memmem::find(content, line.as_bytes()).is_some() {
                    found.push(format!("the private key of {owner} is in {place}"));
                }
            }
        };
        look("standard error", stderr.as_bytes());
        for (place, content) in &self.seen {
            look(place, content);
        }
        for (name, content) in &files {
            // Not by its name, which may be what came out.
            let folder = Path::new(name).parent().unwrap_or(Path::new(""));
            look(&format!("a file's name in the state's folder \"{}\"", folder.display()), name.as_bytes());
            // It holds the key until somebody uses it, and says so.
            if name != "first-key" {
                look(name, content);
            }
        }
        found.dedup();
        tell(&found, secrets.len() + private.len(), self.environment);
        ensure!(found.is_empty(), "secrets came out: {}", found.join("; "));
        Ok(())
    }

    /// What the configuration's `key_file` lines lead to.
    fn key_files(&self) -> Vec<(&'static str, String)> {
        let contents = self.named("key_file").into_values();
        let texts = contents.map(|content| String::from_utf8_lossy(&content).trim().to_owned());
        texts.map(|text| ("a backend's key", text)).collect()
    }

    /// The owner's own certificate and its key, which are not in the state.
    fn owners(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = self.named("key");
        files.extend(self.named("certificate"));
        files
    }

    /// The files that this setting names in the configuration, by their paths.
    fn named(&self, setting: &str) -> BTreeMap<String, Vec<u8>> {
        let text = fs::read_to_string(&self.config).unwrap_or_default();
        let before = format!("{setting} = \"");
        let paths = text.lines().filter_map(|line| line.strip_prefix(&before)?.strip_suffix('"'));
        // Only what is a file: a pipe would wait for somebody.
        let files = paths.filter(|path| fs::metadata(path).is_ok_and(|data| data.is_file()));
        files.filter_map(|path| Some((path.to_owned(), fs::read(path).ok()?))).collect()
    }
}

/// The processes that any thread of `process` has started.
fn children(process: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// The regular files of the state, by their names below it. What its owner puts into `models` is only read by the daemon, and
/// large: their names alone.
fn files(state: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![state.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                left.push(path);
            } else if kind.is_file() {
                let name = path.strip_prefix(state).unwrap_or(&path).display().to_string();
                let content = if name.starts_with("models/") {
                    Vec::new()
                } else {
                    fs::read(&path).unwrap_or_default()
                };
                found.insert(name, content);
            }
        }
    }
    found
}

/// The lines of private keys in these files, each with the file that may have it. A line that a certificate has as well is the
/// public half.
fn private_lines<'a>(files: impl Iterator<Item = (&'a String, &'a Vec<u8>)>) -> BTreeMap<String, String> {
    let (mut private, mut public) = (BTreeMap::new(), Vec::new());
    for (name, content) in files {
        let mut block = None;
        for line in String::from_utf8_lossy(content).lines() {
            if let Some(label) = line.strip_prefix("-----BEGIN ") {
                block = Some(label.contains("PRIVATE KEY"));
            } else if line.starts_with("-----END ") {
                block = None;
            } else if line.len() >= PEM_LINE {
                match block {
                    Some(true) => drop(private.insert(line.to_owned(), name.clone())),
                    Some(false) => public.push(line.to_owned()),
                    None => {}
                }
            }
        }
    }
    private.retain(|line, _| !public.contains(line));
    private
}

/// Leaves a line for the count at the end: how many were found, looked for, and whether the environment was seen.
fn tell(found: &[String], secrets: usize, environment: bool) {
    let thread = std::thread::current();
    let mut lines = String::new();
    for found in found {
        let _ = writeln!(lines, "found\t{}\t{found}", thread.name().unwrap_or("?"));
    }
    let _ = writeln!(
        lines,
        "scanned\t{}\t{}\t{secrets}\t{}",
        thread.name().unwrap_or("?"),
        found.len(),
        u8::from(environment)
    );
    // One write, which other tests' lines do not come between.
    let log = binary("ghostllm").with_file_name("canary.log");
    let file = fs::OpenOptions::new().create(true).append(true).open(&log);
    file.and_then(|mut file| file.write_all(lines.as_bytes())).expect("the canary's log can be written");
}
