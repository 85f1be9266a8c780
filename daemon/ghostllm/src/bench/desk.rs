//! What the running daemon says of itself.
//!
//! Knows which daemon is meant, and what to do where it does not answer. Refuses to change anything: it only asks. Invariant: every
//! failure says what to do.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use ghostllm_core::{places, routes::Admin};
use serde::de::DeserializeOwned;

use super::{Order, unmeasured::Unmeasured};
use crate::ask::{self, Unanswered};

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(10);
/// What to do where there is no daemon.
const START: &str = "Start it (systemctl start ghostllm, or ghostllm serve), or name the one that runs with --state-dir DIR or --socket FILE";

/// One daemon.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    socket: PathBuf,
    /// Its state directory, where somebody has named it.
    state: Option<PathBuf>,
}

impl Desk {
    /// The daemon at the socket that a person has named, at that of this state directory, or at the first that exists.
    pub(super) fn find(order: &Order) -> Result<Self, Unmeasured> {
        let socket = match &order.socket {
            Some(named) => named.clone(),
            None => ask::find(order.set.clone(), order.state.as_deref()).map_err(|tried| nowhere(&tried))?,
        };
        Ok(Self { socket, state: order.state.clone() })
    }

    /// The state directory, where it was named or the socket lies in one.
    pub(super) fn state(&self) -> Option<&Path> {
        let in_state =
            self.socket != Path::new(places::ADMIN_SOCKET) && self.socket.ends_with(places::ADMIN_NAME);
        self.state.as_deref().or_else(|| self.socket.parent().filter(|_| in_state))
    }

    /// Asks for one of the forms.
    pub(super) async fn ask<T: DeserializeOwned>(&self, endpoint: Admin) -> Result<T, Unmeasured> {
        ask::ask(&self.socket, endpoint, WITHIN).await.map_err(|why| self.unanswered(&why))
    }

    fn unanswered(&self, why: &Unanswered) -> Unmeasured {
        match why {
            Unanswered::Unconnected(error) => self.not_connected(error),
            Unanswered::Form(_) => self.odd(&format!("{why}; use the ghostllm that came with it")),
            Unanswered::Late(_) | Unanswered::Odd(_) => self.odd(&why.to_string()),
        }
    }

    fn not_connected(&self, error: &io::Error) -> Unmeasured {
        let socket = self.socket.display();
        let why = match error.kind() {
            ErrorKind::PermissionDenied => {
                return Unmeasured::Denied(format!(
                    "the admin socket {socket} may not be opened: {error}. Run it with sudo, or as a member of the socket's group: \
                     usermod -aG ghostllm-admin USER"
                ));
            }
            ErrorKind::NotFound => "it does not exist".to_owned(),
            ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
            _ => error.to_string(),
        };
        Unmeasured::Unreachable(format!("no daemon is reachable at {socket}: {why}. {START}"))
    }

    fn odd(&self, why: &str) -> Unmeasured {
        let socket = self.socket.display();
        Unmeasured::Unreachable(format!(
            "the daemon at {socket} does not say how it is: {why}. See what is amiss: ghostctl doctor"
        ))
    }
}

fn nowhere(tried: &[PathBuf]) -> Unmeasured {
    let list: String = tried.iter().map(|path| format!("\n  {}", path.display())).collect();
    Unmeasured::Unreachable(format!(
        "no daemon runs here: there is no admin socket in any of its places:{list}\n{START}"
    ))
}

#[cfg(test)]
impl Desk {
    /// One that nobody asks.
    pub(super) fn of_test() -> Self {
        Self { socket: PathBuf::from("/nowhere"), state: None }
    }
}
