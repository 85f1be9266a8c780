//! Ollama: whether it answers, who can reach it past GhostLLM, and whether what it is asked may leave the box.
//!
//! Knows its port, its variables and its unit with the drop-ins beside that. Refuses to speak to it. Invariant: a drop-in is offered and
//! never forced; what an administrator's own drop-in says is named and left alone; an Ollama is bound to another address only where others
//! reach it, and never to another port.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use super::{
    Check, Finding, Needs, ask,
    ports::{Bound, Holder, bound},
    repair::{Repair, Step},
    seen::Seen,
    service::PLACES,
};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "ollama",
        looks_at: "Ollama answers at 127.0.0.1:11434",
        needs: Needs::Nothing,
        look: answers,
    },
    Check {
        id: "ollama_exposed",
        looks_at: "Ollama listens to this box alone",
        needs: Needs::Nothing,
        look: exposed,
    },
    Check {
        id: "ollama_cloud",
        looks_at: "Ollama's unit, where there is one, keeps its cloud off",
        needs: Needs::Nothing,
        look: cloud,
    },
];

const PORT: u16 = 11434;
const UNIT: &str = "ollama.service";
/// Ours, in the directory of drop-ins that belongs to administrators.
const DROP_IN: &str = "/etc/systemd/system/ollama.service.d/ghostllm.conf";
/// Where it listens.
const HOST: &str = "OLLAMA_HOST";
/// With it, no model of its maker's cloud answers.
const NO_CLOUD: &str = "OLLAMA_NO_CLOUD";
/// The settings of the user that its installer makes; `disable_ollama_cloud` there says the same.
const SETTINGS: &str = "/usr/share/ollama/.ollama/server.json";
const HEAD: &str = "# By ghostctl doctor --fix. To undo it: remove this file, systemctl daemon-reload, systemctl restart ollama.\n";

fn here() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))
}

fn answers(seen: &Seen) -> Vec<Finding> {
    let listens = bound(seen, "tcp").iter().any(|socket| socket.address.port() == PORT);
    // Elsewhere, what listens here says nothing.
    if listens && (!seen.is_this_system() || ask::answers(here())) {
        return Vec::new();
    }
    vec![Finding::note(
        "nobody answers at 127.0.0.1:11434, where Ollama would be",
        "its models are not to be had; nothing is amiss where other backends are configured",
        "ollama serve, or systemctl start ollama",
    )]
}

/// The socket at its port that others reach.
fn open(seen: &Seen) -> Option<Bound> {
    bound(seen, "tcp")
        .into_iter()
        .find(|socket| socket.address.port() == PORT && !socket.address.ip().is_loopback())
}

fn exposed(seen: &Seen) -> Vec<Finding> {
    let Some(socket) = open(seen) else { return Vec::new() };
    let what = format!("Ollama's port listens at {}, not only to this box", socket.address);
    let why = "whoever reaches that address uses and deletes its models without a key, past GhostLLM";
    let unit = Unit::read(seen).filter(|unit| unit.has(seen, &socket));
    let found = |fix: String| Finding::warning(what.clone(), why, fix);
    let by_hand = "set OLLAMA_HOST=127.0.0.1 where Ollama is started (systemctl edit ollama), then systemctl restart ollama";
    vec![match unit {
        None => found(by_hand.to_owned()),
        Some(unit) => match (unit.said(HOST), unit.offer(seen, HOST)) {
            (_, Some(repair)) => {
                found(format!("sudo ghostctl doctor --fix, which writes {DROP_IN}; or {by_hand}"))
                    .mended_by(repair)
            }
            (Some((value, file)), None) => found(format!(
                "{} says OLLAMA_HOST={value}; have it say OLLAMA_HOST=127.0.0.1:11434, then systemctl daemon-reload; systemctl restart ollama",
                file.display()
            )),
            (None, None) => found(by_hand.to_owned()),
        },
    }]
}

