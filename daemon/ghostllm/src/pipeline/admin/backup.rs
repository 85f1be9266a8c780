//! The state's files for a backup, as a tar in memory.
//!
//! Invariant: each file is of one moment, since whoever writes it waits meanwhile; the keys of the box leave it only where they
//! are asked for.

use std::{borrow::Cow, io, sync::Arc};

use bytes::Bytes;
use ghostllm_core::{
    ApiError,
    backup::{KEYS, SETTINGS, STATE},
};

use super::{acts::Answer, audited::Noted, blocking};
use crate::{
    admin::Order,
    pipeline::{Shared, respond},
    store::{StateError, StateFile, settings},
    tasks::usage::days,
};

pub(super) async fn answer(shared: &Arc<Shared>, query: &[u8], noted: &mut Noted) -> Answer {
    let authority = match query {
        b"" | b"authority=false" => false,
        b"authority=true" => true,
        _ => return Err(ApiError::invalid_value("authority", "true or false")),
    };
    let mut files = shared.desk.order(|done| Order::CaFiles { authority, done }).await??;
    let (keys, audit, state) = (shared.keys.clone(), shared.desk.audit.clone(), shared.desk.state.clone());
    let (usage, days) = (shared.usage.clone(), days(shared.settings.borrow().usage.days));
    let rest = blocking(shared, move || {
        let mut rest: Vec<StateFile> = keys.text()?.into_iter().map(|text| (KEYS, text)).collect();
        rest.extend(settings::text(&state)?.map(|text| (SETTINGS, text)));
        rest.extend(audit.files()?);
        // What cannot be written now is in the next backup.
        let _written = usage.write(days);
        Ok::<_, StateError>((rest, usage.texts()?))
    });
    let (rest, months) = rest.await?.map_err(|error| {
        tracing::error!(%error, "the state cannot be read for a backup");
        error.answer()
    })?;
    files.extend(rest);
    let named = files.into_iter().map(|(name, text)| (Cow::Borrowed(name), text));
    let files = named.chain(months.into_iter().map(|(name, text)| (Cow::Owned(name), text)));
    let archive = archive(files).map_err(|error| {
        tracing::error!(%error, "the state cannot be put together for a backup");
        ApiError::internal()
    })?;
    let which = if authority { "with the CA's key" } else { "without the CA's key" };
    noted.detail = Some(which.to_owned());
    Ok(respond::tar(Bytes::from(archive)))
}

fn archive(files: impl Iterator<Item = (Cow<'static, str>, Vec<u8>)>) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, format!("{STATE}{name}"), text.as_slice())?;
    }
    archive.into_inner()
}
