//! State files that are damaged, in 200 ways each: what was closed stays closed, and what was there is still there.
//!
//! Two hundred mutations of each file of a box after its first start, each followed by what a start reads.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{names, open, random::Random};

const MUTATIONS: usize = 200;

/// A box's state after its first start, to be laid out anew for each mutation.
struct Model {
    _scratch: TempDir,
    directory: PathBuf,
    /// Names below the directory, with what is in them.
    files: Vec<(String, Vec<u8>)>,
    /// What a start says of it.
    opened: String,
}

/// What is kept, and what is made anew from it: the order of their writing.
const FILES: [&str; 7] =
    ["ca/authority.pem", "ca/ca.pem", "ca/server.pem", "first-key", "keys.json", "keys.json.last", "lock"];

impl Model {
    fn new() -> Result<Self> {
        // In memory where there is such a place: a thousand starts would wait for the disk most of the time.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let scratch = tempfile::tempdir_in(place)?;
        let directory = scratch.path().join("state");
        let opened = open(&directory)?.map_err(|error| anyhow::anyhow!("the first start: {error}"))?;
        ensure!(opened.starts_with("opened 1 keys "), "{opened}");
        let read = |name: &str| anyhow::Ok((name.to_owned(), fs::read(directory.join(name))?));
        let files = FILES.iter().map(|name| read(name)).collect::<Result<_>>()?;
        let there = [names(&directory)?, names(&directory.join("ca"))?].concat();
        // The two directories' own: `ca`.
        ensure!(there.len() == FILES.len() + 1, "a file that is not mutated here: {there:?}");
        Ok(Self { _scratch: scratch, directory, files, opened })
    }

    fn content(&self, name: &str) -> Result<&[u8]> {
        let found = self.files.iter().find(|(there, _)| there == name);
        found.map(|(_, bytes)| &**bytes).context("no such file")
    }

    /// Lays the state out with these files changed.
    fn lay_out(&self, changed: &[(&str, &[u8])]) -> Result<()> {
        fs::remove_dir_all(&self.directory)?;
        for directory in [&self.directory, &self.directory.join("ca")] {
            fs::create_dir(directory)?;
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
        }
        for (name, bytes) in &self.files {
            let bytes = changed.iter().find(|(there, _)| there == name).map_or(&**bytes, |(_, bytes)| bytes);
            let path = self.directory.join(name);
            fs::write(&path, bytes)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        }
        Ok(())
    }

    fn now(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.directory.join(name)).ok()
    }
}

/// One of the ways in which disks, crashes and people damage a file.
fn mutated(good: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let at = random.below(bytes.len());
    let end = (at + 1 + random.below(64)).min(bytes.len());
    match random.below(9) {
        0 | 1 => bytes[at] ^= 1 << random.below(8),
        2 => bytes[at] = random.byte(),
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(at..end)),
        5 => {
            let again = bytes[at..end].to_vec();
            drop(bytes.splice(at..at, again));
        }
        6 => bytes[at..end].fill(0),
        7 => bytes[at..end].fill_with(|| random.byte()),
        _ => {
            let other = random.below(bytes.len());
            bytes.swap(at, other);
        }
    }
    bytes
}

/// Mutates one file two hundred times; `judge` hears of each what a start said and what it was. Gives back in how many
/// the start went well.
fn each(name: &str, judge: impl Fn(&Model, &[u8], &Result<String, String>) -> Result<()>) -> Result<usize> {
    let (model, mut random) = (Model::new()?, Random::new());
    let mut well = 0;
    for _ in 0..MUTATIONS {
        let bytes = mutated(model.content(name)?, &mut random);
        model.lay_out(&[(name, &bytes)])?;
        let said = open(&model.directory)?;
        let judged = judge(&model, &bytes, &said);
        judged.with_context(|| format!("{name}: {said:?} of {:?}", String::from_utf8_lossy(&bytes)))?;
        well += usize::from(said.is_ok());
    }
    println!("{name}: {MUTATIONS} mutations, {well} starts went well, {} were refused", MUTATIONS - well);
    Ok(well)
}

/// The start went as if nothing had been damaged.
fn check_same(model: &Model, said: &Result<String, String>) -> Result<()> {
    ensure!(said.as_deref() == Ok(&*model.opened), "instead of {}", model.opened);
    Ok(())
}

/// The file says what it said, perhaps with other blanks.
fn check_says_the_same(model: &Model, name: &str) -> Result<()> {
    let now = model.now(name).context("it is gone")?;
    let now: Value = serde_json::from_slice(&now).context("it is no JSON")?;
    let good: Value = serde_json::from_slice(model.content(name)?)?;
    ensure!(now == good, "other keys are let in: {now}");
    Ok(())
}

/// What cannot be used is set aside, to the byte, and what takes its place is what was there before.
fn check_set_aside(model: &Model, name: &str, bytes: &[u8]) -> Result<()> {
    let aside: Vec<String> = names(&model.directory)?
        .into_iter()
        .filter(|there| there.starts_with(&format!("{name}.bad-")))
        .collect();
    match aside.as_slice() {
        [] => check_says_the_same(model, name)?,
        [aside] => {
            ensure!(model.now(aside).as_deref() == Some(bytes), "{aside} is not what was there");
            ensure!(
                model.now(name).as_deref() == Some(model.content(name)?),
                "the copy has not taken its place"
            );
        }
        more => anyhow::bail!("{more:?}"),
    }
    Ok(())
}

#[test]
fn keys() -> Result<()> {
    for name in ["keys.json", "keys.json.last"] {
        let well = each(name, |model, bytes, said| {
            check_same(model, said)?;
            check_set_aside(model, name, bytes)?;
            ensure!(model.now("keys.json") == model.now("keys.json.last"), "file and copy differ");
            Ok(())
        })?;
        ensure!(well == MUTATIONS, "{well}");
    }
    Ok(())
}

