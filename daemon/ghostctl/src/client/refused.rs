//! Why a question has no answer, and what to do about it.

use std::{fmt::Display, path::Path, time::Duration};

use http::StatusCode;
use serde_json::{Map, Value};

use crate::{
    exit::{Exit, Failure},
    help, socket,
};

/// Where the daemon says more.
const LOG: &str = "journalctl -u ghostllm -e shows what the daemon said";

/// A defect of this program.
pub(super) fn odd(why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("the question cannot be written: {why}")).next("ghostctl --help")
}

/// What answers is not GhostLLM, or not any more.
pub(super) fn not_ours(path: &Path) -> Failure {
    let message = format!("what answers at {} is not GhostLLM", path.display());
    Failure::new(Exit::Failed, message).next("give the daemon's own socket with --socket")
}

/// An answer that never ends.
pub(super) fn too_long(path: &Path) -> Failure {
    let message = format!("the answer at {} is longer than any of GhostLLM's", path.display());
    Failure::new(Exit::Failed, message).next("give the daemon's own socket with --socket")
}

/// No answer in time.
pub(super) fn late(path: &Path, within: Duration, reads: bool) -> Failure {
    let seconds = within.as_secs();
    let message =
        format!("the daemon at {} did not answer within {seconds} s{}", path.display(), unknown(reads));
    Failure::new(Exit::Unreachable, message)
        .next(format!("wait longer (--timeout {}); {LOG}", seconds.saturating_mul(6).min(3600)))
}

/// A connection that ended before the answer did.
pub(super) fn broken(path: &Path, error: &(impl Display + ?Sized), reads: bool) -> Failure {
    // The library's words for a connection that was closed unread.
    let said = match error.to_string() {
        said if said.contains("canceled") => "it closed the connection".to_owned(),
        said => said,
    };
    if said.starts_with("invalid HTTP") {
        return not_ours(path);
    }
    let message = format!("the daemon at {} did not answer: {said}{}", path.display(), unknown(reads));
    Failure::new(Exit::Unreachable, message)
        .next(format!("the same command again, for it takes limits.admin_connections at once; {LOG}"))
}

/// Whoever only reads has missed nothing.
fn unknown(reads: bool) -> &'static str {
    if reads { "" } else { "; whether it was done is not known" }
}

/// The socket's mode, or the API, says no.
pub(super) fn denied(path: &Path, message: String) -> Failure {
    let next = if path == Path::new(socket::SERVICE) {
        "the same command with sudo; or sudo adduser $USER ghostllm-admin, then log in again".to_owned()
    } else {
        "the same command with sudo, or as the user who runs the daemon".to_owned()
    };
    Failure::new(Exit::Denied, message).next(next)
}

/// The commands that ask these routes, and the arguments that give these fields; a longer route stands before the one that it begins with.
const COMMANDS: &[(&str, &str)] = &[
    ("GET /admin/api/v1/certificates", "ghostctl cert show"),
    ("GET /admin/api/v1/listeners", "ghostctl status"),
    ("GET /admin/api/v1/backends", "ghostctl backends ls"),
    ("GET /admin/api/v1/backup", "ghostctl backup"),
    ("GET /admin/api/v1/requests", "ghostctl requests ls"),
    ("GET /admin/api/v1/config", "ghostctl config show"),
    ("GET /admin/api/v1/models", "ghostctl models ls"),
    ("GET /admin/api/v1/status", "ghostctl status"),
    ("GET /admin/api/v1/audit", "ghostctl audit"),
    ("GET /admin/api/v1/tasks", "ghostctl tasks"),
    ("GET /admin/api/v1/usage", "ghostctl usage"),
    ("GET /admin/api/v1/gpu/history", "ghostctl gpu history"),
    ("GET /admin/api/v1/gpu", "ghostctl gpu"),
    ("GET /admin/api/v1/keys", "ghostctl keys ls"),
    ("GET /v1/models", "ghostctl models ls"),
    ("The field 'expires_in_s'", "--expires, in seconds,"),
    ("The field 'overlap_s'", "--overlap, in seconds,"),
    ("The field 'models'", "--model"),
];

