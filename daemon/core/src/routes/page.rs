//! The reference page of the routes, in Markdown.

use std::fmt::Write as _;

use super::{Access, Row, TABLE};
use crate::access::{Permission, Permissions, Role, Scope};

/// The page: every route, what it needs, and who has that.
#[must_use]
pub fn page() -> String {
    let mut text = String::from(
        "# Routes and permissions\n\nEvery route that the daemon answers, and what a caller must be allowed for it. \
         A key has a role or scopes;\nwhat is not in this table is answered with 404, and only to who has a key. The admin API is \
         served on the admin's\nsocket, where the file's mode decides who asks, and on the TLS port for keys; never on the plain port.\n\n\
         | Method | Path | Needs |\n|---|---|---|\n",
    );
    for row @ Row { verb, path, access, .. } in TABLE {
        let needs = match access {
            Access::Public => "nothing",
            Access::Needs(permission) => permission.name(),
        };
        let place = if row.on_the_socket_alone() { ", on the admin's socket alone" } else { "" };
        let _writing_to_a_string_never_fails =
            writeln!(text, "| {} | `{path}` | {needs}{place} |", verb.allowed());
    }
    let roles = Role::ALL.map(|role| (role.name().to_owned(), role.permissions()));
    let scopes = Scope::ALL.map(|scope| (scope.name().to_owned(), scope.permissions()));
    text.push_str("\n## Roles\n\n");
    matrix(&mut text, &roles);
    text.push_str("\n## Scopes\n\n");
    matrix(&mut text, &scopes);
    text
}

/// A table of permissions, with a column for each of these.
fn matrix(text: &mut String, columns: &[(String, Permissions)]) {
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let _writing_to_a_string_never_fails =
        writeln!(text, "| Permission | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    for permission in Permission::ALL {
        let has: Vec<&str> =
            columns.iter().map(|(_, all)| if all.has(permission) { "yes" } else { "" }).collect();
        let _writing_to_a_string_never_fails =
            writeln!(text, "| {} | {} |", permission.name(), has.join(" | "));
    }
}
