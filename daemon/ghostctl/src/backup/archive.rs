//! What is in a backup: a tar whose first member lists the others.
//!
//! Invariant: only known names are taken, each once, as plain files within their bounds, and only as their list describes them.

use std::{fmt::Write as _, io::Read};

use ghostllm_core::backup::{MANIFEST, MEMBERS, Manifest, Member, VERSION, most};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::output::{
    Screen, Tone,
    table::{Cell, Fit, Table},
    when,
};

/// Names and what is in the files.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// A backup.
#[derive(Debug)]
pub(crate) struct Content {
    /// The list.
    pub(crate) manifest: Manifest,
    /// The others.
    pub(crate) files: Files,
}

impl Content {
    /// Reads it, and holds it against its list.
    pub(crate) fn read(tar: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Form {
            version: u32,
        }
        let mut files = members(tar)?;
        if files.first().is_none_or(|(name, _)| name != MANIFEST) {
            return Err(format!("{MANIFEST} is not its first file"));
        }
        let (_, list) = files.remove(0);
        let broken = |error: serde_json::Error| format!("{MANIFEST} cannot be read: {error}");
        let Form { version } = serde_json::from_slice(&list).map_err(broken)?;
        if version > VERSION {
            return Err(format!(
                "it is of version {version}, made by a newer ghostctl; this one knows version {VERSION}"
            ));
        }
        let manifest: Manifest = serde_json::from_slice(&list).map_err(broken)?;
        for Member { name, size, sha256, .. } in &manifest.files {
            let file = files.iter().find(|(other, _)| other == name);
            let (_, text) = file.ok_or_else(|| format!("{name} is listed, and not there"))?;
            if text.len() as u64 != *size || hex(text) != *sha256 {
                return Err(format!("{name} is not as it is listed"));
            }
        }
        if files.len() != manifest.files.len() {
            return Err("it has files that are not listed".to_owned());
        }
        Ok(Self { manifest, files })
    }

    /// For people.
    pub(crate) fn told(&self, screen: &Screen) -> String {
        let Manifest { created, host, program, .. } = &self.manifest;
        let made = format!(
            "of {host}, made {} ({}) by ghostllm {program}",
            when::told(screen, created),
            when::clock(created)
        );
        let mut table = Table::new(&[("FILE", Fit::Wrap), ("BYTES", Fit::Whole), ("FROM", Fit::Wrap)]);
        for Member { name, size, from, .. } in &self.manifest.files {
            table.row([
                Cell::from(name),
                Cell::from(size.to_string()),
                Cell::from(from.as_deref().unwrap_or("the state")),
            ]);
        }
        screen.hanging("", Tone::Plain, &made) + &table.draw(screen)
    }
}

/// The members, none of which may be more than a plain file of a known name.
pub(crate) fn members(tar: &[u8]) -> Result<Files, String> {
    let cannot = |error: std::io::Error| format!("it cannot be read: {error}");
    let mut archive = tar::Archive::new(tar);
    let mut files = Files::new();
    // Raw: what gives a member another name, another size or holes counts as a member, and none has such a name.
    for entry in archive.entries().map_err(cannot)?.raw(true) {
        let mut entry = entry.map_err(cannot)?;
        let shown = String::from_utf8_lossy(&entry.path_bytes()).escape_debug().to_string();
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(format!("{shown} is no plain file"));
        }
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap_or_default();
        let most = most(&name).ok_or_else(|| format!("{shown} is no file of a backup"))?;
        if entry.size() > most {
            return Err(format!("{shown} has {} bytes, and may have {most}", entry.size()));
        }
        if files.len() >= MEMBERS || files.iter().any(|(other, _)| *other == name) {
            return Err(format!("{shown} is there twice, or there are too many files"));
        }
        let mut text = Vec::new();
        entry.read_to_end(&mut text).map_err(cannot)?;
        if text.len() as u64 != entry.size() {
            return Err(format!("{shown} is cut off"));
        }
        files.push((name, text));
    }
    Ok(files)
}

/// The tar of these files.
pub(crate) fn write(files: &Files) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, name, text.as_slice())?;
    }
    archive.into_inner()
}

/// The list of these files, some of which lay elsewhere.
pub(crate) fn list(files: &Files, from: &[(String, String)]) -> Vec<Member> {
    let member = |(name, text): &(String, Vec<u8>)| Member {
        name: name.clone(),
        size: text.len() as u64,
        sha256: hex(text),
        from: from.iter().find(|(other, _)| other == name).map(|(_, from)| from.clone()),
    };
    files.iter().map(member).collect()
}

fn hex(text: &[u8]) -> String {
    Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        let _writing_to_a_string_never_fails = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, kind: tar::EntryType, size: u64, text: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        let mut tar = header.as_bytes().to_vec();
        tar.extend_from_slice(text);
        tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
        tar
    }

    #[test]
    fn what_is_no_known_plain_file_is_refused() {
        use tar::EntryType as Kind;
        let refused = |tar: &[u8], why: &str| {
            let error = members(tar).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        assert_eq!(members(&one("state/keys.json", Kind::Regular, 2, b"{}")).unwrap().len(), 1);
        for name in ["../x", "/etc/passwd", "state/../../x", "state/other", "x", "state/keys.json/"] {
            refused(&one(name, Kind::Regular, 1, b"x"), "is no file of a backup");
        }
        for kind in [
            Kind::Symlink,
            Kind::Link,
            Kind::Directory,
            Kind::Fifo,
            Kind::Char,
            Kind::Block,
            Kind::GNULongName,
            Kind::GNULongLink,
            Kind::GNUSparse,
            Kind::XHeader,
            Kind::XGlobalHeader,
        ] {
            refused(&one("state/keys.json", kind, 0, b""), "is no plain file");
        }
        refused(&one("state/ca/ca.pem", Kind::Regular, (1 << 20) + 1, b"x"), "and may have");
        refused(&one("state/keys.json", Kind::Regular, u64::from(u32::MAX), b"x"), "and may have");
        refused(&one("state/keys.json", Kind::Regular, 5000, b"x"), "is cut off");
        let twice = [("config/a".to_owned(), vec![1]), ("config/a".to_owned(), vec![2])];
        refused(&write(&twice.to_vec()).unwrap(), "twice");
    }

    #[test]
    fn the_list_must_fit_what_is_there() {
        let files = vec![("state/keys.json".to_owned(), b"{}".to_vec())];
        let manifest = |version, files| Manifest {
            version,
            created: "2026-11-28T00:00:00Z".into(),
            program: "1".into(),
            host: "box".into(),
            with_ca_key: false,
            files,
        };
        let read = |manifest: &Manifest, files: &Files| {
            let list = (MANIFEST.to_owned(), serde_json::to_vec(manifest).unwrap());
            let whole = std::iter::once(list).chain(files.iter().cloned()).collect();
            Content::read(&write(&whole).unwrap()).map(|content| content.files.len())
        };
        let sound = manifest(VERSION, list(&files, &[]));
        assert_eq!(read(&sound, &files), Ok(1));
        assert!(read(&sound, &vec![]).unwrap_err().contains("not there"));
        assert!(read(&manifest(VERSION, vec![]), &files).unwrap_err().contains("not listed"));
        let other = vec![("state/keys.json".to_owned(), b"[]".to_vec())];
        assert!(read(&sound, &other).unwrap_err().contains("not as it is listed"));
        assert!(read(&manifest(2, vec![]), &vec![]).unwrap_err().contains("newer ghostctl"));
        assert!(Content::read(&write(&files).unwrap()).unwrap_err().contains("first"));
    }
}
