//! The page for people, made of the same document and the same tables.
//!
//! Knows the document's parts and the page's template. Refuses to know a box: no name, no key, no model of one. Invariant:
//! it loads and runs nothing, and every link in it leads into itself or to a page of the box.

mod forms;
mod html;
mod routes;
mod tables;

use html::Page;

#[cfg(test)]
pub(super) use routes::calls;
#[cfg(test)]
pub(super) use tables::LIMITS;

/// The page, as it is served and written to `packaging/docs/api.html`.
#[must_use]
pub fn page() -> String {
    let document = crate::admin::sorted(super::value());
    let parts = [
        ("version", html::escaped(env!("CARGO_PKG_VERSION"))),
        ("about", prose(document.pointer("/info/description"))),
        ("routes", routes::all(&document)),
        ("fields", tables::fields()),
        ("failures", tables::failures()),
        ("headers", tables::headers()),
        ("limits", tables::limits()),
        ("forms", forms::all(&document)),
    ];
    let source = include_str!("../../../../web-ui/docs.html");
    parts.iter().fold(source.to_owned(), |page, (name, text)| page.replace(&format!("{{{{{name}}}}}"), text))
}

/// A description's text; nothing where there is none.
fn prose(text: Option<&serde_json::Value>) -> String {
    let mut page = Page::default();
    page.prose(text.and_then(serde_json::Value::as_str).unwrap_or_default());
    page.done()
}
