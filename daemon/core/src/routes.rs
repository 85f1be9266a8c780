//! The route table: which paths there are, which method each takes, and what a caller must be allowed for it.
//!
//! Knows every route of the program. Refuses to know how one is answered. Invariant: what is not in the table is not public,
//! and a row cannot be written without saying who may use it.
//!
//! The permission is a field of the row, so that a route without one is not built:
//!
//! ```
//! use ghostllm_core::{access::Permission, routes::{Access, Endpoint, Row, Verb}};
//! let _row = Row { verb: Verb::Get, path: "/new", endpoint: Endpoint::Health, access: Access::Needs(Permission::Status) };
//! ```
//!
//! ```compile_fail
//! use ghostllm_core::{access::Permission, routes::{Access, Endpoint, Row, Verb}};
//! let _row = Row { verb: Verb::Get, path: "/new", endpoint: Endpoint::Health };
//! ```

mod page;

use http::Method;
use percent_encoding::percent_decode_str;

pub use page::page;

use crate::access::Permission;

/// Behind this a model's name follows; its slashes may be escaped.
pub const MODEL_PREFIX: &str = "/v1/models/";

/// What the admin API's paths begin with.
pub const ADMIN_PREFIX: &str = "/admin/api/v1/";

/// A method that a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// GET, and HEAD with it.
    Get,
    /// POST
    Post,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

impl Verb {
    /// As an `Allow` header has it.
    #[must_use]
    pub const fn allowed(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// The method itself.
    #[must_use]
    pub const fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }

    fn takes(self, method: &Method) -> bool {
        *method == self.method() || (self == Self::Get && *method == Method::HEAD)
    }
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a key.
    Public,
    /// Whoever is allowed this.
    Needs(Permission),
}

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// The page.
    Page,
    /// The description of this API, for programs.
    OpenApi,
    /// The same, for people.
    Docs,
    /// Whether the edge serves.
    Health,
    /// Whether a model can answer.
    Ready,
    /// Whether one of the admin's own checks passes.
    ReadyCheck,
    /// The figures that monitoring collects.
    Metrics,
    /// The box's CA in DER.
    AuthorityDer,
    /// The box's CA in PEM.
    AuthorityPem,
    /// The list of models.
    Models,
    /// One model.
    Model,
    /// A chat.
    Chat,
    /// A text gone on with.
    Completions,
    /// Vectors for texts.
    Embeddings,
    /// A chat in the words of OpenAI's Responses.
    Responses,
    /// The admin API.
    Admin(Admin),
}

/// What answers in the admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admin {
    /// How the box is.
    Status,
    /// Where it listens.
    Listeners,
    /// What it shows, and under which CA.
    Certificates,
    /// A new certificate under the same CA.
    RenewCertificate,
    /// A new CA, and a certificate under it.
    RenewAuthority,
    /// Where models are.
    Backends,
    /// Ask one of them now.
    TestBackend,
    /// The models, with their backends.
    Models,
    /// What is being answered.
    Requests,
    /// End one of them.
    CancelRequest,
    /// What runs beside them.
    Tasks,
    /// What requests have used of the models.
    Usage,
    /// What the cards say, and what is done about their heat.
    Gpu,
    /// What a card has been through.
    GpuHistory,
    /// Every setting, its value and its place.
    Config,
    /// Change some of them, and keep that.
    ChangeConfig,
    /// Whether what is on disk is sound.
    CheckConfig,
    /// Take what is on disk.
    Reload,
    /// Every key, without its secret.
    Keys,
    /// A new one.
    MakeKey,
    /// The first one, once.
    FirstKey,
    /// A new one in the place of another.
    RotateKey,
    /// No more of it.
    RevokeKey,
    /// Who has done what.
    Audit,
    /// The state's files, for a backup.
    Backup,
    /// What happens, as it happens.
    Events,
    /// This table.
    Routes,
}

/// One route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its method.
    pub verb: Verb,
    /// Its path; `{name}` stands for one segment, and `{name...}` for all that follows.
    pub path: &'static str,
    /// What answers.
    pub endpoint: Endpoint,
    /// Who may use it.
    pub access: Access,
}

