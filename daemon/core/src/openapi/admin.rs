//! The routes of the admin API.

use serde_json::json;

use super::fails::ACT;
use super::operation::{Answer, Body, Operation, Parameter, Tag};
use super::schemas::Schemas;
use crate::admin::{
    AuditLog, BackendInfo, BackendList, Cancelled, Certificates, Checked, ConfigChange, ConfigShown, Event,
    FirstKey, GpuHistory, GpuReport, KeyList, ListenerList, MadeKey, ModelList, NewKey, Reloaded, Renewed,
    RequestList, Rotation, RouteList, Status, TaskList, UsageReport,
};
use crate::error::Code;
use crate::routes::Admin;
use crate::usage::{DAYS, MOST_DAYS};

fn plain(id: &'static str, summary: &'static str, about: &'static str) -> Operation {
    Operation::new(id, Tag::Admin, summary, about)
}

/// One that is in the audit log.
fn act(id: &'static str, summary: &'static str, about: &str) -> Operation {
    let about = format!("{about} It is in the audit log, done or not.");
    Operation::new(id, Tag::Admin, summary, about).fails(&ACT)
}

pub(super) fn operation(endpoint: Admin, schemas: &mut Schemas) -> Operation {
    match endpoint {
        Admin::Status => plain("getStatus", "How the box is", "With what is amiss, and what to do about it.")
            .gives(Answer::json::<Status>("How it is.", schemas)),
        Admin::Listeners => plain("listListeners", "Where it listens", "")
            .gives(Answer::json::<ListenerList>("The listeners.", schemas)),
        Admin::Certificates => plain("getCertificates", "What it shows, and under which CA", "")
            .gives(Answer::json::<Certificates>("The certificates.", schemas)),
        Admin::Backends => plain("listBackends", "Where models are", "")
            .gives(Answer::json::<BackendList>("The backends.", schemas)),
        Admin::Models => {
            plain("listAllModels", "All models, with their backends", "")
                .gives(Answer::json::<ModelList>("The models.", schemas))
        }
        Admin::Requests => {
            plain("listRequests", "What is being answered", "")
                .gives(Answer::json::<RequestList>("The requests.", schemas))
        }
        Admin::Tasks => plain("listTasks", "What runs beside the requests", "")
            .gives(Answer::json::<TaskList>("The tasks.", schemas)),
        Admin::Config => {
            plain("getConfig", "Every setting, its value and its place", "No setting holds a secret.")
                .gives(Answer::json::<ConfigShown>("The settings.", schemas))
        }
        Admin::Keys => plain("listKeys", "Every key, without its secret", "")
            .gives(Answer::json::<KeyList>("The keys.", schemas)),
        Admin::Routes => plain("listRoutes", "The table of routes", "With what each needs.")
            .gives(Answer::json::<RouteList>("The routes.", schemas)),
        Admin::Usage => usage(schemas),
        Admin::Gpu => plain(
            "getGpu",
            "What the graphics cards say, and what is done about their heat",
            "A reading that is missing says why.",
        )
        .gives(Answer::json::<GpuReport>("The governor and the cards.", schemas)),
        Admin::GpuHistory => gpu_history(schemas),
        Admin::Audit => audit(schemas),
        Admin::Backup => backup(),
        Admin::Events => events(schemas),
        Admin::TestBackend
        | Admin::CancelRequest
        | Admin::Reload
        | Admin::ChangeConfig
        | Admin::CheckConfig
        | Admin::RenewCertificate
        | Admin::RenewAuthority => change(endpoint, schemas),
        Admin::MakeKey | Admin::FirstKey | Admin::RotateKey | Admin::RevokeKey => key(endpoint, schemas),
    }
}

fn change(endpoint: Admin, schemas: &mut Schemas) -> Operation {
    match endpoint {
        Admin::TestBackend => act("testBackend", "Ask a backend now whether it answers", "It is waited for.")
            .of("The backend's name.")
            .gives(Answer::json::<BackendInfo>("How it is.", schemas))
            .fails(&[Code::NotFound]),
        Admin::CancelRequest => act("cancelRequest", "End a request", "Its client is told so.")
            .of("The request's id, as the list of requests has it.")
            .gives(Answer::json::<Cancelled>("It ends.", schemas))
            .fails(&[Code::NotFound]),
        Admin::Reload => act(
            "reload",
            "Take the configuration that is on disk",
            "Whole, or not at all where it has a fault.",
        )
        .gives(Answer::json::<Reloaded>("It is in use.", schemas))
        .fails(&[Code::Conflict]),
        Admin::ChangeConfig => act(
            "changeConfig",
            "Change settings, and keep that",
            "Settings that name files are changed over the admin's socket alone.",
        )
        .takes(Body {
            form: schemas.taken::<ConfigChange>(),
            required: true,
            about: "What is changed.",
            examples: vec![("a limit", json!({"set": {"limits.drain_grace": "60s"}}))],
        })
        .gives(Answer::json::<Reloaded>("It is in use.", schemas))
        .fails(&[Code::Conflict]),
        Admin::RenewAuthority => {
            act("renewAuthority", "A new CA, and a certificate under it", "Every client must then trust it.")
                .gives(Answer::json::<Renewed>("They are shown.", schemas))
                .fails(&[Code::Conflict, Code::StillGoing])
        }
        Admin::RenewCertificate => {
            act("renewCertificate", "A new certificate under the same CA", "No connection is lost.")
                .gives(Answer::json::<Renewed>("It is shown.", schemas))
                .fails(&[Code::Conflict, Code::StillGoing])
        }
        // Whether what is on disk is sound changes nothing, and is no act.
        _ => {
            plain("checkConfig", "Whether the configuration that is on disk is sound", "Nothing is changed.")
                .gives(Answer::json::<Checked>("What was found.", schemas))
        }
    }
}

