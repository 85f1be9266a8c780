//! What a configuration names besides itself: the files with backends' keys, and the owner's certificate with its key.
//!
//! Knows how a start reads them, and where each is named. Refuses to keep what is in them. Invariant: what is called a fault here
//! is what a start, or a reload, would fail for, and the other way round.

use std::sync::Arc;

use ghostllm_core::config::{Config, Loaded, SecretFile};
use ghostllm_edge::tls::{self, PairError};

use super::StartError;
use crate::{
    backend::{Backend, SetupError, registry::BackendError},
    certificates, secrets,
    tasks::alerts,
};

/// What a start would fail for.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The place, what is wrong, and what to do.
    pub(crate) text: String,
    /// The exit code of such a start.
    pub(crate) code: u8,
}

/// Everything that is wrong with what the configuration names. Blocks.
///
/// Where systemd has handed out no credentials, those are passed over that [`unseen`] names, if `passing` says so.
pub(crate) fn faults(read: &Loaded, passing: bool) -> Vec<Fault> {
    tls::install_provider();
    let passed = |file: &SecretFile| passing && is_unseen(file);
    let limits = Arc::new(read.config.limits.clone());
    let backends = read.config.backends.iter().filter_map(|backend| {
        let key_file = backend.key_file.clone().filter(|file| !passed(file));
        let seen = ghostllm_core::config::Backend { key_file, ..backend.clone() };
        let why = Backend::configured(&seen, None, &limits).err()?;
        Some(StartError::from(BackendError { backend: backend.name.as_str().to_owned(), why }))
    });
    let backends: Vec<StartError> = backends.collect();
    let listen = &read.config.listen;
    let pair = match (&listen.certificate, &listen.key) {
        (Some(certificate), Some(key)) if !passed(key) => match secrets::path(key, "listen.key") {
            Ok(key) => tls::pair_faults(certificate, &key)
                .into_iter()
                .map(|error| StartError::from(certificates::Error::from(error)))
                .collect(),
            Err(error) => vec![error.into()],
        },
        _ => Vec::new(),
    };
    let all = pair.into_iter().chain(backends).chain(alerts(read, passing));
    all.map(|error| Fault { code: error.exit_code(), text: placed(read, &error) }).collect()
}

/// What is wrong with the files of `[alerts]`.
fn alerts(read: &Loaded, passing: bool) -> Option<StartError> {
    let alerts = &read.config.alerts;
    let files = [&alerts.webhook_file, &alerts.webhook_key_file];
    if passing && files.into_iter().flatten().any(is_unseen) {
        return None;
    }
    alerts::check(alerts).err().map(StartError::from)
}

/// The settings that name a credential which only the service can see.
pub(crate) fn unseen(config: &Config) -> Vec<String> {
    let keys = config.backends.iter().filter_map(|backend| {
        backend
            .key_file
            .as_ref()
            .map(|file| (file, format!("key_file of the backend \"{}\"", backend.name.as_str())))
    });
    let own = config.listen.key.as_ref().map(|file| (file, "listen.key".to_owned()));
    let alerts = [
        ("webhook_file", &config.alerts.webhook_file),
        ("webhook_key_file", &config.alerts.webhook_key_file),
    ];
    let alerts = alerts.into_iter().filter_map(|(key, file)| Some((file.as_ref()?, format!("alerts.{key}"))));
    own.into_iter()
        .chain(keys)
        .chain(alerts)
        .filter(|(file, _)| is_unseen(file))
        .map(|(_, setting)| setting)
        .collect()
}

fn is_unseen(file: &SecretFile) -> bool {
    secrets::path(file, "").is_err()
}

/// An error, behind the place of the setting that it is about.
pub(super) fn placed(read: &Loaded, error: &StartError) -> String {
    let place = match error {
        StartError::Backend(error) => {
            let key = if matches!(error.why, SetupError::Trust { .. }) { "url" } else { "key_file" };
            read.backend_place(&error.backend, key)
        }
        StartError::Certificates(certificates::Error::Given(error)) => {
            read.place("listen", if is_of_key(read, error) { "key" } else { "certificate" })
        }
        StartError::Certificates(_) => read.place("listen", "certificate"),
        StartError::Alerts(_) => {
            let keys = ["webhook_key_file", "webhook_file", "webhook"];
            keys.into_iter().find_map(|key| read.place("alerts", key))
        }
        StartError::Secret(_) => read.place("listen", "key"),
        _ => None,
    };
    place.map_or_else(|| error.to_string(), |place| format!("{place}: {error}"))
}

/// Whether it is the key's file that is wrong, and not the certificate's.
fn is_of_key(read: &Loaded, error: &PairError) -> bool {
    let listen = &read.config.listen;
    match error {
        PairError::TooWide { .. } | PairError::NoKey { .. } => true,
        PairError::Unreadable { path, .. } | PairError::TooLarge { path, .. } => {
            listen.certificate.as_ref() != Some(path)
        }
        PairError::NoCertificate { .. } | PairError::Mismatch { .. } => false,
    }
}
