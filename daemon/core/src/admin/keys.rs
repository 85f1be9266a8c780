//! Keys, without their secrets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Class, Role, Scope};

/// `GET /keys`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyList {
    /// The version of this form.
    pub version: u32,
    /// Every key, the oldest first.
    pub keys: Vec<KeyInfo>,
    /// The first key waits in its file, to be shown once by `POST /keys/first`, since then; null where it does not.
    pub first_waits_since: Option<String>,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyInfo {
    /// The part of the key that is no secret.
    pub id: String,
    /// What a person calls it.
    pub name: String,
    /// What it may do; null where it has scopes.
    pub role: Option<Role>,
    /// What it may do; empty where it has a role.
    pub scopes: Vec<Scope>,
    /// Whose requests come first.
    pub class: Class,
    /// The models that it may use, `*` standing for any characters but `/`; empty for all. What begins with a
    /// backend's name stands for that backend's models alone.
    pub models: Vec<String>,
    /// When it was made.
    pub created: String,
    /// When it ends; null for never.
    pub expires: Option<String>,
    /// Whether it is taken.
    pub state: KeyState,
    /// The id of the key that takes its place, since it was rotated.
    pub replaced_by: Option<String>,
    /// When it was last taken since the daemon's start; null where it was not.
    pub last_used: Option<String>,
}

/// Whether a key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It is.
    Active,
    /// It is, and another takes its place.
    Rotated,
    /// Its time is over.
    Expired,
}

impl KeyState {
    /// Its name in JSON and in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Rotated => "rotated",
            Self::Expired => "expired",
        }
    }
}

/// `POST /keys`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What a person calls it: 1 to 64 characters, none of them a control character, and not `local`,
    /// `system`, `other` or `uid N`, as callers without a key are called.
    pub name: String,
    /// A role, or else at least one scope; `user` where there is neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// At least one scope, or else a role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
    /// Whose requests come first.
    #[serde(default)]
    pub class: Class,
    /// The models that it may use, `*` standing for any characters but `/`; empty for all. What begins with a
    /// backend's name stands for that backend's models alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// In how many seconds it ends; never where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
}

/// `POST /keys/{id}/rotate`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// For how many seconds the old key is still taken; a day where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_s: Option<u64>,
}

/// A key that was just made: its secret is shown here and never again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MadeKey {
    /// The version of this form.
    pub version: u32,
    /// The part of the key that is no secret.
    pub id: String,
    /// The whole key.
    pub key: String,
    /// What is known of it from now on.
    pub info: KeyInfo,
}

/// `POST /keys/first`: the first key, shown here once; its file is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirstKey {
    /// The version of this form.
    pub version: u32,
    /// The part of the key that is no secret.
    pub id: String,
    /// The whole key.
    pub key: String,
}