impl Row {
    /// Whether it is answered on the admin's socket alone, whatever a key may do. A backup is as good as the box itself, for whoever
    /// has got hold of a key.
    #[must_use]
    pub fn on_the_socket_alone(&self) -> bool {
        self.endpoint == Endpoint::Admin(Admin::Backup)
    }
}

const fn public(path: &'static str, endpoint: Endpoint) -> Row {
    Row { verb: Verb::Get, path, endpoint, access: Access::Public }
}

const fn open(verb: Verb, path: &'static str, endpoint: Endpoint, needs: Permission) -> Row {
    Row { verb, path, endpoint, access: Access::Needs(needs) }
}

const fn admin(verb: Verb, path: &'static str, endpoint: Admin, needs: Permission) -> Row {
    Row { verb, path, endpoint: Endpoint::Admin(endpoint), access: Access::Needs(needs) }
}

/// Every route.
pub const TABLE: &[Row] = &[
    open(Verb::Post, "/v1/chat/completions", Endpoint::Chat, Permission::Chat),
    open(Verb::Post, "/v1/completions", Endpoint::Completions, Permission::Chat),
    open(Verb::Post, "/v1/embeddings", Endpoint::Embeddings, Permission::Embeddings),
    open(Verb::Post, "/v1/responses", Endpoint::Responses, Permission::Chat),
    open(Verb::Get, "/v1/models", Endpoint::Models, Permission::Models),
    open(Verb::Get, "/v1/models/{model...}", Endpoint::Model, Permission::Models),
    public("/", Endpoint::Page),
    public("/openapi.json", Endpoint::OpenApi),
    public("/docs", Endpoint::Docs),
    public("/healthz", Endpoint::Health),
    public("/readyz", Endpoint::Ready),
    public("/readyz/{name}", Endpoint::ReadyCheck),
    open(Verb::Get, "/metrics", Endpoint::Metrics, Permission::Metrics),
    public("/ca.crt", Endpoint::AuthorityDer),
    public("/ca.pem", Endpoint::AuthorityPem),
    admin(Verb::Get, "/admin/api/v1/status", Admin::Status, Permission::Status),
    admin(Verb::Get, "/admin/api/v1/listeners", Admin::Listeners, Permission::Status),
    admin(Verb::Get, "/admin/api/v1/certificates", Admin::Certificates, Permission::Status),
    admin(
        Verb::Post,
        "/admin/api/v1/certificates/renew",
        Admin::RenewCertificate,
        Permission::RenewCertificate,
    ),
    admin(
        Verb::Post,
        "/admin/api/v1/certificates/authority",
        Admin::RenewAuthority,
        Permission::RenewAuthority,
    ),
    admin(Verb::Get, "/admin/api/v1/backends", Admin::Backends, Permission::Status),
    admin(Verb::Post, "/admin/api/v1/backends/{name}/test", Admin::TestBackend, Permission::TestBackends),
    admin(Verb::Get, "/admin/api/v1/models", Admin::Models, Permission::Status),
    admin(Verb::Get, "/admin/api/v1/requests", Admin::Requests, Permission::Status),
    admin(Verb::Delete, "/admin/api/v1/requests/{id}", Admin::CancelRequest, Permission::CancelRequests),
    admin(Verb::Get, "/admin/api/v1/tasks", Admin::Tasks, Permission::Status),
    admin(Verb::Get, "/admin/api/v1/usage", Admin::Usage, Permission::Status),
    admin(Verb::Get, "/admin/api/v1/gpu", Admin::Gpu, Permission::Status),
    admin(Verb::Get, "/admin/api/v1/gpu/history", Admin::GpuHistory, Permission::Status),
    admin(Verb::Get, "/admin/api/v1/config", Admin::Config, Permission::Configuration),
    admin(Verb::Patch, "/admin/api/v1/config", Admin::ChangeConfig, Permission::Configure),
    admin(Verb::Post, "/admin/api/v1/config/check", Admin::CheckConfig, Permission::Reload),
    admin(Verb::Post, "/admin/api/v1/reload", Admin::Reload, Permission::Reload),
    admin(Verb::Get, "/admin/api/v1/keys", Admin::Keys, Permission::ReadKeys),
    admin(Verb::Post, "/admin/api/v1/keys", Admin::MakeKey, Permission::ManageKeys),
    admin(Verb::Post, "/admin/api/v1/keys/first", Admin::FirstKey, Permission::ManageKeys),
    admin(Verb::Post, "/admin/api/v1/keys/{id}/rotate", Admin::RotateKey, Permission::ManageKeys),
    admin(Verb::Delete, "/admin/api/v1/keys/{id}", Admin::RevokeKey, Permission::ManageKeys),
    admin(Verb::Get, "/admin/api/v1/audit", Admin::Audit, Permission::Audit),
    admin(Verb::Get, "/admin/api/v1/backup", Admin::Backup, Permission::Backup),
    admin(Verb::Get, "/admin/api/v1/events", Admin::Events, Permission::Status),
    admin(Verb::Get, "/admin/api/v1/routes", Admin::Routes, Permission::Status),
];

