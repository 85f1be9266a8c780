//! Lines and fields: their ends, their bytes, and what they say of whoever stands between (RFC 9112 sections 2.2 and 5).

use super::table::{
    Expected::{Last, Own, Refused, Served},
    Probe, probe,
};

pub(crate) const PROBES: &[Probe] = &[
    probe(
        "lines that end with LF alone",
        "POST <target> HTTP/1.1\nHost: localhost\n<fields>Content-Length: <n>\n\n<body>",
        Served(1),
    ),
    probe("one line that ends with LF alone", "<sized>X-Any: 1\nX-Other: 2\r\n\r\n<body>", Served(1)),
    probe("lines that end with CR alone", "<top>X-Any: 1\rContent-Length: <n>\r\r<body>", Refused(400)),
    probe("a bare CR in a value", "<sized>X-Any: a\rb\r\n\r\n<body>", Refused(400)),
    probe("a bare CR before the end of a line", "<sized>X-Any: a\r\r\n\r\n<body>", Refused(400)),
    probe("a bare CR in a name", "<sized>X-\rAny: a\r\n\r\n<body>", Refused(400)),
    probe("NUL in a value", "<sized>X-Any: a\0b\r\n\r\n<body>", Refused(400)),
    probe("NUL in a name", "<sized>X-\0Any: a\r\n\r\n<body>", Refused(400)),
    probe("a control byte in a value", "<sized>X-Any: a\x01b\r\n\r\n<body>", Refused(400)),
    probe("DEL in a value", "<sized>X-Any: a\x7fb\r\n\r\n<body>", Refused(400)),
    probe("letters beyond ASCII in a value", "<sized>X-Any: \u{e9}\r\n\r\n<body>", Served(1)),
    probe("letters beyond ASCII in a name", "<sized>X-\u{e9}: a\r\n\r\n<body>", Refused(400)),
    probe("a folded value", "<sized>X-Any: a\r\n b\r\n\r\n<body>", Refused(400)),
    probe("a value folded by a tab", "<sized>X-Any: a\r\n\tb\r\n\r\n<body>", Refused(400)),
    probe("a space before the first field", "<line> Host: localhost\r\n<unhosted>", Refused(400)),
    probe("a line of one space before the first field", "<line> \r\n<usual>", Refused(400)),
    probe("an empty name", "<sized>: a\r\n\r\n<body>", Refused(400)),
    probe("a space in a name", "<sized>X Any: a\r\n\r\n<body>", Refused(400)),
    probe("a space before a colon", "<sized>X-Any : a\r\n\r\n<body>", Refused(400)),
    probe("brackets in a name", "<sized>X(Any): a\r\n\r\n<body>", Refused(400)),
    probe("a line without a colon", "<sized>anything\r\n\r\n<body>", Refused(400)),
    probe("an empty value", "<sized>X-Any:\r\n\r\n<body>", Served(1)),
    probe("a hundred fields too many", "<sized><100 fields>\r\n<body>", Refused(431)),
    probe("a field of 40 KiB", "<sized>X-Any: <40 KiB>\r\n\r\n<body>", Refused(431)),
    probe("an underscore in a name", "<sized>X_Any: a\r\n\r\n<body>", Refused(400)),
    probe(
        "two keys",
        "<sized>Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n<body>",
        Refused(400),
    ),
    probe("two types", "<sized>Content-Type: text/plain\r\n\r\n<body>", Refused(400)),
    probe("Connection names Host", "<sized>Connection: Host\r\n\r\n<body>", Served(1)),
    probe("Connection names Content-Length", "<sized>Connection: Content-Length\r\n\r\n<body>", Served(1)),
    probe(
        "Connection names Transfer-Encoding",
        "<top>Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Served(1),
    ),
    // Whoever says that its key is for the next hop only has none here.
    probe("Connection names Authorization", "<sized>Connection: Authorization\r\n\r\n<body>", Served(1))
        .over_tls(Own(401)),
    probe(
        "Connection names who it was forwarded for",
        "<sized>X-Forwarded-For: 203.0.113.9\r\nConnection: X-Forwarded-For\r\n\r\n<body>",
        Own(401),
    )
    .over_tls(Served(1)),
    probe("Connection closes", "<sized>Connection: close, X-Any\r\n\r\n<body>", Last),
    probe(
        "Connection closes and keeps",
        "<sized>Connection: close\r\nConnection: keep-alive\r\n\r\n<body>",
        Last,
    ),
    // On the plain port nobody needs a key, but for whom a proxy speaks (the TLS port's callers have one).
    probe("X-Forwarded-For", "<sized>X-Forwarded-For: 127.0.0.1\r\n\r\n<body>", Own(401)).over_tls(Served(1)),
    probe("X-Forwarded-Host", "<sized>X-Forwarded-Host: evil.example\r\n\r\n<body>", Own(401))
        .over_tls(Served(1)),
    probe("X-Forwarded-Proto", "<sized>X-Forwarded-Proto: https\r\n\r\n<body>", Own(401)).over_tls(Served(1)),
    probe("Forwarded", "<sized>Forwarded: for=127.0.0.1;host=localhost\r\n\r\n<body>", Own(401))
        .over_tls(Served(1)),
    probe("X-Real-IP", "<sized>X-Real-IP: 127.0.0.1\r\n\r\n<body>", Own(401)).over_tls(Served(1)),
    probe("Via", "<sized>Via: 1.1 evil.example\r\n\r\n<body>", Own(401)).over_tls(Served(1)),
    probe("X_Forwarded_For", "<sized>X_Forwarded_For: 127.0.0.1\r\n\r\n<body>", Refused(400)),
    probe("what only the daemon may say", "<sized>X-Ghost-Caller: admin\r\n\r\n<body>", Served(1)),
];