fn key(endpoint: Admin, schemas: &mut Schemas) -> Operation {
    match endpoint {
        Admin::RotateKey => {
            act("rotateKey", "A new key in the place of another", "The old one is taken for a while.")
                .of("The old key's id.")
                .takes(Body {
                    form: schemas.taken::<Rotation>(),
                    required: false,
                    about: "For how long the old one is taken.",
                    examples: Vec::new(),
                })
                .gives(Answer::json::<MadeKey>("The new key, shown once.", schemas))
                .fails(&[Code::NotFound, Code::Conflict])
        }
        Admin::RevokeKey => act("revokeKey", "End a key", "What it has begun ends with it, within a second.")
            .of("The key's id.")
            .gives(Answer::json::<KeyList>("The keys that are left.", schemas))
            .fails(&[Code::NotFound]),
        Admin::FirstKey => act("firstKey", "The first key, once", "The one that the first start has made.")
            .gives(Answer::json::<FirstKey>("The key.", schemas))
            .fails(&[Code::NotFound]),
        _ => act("createKey", "A new key", "With a role, or with scopes.")
            .takes(Body {
                form: schemas.taken::<NewKey>(),
                required: true,
                about: "What it is called, and what it may do.",
                examples: vec![(
                    "for chats",
                    json!({"name": "laptop", "scopes": ["chat", "models"], "expires_in_s": 2_592_000}),
                )],
            })
            .gives(Answer::json::<MadeKey>("The key, shown once.", schemas))
            .fails(&[Code::Conflict]),
    }
}

fn usage(schemas: &mut Schemas) -> Operation {
    let about = "Counts are the engines' own; where one gives none, or was left before, they are estimated, and told as such. Days are \
                 of UTC. A parameter of another name is refused.";
    let parameter = |name, about, form| Parameter { name, place: "query", about, form };
    let day = || json!({"type": "string", "format": "date", "examples": ["2026-11-28"]});
    let text = || json!({"type": "string", "minLength": 1});
    plain("getUsage", "What requests have used, by key, model and day", about)
        .parameter(parameter(
            "days",
            "So many days, the last of them included. Not together with `from`.",
            json!({"type": "integer", "minimum": 1, "maximum": MOST_DAYS, "default": DAYS}),
        ))
        .parameter(parameter("from", "From this day on.", day()))
        .parameter(parameter("to", "To this day, it included; today where it is left out.", day()))
        .parameter(parameter(
            "key",
            "Of this key alone, by its id or name, or of whoever needs none (`local`, `uid N`).",
            text(),
        ))
        .parameter(parameter("model", "Of this model alone, by any name that it is asked for by.", text()))
        .parameter(parameter(
            "by",
            "What rows are told apart by, of `day`, `key` and `model`, with commas between; the rest is summed up.",
            json!({"type": "string", "default": "day,key,model", "pattern": "^(day|key|model)(,(day|key|model))*$"}),
        ))
        .gives(Answer::json::<UsageReport>("The counts.", schemas))
        .fails(&[Code::InvalidValue])
}

fn gpu_history(schemas: &mut Schemas) -> Operation {
    plain(
        "getGpuHistory",
        "What a card has been through",
        "Ten minutes by the second, or a day by the minute.",
    )
    .parameter(Parameter {
        name: "card",
        place: "query",
        about: "The card's `index`.",
        form: json!({"type": "integer", "minimum": 0, "default": 0}),
    })
    .parameter(Parameter {
        name: "span",
        place: "query",
        about: "How far back.",
        form: json!({"type": "string", "enum": ["10m", "24h"], "default": "10m"}),
    })
    .gives(Answer::json::<GpuHistory>("The card's history.", schemas))
    .fails(&[Code::InvalidValue, Code::NotFound])
}

fn audit(schemas: &mut Schemas) -> Operation {
    plain("readAudit", "Who has done what", "")
        .parameter(Parameter {
            name: "last",
            place: "query",
            about: "So many of the newest entries.",
            form: json!({"type": "integer", "minimum": 1, "maximum": 10_000, "default": 100}),
        })
        .gives(Answer::json::<AuditLog>("The entries.", schemas))
        .fails(&[Code::InvalidValue])
}

fn backup() -> Operation {
    let about = "Over the admin's socket alone, whatever a key may do. ghostctl backup encrypts it.";
    act("backup", "The state's files, for a backup", about)
        .parameter(Parameter {
            name: "authority",
            place: "query",
            about: "Whether the CA's key is among them.",
            form: json!({"type": "boolean", "default": false}),
        })
        .gives(Answer::new(
            "The files, in a tar.",
            "application/x-tar",
            json!({"type": "string", "format": "binary"}),
        ))
}

fn events(schemas: &mut Schemas) -> Operation {
    let about = "A stream of server-sent events; each one's `id` and `event` are those of its form.";
    let answer = Answer::new(
        "The events, until one side ends it: each is a line `data:` with an object of this form.",
        "text/event-stream",
        schemas.given::<Event>(),
    );
    plain("followEvents", "What happens, as it happens", about)
        .parameter(Parameter {
            name: "Last-Event-ID",
            place: "header",
            about: "The last event that was seen: those behind it come first.",
            form: json!({"type": "string"}),
        })
        .gives(answer)
        .fails(&[Code::QueueFull])
}
