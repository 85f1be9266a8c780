//! Settings that an admin changes: kept and in use, or neither.
//!
//! Invariant: what is kept could be used when it was kept; where anything fails, what was kept before lies in its place, also where
//! the disk does what was asked of it only after it was given up. Who is told otherwise is told so.

use std::sync::Arc;

use ghostllm_core::{
    ApiError,
    admin::ConfigChange,
    config::{Config, Loaded, Place},
    error::Code,
    state::settings::{SettingsFile, Unchangeable},
};
use tokio::sync::watch;

use super::{
    Changes, PATIENCE, READING, Reloaded, Running, Serving, Standing, Upkeep, brief, settled, timeout, told,
};
use crate::{
    store::{StateDir, StateError, settings},
    tasks::reload::Aside,
};

/// Takes a change and keeps it.
pub(super) async fn made(
    (change, on_the_box): (&ConfigChange, bool),
    changes: &mut Changes,
    running: &mut Running,
    upkeep: &mut Upkeep,
    (serving, standing): (&Serving, &Standing),
) -> Result<Reloaded, ApiError> {
    let before = running.kept.settings();
    let wanted = before.changed(change).map_err(|why| unchangeable(&why))?;
    running.kept.lay(wanted.clone());
    let outcome = match read((change, on_the_box), changes).await {
        Ok(aside) => {
            let settings = (before.clone(), wanted);
            taken(change, (&aside.loaded, settings), running, upkeep, serving)
                .await
                .map(|taken| (aside, taken))
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok((aside, taken)) => {
            let loaded = changes.accept(aside);
            running.show(&loaded, changes.files());
            let outcome = Ok(taken);
            told(&outcome, true, standing);
            Ok(settled(outcome, running, upkeep, standing))
        }
        Err(error) => {
            running.kept.lay(before);
            Err(error)
        }
    }
}

fn unchangeable(why: &Unchangeable) -> ApiError {
    let code = match why {
        Unchangeable::NotKept { .. } => Code::NotFound,
        Unchangeable::TooMany => Code::Conflict,
        Unchangeable::Empty | Unchangeable::Twice(_) | Unchangeable::TooLong => Code::InvalidRequest,
    };
    ApiError::new(code, why.to_string())
}

/// What the sources say with the change.
async fn read((change, on_the_box): (&ConfigChange, bool), changes: &mut Changes) -> Result<Aside, ApiError> {
    let late = || {
        let why =
            "The settings are as they were: the disk that the configuration's files are on does not answer.";
        ApiError::new(Code::Conflict, why)
    };
    let aside = timeout(READING, changes.aside()).await.map_err(|_elapsed| late())?;
    let aside = aside.map_err(|why| refused(change, &why))?;
    let loaded = &aside.loaded;
    let over = |key: &&String| !matches!(loaded.place_of(key), None | Some(Place::Kept(_)));
    if let Some(key) = change.set.keys().find(over) {
        let place = loaded.place_of(key).map(ToString::to_string).unwrap_or_default();
        let why = format!(
            "The settings are as they were: {key} is set by {place}, which lies over what is kept. Change it there and \
             restart ghostllm."
        );
        return Err(ApiError::new(Code::Conflict, why));
    }
    let sent = |name: &&String| !on_the_box && leads_a_key(&loaded.config, name);
    if let Some(name) = change.set.keys().chain(&change.unset).find(sent) {
        let why = format!(
            "There is a key, which would go wherever {name} leads: that is changed over the admin's socket alone. Run \
             ghostctl config set {name} on the box."
        );
        return Err(ApiError::forbidden(why));
    }
    Ok(aside)
}

/// Whether the setting says where a key goes, a backend's or the webhook's: whoever has got hold of an admin's key must not have that one as well.
fn leads_a_key(config: &Config, name: &str) -> bool {
    if name == "alerts.webhook" {
        return config.alerts.webhook_key_file.is_some();
    }
    let mut parts = name.split('.');
    let (Some("backends"), Some(name), Some("url" | "kind"), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    config.backends.iter().any(|backend| backend.name.to_string() == name && backend.key_file.is_some())
}

/// Why it cannot be used: the change itself, or what it would be laid over.
fn refused(change: &ConfigChange, why: &str) -> ApiError {
    let names = || change.set.keys().chain(&change.unset);
    // Without one of them another may lack what it needs.
    let kept = why.starts_with("ghostctl config set ");
    let own = kept || names().any(|key| why.starts_with(&format!("{}: ", Place::Kept(key.clone()))));
    let (code, next) = if own {
        (Code::InvalidRequest, "`ghostllm config reference` explains every setting.")
    } else {
        (Code::Conflict, "Mend that first: `ghostctl config check` shows what is wrong on disk.")
    };
    let why = brief(why);
    let end = if why.ends_with(['.', '?', '!']) { "" } else { "." };
    ApiError::new(code, format!("The settings are as they were: {why}{end} {next}"))
}

/// Makes ready what can fail, keeps the settings, and takes what was made ready.
async fn taken(
    change: &ConfigChange,
    (loaded, (before, wanted)): (&Loaded, (SettingsFile, SettingsFile)),
    running: &mut Running,
    upkeep: &mut Upkeep,
    serving: &Serving,
) -> Result<super::Taken, ApiError> {
    let ready = running.prepare(loaded, upkeep).await.map_err(|why| refused(change, &why))?;
    let (state, stands) = (running.state.clone(), Arc::new(Stands::default()));
    let (writing, _given_up_if_dropped) = (Arc::clone(&stands), Waiting(Arc::clone(&stands)));
    let written = running.apart.run(move || writing.write(&state, &before, &wanted)).await;
    let failed = match written {
        Ok(Ok(())) => return Ok(running.swap(ready, upkeep, serving).await),
        Ok(Err(error)) => unkept(&error),
        Err(_late) => match stands.outcome().await {
            // It was done at the last moment.
            Stand::Done => return Ok(running.swap(ready, upkeep, serving).await),
            stand => late(stand),
        },
    };
    ready.give_up().await;
    Err(failed)
}

fn unkept(error: &StateError) -> ApiError {
    tracing::error!(%error, "settings cannot be kept");
    error.answer()
}

/// Why they are not waited for.
fn late(stand: Stand) -> ApiError {
    let why = "the disk of the box's state does not answer (dmesg, df -h), or is still at what was asked of it before. Say the same \
               again once it does.";
    let how = match stand {
        // Whoever ends the program now may find them at its next start.
        Stand::Abandoned => "The settings are as they were, unless ghostllm ends before they are taken back",
        _ => "The settings are as they were",
    };
    ApiError::new(Code::StateUnwritable, format!("{how}: {why}"))
}

/// How far the disk is with settings, and whether somebody waits for them: each is decided once, by whichever comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stand {
    /// Neither file has its new content.
    #[default]
    Begun,
    /// Nobody waits any longer; neither file will have it.
    GivenUp,
    /// The files get it.
    Renaming,
    /// Nobody waited any longer while they got it: it is taken back.
    Abandoned,
    /// They have it.
    Done,
    /// The disk has failed, and both are as they were.
    Failed,
}

#[derive(Debug, Default)]
struct Stands(watch::Sender<Stand>);

impl Stands {
    /// Writes the settings, unless they are given up before that shows; those before them once more, if they are later. Blocks.
    fn write(
        &self,
        state: &StateDir,
        before: &SettingsFile,
        wanted: &SettingsFile,
    ) -> Result<(), StateError> {
        let written = settings::write_if(state, wanted, || self.goes_on(&[Stand::Begun], Stand::Renaming));
        if let Err(error) = written {
            self.goes_on(&[Stand::Begun, Stand::Renaming], Stand::Failed);
            return Err(error);
        }
        if self.goes_on(&[Stand::Renaming], Stand::Done) || *self.0.borrow() == Stand::GivenUp {
            return Ok(());
        }
        settings::write(state, before).inspect_err(|error| {
            tracing::error!(%error, "settings that came late to the disk cannot be taken back: ghostctl config show tells of them");
        })
    }

    /// Nobody waits: whoever did is told so, or gone with the rest of the program.
    fn give_up(&self) {
        self.goes_on(&[Stand::Begun], Stand::GivenUp);
        self.goes_on(&[Stand::Renaming], Stand::Abandoned);
    }

    /// From one of these on to the next; whether that was so.
    fn goes_on(&self, from: &[Stand], to: Stand) -> bool {
        self.0.send_if_modified(|stand| {
            let one = from.contains(stand);
            if one {
                *stand = to;
            }
            one
        })
    }

    /// Waits no longer where neither file has changed; else a while more, since the disk is about to be done.
    async fn outcome(&self) -> Stand {
        if self.goes_on(&[Stand::Begun], Stand::GivenUp) {
            return Stand::GivenUp;
        }
        let mut stand = self.0.subscribe();
        let ended = async {
            // What it gives holds the lock.
            let _disk_is_done = stand.wait_for(|stand| matches!(stand, Stand::Done | Stand::Failed)).await;
        };
        let _given_up_else = timeout(PATIENCE, ended).await;
        self.give_up();
        *self.0.borrow()
    }
}

/// Somebody who waits for them; a stop of the program cuts the wait off, and whoever has ordered it is told to try again.
struct Waiting(Arc<Stands>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.give_up();
    }
}
