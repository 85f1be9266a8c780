//! What is printed with `--json`, against the schema that is given out with the API.

use ghostllm_core::admin;
use serde_json::Value;

use crate::{
    Ran,
    canned::{Daemon, KEY, REQUEST, usual},
    doctor::{self, House},
    documents::render::forms::FORMS,
    ghostctl,
    typed::Home,
};

/// Whether `value` is valid, for the words of JSON Schema that are in use here; another word is a failure of the test.
fn valid(schema: &Value, root: &Value, value: &Value) -> bool {
    let Some(words) = schema.as_object() else { return schema.as_bool().unwrap() };
    words.iter().all(|(word, rule)| match word.as_str() {
        "$schema" | "title" | "description" | "default" | "format" => true,
        "$ref" => {
            let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
            valid(root.pointer(pointer).unwrap(), root, value)
        }
        "type" => match rule.as_array() {
            Some(kinds) => kinds.iter().any(|kind| is(kind.as_str().unwrap(), value)),
            None => is(rule.as_str().unwrap(), value),
        },
        "enum" => rule.as_array().unwrap().contains(value),
        "const" => rule == value,
        "anyOf" => rule.as_array().unwrap().iter().any(|schema| valid(schema, root, value)),
        "oneOf" => rule.as_array().unwrap().iter().filter(|schema| valid(schema, root, value)).count() == 1,
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| valid(rule, root, item))),
        "required" => value.as_object().is_none_or(|object| {
            rule.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
        }),
        "properties" => value.as_object().is_none_or(|object| {
            object.iter().all(|(key, value)| rule.get(key).is_none_or(|schema| valid(schema, root, value)))
        }),
        "additionalProperties" => {
            let known = schema["properties"].as_object();
            let others = |key: &&String| known.is_none_or(|known| !known.contains_key(*key));
            value.as_object().is_none_or(|object| {
                object.iter().filter(|(key, _)| others(key)).all(|(_, value)| valid(rule, root, value))
            })
        }
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
        other => panic!("the schema uses {other}, which is not checked here"),
    })
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("type {other}"),
    }
}

pub(crate) fn fits(form: &str, value: &Value) -> bool {
    let root: Value = serde_json::from_str(&admin::schema()).unwrap();
    valid(&root["$defs"][form], &root, value)
}

/// The form that the man page of this command names.
fn form_of(arguments: &[&str]) -> &'static str {
    let words = arguments.join(" ");
    let named =
        FORMS.iter().find(|(command, _)| words == *command || words.starts_with(&format!("{command} ")));
    named.unwrap_or_else(|| panic!("no man page names a form for {words}")).1
}

#[test]
fn every_answer_in_json_is_one_line_of_its_form() {
    let daemon = Daemon::well();
    for arguments in [
        &["status"][..],
        &["keys", "ls"],
        &["keys", "create", "x"],
        &["keys", "first"],
        &["keys", "rotate", "Ab3dE6gH"],
        &["keys", "revoke", "Ab3dE6gH", "--yes"],
        &["models", "ls"],
        &["models", "ps"],
        &["backends", "ls"],
        &["backends", "test"],
        &["backends", "test", "vllm"],
        &["requests", "ls"],
        &["requests", "cancel", REQUEST, "--yes"],
        &["tasks"],
        &["usage"],
        &["gpu"],
        &["gpu", "history"],
        &["cert", "show"],
        &["cert", "export"],
        &["cert", "fingerprint"],
        &["cert", "renew"],
        &["cert", "renew", "--new-ca", "--yes"],
        &["config", "show"],
        &["config", "check"],
        &["config", "set", "log.level", "debug"],
        &["config", "unset", "log.level"],
        &["reload"],
        &["audit"],
        &["version"],
    ] {
        let form = form_of(arguments);
        let mut with = arguments.to_vec();
        with.push("--json");
        let ran = ghostctl(&daemon.socket, &with);
        assert!(ran.err.is_empty(), "{arguments:?}: {}", ran.err);
        assert_eq!(ran.out.matches('\n').count(), 1, "{arguments:?}: {}", ran.out);
        assert!(!ran.out.trim_end().chars().any(char::is_control), "{arguments:?}: {:?}", ran.out);
        let value: Value = serde_json::from_str(&ran.out).unwrap();
        assert!(fits(form, &value), "{arguments:?} is no {form}: {value:#}");
        assert_eq!(value["version"], 1, "{arguments:?}");
    }
}