/// The API's words with the command in the place of a route, which nobody types at a terminal.
fn at_a_terminal(message: &str) -> String {
    COMMANDS.iter().fold(message.to_owned(), |message, (route, command)| message.replace(route, command))
}

/// What the API says no to, in its own words, but for the routes that these name.
pub(super) fn by_the_api(status: StatusCode, body: &str, path: &Path) -> Failure {
    let error = serde_json::from_str::<Map<String, Value>>(body).ok();
    let error = error.and_then(|mut whole| whole.remove("error"));
    let Some(Value::Object(error)) = error else {
        return Failure::new(Exit::Failed, format!("the daemon answered {status}, and not why")).next(LOG);
    };
    let message = error.get("message").and_then(Value::as_str).unwrap_or("the daemon says no, and not why");
    let message = at_a_terminal(message);
    // Words that already end with a command need no other.
    let told = message.contains('`') || message.contains("ghostctl ") || message.contains("systemctl ");
    let mut failure = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => denied(path, message),
        StatusCode::NOT_FOUND => Failure::new(Exit::NotFound, message),
        // What was given cannot be: as if this program had seen that itself.
        StatusCode::BAD_REQUEST => Failure::new(Exit::Usage, message),
        _ => Failure::new(Exit::Failed, message),
    };
    failure.error = Some(Box::new(error));
    if told {
        failure.next = None;
        return failure;
    }
    match status {
        StatusCode::NOT_FOUND => failure.or_next("ghostctl status, which shows what there is"),
        StatusCode::INSUFFICIENT_STORAGE => {
            failure.next("df -h; ghostctl status shows when the state can be written again")
        }
        status if status.is_server_error() => failure.next(LOG),
        StatusCode::CONFLICT => failure.next("ghostctl status"),
        _ => failure.or_next(help::of_this_command()),
    }
}

#[cfg(test)]
mod tests {
    use ghostllm_core::routes::{Admin, Endpoint, TABLE, Verb};

    use super::*;

    #[test]
    fn a_route_is_the_command_that_asks_it_and_each_has_one() {
        let said = "No key has this id. GET /admin/api/v1/keys lists them.";
        assert_eq!(at_a_terminal(said), "No key has this id. ghostctl keys ls lists them.");
        for row in
            TABLE.iter().filter(|row| row.verb == Verb::Get && matches!(row.endpoint, Endpoint::Admin(_)))
        {
            let route = format!("GET {}", row.path);
            let without = matches!(row.endpoint, Endpoint::Admin(Admin::Events | Admin::Routes));
            assert!(without || at_a_terminal(&route).starts_with("ghostctl "), "{route}");
        }
    }

    #[test]
    fn every_refusal_has_its_exit_code_and_ends_with_a_next_step() {
        let path = Path::new("/tmp/admin.sock");
        let body = |message: &str| {
            format!(r#"{{"error":{{"message":"{message}","type":"x","param":null,"code":"y"}}}}"#)
        };
        for (status, exit) in [
            (400, Exit::Usage),
            (401, Exit::Denied),
            (403, Exit::Denied),
            (404, Exit::NotFound),
            (409, Exit::Failed),
            (429, Exit::Failed),
            (500, Exit::Failed),
            (507, Exit::Failed),
        ] {
            let failure = by_the_api(StatusCode::from_u16(status).unwrap(), &body("No."), path);
            assert_eq!((failure.exit, failure.message.as_str()), (exit, "No."), "{status}");
            assert!(failure.next.is_some_and(|next| next.len() > 5), "{status}");
            assert_eq!(failure.error.unwrap()["code"], "y");
        }
        let failure =
            by_the_api(StatusCode::NOT_FOUND, &body("No such key; ghostctl keys ls shows them."), path);
        assert!(failure.next.is_none());
        for odd in ["", "{}", "[]", "{\"error\":1}", "<html>"] {
            let failure = by_the_api(StatusCode::BAD_GATEWAY, odd, path);
            assert!(failure.message.contains("502") && failure.next.is_some());
        }
        assert!(denied(Path::new(socket::SERVICE), String::new()).next.unwrap().contains("ghostllm-admin"));
    }
}