#[test]
fn keys_and_their_copy_at_once() -> Result<()> {
    let (model, mut random) = (Model::new()?, Random::new());
    let (good, mut refused) = (model.content("keys.json")?, 0);
    for _ in 0..MUTATIONS {
        let [bytes, copy] = [mutated(good, &mut random), mutated(good, &mut random)];
        model.lay_out(&[("keys.json", &bytes), ("keys.json.last", &copy)])?;
        let first = open(&model.directory)?;
        let Err(error) = first else {
            // One of the two changed nothing that it says.
            check_same(&model, &first)?;
            check_says_the_same(&model, "keys.json")?;
            continue;
        };
        refused += 1;
        ensure!(error.contains("nobody can be let in") && error.contains("is set aside"), "{error}");
        // The next start, which a supervisor makes by itself, decides nothing either.
        for said in [open(&model.directory)?, open(&model.directory)?] {
            let error = said.err().context("a later start has opened what was closed")?;
            ensure!(error.contains("nobody can be let in") && error.contains("rm -r"), "{error}");
        }
        ensure!(model.now("keys.json").is_none(), "a new keys file was made");
        ensure!(model.now("first-key").as_deref() == Some(model.content("first-key")?), "another first key");
        let aside = names(&model.directory)?.into_iter().filter(|name| name.contains(".bad-"));
        let kept: Vec<_> = aside.filter_map(|name| model.now(&name)).collect();
        ensure!(kept.contains(&bytes) && kept.contains(&copy), "what was damaged is lost");
    }
    println!(
        "keys.json and keys.json.last: {MUTATIONS} mutations of both, {refused} refused, {} changed nothing",
        MUTATIONS - refused
    );
    ensure!(refused > MUTATIONS / 2, "{refused} are too few to have been damaged");
    Ok(())
}

#[test]
fn the_authority() -> Result<()> {
    let name = "ca/authority.pem";
    let well = each(name, |model, bytes, said| {
        // Clients trust this one: it is never replaced, and another one is never shown.
        ensure!(model.now(name).as_deref() == Some(bytes), "the file was touched");
        ensure!(
            model.now("ca/ca.pem").as_deref() == Some(model.content("ca/ca.pem")?),
            "another CA is given out"
        );
        match said {
            Ok(_) => check_same(model, said),
            Err(error) => {
                let path = model.directory.join(name).display().to_string();
                ensure!(error.contains(&path) && error.contains("restore the file from a backup"), "{error}");
                Ok(())
            }
        }
    })?;
    ensure!(well < MUTATIONS / 2, "{well} went well: was anything damaged?");
    Ok(())
}

/// A file that can be made anew is, or nobody needs it any more: no start fails, and nothing else is touched.
fn check_unimportant(name: &str, more: impl Fn(&Model, &[u8]) -> Result<()>) -> Result<()> {
    let well = each(name, |model, bytes, said| {
        check_same(model, said)?;
        more(model, bytes)?;
        for kept in ["ca/authority.pem", "ca/ca.pem", "keys.json", "keys.json.last"] {
            ensure!(model.now(kept).as_deref() == Some(model.content(kept)?), "{kept} has changed");
        }
        Ok(())
    })?;
    ensure!(well == MUTATIONS, "{well}");
    Ok(())
}

#[test]
fn the_servers_certificate() -> Result<()> {
    check_unimportant("ca/server.pem", |model, bytes| {
        // Where it was not issued anew, its certificate is what it was, to the bit; that the key is its own the start has seen.
        if model.now("ca/server.pem").as_deref() == Some(bytes) {
            let certificate = letters(certificate(model.content("ca/server.pem")?)?);
            // The last letters may have bits that belong to no byte.
            let all = certificate.len() - 4;
            ensure!(letters(bytes).contains(&certificate[..all]), "a changed certificate is shown");
        }
        Ok(())
    })
}

/// The part of a PEM file that is the certificate, without its two lines.
fn certificate(text: &[u8]) -> Result<&[u8]> {
    let text = std::str::from_utf8(text)?;
    let block = text.split("-----").nth(2).context("no certificate")?;
    Ok(block.as_bytes())
}

/// What of a text is base64: some readers pass over the rest.
fn letters(text: &[u8]) -> String {
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    text.iter().copied().filter(base64).map(char::from).collect()
}

#[test]
fn the_authoritys_copy() -> Result<()> {
    check_unimportant("ca/ca.pem", |_, _| Ok(()))
}

#[test]
fn the_first_key() -> Result<()> {
    check_unimportant("first-key", |_, _| Ok(()))
}

#[test]
fn the_lock() -> Result<()> {
    check_unimportant("lock", |_, _| Ok(()))
}

/// What is not there is not damaged: a first start that did not come to its end goes on.
#[test]
fn a_first_start_that_was_cut_off_goes_on() -> Result<()> {
    let model = Model::new()?;
    for lost in [
        &["keys.json.last"][..],
        &["keys.json", "keys.json.last"],
        &["keys.json", "keys.json.last", "first-key"],
    ] {
        model.lay_out(&[])?;
        for name in lost {
            fs::remove_file(model.directory.join(name))?;
        }
        let said = open(&model.directory)?.map_err(|error| anyhow::anyhow!("{lost:?}: {error}"))?;
        ensure!(said == model.opened, "{lost:?}: {said}");
        let there: Vec<PathBuf> = FILES.iter().map(|name| model.directory.join(name)).collect();
        ensure!(there.iter().all(|path| Path::exists(path)), "{lost:?}: {:?}", names(&model.directory)?);
    }
    Ok(())
}