/// What the table says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// This row, and what stands for its `{name}`, decoded; empty where it has none.
    Row(&'static Row, String),
    /// The path exists, the method does not.
    WrongMethod {
        /// The value of the `Allow` header.
        allow: String,
        /// Every row of the path is public.
        public: bool,
    },
    /// No row has this path.
    Nothing,
}

/// Looks a request up.
#[must_use]
pub fn find(method: &Method, path: &str) -> Found {
    let mut others: Vec<&Row> = Vec::new();
    for row in TABLE {
        let Some(taken) = matches(row.path, path) else { continue };
        if row.verb.takes(method) {
            return Found::Row(row, taken);
        }
        others.push(row);
    }
    if others.is_empty() {
        return Found::Nothing;
    }
    let allow = others.iter().map(|row| row.verb.allowed()).collect::<Vec<_>>().join(", ");
    Found::WrongMethod { allow, public: others.iter().all(|row| row.access == Access::Public) }
}

/// Under which OpenAI's API is.
const API: &str = "/v1/";

/// What there is instead of a path that there is not: the API's own routes to whoever looks for one of its paths.
#[must_use]
pub fn instead(path: &str) -> String {
    if path.starts_with("/v1/responses/") {
        return "No response is kept here, to be fetched, cancelled or deleted by its id: read the answer or its stream, and in the \
                next request send its items, or the whole conversation, as input to POST /v1/responses."
            .to_owned();
    }
    if !path.starts_with(API) {
        return "Chat is at POST /v1/chat/completions.".to_owned();
    }
    let api = TABLE.iter().filter(|row| row.path.starts_with(API) && !row.path.contains('{'));
    let all: Vec<String> = api.map(|row| format!("{} {}", row.verb.method(), row.path)).collect();
    format!("Of OpenAI's API this box has no such part: it has {}.", all.join(", "))
}

/// The public pages that a link on any web site may lead to.
pub fn pages() -> impl Iterator<Item = &'static str> {
    let page = |row: &&Row| {
        matches!(
            row.endpoint,
            Endpoint::Page
                | Endpoint::OpenApi
                | Endpoint::Docs
                | Endpoint::AuthorityDer
                | Endpoint::AuthorityPem
        )
    };
    TABLE.iter().filter(page).map(|row| row.path)
}

