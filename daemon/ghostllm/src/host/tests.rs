//! Names and addresses from facts.

use super::*;

fn names(name: &str, resolv_conf: &str) -> Vec<String> {
    Host::new(name, resolv_conf, &[]).names
}

fn local(address: &str, enslaved: bool) -> Local {
    Local { address: address.parse().expect("an address"), prefix: None, enslaved }
}

#[test]
fn a_plain_name_gets_its_search_domains() {
    let text =
        "# search no.example\nnameserver 192.0.2.1\nsearch old.example\nsearch LAN. home.arpa\noptions x\n";
    assert_eq!(names("Box", text), ["localhost", "box", "box.lan", "box.home.arpa", "box.local"]);
    assert_eq!(names("box", "domain lan\n"), ["localhost", "box", "box.lan", "box.local"]);
}

#[test]
fn a_full_name_is_kept_beside_its_first_part() {
    assert_eq!(names("box.example.com", ""), ["localhost", "box", "box.example.com", "box.local"]);
    assert_eq!(names("box.local", "search local"), ["localhost", "box", "box.local"]);
}

#[test]
fn a_box_without_a_name_is_localhost() {
    for name in ["", "(none)", "localhost", "localhost.localdomain", "."] {
        assert_eq!(names(name, "search ."), ["localhost"], "{name}");
    }
    assert_eq!(Host::new("", "", &[]).short, "localhost");
}

#[test]
fn addresses_come_each_once_without_those_nobody_reaches() {
    let locals = [
        local("127.0.0.1", false),
        local("192.168.1.5", false),
        local("fe80::1", false),
        local("fe80::2", true),
        local("169.254.1.1", true),
        local("10.0.0.1", true),
        local("0.0.0.0", false),
        local("ff02::1", false),
        local("192.168.1.5", false),
        local("2001:db8::1", false),
    ];
    let found: Vec<_> = Host::new("box", "", &locals).addresses.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["127.0.0.1", "::1", "192.168.1.5", "fe80::1", "10.0.0.1", "2001:db8::1"]);
}

#[test]
fn this_machine_can_be_asked() {
    let host = Host::read();
    assert!(host.names.contains(&"localhost".to_owned()));
    assert!(host.addresses.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    assert!(!host.short.is_empty());
}