fn cloud(seen: &Seen) -> Vec<Finding> {
    let Some(unit) = Unit::read(seen) else { return Vec::new() };
    if unit.said(NO_CLOUD).is_some_and(|(value, _)| is_on(value)) || settings_say_so(seen) {
        return Vec::new();
    }
    let found = |fix: String| {
        Finding::note(
            "Ollama's unit does not switch its maker's cloud off",
            "what a model of that cloud is asked leaves this box, for whoever asks Ollama itself",
            fix,
        )
    };
    let by_hand = "set OLLAMA_NO_CLOUD=1 where Ollama is started (systemctl edit ollama), then systemctl restart ollama";
    vec![match unit.offer(seen, NO_CLOUD) {
        Some(repair) => found(format!("sudo ghostctl doctor --fix, which writes {DROP_IN}; or {by_hand}"))
            .mended_by(repair),
        None => found(by_hand.to_owned()),
    }]
}

fn settings_say_so(seen: &Seen) -> bool {
    let text = seen.read(SETTINGS).unwrap_or_default();
    let settings: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    settings.get("disable_ollama_cloud").and_then(serde_json::Value::as_bool) == Some(true)
}

/// As Go's `strconv.ParseBool` has it; what that does not know, Ollama takes for yes.
fn is_on(value: &str) -> bool {
    !matches!(value.trim(), "" | "0" | "f" | "F" | "false" | "FALSE" | "False")
}

/// Ollama's unit: its variables, each with the file that has said it last.
struct Unit {
    variables: BTreeMap<String, (String, PathBuf)>,
    /// The file itself, without its drop-ins.
    main: PathBuf,
}

impl Unit {
    /// None where there is none.
    fn read(seen: &Seen) -> Option<Self> {
        let main = PLACES.iter().map(|place| seen.path(place).join(UNIT)).find(|path| path.exists())?;
        // Of two drop-ins of one name the one in the first place counts, and all go by their names.
        let mut drop_ins: BTreeMap<_, PathBuf> = BTreeMap::new();
        for place in PLACES {
            let folder = seen.path(place).join(format!("{UNIT}.d"));
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().extension().is_some_and(|extension| extension == "conf") {
                    drop_ins.entry(entry.file_name()).or_insert_with(|| entry.path());
                }
            }
        }
        let (mut variables, mut named) = (BTreeMap::new(), Vec::new());
        for file in std::iter::once(&main).chain(drop_ins.values()) {
            let text = fs::read_to_string(file).unwrap_or_default();
            for line in text.lines().map(str::trim) {
                if let Some(assigned) = line.strip_prefix("Environment=") {
                    assign(&mut variables, assigned, file);
                } else if let Some(name) = line.strip_prefix("EnvironmentFile=").map(str::trim) {
                    match name.trim_start_matches('-') {
                        "" => named.clear(),
                        name => named.push(seen.path(name)),
                    }
                }
            }
        }
        // What they say counts before any `Environment=`, wherever that stands.
        for file in named {
            let text = fs::read_to_string(&file).unwrap_or_default();
            variables.extend(in_file(&text).map(|(name, value)| (name, (value, file.clone()))));
        }
        Some(Self { variables, main })
    }

    fn said(&self, name: &str) -> Option<(&str, &Path)> {
        self.variables.get(name).map(|(value, file)| (value.as_str(), file.as_path()))
    }

    /// Whether the socket at Ollama's usual port is this unit's, as far as can be seen: a container's, say, is beyond a drop-in, and so is
    /// what listens there while the unit has another port.
    fn has(&self, seen: &Seen, socket: &Bound) -> bool {
        let port = self.said(HOST).map_or(PORT, |(value, _)| port_of(value));
        port == PORT && Holder::of(seen, socket).is_none_or(|holder| holder.unit.as_deref() == Some(UNIT))
    }

    /// The drop-in with what no administrator's drop-in says, or what has one take effect that is there already; none where neither would
    /// mend the variable that is wanted. Where it listens is in it only where others reach it there.
    fn offer(&self, seen: &Seen, wanted: &str) -> Option<Repair> {
        let path = seen.path(DROP_IN);
        let mut steps =
            vec![Step::of(&["systemctl", "daemon-reload"]), Step::of(&["systemctl", "try-restart", UNIT])];
        // One that listens elsewhere never would.
        if seen.is_this_system() && bound(seen, "tcp").iter().any(|socket| socket.address.port() == PORT) {
            steps.push(Step::Answers(here()));
        }
        let address = here().to_string();
        if fs::symlink_metadata(&path).is_ok() {
            // It says so, and who runs has not heard of it.
            let unheard = wanted == HOST
                && self.said(HOST).is_some_and(|(value, file)| value == address && file == path);
            return unheard.then(|| Repair::Run { steps, changes: seen.path("/etc") });
        }
        let free = |name: &str| self.said(name).is_none_or(|(_, file)| file == self.main);
        if !free(wanted) {
            return None;
        }
        let is_open = open(seen).is_some_and(|socket| self.has(seen, &socket));
        let mut text = format!("{HEAD}[Service]\n");
        for (name, value, is_amiss) in [(HOST, address.as_str(), is_open), (NO_CLOUD, "1", true)] {
            if is_amiss && free(name) {
                text.push_str(&format!("Environment={name}={value}\n"));
            }
        }
        Some(Repair::Write { path, text, steps })
    }
}

