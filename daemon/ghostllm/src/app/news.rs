//! Which backends come and go, for whoever follows the events, and what is amiss with them, for the service manager.
//!
//! Knows what was seen last. Refuses to ask a backend. Invariant: each change is told once.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};

use super::Standing;
use crate::{
    admin::events::Journal,
    backend::{
        amiss,
        registry::{Known, Registry},
    },
};

/// Tells both.
pub(super) async fn backends_told(registry: &Registry, journal: &Journal, standing: &Standing) {
    let (mut snapshots, mut seen) = (registry.watch(), None);
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        for news in news(&mut seen, snapshot.backends()) {
            journal.say("backend", news);
        }
        standing.engines(&amiss::causes(&snapshot));
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

/// Where the backends of these names are, and whether they answered when they were last asked.
type Seen = HashMap<String, (String, Option<bool>)>;

/// What is new of the backends: one that is up, down, added, changed or removed.
fn news(seen: &mut Option<Seen>, now: &[Known]) -> Vec<Value> {
    let (first, mut before) = (seen.is_none(), seen.take().unwrap_or_default());
    let (mut after, mut news) = (Seen::new(), Vec::new());
    for known in now {
        let (name, place) = (known.backend().name(), known.backend().place());
        let up = known.is_asked().then(|| known.is_up());
        let there = before.remove(name);
        let what = match &there {
            None if !first => Some("added"),
            Some((old, _)) if old != place => Some("changed"),
            Some((_, old)) if up.is_none() || *old == up => None,
            _ => up.map(|up| if up { "up" } else { "down" }),
        };
        if let Some(what) = what {
            let fault = known.fault().map(ToString::to_string);
            news.push(json!({"name": name, "what": what, "up": up, "fault": fault}));
        }
        let old = there.filter(|(old, _)| old == place).and_then(|(_, up)| up);
        after.insert(name.to_owned(), (place.to_owned(), up.or(old)));
    }
    news.extend(
        before.keys().map(|name| json!({"name": name, "what": "removed", "up": null, "fault": null})),
    );
    *seen = Some(after);
    news
}
