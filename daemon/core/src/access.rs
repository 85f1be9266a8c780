//! Who may do what: permissions, and the roles and scopes that stand for sets of them.
//!
//! Knows the fixed lists. Refuses to know keys, routes and where a request came from. Invariant: a permission that no role and
//! no scope names is nobody's but an admin's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that a caller may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Have a model answer.
    Chat,
    /// Have a model turn text into vectors.
    Embeddings,
    /// See which models there are.
    Models,
    /// Read the figures that monitoring collects.
    Metrics,
    /// See how the box is: its state, listeners, certificates, backends, requests and events, and what callers have used.
    Status,
    /// See the configuration, which names files and addresses.
    Configuration,
    /// End another caller's request.
    CancelRequests,
    /// Ask a backend now whether it answers.
    TestBackends,
    /// Have the configuration on disk read anew.
    Reload,
    /// Have a new certificate made under the same CA.
    RenewCertificate,
    /// Have a new CA made, which every client must then trust.
    RenewAuthority,
    /// Change settings.
    Configure,
    /// See which keys there are; never their secrets.
    ReadKeys,
    /// Make, rotate and revoke keys.
    ManageKeys,
    /// Read who has done what.
    Audit,
    /// Take the state out of the box, or put it back.
    Backup,
}

impl Permission {
    /// Every permission, for the generated documents and for tests.
    pub const ALL: [Self; 16] = [
        Self::Chat,
        Self::Embeddings,
        Self::Models,
        Self::Metrics,
        Self::Status,
        Self::Configuration,
        Self::CancelRequests,
        Self::TestBackends,
        Self::Reload,
        Self::RenewCertificate,
        Self::RenewAuthority,
        Self::Configure,
        Self::ReadKeys,
        Self::ManageKeys,
        Self::Audit,
        Self::Backup,
    ];

    /// Its name in JSON and in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embeddings => "embeddings",
            Self::Models => "models",
            Self::Metrics => "metrics",
            Self::Status => "status",
            Self::Configuration => "configuration",
            Self::CancelRequests => "cancel_requests",
            Self::TestBackends => "test_backends",
            Self::Reload => "reload",
            Self::RenewCertificate => "renew_certificate",
            Self::RenewAuthority => "renew_authority",
            Self::Configure => "configure",
            Self::ReadKeys => "read_keys",
            Self::ManageKeys => "manage_keys",
            Self::Audit => "audit",
            Self::Backup => "backup",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u32);

impl Permissions {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// Every one.
    pub const ALL: Self = Self::of(&Permission::ALL);

    /// These.
    #[must_use]
    pub const fn of(list: &[Permission]) -> Self {
        let (mut bits, mut rest) = (0, list);
        while let [first, others @ ..] = rest {
            bits |= first.bit();
            rest = others;
        }
        Self(bits)
    }

    /// Both these and `others`.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether `permission` is among them.
    #[must_use]
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Whether all of `others` are among them.
    #[must_use]
    pub const fn has_all(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Them, in the order of [`Permission::ALL`].
    pub fn list(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.has(*permission))
    }
}

/// What the bearer of a key may do, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Use models, see everything but keys and the audit log, and repair: end requests, reload, renew the certificate.
    Operator,
    /// Use models.
    User,
    /// See how the box is, and its figures; no model answers.
    Viewer,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Operator, Self::User, Self::Viewer];

    /// What it stands for.
    #[must_use]
    pub const fn permissions(self) -> Permissions {
        use Permission as P;
        match self {
            Self::Admin => Permissions::ALL,
            Self::Operator => Permissions::of(&[
                P::Chat,
                P::Embeddings,
                P::Models,
                P::Metrics,
                P::Status,
                P::Configuration,
                P::CancelRequests,
                P::TestBackends,
                P::Reload,
                P::RenewCertificate,
            ]),
            Self::User => Permissions::of(&[P::Chat, P::Embeddings, P::Models]),
            Self::Viewer => Permissions::of(&[P::Models, P::Metrics, P::Status]),
        }
    }

    /// Its name in JSON and on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::User => "user",
            Self::Viewer => "viewer",
        }
    }
}

