//! A certificate that an admin has ordered.
//!
//! Knows the one that is being made. Refuses to know who waits for it. Invariant: whatever its disk does, everything else goes on, and
//! what has been made in the end is shown.

use std::{future::pending, sync::Arc};

use ghostllm_core::{ApiError, admin::Certificates as Shown, error::Code};
use time::OffsetDateTime;
use tokio::{
    sync::oneshot,
    task::{JoinError, JoinHandle, spawn_blocking},
};

use super::{CaFiles, Upkeep};
use crate::{
    app::{StartError, listen_names, standing::Standing},
    certificates::{self, Certificates, Prepared},
};

/// Whoever waits for it.
type Done = oneshot::Sender<Result<Shown, ApiError>>;
/// What it came to, unless it panicked.
type Outcome = Result<Result<Prepared<CaFiles>, StartError>, JoinError>;

/// One that is being made.
pub(super) struct Renewal {
    /// A new CA as well.
    authority: bool,
    making: JoinHandle<Result<Prepared<CaFiles>, StartError>>,
    done: Done,
}

/// One that has ended.
pub(in crate::app) struct Renewed {
    pub(in crate::app) outcome: Result<Shown, ApiError>,
    pub(in crate::app) done: Done,
}

/// What whoever asks meanwhile hears.
pub(in crate::app) fn goes_on() -> ApiError {
    ApiError::new(
        Code::Conflict,
        "A certificate is being made still, and the disk of the box's state is slow or does not answer: see what is wrong with it \
         (dmesg, df -h), and try again when ghostctl cert show has the new one.",
    )
}

impl Upkeep {
    /// Begins to make the box's own certificate anew, and its CA where that is asked for; [`Upkeep::run`] gives what it came to.
    pub(in crate::app) fn renew(&mut self, authority: bool, done: Done) {
        let refused = match (self.is_writing(), self.certificates.trust()) {
            (true, _) => Some(goes_on()),
            (false, None) => Some(owners()),
            (false, Some(_)) => None,
        };
        if let Some(refused) = refused {
            let _heard = done.send(Err(refused));
            return;
        }
        let (state, host, config) = (self.records.state.clone(), self.host.clone(), Arc::clone(&self.config));
        let making = spawn_blocking(move || {
            let (names, now) = (listen_names(&config), OffsetDateTime::now_utc());
            Ok(Certificates::prepare_anew(CaFiles::open(&state)?, &host, &names, now, authority)?)
        });
        self.renewing = Some(Renewal { authority, making, done });
    }

    pub(super) fn renewed(&mut self, renewal: Renewal, outcome: Outcome, standing: &Standing) -> Renewed {
        let outcome =
            outcome.map_err(|error| StartError::internal("the certificate cannot be renewed", error));
        let outcome = outcome.flatten().map_err(|error| {
            tracing::error!("the certificate could not be renewed: {error}");
            match error {
                StartError::Certificates(certificates::Error::State { .. }) | StartError::State(_) => {
                    ApiError::state_unwritable()
                }
                _ => ApiError::internal(),
            }
        });
        let outcome = outcome.and_then(|prepared| {
            // A configuration that names an owner's certificate may have been taken meanwhile.
            self.certificates.trust().ok_or_else(owners)?;
            self.show(prepared, if renewal.authority { "new CA" } else { "renewed" });
            self.render();
            Ok((**self.shown.borrow()).clone())
        });
        standing.certified(self.left_out(), self.complaint());
        Renewed { outcome, done: renewal.done }
    }
}

fn owners() -> ApiError {
    ApiError::new(
        Code::Conflict,
        "This box shows its owner's certificate (listen.certificate), which only its owner can renew: replace the file, \
         then run ghostctl reload.",
    )
}

/// Waits for the end of one; for ever, where there is none.
pub(super) async fn ended(renewing: &mut Option<Renewal>) -> (Renewal, Outcome) {
    if let Some(renewal) = renewing {
        let outcome = (&mut renewal.making).await;
        if let Some(renewal) = renewing.take() {
            return (renewal, outcome);
        }
    }
    pending().await
}
