//! The forms of bodies, each with its fields.

use serde_json::{Map, Value};

use super::html::{Page, escaped, inline};

/// Every form of the document.
pub(super) fn all(document: &Value) -> String {
    let mut page = Page::default();
    let forms = document.pointer("/components/schemas").and_then(Value::as_object);
    for (name, form) in forms.into_iter().flatten() {
        page.put("<details><summary>").element("code", name).put("</summary>\n");
        // A link to what is inside of it opens it (HTML, "ancestor details revealing algorithm").
        page.put(&format!("<div id=\"form-{name}\">\n"));
        inside(&mut page, form);
        page.put("</div>\n</details>\n");
    }
    page.done()
}

/// What a form says of itself, and its fields.
pub(super) fn inside(page: &mut Page, form: &Value) {
    page.prose(form.get("description").and_then(Value::as_str).unwrap_or_default());
    if let Some(fields) = form.get("properties").and_then(Value::as_object) {
        return table(page, form, fields);
    }
    let kinds = ["oneOf", "anyOf"].iter().find_map(|word| form.get(*word)?.as_array());
    if let Some(kinds) = kinds {
        page.put("<p>One of:</p>\n<ul>\n");
        for kind in kinds {
            page.put("<li>").put(&one(kind)).put("</li>\n");
        }
        page.put("</ul>\n");
        return;
    }
    page.put("<p>").put(&kind(form)).put("</p>\n");
}

/// One of several kinds: by its word where it has one, else by what it is.
fn one(form: &Value) -> String {
    let about = form.get("description").and_then(Value::as_str).unwrap_or_default();
    let about = if about.is_empty() { String::new() } else { format!(": {}", inline(about)) };
    let Some(fields) = form.get("properties").and_then(Value::as_object) else {
        return format!("{}{about}", kind(form));
    };
    let word = fields.get("type").and_then(|word| word.get("const")).and_then(Value::as_str);
    let others = fields.iter().filter(|(name, _)| word.is_none() || *name != "type");
    let others = others.map(|(name, form)| format!("<code>{}</code> {}", escaped(name), kind(form)));
    let others = others.collect::<Vec<_>>().join(", ");
    match word {
        Some(word) => format!(
            "<code>{}</code>{about}{}{others}",
            escaped(word),
            if others.is_empty() { "" } else { " – " }
        ),
        None => format!("an object: {others}{about}"),
    }
}

fn table(page: &mut Page, form: &Value, fields: &Map<String, Value>) {
    let required = form.get("required").and_then(Value::as_array);
    let must = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let (first, then): (Vec<_>, Vec<_>) = fields.iter().partition(|(name, _)| must(name));
    page.put("<dl class=\"form\">\n");
    for (name, form) in first.into_iter().chain(then) {
        page.put("<dt>").element("code", name);
        if must(name) {
            page.put(" <b>*</b>");
        }
        page.put("</dt><dd><span class=\"soft\">").put(&kind(form)).put("</span>");
        if let Some(about) = form.get("description").and_then(Value::as_str) {
            page.put("<br>").put(&inline(about));
        }
        page.put("</dd>\n");
    }
    page.put("</dl>\n");
}

/// What a form takes, in words with links.
pub(super) fn kind(form: &Value) -> String {
    if let Some(name) = form.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#form-{name}\">{name}</a>");
    }
    if let Some(only) = form.get("const") {
        return format!("<code>{}</code>", escaped(&only.to_string()));
    }
    if let Some(values) = form.get("enum").and_then(Value::as_array) {
        let values = values.iter().map(|value| format!("<code>{}</code>", escaped(&value.to_string())));
        return values.collect::<Vec<_>>().join(", ");
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        if let Some(kinds) = form.get(word).and_then(Value::as_array) {
            return kinds.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    let kinds = match form.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(kind)) => vec![kind.as_str()],
        _ => vec!["anything"],
    };
    let kinds = kinds.into_iter().map(|kind| typed(kind, form)).collect::<Vec<_>>().join(" or ");
    format!("{kinds}{}", bounds(form))
}

fn typed(kind: &str, form: &Value) -> String {
    match (kind, form.get("items"), form.get("additionalProperties")) {
        ("array", Some(items), _) => format!("list of {}", self::kind(items)),
        ("object", _, Some(values)) if values.is_object() => format!("object of {}", self::kind(values)),
        (kind, ..) => kind.to_owned(),
    }
}

fn bounds(form: &Value) -> String {
    let bound = |word: &str| form.get(word).map(number);
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) if least != "0" => format!(", from {least}"),
        (None, Some(most)) => format!(", up to {most}"),
        _ => String::new(),
    }
}

/// A number without the fraction that a whole one has in JSON.
fn number(value: &Value) -> String {
    let text = value.to_string();
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
