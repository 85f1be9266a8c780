//! Where a message ends: Content-Length, Transfer-Encoding, and both (RFC 9112 section 6).

use super::{
    hosts::TABS,
    table::{
        Expected::{Last, Nothing, Own, Refused, Served},
        Probe, probe,
    },
};

/// RFC 9112 section 6.3.
const BOTH: &str = "of two lengths the chunks count, and the connection is closed behind them (RFC 9112 section 6.3): \
                    hyper decides this before the guard can see it";
/// RFC 9110 section 8.6.
const EQUAL: &str =
    "equal lengths are one length (RFC 9110 section 8.6); hyper joins them before the guard can see it";

pub(crate) const PROBES: &[Probe] = &[
    probe("a length, as it should be", "<sized>\r\n<body>", Served(1)),
    probe("chunks, as they should be", "<chunked><x>\r\n<body>\r\n0\r\n\r\n", Served(1)),
    probe(
        "a length over chunks with a request behind them",
        "<top>Content-Length: <rest>\r\nTransfer-Encoding: chunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n<smuggled>",
        Last,
    )
    .because(BOTH),
    probe(
        "the same, the length behind",
        "<top>Transfer-Encoding: chunked\r\nContent-Length: <rest>\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n<smuggled>",
        Last,
    )
    .because(BOTH),
    probe(
        "no chunk and a request behind it, under a length",
        "<top>Content-Length: <rest>\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n<smuggled>",
        Refused(400),
    ),
    probe(
        "a request in a chunk behind a short length",
        "<top>Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n<smuggled, x>\r\n<smuggled>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe(
        "a broken length beside chunks",
        "<top>Content-Length: +4\r\nTransfer-Encoding: chunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n<smuggled>",
        Refused(400),
    ),
    probe(
        "a broken length behind chunks",
        "<top>Transfer-Encoding: chunked\r\nContent-Length: +4\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n<smuggled>",
        Last,
    )
    .because(BOTH),
    probe("xchunked", "<sized>Transfer-Encoding: xchunked\r\n\r\n<body>", Refused(400)),
    probe("identity", "<sized>Transfer-Encoding: identity\r\n\r\n<body>", Refused(400)),
    probe(
        "chunked, identity",
        "<sized>Transfer-Encoding: chunked, identity\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe(
        "identity, chunked",
        "<top>Transfer-Encoding: identity, chunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe(
        "gzip, chunked",
        "<top>Transfer-Encoding: gzip, chunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe(
        "a tab before chunked",
        "<top>Transfer-Encoding:\tchunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Served(1),
    ).because(TABS),
    probe(
        "a vertical tab before chunked",
        "<sized>Transfer-Encoding: \x0bchunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe(
        "a vertical tab behind chunked",
        "<sized>Transfer-Encoding: chunked\x0b\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe(
        "a space before the colon of Transfer-Encoding",
        "<sized>Transfer-Encoding : chunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe(
        "chunked in quotes",
        "<sized>Transfer-Encoding: \"chunked\"\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe(
        "chunked with a parameter",
        "<top>Transfer-Encoding: chunked;q=1\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe(
        "CHUNKED",
        "<top>Transfer-Encoding: CHUNKED\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Served(1),
    ),
    probe(
        "chunked twice in two fields",
        "<top>Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe(
        "chunked twice in one field",
        "<top>Transfer-Encoding: chunked, chunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe(
        "chunked, then identity in a field of its own",
        "<sized>Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe(
        "xchunked, then chunked in a field of its own",
        "<top>Transfer-Encoding: xchunked\r\nTransfer-Encoding: chunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe("an empty Transfer-Encoding", "<sized>Transfer-Encoding:\r\n\r\n<body>", Refused(400)),
    probe(
        "Transfer_Encoding",
        "<sized>Transfer_Encoding: chunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe(
        "a folded Transfer-Encoding",
        "<sized>Transfer-Encoding:\r\n chunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe(
        "Transfer-Encoding behind a bare CR",
        "<sized>X-Any: 1\rTransfer-Encoding: chunked\r\n\r\n<x>\r\n<body>\r\n0\r\n\r\n",
        Refused(400),
    ),
    probe("two equal lengths", "<sized>Content-Length: <n>\r\n\r\n<body>", Served(1)).because(EQUAL),
    probe("two lengths, the short one last", "<sized>Content-Length: 2\r\n\r\n<body>", Refused(400)),
    probe(
        "two lengths, the long one last",
        "<top>Content-Length: <n>\r\nContent-Length: <rest>\r\n\r\n<body><smuggled>",
        Refused(400),
    ),
    probe("a list of equal lengths", "<top>Content-Length: <n>, <n>\r\n\r\n<body>", Refused(400)),
    probe("a list of lengths", "<top>Content-Length: <n>, 2\r\n\r\n<body>", Refused(400)),
    probe("a length with a plus", "<top>Content-Length: +<n>\r\n\r\n<body>", Refused(400)),
    probe("a length with a minus", "<top>Content-Length: -1\r\n\r\n<body>", Refused(400)),
    probe("a length with a space inside", "<top>Content-Length: <n> 0\r\n\r\n<body>", Refused(400)),
    probe("a length in hexadecimal", "<top>Content-Length: 0x<x>\r\n\r\n<body>", Refused(400)),
    probe("a length with a point", "<top>Content-Length: <n>.0\r\n\r\n<body>", Refused(400)),
    probe("an empty length", "<top>Content-Length:\r\n\r\n<body>", Refused(400)),
    probe(
        "a length of 2^64 and more",
        "<top>Content-Length: 184467440737095516<n>\r\n\r\n<body>",
        Refused(400),
    ),
    probe("a length of 2^63", "<top>Content-Length: 9223372036854775808\r\n\r\n<body>", Refused(413)),
    probe("a length with zeros in front", "<top>Content-Length: 000<n>\r\n\r\n<body>", Served(1)),
    probe("NUL in a length", "<top>Content-Length: <n>\0\r\n\r\n<body>", Refused(400)),
    probe(
        "a space before the colon of Content-Length",
        "<top>Content-Length : <n>\r\n\r\n<body>",
        Refused(400),
    ),
    probe("a length that is too short", "<top>Content-Length: <n, less>\r\n\r\n<body>", Refused(400)),
    probe("a length that takes of what follows", "<top>Content-Length: <n, more>\r\n\r\n<body>", Refused(400)),
    probe("a body that is cut off", "<top>Content-Length: <n, more>\r\n\r\n<body>", Nothing).cut(),
    probe("a head that is cut off", "<sized>", Nothing).cut(),
    probe(
        "a GET with a request for a body",
        "GET /v1/models?<tag> HTTP/1.1\r\n<host><key>X-Tag: <tag>\r\nContent-Length: <rest>\r\n\r\n<smuggled>",
        Own(200),
    ),
    probe(
        "a GET with a request in chunks",
        "GET /v1/models?<tag> HTTP/1.1\r\n<host><key>X-Tag: <tag>\r\nTransfer-Encoding: chunked\r\n\r\n\
         <smuggled, x>\r\n<smuggled>\r\n0\r\n\r\n",
        Own(200),
    ),
];
