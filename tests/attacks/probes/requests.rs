//! Request lines, versions, upgrades, expectations, and what is sent ahead (RFC 9112 sections 3 and 9, RFC 9110).

use super::table::{
    Expected::{Last, Nothing, Own, Refused, Served},
    Probe, probe,
};

/// haproxy mends its CVE-2023-45539 so: it passed on what it had not judged.
const FRAGMENT: &str =
    "`http` drops a fragment before the guard can see it, and what is left is what is judged and used";

pub(crate) const PROBES: &[Probe] = &[
    probe("two requests at once", "<sized>\r\n<body><second>", Served(2)),
    probe("an empty line between two requests", "<sized>\r\n<body>\r\n<second>", Served(2)),
    probe("an empty line before the request", "\r\n<sized>\r\n<body>", Served(1)),
    probe("HTTP/0.9", "GET /v1/models?<tag>\r\n", Refused(400)),
    probe("HTTP/0.9 by name", "POST <target> HTTP/0.9\r\n<usual>", Refused(400)),
    probe("HTTP/1.0", "POST <target> HTTP/1.0\r\n<usual>", Last),
    probe("HTTP/1.0 without Host", "POST <target> HTTP/1.0\r\n<unhosted>", Refused(400)),
    // Pingora's CVE-2026-2835.
    probe(
        "chunks in HTTP/1.0",
        "POST <target> HTTP/1.0\r\n<host><fields>Transfer-Encoding: chunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe(
        "chunks and a length in HTTP/1.0, kept alive",
        "POST <target> HTTP/1.0\r\n<host><fields>Connection: keep-alive\r\nContent-Length: <rest>\r\n\
         Transfer-Encoding: chunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n<smuggled>",
        Refused(400),
    ),
    probe("HTTP/1.2", "POST <target> HTTP/1.2\r\n<usual>", Refused(400)),
    probe("HTTP/1.10", "POST <target> HTTP/1.10\r\n<usual>", Refused(400)),
    probe("HTTP/2.0 by name", "POST <target> HTTP/2.0\r\n<usual>", Refused(400)),
    probe("http/1.1", "POST <target> http/1.1\r\n<usual>", Refused(400)),
    probe("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", Nothing),
    probe("a ClientHello", "\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03\r\n\r\n", Refused(400)),
    probe("a proxy's line in front", "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n<sized>\r\n<body>", Refused(400)),
    probe("a method in small letters", "post <target> HTTP/1.1\r\n<usual>", Own(405)),
    probe("a method that nobody knows", "BREW <target> HTTP/1.1\r\n<usual>", Own(405)),
    probe("brackets in a method", "PO(ST <target> HTTP/1.1\r\n<usual>", Refused(400)),
    probe("a space before the method", " POST <target> HTTP/1.1\r\n<usual>", Refused(400)),
    probe("two spaces behind the method", "POST  <target> HTTP/1.1\r\n<usual>", Refused(400)),
    probe("a tab behind the method", "POST\t<target> HTTP/1.1\r\n<usual>", Refused(400)),
    probe("two spaces before the version", "POST <target>  HTTP/1.1\r\n<usual>", Refused(400)),
    probe("a space behind the version", "POST <target> HTTP/1.1 \r\n<usual>", Refused(400)),
    probe("a space in the target", "POST /v1/chat completions?<tag> HTTP/1.1\r\n<usual>", Refused(400)),
    probe("a fragment", "POST <target>#part HTTP/1.1\r\n<usual>", Served(1)).because(FRAGMENT),
    probe("no slash in front", "POST v1/chat/completions?<tag> HTTP/1.1\r\n<usual>", Refused(400)),
    probe("two slashes in front", "POST /<target> HTTP/1.1\r\n<usual>", Refused(400)),
    probe("a way up", "POST /v1/../v1/chat/completions?<tag> HTTP/1.1\r\n<usual>", Refused(400)),
    probe(
        "a way up beyond the root",
        "POST /../../v1/chat/completions?<tag> HTTP/1.1\r\n<usual>",
        Refused(400),
    ),
    probe("an escaped way up", "POST /v1/%2e%2e/v1/chat/completions?<tag> HTTP/1.1\r\n<usual>", Refused(400)),
    probe("an escaped slash", "POST /v1%2fchat/completions?<tag> HTTP/1.1\r\n<usual>", Refused(400)),
    probe("a backslash", "POST /v1\\chat/completions?<tag> HTTP/1.1\r\n<usual>", Refused(400)),
    probe("an escaped NUL", "POST /v1/chat/completions%00?<tag> HTTP/1.1\r\n<usual>", Refused(400)),
    probe("NUL in the target", "POST /v1/chat/completions\0?<tag> HTTP/1.1\r\n<usual>", Refused(400)),
    probe("half an escape", "POST /v1/chat/completions%2?<tag> HTTP/1.1\r\n<usual>", Refused(400)),
    probe("OPTIONS *", "OPTIONS * HTTP/1.1\r\n<host><key>X-Tag: <tag>\r\n\r\n", Own(404)),
    probe("POST *", "POST * HTTP/1.1\r\n<usual>", Refused(400)),
    probe(
        "CONNECT",
        "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n<key>X-Tag: <tag>\r\n\r\n",
        Refused(400),
    ),
    probe("CONNECT to a path", "CONNECT <target> HTTP/1.1\r\n<host><key>X-Tag: <tag>\r\n\r\n", Refused(400)),
    probe("TRACE", "TRACE <target> HTTP/1.1\r\n<host><key>X-Tag: <tag>\r\n\r\n", Own(405)),
    // Pingora's CVE-2026-2833: what follows an upgrade that nobody has agreed to is the next request.
    probe(
        "an upgrade, and a request ahead",
        "<sized>Connection: Upgrade\r\nUpgrade: any\r\n\r\n<body><second>",
        Served(2),
    ),
    probe(
        "an upgrade to h2c",
        "<sized>Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n<body>",
        Served(1),
    ),
    probe(
        "an upgrade to WebSocket",
        "GET /v1/models?<tag> HTTP/1.1\r\n<host><key>X-Tag: <tag>\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        Own(200),
    ),
    probe("an expectation", "<sized>Expect: 100-continue\r\n\r\n<body>", Served(1)),
    probe("an expectation in capitals", "<sized>Expect: 100-CONTINUE\r\n\r\n<body>", Served(1)),
    probe("an expectation of something else", "<sized>Expect: 200-ok\r\n\r\n<body>", Served(1)),
    probe("an expectation and more", "<sized>Expect: 100-continue, 200-ok\r\n\r\n<body>", Served(1)),
    probe(
        "an expectation and no body",
        "GET /v1/models?<tag> HTTP/1.1\r\n<host><key>X-Tag: <tag>\r\nExpect: 100-continue\r\n\r\n",
        Own(200),
    ),
    probe(
        "an expectation in HTTP/1.0",
        "POST <target> HTTP/1.0\r\n<host><fields>Expect: 100-continue\r\nContent-Length: <n>\r\n\r\n<body>",
        Last,
    ),
    probe("a compressed body", "<sized>Content-Encoding: gzip\r\n\r\n<body>", Own(415)),
    probe("a page of another site", "<sized>Origin: http://evil.example\r\n\r\n<body>", Own(403)),
];
