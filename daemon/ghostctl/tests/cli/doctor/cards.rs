//! Faults of the cards, by what the daemon says of them.

use ghostllm_core::admin::DoctorResult;
use serde_json::json;

use super::{Fault, House, changed, fault};
use crate::canned::{Daemon, refusal, response, usual};

fn away(cause: &'static str, words: &'static str) -> Daemon {
    changed("GET /gpu", move |answer| {
        answer["cards"] = json!([]);
        answer["missing"] = json!([{ "maker": "nvidia", "cause": cause, "fault": true, "words": words }]);
    })
}

fn card(change: impl Fn(&mut serde_json::Value) + Send + Sync + 'static) -> Option<Daemon> {
    Some(changed("GET /gpu", move |answer| change(&mut answer["cards"][0])))
}

pub(super) fn faults() -> Vec<Fault> {
    use DoctorResult::{Error, Note, Warning};
    vec![
        fault("gpu_driver", Error, "sudo modprobe nvidia", |_| {
            Some(away(
                "driver_not_loaded",
                "NVIDIA's driver is installed but not loaded; run sudo modprobe nvidia",
            ))
        }),
        fault("gpu_driver", Error, "restart the machine", |_| {
            Some(away(
                "version_mismatch",
                "library and driver are of different versions; restart the machine",
            ))
        }),
        fault("gpu_permission", Error, "ls -l /dev/nvidia*", |_| {
            Some(away("no_permission", "this user may not use the cards; ls -l /dev/nvidia* shows who may"))
        }),
        fault("gpu_lost", Error, "restart the machine", |_| {
            card(|card| {
                card["state"] = json!("lost");
                card["faults"]["xid"] = json!({ "value": 79 });
            })
        }),
        fault("gpu_lost", Error, "nvidia-smi", |_| card(|card| card["state"] = json!("stale"))),
        fault("gpu_heat", Warning, "nvidia-smi -i 0000:01:00.0 -pl 630", |_| {
            card(|card| {
                card["state"] = json!("throttled_by_heat");
                card["throttles"] = json!({ "value": [{ "reason": "hard_heat", "words": "it is hot" }] });
            })
        }),
        fault("gpu_memory", Warning, "--gpu-reset", |_| {
            card(|card| card["faults"]["rows_pending"] = json!({ "value": true }))
        }),
        fault("gpu_memory", Error, "ROW_REMAPPER", |_| {
            card(|card| card["faults"]["rows_failed"] = json!({ "value": true }))
        }),
        fault("gpu_memory", Warning, "have the card replaced", |_| {
            card(|card| card["faults"]["ecc_uncorrected"] = json!({ "value": 2 }))
        }),
        fault("gpu_link", Warning, "put the card anew into its slot", |_| {
            card(|card| card["link"]["lanes"] = json!({ "value": 4 }))
        }),
        fault("gpu_xid", Note, "update it and the driver", |_| {
            card(|card| card["faults"]["xid"] = json!({ "value": 31 }))
        }),
    ]
}

/// What cannot be looked at never passes for sound.
#[test]
fn cards_that_nobody_sees_are_not_said_to_be_well() {
    let words = "the driver is not loaded; load it";
    let away = away("driver_not_loaded", words);
    let (_, report) = House::well().report(&away.socket);
    let unseen = report.checks.iter().filter(|check| check.what.starts_with("not looked at"));
    let unseen: Vec<_> = unseen.map(|check| check.id.as_str()).filter(|id| id.starts_with("gpu_")).collect();
    assert_eq!(unseen, ["gpu_permission", "gpu_lost", "gpu_heat", "gpu_memory", "gpu_link", "gpu_xid"]);

    let old = Daemon::answering(|asked| match asked.line.as_str() {
        "GET /gpu" => refusal(404, "Nothing has this path.", "route_not_found"),
        line => usual(line).map_or_else(
            || response(200, r#"{"version":1,"routes":[],"entries":[],"more":false}"#),
            |answer| response(200, &answer.to_string()),
        ),
    });
    let (_, report) = House::well().report(&old.socket);
    let result = |id: &str| report.checks.iter().find(|check| check.id == id).map(|check| check.result);
    assert_eq!(result("gpu_driver"), Some(DoctorResult::Warning), "{report:?}");
    assert_eq!(result("gpu_heat"), Some(DoctorResult::Note), "{report:?}");
}

#[test]
fn a_box_without_a_card_is_well() {
    let none = changed("GET /gpu", |answer| {
        answer["cards"] = json!([]);
        let words = "no NVIDIA driver is installed; without such a card nothing is missing";
        answer["missing"] =
            json!([{ "maker": "nvidia", "cause": "no_library", "fault": false, "words": words }]);
    });
    let (code, report) = House::well().report(&none.socket);
    assert_eq!(code, Some(0), "{report:?}");
    assert!(
        report
            .checks
            .iter()
            .filter(|check| check.id.starts_with("gpu_"))
            .all(|check| check.result == DoctorResult::Ok)
    );
}