#[test]
fn a_file_is_written_whether_programs_are_told_or_people() {
    let (daemon, dir) = (Daemon::well(), tempfile::tempdir().unwrap());
    let file = dir.path().join("ca.pem");
    let ran = ghostctl(&daemon.socket, &["cert", "export", &file.display().to_string(), "--json"]);
    check(&ran, "Certificates");
    assert!(std::fs::read_to_string(file).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
}

/// One line, of this form.
fn check(ran: &Ran, form: &str) -> Value {
    assert_eq!(ran.out.matches('\n').count(), 1, "{ran:?}");
    assert!(!ran.out.trim_end().chars().any(char::is_control), "{ran:?}");
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(fits(form, &value) && value["version"] == 1, "no {form}: {value:#}");
    value
}

#[test]
fn what_is_made_beside_the_daemon_is_one_line_of_its_form_as_well() {
    let (house, daemon) = (House::well(), doctor::daemon());
    let report = check(&house.doctor(&daemon.socket, &["--json"]), "DoctorReport");
    assert!(report["checks"].as_array().unwrap().len() >= 25, "{report}");
    // Where hardly anything can be looked at.
    let nobody = house.doctor(std::path::Path::new("/nowhere/admin.sock"), &["--json"]);
    let mut report = check(&nobody, "DoctorReport");
    report["checks"][0]["result"] = "well".into();
    assert!(!fits("DoctorReport", &report));

    let home = Home::new();
    let ran = home.backup("a.backup", &["--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    let mut manifest = check(&ran, "Manifest");
    let ran = home.restore("a.backup", &["--list", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(check(&ran, "Manifest"), manifest);
    manifest["files"][0]["size"] = "1".into();
    assert!(!fits("Manifest", &manifest));
    for number in [0, 1] {
        let ran = home.restore("a.backup", &["--json", "--yes"]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
        let mut restored = check(&ran, "Restored");
        assert_eq!(restored["before"].as_array().unwrap().is_empty(), number == 0, "{restored}");
        restored["before"] = Value::Null;
        assert!(!fits("Restored", &restored));
    }
}

#[test]
fn the_checker_refuses_what_is_not_of_the_form() {
    let status = usual("GET /status").unwrap();
    assert!(fits("Status", &status));
    for (field, wrong) in
        [("condition", "well".into()), ("pid", "1".into()), ("models", (-1).into()), ("causes", Value::Null)]
    {
        let mut broken = status.clone();
        broken[field] = wrong;
        assert!(!fits("Status", &broken), "{field}");
    }
    let mut short = status;
    short.as_object_mut().unwrap().remove("host");
    assert!(!fits("Status", &short));
}

#[test]
fn answers_are_passed_on_with_every_field_that_the_daemon_wrote() {
    let daemon = Daemon::well();
    let ran = ghostctl(&daemon.socket, &["models", "ps", "--json"]);
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    let models = value["models"].as_array().unwrap();
    assert_eq!(models.len(), 1, "only those with requests");
    assert_eq!(models[0]["new_here"], true);

    let ran = ghostctl(&daemon.socket, &["keys", "create", "x", "--json"]);
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&value["id"], &value["key"]), (&"Ab3dE6gH".into(), &KEY.into()));
}

#[test]
fn every_failure_in_json_is_of_its_form() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none.sock");
    let daemon = Daemon::well();
    for (socket, arguments) in [
        (&missing, &["status", "--json"][..]),
        (&daemon.socket, &["keys", "revoke", "gllm_x", "--yes", "--json"]),
        (&daemon.socket, &["backends", "test", "nobody", "--json"]),
        (&daemon.socket, &["stauts", "--json"]),
    ] {
        let ran = ghostctl(socket, arguments);
        let value: Value = serde_json::from_str(ran.out.trim()).unwrap();
        assert!(ran.code != Some(0) && fits("Refused", &value), "{arguments:?}: {value:#}");
    }
}

#[test]
fn an_answer_of_a_later_form_is_not_read_as_if_it_were_of_this_one() {
    let daemon = Daemon::with("GET /keys", 200, r#"{"version":2,"keys":[]}"#.to_owned());
    let ran = ghostctl(&daemon.socket, &["keys", "ls"]);
    assert!(ran.code == Some(1) && ran.err.contains("form 2"), "{}", ran.err);
}
