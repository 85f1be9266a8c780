//! What the box is reached by, as its page says it.
//!
//! Knows the host's names and addresses, and what the certificate lacks of them. Refuses to know how either was found. Invariant: no
//! name is shown that the certificate does not bear.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ghostllm_edge::ca::LeftOut;

use crate::host::Host;

/// The name that every box has, and every certificate of its own.
const LOCALHOST: &str = "localhost";

/// What others can reach the box by and its certificate bears, since clients refuse anything else, as a URL spells it: the
/// person's own names first, then the host's as others use them, then its addresses. Of a person's own certificate, all that
/// it bears, those that the box is known by first.
pub(super) fn borne(
    names: &[String],
    host: &Host,
    left_out: &[LeftOut],
    given: Option<&[String]>,
) -> Vec<String> {
    let others = host.names.iter().filter(|name| *name != LOCALHOST);
    let addresses = host.addresses.iter().filter(|address| !address.is_loopback() && !is_link_local(address));
    let addresses: Vec<String> = addresses.map(ToString::to_string).collect();
    let known = names.iter().chain([&host.short]).chain(others).chain(&addresses);
    let has = |name: &String| match given {
        Some(given) => given.contains(name),
        None => left_out.iter().all(|left| left.subject != *name),
    };
    let mut all: Vec<String> = Vec::new();
    for name in known.filter(|name| has(name)).chain(given.unwrap_or_default()) {
        let spelt = if name.parse::<Ipv6Addr>().is_ok() { format!("[{name}]") } else { name.clone() };
        if !all.contains(&spelt) {
            all.push(spelt);
        }
    }
    all
}

/// Such an address needs the name of the reader's own interface, which the page cannot know.
fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(six) if six.is_unicast_link_local())
}

/// The name that the page's lines have for who has come by none of them.
pub(super) fn shown_name(borne: &[String]) -> String {
    borne.first().map_or(LOCALHOST, String::as_str).to_owned()
}

/// An address that a program on the box can paste: not the one that stands for all.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, v6.port())),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use ghostllm_edge::ca::Reason;

    use super::*;

    #[test]
    fn the_page_names_only_what_the_certificate_bears() {
        let host = Host::new("Box", "search lan", &[]);
        let shown = |names: &[&str], left_out: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let lacks = |name: &&str| LeftOut { subject: (*name).to_owned(), reason: Reason::NameOutside };
            shown_name(&borne(&names, &host, &left_out.iter().map(lacks).collect::<Vec<_>>(), None))
        };
        assert_eq!(shown(&[], &[]), "box");
        assert_eq!(shown(&["llm.example.org"], &[]), "llm.example.org");
        assert_eq!(shown(&["llm.example.org"], &["llm.example.org"]), "box");
        assert_eq!(shown(&[], &["box", "box.lan"]), "box.local");
        assert_eq!(shown(&["192.168.1.7"], &[]), "192.168.1.7");
        assert_eq!(shown(&["fd00::5"], &[]), "[fd00::5]");
        assert_eq!(shown(&[], &["box", "box.lan", "box.local"]), LOCALHOST);
    }

    #[test]
    fn a_person_s_own_certificate_says_what_the_page_names() {
        let host = Host::new("Box", "search lan", &[]);
        let borne = |names: &[&str], given: &[&str]| {
            let [names, given] =
                [names, given].map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
            borne(&names, &host, &[], Some(&given))
        };
        assert_eq!(borne(&[], &["llm.example.org", "fd00::5"]), ["llm.example.org", "[fd00::5]"]);
        assert_eq!(borne(&[], &["llm.example.org", "box.lan"]), ["box.lan", "llm.example.org"]);
        assert_eq!(borne(&["b.example.org"], &["a.example.org", "b.example.org"])[0], "b.example.org");
        assert!(borne(&["b.example.org"], &[]).is_empty());
    }
}