/// A part of what a key may do, for keys that are to do just that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Have a model answer.
    Chat,
    /// Have a model turn text into vectors.
    Embeddings,
    /// See which models there are.
    Models,
    /// Read the figures that monitoring collects.
    Metrics,
    /// Everything.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Chat, Self::Embeddings, Self::Models, Self::Metrics, Self::Admin];

    /// What it stands for.
    #[must_use]
    pub const fn permissions(self) -> Permissions {
        match self {
            Self::Chat => Permissions::of(&[Permission::Chat]),
            Self::Embeddings => Permissions::of(&[Permission::Embeddings]),
            Self::Models => Permissions::of(&[Permission::Models]),
            Self::Metrics => Permissions::of(&[Permission::Metrics]),
            Self::Admin => Permissions::ALL,
        }
    }

    /// Its name in JSON and on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embeddings => "embeddings",
            Self::Models => "models",
            Self::Metrics => "metrics",
            Self::Admin => "admin",
        }
    }
}

/// What a key may do: a role, or scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// What the role stands for.
    Role(Role),
    /// What these scopes stand for, each once, in their order; never none.
    Scopes(Vec<Scope>),
}

/// Neither a role nor a scope, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key has either a role or at least one scope")]
pub struct NoGrant;

impl Grant {
    /// Of a role or scopes.
    ///
    /// # Errors
    /// If there are both, or neither.
    pub fn new(role: Option<Role>, mut scopes: Vec<Scope>) -> Result<Self, NoGrant> {
        scopes.sort_unstable();
        scopes.dedup();
        match role {
            Some(role) if scopes.is_empty() => Ok(Self::Role(role)),
            None if !scopes.is_empty() => Ok(Self::Scopes(scopes)),
            _ => Err(NoGrant),
        }
    }

    /// What it stands for.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        match self {
            Self::Role(role) => role.permissions(),
            Self::Scopes(scopes) => {
                scopes.iter().fold(Permissions::NONE, |all, scope| all.and(scope.permissions()))
            }
        }
    }

    /// The role; none where there are scopes.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Role(role) => Some(*role),
            Self::Scopes(_) => None,
        }
    }

    /// The scopes; empty where there is a role.
    #[must_use]
    pub fn scopes(&self) -> &[Scope] {
        match self {
            Self::Role(_) => &[],
            Self::Scopes(scopes) => scopes,
        }
    }
}

/// Whose requests come first when there is not enough for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A person waits.
    #[default]
    Interactive,
    /// Nobody does.
    Background,
}

impl Class {
    /// Its name in JSON and on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Background => "background",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_permission_has_its_own_bit_and_its_name_in_json() {
        for (place, permission) in Permission::ALL.into_iter().enumerate() {
            assert_eq!(permission as usize, place, "ALL is in the order of the list");
            assert_eq!(Permissions::of(&[permission]).list().collect::<Vec<_>>(), [permission]);
            assert_eq!(serde_json::to_value(permission).unwrap(), permission.name());
        }
        assert_eq!(Permissions::ALL.list().count(), Permission::ALL.len());
    }

    #[test]
    fn names_are_those_of_json() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
        for scope in Scope::ALL {
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.name());
        }
        for class in [Class::Interactive, Class::Background] {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }

    #[test]
    fn only_admins_touch_keys_settings_the_ca_and_the_state() {
        use Permission as P;
        for permission in [P::ReadKeys, P::ManageKeys, P::Audit, P::Backup, P::Configure, P::RenewAuthority] {
            for role in Role::ALL {
                assert_eq!(
                    role.permissions().has(permission),
                    role == Role::Admin,
                    "{role:?} {permission:?}"
                );
            }
            for scope in Scope::ALL {
                assert_eq!(
                    scope.permissions().has(permission),
                    scope == Scope::Admin,
                    "{scope:?} {permission:?}"
                );
            }
        }
        assert!(!Role::Viewer.permissions().has(P::Chat) && !Role::User.permissions().has(P::Status));
    }

    #[test]
    fn a_grant_is_a_role_or_scopes() {
        assert_eq!(Grant::new(None, vec![]), Err(NoGrant));
        assert_eq!(Grant::new(Some(Role::User), vec![Scope::Chat]), Err(NoGrant));
        let grant = Grant::new(None, vec![Scope::Models, Scope::Chat, Scope::Models]).unwrap();
        assert_eq!(grant.scopes(), [Scope::Chat, Scope::Models]);
        assert_eq!(grant.permissions(), Permissions::of(&[Permission::Chat, Permission::Models]));
        assert!(Role::Admin.permissions().has_all(grant.permissions()));
        assert!(!grant.permissions().has_all(Role::User.permissions()));
    }
}
