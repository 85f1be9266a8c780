//! A backup's form: which files are in it, how large each may be, and the list that comes with them.
//!
//! Knows names and bounds. Refuses to know bytes on disk and how they are encrypted. Invariant: what has no place here is not
//! in a backup, and is not restored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::state::usage;

/// The version of the list; it rises when an older program would put something back wrongly.
pub const VERSION: u32 = 1;
/// The list, the first member.
pub const MANIFEST: &str = "manifest.json";
/// What stands before the name of a file of the state.
pub const STATE: &str = "state/";
/// What stands before the name of a configuration file, which is there to be looked at.
pub const CONFIG: &str = "config/";
/// The keys.
pub const KEYS: &str = "keys.json";
/// Their last good copy.
pub const KEYS_COPY: &str = "keys.json.last";
/// What `ghostctl config set` has kept.
pub const SETTINGS: &str = "settings.json";
/// The last good copy of that.
pub const SETTINGS_COPY: &str = "settings.json.last";
/// The CA and its key.
pub const AUTHORITY: &str = "ca/authority.pem";
/// The CA's certificate alone.
pub const AUTHORITY_COPY: &str = "ca/ca.pem";
/// The server's certificate and key, which are worth nothing without the CA.
pub const LEAF: &str = "ca/server.pem";
/// The audit log.
pub const AUDIT: &str = "audit.log";
/// The audit log's file of before.
pub const AUDIT_BEFORE: &str = "audit.log.1";
/// What the audit log has of those who were denied something.
pub const DENIED: &str = "denied.log";
/// The file of before of that.
pub const DENIED_BEFORE: &str = "denied.log.1";
/// The largest file of ours, as the daemon reads it.
pub const LARGEST_STATE: u64 = 16 << 20;
/// All months of what requests have used together; those before are left out of a backup.
pub const LARGEST_USAGE: u64 = 16 << 20;
/// The largest configuration file.
pub const LARGEST_CONFIG: u64 = 1 << 20;
/// The most members: the state's, the list, and more configuration files than anybody has.
pub const MEMBERS: usize = 128;

/// The most bytes that a member of this name may have; none where no member has this name.
#[must_use]
pub fn most(name: &str) -> Option<u64> {
    if name == MANIFEST {
        return Some(1 << 20);
    }
    if let Some(name) = name.strip_prefix(CONFIG) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let sound = (1..=80).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.');
        return sound.then_some(LARGEST_CONFIG);
    }
    match name.strip_prefix(STATE)? {
        // As much as the daemon reads.
        KEYS | SETTINGS => Some(LARGEST_STATE),
        // Each has a mebibyte, and a line more where a backup was restored.
        AUDIT | AUDIT_BEFORE | DENIED | DENIED_BEFORE => Some(2 << 20),
        AUTHORITY | AUTHORITY_COPY | LEAF => Some(1 << 20),
        // What requests have used, a file for each month.
        other => usage::month(other).map(|_| LARGEST_STATE),
    }
}

/// The list that comes with the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Of this form.
    pub version: u32,
    /// When the backup was made.
    pub created: String,
    /// The version of the daemon whose state it is.
    pub program: String,
    /// The box whose state it is.
    pub host: String,
    /// Whether the CA's key is in it.
    pub with_ca_key: bool,
    /// Every other file.
    pub files: Vec<Member>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Its name in the backup.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// SHA-256 of these, in hexadecimal.
    pub sha256: String,
    /// Where a configuration file lay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// What a restore has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restored {
    /// Of this form.
    pub version: u32,
    /// The state directory.
    pub state: String,
    /// The files that are there now.
    pub restored: Vec<String>,
    /// The files that were there, by the names that they have now.
    pub before: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_have_a_place() {
        for name in [
            "state/keys.json",
            "state/ca/ca.pem",
            "state/audit.log.1",
            "state/denied.log",
            "state/usage-2026-11.json",
            "config/00-a.toml",
            MANIFEST,
        ] {
            assert!(most(name).is_some(), "{name}");
        }
        let long = format!("config/{}", "a".repeat(81));
        for name in [
            "",
            "keys.json",
            "/state/keys.json",
            "state/",
            "state/../keys.json",
            "state/first-key",
            "state/usage-2026-11.json.last",
            "state/flight/20261130T084915Z-card0-lost",
            "state/usage-2026-00.json",
            "state/keys.json/",
            "./state/keys.json",
            "config/",
            "config/../x",
            "config/.x",
            "config/a/b",
            "config/a b",
            "../x",
            &long,
        ] {
            assert_eq!(most(name), None, "{name}");
        }
    }
}
