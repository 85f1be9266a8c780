//! The tables: fields and backends, failures, fields of heads, limits.

use super::html::{Page, escaped, inline};
use crate::config;
use crate::conformance::ENDPOINTS;
use crate::dialect::openai::table::{Behind, Row};
use crate::error::Code;
use crate::openapi::{fails, fields, headers};

/// Those that whoever writes a client may come to.
pub(in crate::openapi) const LIMITS: [&str; 12] = [
    "header_bytes",
    "header_count",
    "uri_bytes",
    "body",
    "json_depth",
    "request_fields",
    "model_name",
    "stop_texts",
    "choices",
    "media_parts",
    "media_bytes",
    "header_wait",
];

/// What the column of a kind of backend is headed by.
const fn column(behind: Behind) -> &'static str {
    match behind {
        Behind::Ollama => "Ollama",
        Behind::OpenAi => "OpenAI's API",
        Behind::Engine => "Own engine",
    }
}

/// Every field of every endpoint, with what becomes of it at each kind of backend.
pub(super) fn fields() -> String {
    let mut page = Page::default();
    for (endpoint, rows) in ENDPOINTS {
        page.put("<h3><code>").text(endpoint).put("</code></h3>\n");
        table(&mut page, rows);
    }
    page.done()
}

fn table(page: &mut Page, rows: &[Row]) {
    page.put("<div class=\"wide\"><table class=\"fates\">\n<thead><tr><th scope=\"col\">Field</th>");
    for behind in Behind::ALL {
        page.put("<th scope=\"col\">").text(column(behind)).put("</th>");
    }
    page.put("</tr></thead>\n<tbody>\n");
    for row in rows {
        field(page, row);
    }
    page.put("</tbody></table></div>\n");
}

fn field(page: &mut Page, row: &Row) {
    // A long name breaks where its words do.
    let name = escaped(row.name).replace('_', "_<wbr>").replace('.', ".<wbr>");
    page.put("<tr><th scope=\"row\"><code>").put(&name).put("</code>");
    if !row.official {
        page.put(" <span class=\"soft\">extension</span>");
    }
    page.put("</th>");
    for behind in Behind::ALL {
        let word = fields::fate(row.fate(behind));
        page.put("<td><span class=\"").put(word).put("\">").text(word).put("</span></td>");
    }
    page.put("</tr>\n");
    let said = row.remarks().join(" ");
    if !said.is_empty() {
        page.put("<tr class=\"note\"><td colspan=\"4\">").put(&inline(&said)).put("</td></tr>\n");
    }
}

/// Every code, by its status.
pub(super) fn failures() -> String {
    let mut codes = Code::ALL;
    codes.sort_by_key(|code| code.status());
    let mut page = Page::default();
    page.put(
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Status</th><th scope=\"col\">Code</th>",
    );
    page.put("<th scope=\"col\">What it tells</th></tr></thead>\n<tbody>\n");
    let mut last = None;
    for code in codes {
        let status = code.status();
        let anchor =
            if last == Some(status) { String::new() } else { format!(" id=\"status-{}\"", status.as_str()) };
        last = Some(status);
        page.put(&format!("<tr{anchor}><td>")).text(status.as_str()).put("</td><td>");
        page.element("code", fails::name(code)).put("<br><span class=\"soft\">").text(code.kind());
        page.put("</span></td><td>").put(&inline(fails::meaning(code))).put("</td></tr>\n");
    }
    page.put("</tbody></table></div>\n");
    page.done()
}

/// The fields of heads that belong to no one route.
pub(super) fn headers() -> String {
    let mut page = Page::default();
    for (title, list) in [("Of answers", &headers::ANSWERS[..]), ("Of requests", &headers::REQUESTS[..])] {
        page.element("h3", title).put("<dl>\n");
        for (name, words) in list {
            page.put("<dt>").element("code", name).put("</dt><dd>").put(&inline(words)).put("</dd>\n");
        }
        page.put("</dl>\n");
    }
    page.done()
}

/// The limits with their defaults.
pub(super) fn limits() -> String {
    let mut page = Page::default();
    page.put("<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Setting</th><th scope=\"col\">Default</th>");
    page.put("<th scope=\"col\">What it bounds</th></tr></thead>\n<tbody>\n");
    for (key, default, words) in config::documented_limits(&LIMITS) {
        page.put("<tr><th scope=\"row\">").element("code", &format!("limits.{key}")).put("</th><td>");
        page.element("code", default.trim_matches('"'))
            .put("</td><td>")
            .put(&inline(&words))
            .put("</td></tr>\n");
    }
    page.put("</tbody></table></div>\n");
    page.done()
}