/// What stands for the pattern's `{name}`, decoded, if the path is of this pattern.
fn matches(pattern: &str, path: &str) -> Option<String> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return (pattern == path).then(String::new);
    };
    let (name, behind) = rest.split_once('}')?;
    let taken = path.strip_prefix(before)?.strip_suffix(behind)?;
    if taken.is_empty() || (!name.ends_with("...") && taken.contains('/')) {
        return None;
    }
    Some(percent_decode_str(taken).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(method: &Method, path: &str) -> (Endpoint, String) {
        match find(method, path) {
            Found::Row(row, taken) => (row.endpoint, taken),
            other => panic!("{method} {path}: {other:?}"),
        }
    }

    #[test]
    fn every_row_is_found_by_its_own_path_and_no_row_is_there_twice() {
        for wanted in TABLE {
            let path = wanted.path.replace("{model...}", "a/b:c").replace("{name}", "x").replace("{id}", "x");
            let (endpoint, taken) = row(&wanted.verb.method(), &path);
            assert_eq!(endpoint, wanted.endpoint, "{path}");
            assert_eq!(taken.is_empty(), !wanted.path.contains('{'), "{path}");
        }
        assert_eq!(row(&Method::HEAD, "/healthz").0, Endpoint::Health);
    }

    #[test]
    fn the_admin_api_is_never_public_and_everything_below_its_prefix_is_it() {
        for row in TABLE {
            let admin = matches!(row.endpoint, Endpoint::Admin(_));
            assert_eq!(row.path.starts_with(ADMIN_PREFIX), admin, "{}", row.path);
            assert!(!admin || row.access != Access::Public, "{}", row.path);
        }
    }

    #[test]
    fn names_keep_their_slashes_and_colons() {
        for path in ["/v1/models/Qwen/Qwen3:0.6b", "/v1/models/Qwen%2FQwen3%3A0.6b"] {
            assert_eq!(row(&Method::GET, path), (Endpoint::Model, "Qwen/Qwen3:0.6b".to_owned()));
        }
        for (path, name) in [("100%25", "100%"), ("a%252Fb", "a%2Fb"), ("a%2525/b", "a%25/b")] {
            assert_eq!(row(&Method::GET, &format!("/v1/models/{path}")).1, name, "undone once");
        }
        assert_eq!(row(&Method::DELETE, "/admin/api/v1/keys/a%20b").1, "a b");
    }

    #[test]
    fn what_does_not_exist_is_nothing() {
        for path in [
            "/v1/models/",
            "/v1/chat",
            "/admin",
            "/admin/api/v1/",
            "/CA.pem",
            "/healthz/",
            "/readyz/",
            "/readyz/a/b",
            "/v1/models/%ff",
            "/admin/api/v1/keys//rotate",
            "/admin/api/v1/backends/a/b/test",
        ] {
            assert_eq!(find(&Method::GET, path), Found::Nothing, "{path}");
        }
    }

    #[test]
    fn whoever_looks_for_what_there_is_not_hears_what_there_is() {
        for path in
            ["/v1/responses/resp_1", "/v1/responses/resp_1/cancel", "/v1/responses/resp_1/input_items"]
        {
            let said = instead(path);
            assert!(said.contains("No response is kept") && said.contains("POST /v1/responses"), "{said}");
        }
        for path in ["/v1/files", "/v1/audio/speech", "/v1/images/generations", "/v1/threads/a", "/v1/chat"] {
            assert_eq!(
                instead(path),
                "Of OpenAI's API this box has no such part: it has POST /v1/chat/completions, POST /v1/completions, \
                 POST /v1/embeddings, POST /v1/responses, GET /v1/models."
            );
        }
        for path in ["/", "/chat/completions", "/v2/files", "/admin/api/v1/nothing"] {
            assert_eq!(instead(path), "Chat is at POST /v1/chat/completions.");
        }
    }

    #[test]
    fn a_wrong_method_says_which_are_right() {
        let wrong = |method, path| match find(&method, path) {
            Found::WrongMethod { allow, public } => (allow, public),
            other => panic!("{other:?}"),
        };
        assert_eq!(wrong(Method::GET, "/v1/chat/completions"), ("POST".to_owned(), false));
        assert_eq!(wrong(Method::DELETE, "/"), ("GET, HEAD".to_owned(), true));
        assert_eq!(wrong(Method::PUT, "/admin/api/v1/keys"), ("GET, HEAD, POST".to_owned(), false));
    }

    #[test]
    fn the_documents_are_those_that_are_generated() {
        let (schema, routes) = (
            include_str!("../../../packaging/docs/admin-api.schema.json"),
            include_str!("../../../packaging/docs/routes.md"),
        );
        assert_eq!(schema, crate::admin::schema(), "run `just docs`");
        assert_eq!(routes, page(), "run `just docs`");
    }

    #[test]
    fn pages_are_the_public_ones_for_people() {
        assert_eq!(pages().collect::<Vec<_>>(), ["/", "/openapi.json", "/docs", "/ca.crt", "/ca.pem"]);
    }
}
