//! The page: what is put in, what it may load, and that its lines name this box.

use http::{HeaderMap, Method, StatusCode, header::IF_NONE_MATCH};

use super::{Answering, Page, PageFacts, SOURCE, groups, host_name};
use crate::admin::document::base64;

const PRINT: &str = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:\
                     00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";

fn facts() -> PageFacts {
    PageFacts {
        version: "0.1.0".to_owned(),
        name: "attic.local".to_owned(),
        names: vec!["box.local".to_owned(), "[fd00::5]".to_owned(), "192.168.1.7".to_owned()],
        tls_port: 11443,
        plain: Some("127.0.0.1:11430".parse().unwrap()),
        plain_wants_key: false,
        fingerprint: Some(PRINT.to_owned()),
        answering: Answering::DemoOnly,
    }
}

fn text(facts: &PageFacts) -> String {
    String::from_utf8(Page::render(facts).body().to_vec()).unwrap()
}

/// Every set of facts that shows another set of parts.
fn all() -> Vec<PageFacts> {
    let mut all = Vec::new();
    for answering in [Answering::Model, Answering::DemoOnly, Answering::Nothing] {
        for plain in [None, Some("[::1]:11430".parse().unwrap())] {
            for plain_wants_key in [false, true] {
                for fingerprint in [None, Some(PRINT.to_owned())] {
                    all.push(PageFacts { answering, plain, plain_wants_key, fingerprint, ..facts() });
                }
            }
        }
    }
    all
}

/// What stands between `before` and `after`, wherever it does.
fn between<'a>(text: &'a str, before: &'a str, after: char) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).map(move |rest| rest.split(after).next().unwrap())
}

#[test]
fn leaves_no_tag_and_balances_its_elements() {
    for facts in all() {
        let page = text(&facts);
        assert!(!page.contains("{{") && !page.contains("}}"), "{facts:?}");
        for element in ["section", "pre", "code", "details", "ul", "li", "dl", "p", "h2", "h3", "a", "span"] {
            let opened =
                page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
            assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}: {facts:?}");
        }
        // A link within the page leads somewhere; every section is named by its heading.
        for target in between(&page, "href=\"#", '"').chain(between(&page, "aria-labelledby=\"", '"')) {
            assert_eq!(page.matches(&format!("id=\"{target}\"")).count(), 1, "{target}: {facts:?}");
        }
    }
}

#[test]
fn uses_every_value() {
    let page = text(&facts());
    // An empty value would show as one of these.
    for hole in
        ["https://:", "<code></code>", "<span>:</span>", "GhostLLM .", "on </", "curl /", "\"\"", "http:///"]
    {
        assert!(!page.contains(hole), "{hole}");
    }
}

#[test]
fn loads_nothing_and_names_no_other_host() {
    for facts in all() {
        let page = text(&facts);
        for banned in ["<script", "<img", "<link", "<iframe", "<form", "@import", "url(", "style=\"", " on"] {
            let found =
                page.match_indices(banned).find(|(at, _)| banned != " on" || is_handler(&page[*at..]));
            assert_eq!(found, None, "{banned}");
        }
        for attribute in ["href=\"", "src=\"", "action=\""] {
            for link in between(&page, attribute, '"') {
                assert!(
                    link.starts_with('#') || (link.starts_with('/') && !link.starts_with("//")),
                    "{link}"
                );
            }
        }
    }
}

fn is_handler(rest: &str) -> bool {
    rest.trim_start()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .is_some_and(|word| rest.trim_start()[word.len()..].starts_with('='))
}

#[test]
fn escapes_what_is_put_in() {
    let page = text(&PageFacts { version: "<b>\"'&".to_owned(), ..facts() });
    assert!(page.contains("GhostLLM &lt;b&gt;&quot;&#39;&amp;."));
    assert!(!page.contains("<b>"));
}

#[test]
fn a_name_that_no_host_has_is_put_in_nowhere() {
    for name in ["a b", "$(reboot)", "`x`", "a'b", "a\"b", "a;b", "a/b", "-k", "", "ä", "a\nb", "<i>"] {
        assert_eq!(host_name(name), "localhost", "{name}");
    }
    for name in ["box", "box.lan", "my_box-2.local", "192.168.1.7", "[fd00::1]"] {
        assert_eq!(host_name(name), name);
    }
    let page = text(&PageFacts { name: "x$(reboot)".to_owned(), ..facts() });
    assert!(!page.contains("reboot") && page.contains("https://localhost:11443/v1/models"));
}

#[test]
fn lines_name_this_box() {
    let page = text(&PageFacts { tls_port: 443, plain: Some("[::1]:1430".parse().unwrap()), ..facts() });
    for line in [
        "curl -ko ghostllm-ca.crt https://attic.local:443/ca.crt",
        "curl --cacert ghostllm-ca.pem https://attic.local:443/v1/chat/completions",
        "base_url=\"https://attic.local:443/v1\"",
        "const base = \"https://attic.local:443/v1\";",
        "curl http://[::1]:1430/v1/chat/completions \\\n  -H 'Content-Type",
        "NODE_EXTRA_CA_CERTS=ghostllm-ca.pem node",
        "SSL_CERT_FILE=ghostllm-ca.pem ghostllm-env/bin/python",
    ] {
        assert!(page.contains(line), "{line}");
    }
    assert!(!page.contains("11443") && !page.contains("11430"));
}

