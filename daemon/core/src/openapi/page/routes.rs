//! The routes, each with what it takes and gives, and a line that calls it.

use serde_json::Value;

use super::forms;
use super::html::{Page, escaped, inline};
use crate::openapi::operation::Tag;
use crate::openapi::{path, verb};
use crate::routes::{Access, Row, TABLE};

/// All of them, by what they belong to.
pub(super) fn all(document: &Value) -> String {
    let mut page = Page::default();
    for tag in Tag::ALL {
        page.put(&format!("<h3 id=\"{}\">", anchor(tag))).text(tag.name()).put("</h3>\n");
        page.put("<p class=\"soft\">").put(&inline(tag.about())).put("</p>\n");
        for row in TABLE {
            let place = document.get("paths").and_then(|paths| paths.get(path(row))?.get(verb(row.verb)));
            if let Some(operation) =
                place.filter(|place| place.pointer("/tags/0") == Some(&tag.name().into()))
            {
                route(&mut page, row, operation);
            }
        }
    }
    page.done()
}

/// What the heading of a kind of routes is reached by.
fn anchor(tag: Tag) -> String {
    format!("routes-{}", tag.name().to_lowercase().replace(' ', "-"))
}

fn words<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn route(page: &mut Page, row: &Row, operation: &Value) {
    let method = row.verb.method();
    page.put(&format!(
        "<details id=\"{}\"><summary><b>{method}</b> ",
        escaped(words(operation, "operationId"))
    ));
    page.element("code", &path(row))
        .put(" <span>")
        .text(words(operation, "summary"))
        .put("</span></summary>\n");
    page.prose(words(operation, "description"));
    let needs = match row.access {
        Access::Public => "Everybody may ask, without a key.".to_owned(),
        Access::Needs(permission) => format!("It needs the permission `{}`.", permission.name()),
    };
    page.put("<p>").put(&inline(&needs)).put("</p>\n");
    parameters(page, operation);
    if let Some(body) = operation.get("requestBody") {
        let form = body.pointer("/content/application~1json/schema").map(forms::kind).unwrap_or_default();
        page.put("<p>Takes ").put(&form).put(": ").put(&inline(words(body, "description"))).put("</p>\n");
    }
    answers(page, operation);
    for (name, line) in calls(row, operation) {
        page.put("<p class=\"soft\">")
            .text(&name)
            .put("</p>\n<pre><code>")
            .text(&line)
            .put("</code></pre>\n");
    }
    page.put("</details>\n");
}

fn parameters(page: &mut Page, operation: &Value) {
    let all = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    let own: Vec<&Value> = all.filter(|parameter| parameter.get("name").is_some()).collect();
    if own.is_empty() {
        return;
    }
    page.put("<dl>\n");
    for parameter in own {
        page.put("<dt>").element("code", words(parameter, "name")).put(" <span class=\"soft\">in the ");
        page.text(words(parameter, "in"))
            .put("</span></dt><dd>")
            .put(&inline(words(parameter, "description")));
        page.put("</dd>\n");
    }
    page.put("</dl>\n");
}

fn answers(page: &mut Page, operation: &Value) {
    let mut failures = Vec::new();
    page.put("<ul>\n");
    for (status, answer) in operation.get("responses").and_then(Value::as_object).into_iter().flatten() {
        if answer.get("$ref").is_some() {
            failures.push(format!("<a href=\"#status-{status}\">{status}</a>"));
            continue;
        }
        if status == "default" {
            continue;
        }
        page.put("<li><b>").text(status).put("</b> ").put(&inline(words(answer, "description")));
        for (media, content) in answer.get("content").and_then(Value::as_object).into_iter().flatten() {
            page.put("<br>").element("code", media);
            if let Some(form) = content.get("schema").filter(|form| form.get("$ref").is_some()) {
                page.put(" ").put(&forms::kind(form));
            }
        }
        page.put("</li>\n");
    }
    page.put("<li>Failures: ").put(&failures.join(", ")).put("</li>\n</ul>\n");
}

/// Lines for a shell, one for each example of the body, with its name.
pub(in crate::openapi) fn calls(row: &Row, operation: &Value) -> Vec<(String, String)> {
    let method = match row.verb.method().as_str() {
        "GET" | "POST" => String::new(),
        other => format!(" -X {other}"),
    };
    let key = if row.access == Access::Public { "" } else { " -H \"Authorization: Bearer $GHOSTLLM_KEY\"" };
    let start = if row.on_the_socket_alone() {
        "curl --unix-socket \"$GHOSTLLM_SOCKET\" -o backup.tar \"http://localhost".to_owned()
    } else {
        format!("curl{method}{key} \"$GHOSTLLM_URL")
    };
    let line = format!("{start}{}\"", path(row).replace(['{', '}'], ""));
    let examples =
        operation.pointer("/requestBody/content/application~1json/examples").and_then(Value::as_object);
    let bodies: Vec<(&String, &Value)> = examples
        .into_iter()
        .flatten()
        .filter_map(|(name, example)| Some((name, example.get("value")?)))
        .collect();
    if bodies.is_empty() {
        let post = if row.verb.method() == http::Method::POST { " -X POST" } else { "" };
        return vec![("For example".to_owned(), format!("{line}{post}"))];
    }
    let call = |(name, body): (&String, &Value)| {
        let quiet = if body.get("stream") == Some(&true.into()) { " -N" } else { "" };
        (
            format!("For example: {name}"),
            format!("{line}{quiet} -H 'Content-Type: application/json' \\\n  -d '{body}'"),
        )
    };
    bodies.into_iter().map(call).collect()
}
