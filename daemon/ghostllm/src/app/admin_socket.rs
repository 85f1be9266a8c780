//! The admin's Unix socket: handed down by the service manager, or made by us.
//!
//! Knows where it may come from, and what to do where it cannot be had. Refuses to know what is asked over it. Invariants: each
//! has a file whose mode says who may connect, and nobody is asked for more; one that was handed down is never removed, nor its
//! mode changed.

use std::{
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
};

use ghostllm_core::{config::Listen, places::ADMIN_NAME};
use ghostllm_edge::bind::{self, SocketFile, UnixError};

use super::{handed::Handed, standing::Missing};
use crate::{access, store::StateDir};

/// Everybody's right to connect.
const EVERYBODY: u32 = 0o002;

/// A socket that nobody serves yet.
pub(super) struct AdminSocket {
    pub(super) listener: UnixListener,
    pub(super) path: PathBuf,
    /// Where we have made it.
    pub(super) file: Option<SocketFile>,
}

/// A socket that cannot be had.
pub(super) struct Lacking {
    pub(super) path: PathBuf,
    pub(super) missing: Missing,
}

impl AdminSocket {
    /// The one that was handed down, else our own.
    ///
    /// # Errors
    /// What is missing, in words; why has been said.
    pub(super) fn open(handed: &mut Handed, listen: &Listen, state: &StateDir) -> Result<Self, Lacking> {
        if let Some((listener, path)) = handed.admin() {
            tell_handed(&path, listen.admin.as_deref());
            return Ok(Self { listener, path, file: None });
        }
        let own = listen.admin.clone().unwrap_or_else(|| state.path().join(ADMIN_NAME));
        // Others read it in the log and elsewhere, and bind it to no folder of theirs.
        let path = std::path::absolute(&own).unwrap_or(own);
        match bind::unix(&path) {
            Ok((listener, file)) => Ok(Self { listener, path, file: Some(file) }),
            Err(error) => {
                let next = next_step(&error);
                tracing::warn!(
                    "{error}: the admin's socket is not served, and only admin keys manage this box. {next}"
                );
                let what = format!("the admin's socket at {}", path.display());
                // A socket is bound at the start alone.
                let why = (error.to_string(), format!("{next}; then: systemctl restart ghostllm"));
                Err(Lacking { path, missing: Missing { what, why: Some(why) } })
            }
        }
    }
}

/// Says which it is, and that everybody is an admin where the unit lets everybody in.
fn tell_handed(path: &Path, configured: Option<&Path>) {
    let shown = path.display();
    tracing::info!("the admin's socket at {shown} was handed down, and its file's mode is as its unit says");
    if let Some(configured) = configured.filter(|configured| *configured != path) {
        tracing::warn!("listen.admin ({}) is not used: {shown} was handed down", configured.display());
    }
    let mode = std::fs::metadata(path).map_or(0, |facts| facts.permissions().mode());
    if mode & EVERYBODY != 0 {
        tracing::warn!(
            "everybody on this box may connect to {shown} (mode {:o}), and so is an admin: set SocketMode=0660 in its unit",
            mode & 0o7777
        );
    }
}

/// What to do about a socket that cannot be had.
fn next_step(error: &UnixError) -> String {
    match error {
        UnixError::TooLong { .. } => {
            "Set listen.admin to a shorter path, such as /run/user/1000/ghostllm-admin.sock".to_owned()
        }
        UnixError::NoSocket { path } => {
            format!(
                "Move it away (mv {0} {0}.old), or set listen.admin to another path",
                access::quoted(path)
            )
        }
        UnixError::Taken { .. } => "Stop that process, or set listen.admin to another path".to_owned(),
        UnixError::Other { .. } => {
            "Set listen.admin to a path in a folder in which this user may make files".to_owned()
        }
    }
}