#[test]
fn a_given_certificate_needs_no_trusting() {
    let page = text(&PageFacts { fingerprint: None, ..facts() });
    assert!(page.contains("one that this box was given"));
    for own in ["ca.crt", "ca.pem", "--cacert", "fingerprint", "SSL_CERT_FILE"] {
        assert!(!page.contains(own), "{own}");
    }
}

#[test]
fn plain_lines_carry_a_key_only_where_one_is_wanted() {
    let keyed = text(&PageFacts { plain_wants_key: true, ..facts() });
    assert!(keyed.contains(
        "curl http://127.0.0.1:11430/v1/chat/completions \\\n  -H \"Authorization: Bearer $GHOSTLLM_KEY\""
    ));
    assert!(!keyed.contains("no key needed"));
    let none = text(&PageFacts { plain: None, ..facts() });
    assert!(!none.contains("http://127.0.0.1:11430") && !none.contains("On the box"));
}

#[test]
fn says_who_answers() {
    let said = |answering| text(&PageFacts { answering, ..facts() });
    assert!(said(Answering::Model).contains("A model can answer"));
    assert!(!said(Answering::Model).contains("ghostllm-demo"));
    assert!(said(Answering::DemoOnly).contains("Only the demo model answers"));
    assert!(said(Answering::Nothing).contains("No model can answer"));
}

#[test]
fn groups_a_fingerprint() {
    assert_eq!(groups(PRINT).unwrap()[1], "44:55:66:77");
    assert!(text(&facts()).contains("<span>00:11:22:33:</span><span>44:55:66:77:</span>"));
    for wrong in
        ["", "AB", &PRINT[3..], &format!("{PRINT}:00"), &PRINT.replace("AA", "<>"), &PRINT.replace("AA", "A")]
    {
        assert_eq!(groups(wrong), None, "{wrong}");
    }
}

#[test]
fn the_policy_names_the_one_style() {
    let page = text(&facts());
    assert_eq!(page.matches("<style").count(), 1);
    let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    // A parser turns CR into LF before it hashes.
    assert!(!style.contains('\r') && !SOURCE.contains('\r'));
    let hash = base64(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, style.as_bytes()).as_ref());
    let answer = Page::render(&facts()).answer(&Method::GET, &HeaderMap::new());
    let policy = answer.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains(&format!("style-src 'sha256-{hash}';")), "{policy}");
    assert!(
        policy.starts_with("default-src 'none';") && !policy.contains("unsafe") && !policy.contains("script")
    );
}

#[test]
fn answers_with_the_page_its_head_or_that_it_is_had() {
    let page = Page::render(&facts());
    let whole = page.answer(&Method::GET, &HeaderMap::new());
    assert_eq!((whole.status(), whole.body()), (StatusCode::OK, page.body()));
    assert_eq!(whole.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(whole.headers()["x-content-type-options"], "nosniff");
    assert_eq!(whole.headers()["referrer-policy"], "no-referrer");

    let head = page.answer(&Method::HEAD, &HeaderMap::new());
    assert!(head.body().is_empty());
    assert_eq!(head.headers(), whole.headers());

    let tag = whole.headers()["etag"].to_str().unwrap();
    for (had, status) in [
        (tag.to_owned(), 304),
        (format!("\"x\", W/{tag}"), 304),
        ("*".to_owned(), 304),
        ("\"x\"".to_owned(), 200),
    ] {
        let request = HeaderMap::from_iter([(IF_NONE_MATCH, had.parse().unwrap())]);
        let answer = page.answer(&Method::GET, &request);
        assert_eq!(answer.status().as_u16(), status, "{had}");
        assert_eq!(answer.body().is_empty(), status == 304);
        assert_eq!(answer.headers()["etag"], *tag);
    }
    let other = Page::render(&PageFacts { answering: Answering::Model, ..facts() });
    assert_ne!(other.answer(&Method::GET, &HeaderMap::new()).headers()["etag"], *tag);
}

#[test]
fn who_comes_by_another_of_its_names_sees_that_one() {
    let page = Page::render(&facts());
    for name in ["box.local", "[fd00::5]", "192.168.1.7"] {
        let own = page.reached_by(name).unwrap();
        assert_eq!(
            own.body(),
            Page::render(&PageFacts { name: name.to_owned(), ..facts() }).body(),
            "{name}"
        );
        assert!(std::sync::Arc::ptr_eq(own, page.reached_by(name).unwrap()), "it is made once");
    }
    for host in [facts().name.as_str(), "localhost", "evil.example", "", "[::1]"] {
        assert!(page.reached_by(host).is_none(), "{host}");
    }
}
