//! The grammar of chunks (RFC 9112 section 7.1). A reader that is lax here and a reader that is strict see two messages.

use super::table::{
    Expected::{Nothing, Own, Refused, Served},
    Probe, probe,
};

pub(crate) const PROBES: &[Probe] = &[
    probe("a size of 2^64 and more", "<chunked>1<x, 16 digits>\r\n<body>\r\n0\r\n\r\n", Refused(400)),
    probe("a size of many digits", "<chunked>fffffffffffffffffff\r\n<body>\r\n0\r\n\r\n", Refused(400)),
    // A size like any other, whose bytes do not come.
    probe("a size of 2^64 - 1", "<chunked>ffffffffffffffff\r\n<body>\r\n0\r\n\r\n", Refused(408)),
    probe("a size with zeros in front", "<chunked><x, 16 digits>\r\n<body>\r\n0\r\n\r\n", Served(1)),
    probe("a size below nothing", "<chunked>-1\r\n<body>\r\n0\r\n\r\n", Refused(400)),
    probe("a size with a plus", "<chunked>+<x>\r\n<body>\r\n0\r\n\r\n", Refused(400)),
    probe("a size with 0x", "<chunked>0x<x>\r\n<body>\r\n0\r\n\r\n", Refused(400)),
    probe("a size with h", "<chunked><x>h\r\n<body>\r\n0\r\n\r\n", Refused(400)),
    probe("a size with an underscore", "<chunked>0_<x>\r\n<body>\r\n0\r\n\r\n", Refused(400)),
    probe("a space before a size", "<chunked> <x>\r\n<body>\r\n0\r\n\r\n", Refused(400)),
    probe("a space in a size", "<chunked>0 <x>\r\n<body>\r\n0\r\n\r\n", Refused(400)),
    probe("a space behind a size", "<chunked><x> \r\n<body>\r\n0\r\n\r\n", Served(1)),
    probe("NUL behind a size", "<chunked><x>\0\r\n<body>\r\n0\r\n\r\n", Refused(400)),
    probe("no size", "<chunked>\r\n<body>\r\n0\r\n\r\n", Refused(400)),
    probe("an extension", "<chunked><x>;a=b\r\n<body>\r\n0;c=\"d\"\r\n\r\n", Served(1)),
    probe("an extension without a name", "<chunked><x>;\r\n<body>\r\n0\r\n\r\n", Served(1)),
    // TERM.EXT and EXT.TERM: a line's end that only one of two readers sees.
    probe("an extension with LF", "<chunked><x>;a\nb\r\n<body>\r\n0\r\n\r\n", Refused(400)),
    probe("an extension with CR", "<chunked><x>;a\rb\r\n<body>\r\n0\r\n\r\n", Refused(400)),
    probe("an extension of 20 KiB", "<chunked><x>;<20 KiB>\r\n<body>\r\n0\r\n\r\n", Refused(400)),
    probe("nothing behind a chunk", "<chunked><x>\r\n<body>0\r\n\r\n", Refused(400)),
    probe("more in a chunk than its size", "<chunked><x>\r\n<body>  \r\n0\r\n\r\n", Refused(400)),
    probe("other bytes for a chunk's end", "<chunked><x>\r\n<body>XX0\r\n\r\n", Refused(400)),
    probe("LF alone behind a size", "<chunked><x>\n<body>\r\n0\r\n\r\n", Refused(400)),
    probe("LF alone behind a chunk", "<chunked><x>\r\n<body>\n0\r\n\r\n", Refused(400)),
    probe("LF alone at the end", "<chunked><x>\r\n<body>\r\n0\n\n", Refused(400)),
    probe("CR alone behind a size", "<chunked><x>\r<body>\r\n0\r\n\r\n", Refused(400)),
    probe("a last chunk of many zeros", "<chunked><x>\r\n<body>\r\n0000000\r\n\r\n", Served(1)),
    probe("a body in single bytes", "<chunked><single bytes>0\r\n\r\n", Served(1)),
    probe("the end cut off before the last chunk", "<chunked><x>\r\n<body>\r\n", Nothing).cut(),
    probe("the end cut off inside a chunk", "<chunked>ff\r\n<body>", Nothing).cut(),
    probe("the end cut off behind a chunk", "<chunked><x>\r\n<body>", Nothing).cut(),
    probe("the end cut off behind the last chunk", "<chunked><x>\r\n<body>\r\n0\r\n", Nothing).cut(),
    probe("a trailer", "<chunked><x>\r\n<body>\r\n0\r\nX-Any: 1\r\n\r\n", Served(1)),
    probe(
        "a trailer that says Content-Length",
        "<chunked><x>\r\n<body>\r\n0\r\nContent-Length: 2\r\n\r\n",
        Served(1),
    ),
    probe(
        "a trailer that says Transfer-Encoding",
        "<chunked><x>\r\n<body>\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
        Served(1),
    ),
    probe("a trailer that says Host", "<chunked><x>\r\n<body>\r\n0\r\nHost: evil.example\r\n\r\n", Served(1)),
    // The head has no key, and a trailer is no head.
    probe(
        "a trailer that says Authorization",
        "<line><host>Content-Type: application/json\r\nX-Tag: <tag>\r\nTransfer-Encoding: chunked\r\n\r\n\
         <x>\r\n<body>\r\n0\r\n<key>\r\n",
        Served(1),
    )
    .over_tls(Own(401)),
    probe("a trailer without a colon", "<chunked><x>\r\n<body>\r\n0\r\nanything\r\n\r\n", Refused(400)),
    // haproxy 2.6 has forwarded the request, or has not, from run to run.
    probe("NUL in a trailer", "<chunked><x>\r\n<body>\r\n0\r\nX-\0: 1\r\n\r\n", Refused(400)),
    probe("a trailer of 40 KiB", "<chunked><x>\r\n<body>\r\n0\r\nX-Any: <40 KiB>\r\n\r\n", Refused(400)),
];