/// The port of an `OLLAMA_HOST`, as Ollama reads it (envconfig's `Host`): `[SCHEME://][HOST][:PORT][/PATH]`.
fn port_of(value: &str) -> u16 {
    let value = value.trim().trim_matches(['"', '\'']);
    let (usual, rest) = match value.split_once("://") {
        Some(("http", rest)) => (80, rest),
        Some(("https", rest)) => (443, rest),
        Some((_, rest)) => (PORT, rest),
        None => (PORT, value),
    };
    let host = rest.split('/').next().unwrap_or_default();
    // The colons of an address of IPv6 without brackets are its own.
    if host.parse::<IpAddr>().is_ok() {
        return usual;
    }
    host.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(usual)
}

/// `Environment=` of a unit's file: an empty one takes back what was said before it.
fn assign(variables: &mut BTreeMap<String, (String, PathBuf)>, assigned: &str, file: &Path) {
    if assigned.trim().is_empty() {
        variables.clear();
    }
    for (name, value) in words(assigned).iter().filter_map(|word| word.split_once('=')) {
        variables.insert(name.to_owned(), (value.to_owned(), file.to_path_buf()));
    }
}

/// The variables of a file that `EnvironmentFile=` names, one a line (systemd.exec(5)).
fn in_file(text: &str) -> impl Iterator<Item = (String, String)> {
    text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])).filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim();
        let bare = ['"', '\''].iter().find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote));
        Some((name.trim().to_owned(), bare.unwrap_or(value).to_owned()))
    })
}

/// The words of a line, of which quotes hold some together (systemd.syntax(7)).
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, letter) if letter.is_whitespace() => words.push(std::mem::take(&mut word)),
            (_, letter) => word.push(letter),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_line_are_told_apart_as_systemd_does() {
        assert_eq!(words(r#" "PATH=/a b" X=1  'Y=2 3' "#), ["PATH=/a b", "X=1", "Y=2 3"]);
        assert!(words("").is_empty());
    }

    #[test]
    fn a_file_of_variables_has_one_a_line_bare_or_in_quotes() {
        let text = "# A=0\n;B=0\nOLLAMA_HOST=\"0.0.0.0:11434\"\n C = two words \n'D=\n\n";
        let read: Vec<_> = in_file(text).collect();
        let said = [("OLLAMA_HOST", "0.0.0.0:11434"), ("C", "two words"), ("'D", "")];
        assert_eq!(read, said.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn the_port_is_that_which_ollama_takes() {
        for (value, port) in [
            ("", 11434),
            ("0.0.0.0", 11434),
            ("[::]", 11434),
            ("::1", 11434),
            ("localhost:x", 11434),
            ("127.0.0.1:12345", 12345),
            ("[::1]:12345", 12345),
            (" \":12345\" ", 12345),
            ("http://box:12345/path", 12345),
            ("http://box", 80),
            ("https://box/", 443),
        ] {
            assert_eq!(port_of(value), port, "{value}");
        }
    }

    #[test]
    fn a_switch_is_off_by_the_words_of_ollama_alone() {
        for (value, on) in
            [("1", true), ("true", true), ("yes", true), ("0", false), ("false", false), ("", false)]
        {
            assert_eq!(is_on(value), on, "{value}");
        }
    }
}
