//! Settings that are changed and kept: by the daemon, or in its state while it does not run.
//!
//! Invariant: the daemon alone judges settings. Without it one can only be taken away, which leaves what the files say.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::Path,
};

use ghostllm_core::{
    admin::{ConfigChange, FORM, Reloaded},
    backup::{LARGEST_STATE, SETTINGS, SETTINGS_COPY},
    key,
    routes::Admin,
    state::{Unread, decode, encode, settings::SettingsFile},
};

use crate::{
    arguments::Context,
    client::Question,
    exit::{Exit, Failure},
    output::{self, Screen, Tone},
    reload,
    restore::{
        place::{self, Place},
        replace::Wanted,
    },
};

/// Sets each name of these to the value behind it.
pub(super) async fn set(words: Vec<String>, context: &Context) -> Result<Exit, Failure> {
    let usage = |message: String| {
        Failure::new(Exit::Usage, message)
            .next("names and values in turn: ghostctl config set log.level debug")
    };
    let mut set = BTreeMap::new();
    let mut words = words.into_iter();
    while let Some(name) = words.next() {
        let Some(value) = words.next() else {
            // As the daemon's own --set takes it, people write it here as well.
            let hint = name
                .split_once('=')
                .map(|(name, value)| format!("; write {name} {value}"))
                .unwrap_or_default();
            return Err(usage(format!("the setting {name} has no value{hint}")));
        };
        if set.insert(name.clone(), value).is_some() {
            return Err(usage(format!("the setting {name} stands there twice")));
        }
    }
    ask(ConfigChange { set, unset: Vec::new() }, context).await
}

/// Keeps these no more.
pub(super) async fn unset(
    names: Vec<String>,
    state: Option<&Path>,
    context: &Context,
) -> Result<Exit, Failure> {
    let change = ConfigChange { set: BTreeMap::new(), unset: names };
    match state {
        None => ask(change, context).await,
        Some(state) => offline(&change, state, context),
    }
}

async fn ask(change: ConfigChange, context: &Context) -> Result<Exit, Failure> {
    if change.set.iter().flat_map(|(name, value)| [name, value]).any(|text| text.contains(key::PREFIX)) {
        return Err(Failure::new(
            Exit::Usage,
            "a key stands where a setting belongs; no setting holds a secret",
        )
        .next("ghostctl keys rotate ID, since arguments are seen by others on this box"));
    }
    let names: Vec<String> = change.set.keys().chain(&change.unset).cloned().collect();
    let sets = !change.set.is_empty();
    let answer =
        context.client.ask::<Reloaded>(&Question::new(Admin::ChangeConfig).body(&change).slow()).await;
    let answer = answer.map_err(|failure| next(failure, &names, sets))?;
    context.show(&answer.json, |screen| words(&answer.what, (&names, sets), screen))?;
    Ok(Exit::Well)
}

/// What to do where it was not done.
fn next(failure: Failure, names: &[String], sets: bool) -> Failure {
    if failure.exit == Exit::Unreachable && !sets {
        let names = names.join(" ");
        return failure.next(format!(
            "where kept settings keep the daemon from starting, with its state directory: ghostctl config unset {names} \
             --state-dir DIR"
        ));
    }
    failure
}

fn words(taken: &Reloaded, (names, sets): (&[String], bool), screen: &Screen) -> String {
    let now = if !sets {
        "No longer kept; what the files say counts again.".to_owned()
    } else if taken.changed.is_empty() && taken.restart.is_empty() {
        "Kept; nothing that is in use has changed.".to_owned()
    } else {
        let changed = if taken.changed.is_empty() { names } else { taken.changed.as_slice() };
        let changed: Vec<&str> = changed
            .iter()
            .map(String::as_str)
            .filter(|name| !taken.restart.iter().any(|held| held == name))
            .collect();
        if changed.is_empty() {
            "Kept.".to_owned()
        } else {
            format!("Kept, and in use: {}", changed.join(", "))
        }
    };
    screen.hanging("", Tone::Good, &now) + &reload::waiting(&taken.restart, screen)
}

/// Takes them out of the state, while no daemon has it.
fn offline(change: &ConfigChange, state: &Path, context: &Context) -> Result<Exit, Failure> {
    let mut place = Place::claim(Some(state))?;
    let kept = read(place.path())?;
    let failed = |why: String| Failure::new(Exit::Failed, why).next("ghostctl config unset --help");
    let wanted = kept
        .changed(change)
        .map_err(|why| Failure::new(Exit::NotFound, why.to_string()).next("one of those"))?;
    let text = encode(&wanted).map_err(|error| failed(error.to_string()))?;
    let files = [Wanted::new(SETTINGS, Some(text.clone())), Wanted::new(SETTINGS_COPY, Some(text))];
    place.note(&place::noted("config.set", Some(change.unset.join(", ")), "unset without the daemon"))?;
    place.replace(&files, "unset")?;
    for name in [SETTINGS, SETTINGS_COPY] {
        place.forget(name, "unset");
    }
    let done = Reloaded {
        version: FORM,
        taken: false,
        fault: None,
        changed: change.unset.clone(),
        restart: Vec::new(),
    };
    let json = serde_json::to_string(&done).unwrap_or_default();
    context.show(&json, |screen| {
        screen.hanging("", Tone::Good, &format!("No longer kept: {}", change.unset.join(", ")))
    })?;
    if !context.json {
        output::say("Next: systemctl start ghostllm, or ghostllm serve");
    }
    Ok(Exit::Well)
}

/// What is kept there, of the file or its copy.
fn read(state: &Path) -> Result<SettingsFile, Failure> {
    let mut why = "nothing is kept there".to_owned();
    for name in [SETTINGS, SETTINGS_COPY] {
        let path = state.join(name);
        let mut text = Vec::new();
        match File::open(&path).and_then(|file| file.take(LARGEST_STATE).read_to_end(&mut text)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                let message = format!("{} cannot be read: {error}", path.display());
                return Err(Failure::new(Exit::Failed, message).next("the same command with sudo"));
            }
            Ok(_) => {}
        }
        match decode::<SettingsFile>(&text) {
            Ok(decoded) => return Ok(decoded.value),
            Err(Unread::Damaged(damage)) => why = format!("{} is damaged: {damage}", path.display()),
            Err(Unread::Newer(version)) => {
                let message = format!("{} is of version {version}, of a newer ghostllm", path.display());
                return Err(
                    Failure::new(Exit::Failed, message).next("install that one, then the same command again")
                );
            }
        }
    }
    let there = fs::symlink_metadata(state.join(SETTINGS)).is_ok();
    let failure = Failure::new(if there { Exit::Failed } else { Exit::NotFound }, why);
    Err(failure.next(format!("look into {}: ls -l", state.display())))
}
