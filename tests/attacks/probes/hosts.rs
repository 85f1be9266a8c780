//! Host, and the targets that name one (RFC 9112 section 3.2, RFC 9110 section 7.2).

use super::table::{
    Expected::{Own, Refused, Served},
    Probe, probe,
};

/// nginx 1.22 takes a tab for a part of the value.
pub(crate) const TABS: &str = "tabs around a value are no part of it (RFC 9110 section 5.5)";

pub(crate) const PROBES: &[Probe] = &[
    probe("no Host", "<line><unhosted>", Refused(400)),
    probe("two equal Hosts", "<line><host><usual>", Refused(400)),
    probe("two different Hosts", "<line><host>Host: evil.example\r\n<unhosted>", Refused(400)),
    probe("two different Hosts, ours last", "<line>Host: evil.example\r\n<usual>", Refused(400)),
    probe("a list of Hosts", "<line>Host: localhost, evil.example\r\n<unhosted>", Refused(400)),
    probe("a space in Host", "<line>Host: local host\r\n<unhosted>", Refused(400)),
    probe("a user in Host", "<line>Host: evil.example@localhost\r\n<unhosted>", Refused(400)),
    probe("letters in Host's port", "<line>Host: localhost:80x\r\n<unhosted>", Refused(400)),
    probe("a port beyond 65535", "<line>Host: localhost:65536\r\n<unhosted>", Refused(400)),
    probe("a port with a sign", "<line>Host: localhost:+80\r\n<unhosted>", Refused(400)),
    probe("an empty port", "<line>Host: localhost:\r\n<unhosted>", Refused(400)),
    probe("two ports", "<line>Host: localhost:80:80\r\n<unhosted>", Refused(400)),
    // LiteLLM's CVE-2026-49468.
    probe(
        "a path and a fragment in Host",
        "<line>Host: localhost:4000/#@evil.example\r\n<unhosted>",
        Refused(400),
    ),
    probe("an empty Host", "<line>Host:\r\n<unhosted>", Refused(400)),
    probe("half a bracket in Host", "<line>Host: [::1\r\n<unhosted>", Refused(400)),
    probe("an address in one number", "<line>Host: 2130706433\r\n<unhosted>", Refused(400)),
    probe("NUL in Host", "<line>Host: localhost\0.evil.example\r\n<unhosted>", Refused(400)),
    probe("a folded Host", "<line>Host:\r\n localhost\r\n<unhosted>", Refused(400)),
    probe("a space between Host and its colon", "<line>Host : localhost\r\n<unhosted>", Refused(400)),
    probe("a name of another box", "<line>Host: evil.example\r\n<unhosted>", Own(421)),
    probe("our name as another's label", "<line>Host: localhost.evil.example\r\n<unhosted>", Own(421)),
    probe("the address of nobody", "<line>Host: 0.0.0.0\r\n<unhosted>", Own(421)),
    probe("our name in capitals and with the root's dot", "<line>Host: LOCALHOST.\r\n<unhosted>", Served(1)),
    probe("tabs and spaces around Host", "<line>Host:\t localhost \t\r\n<unhosted>", Served(1)).because(TABS),
    probe(
        "an absolute target that Host repeats",
        "POST http://localhost<target> HTTP/1.1\r\n<usual>",
        Served(1),
    )
    .over_tls(Refused(400)),
    probe("an absolute target for https", "POST https://localhost<target> HTTP/1.1\r\n<usual>", Refused(400))
        .over_tls(Served(1)),
    probe(
        "an absolute target that Host contradicts",
        "POST http://localhost<target> HTTP/1.1\r\nHost: evil.example\r\n<unhosted>",
        Refused(400),
    ),
    probe(
        "an absolute target of another box",
        "POST http://evil.example<target> HTTP/1.1\r\n<usual>",
        Refused(400),
    ),
    probe(
        "an absolute target of another box, and its Host",
        "POST http://evil.example<target> HTTP/1.1\r\nHost: evil.example\r\n<unhosted>",
        Own(421),
    )
    .over_tls(Refused(400)),
    probe(
        "an absolute target without a Host",
        "POST http://localhost<target> HTTP/1.1\r\n<unhosted>",
        Refused(400),
    ),
    probe(
        "an absolute target with a user",
        "POST http://localhost@evil.example<target> HTTP/1.1\r\n<usual>",
        Refused(400),
    ),
    probe(
        "an absolute target of another scheme",
        "POST ftp://localhost<target> HTTP/1.1\r\n<usual>",
        Refused(400),
    ),
];
