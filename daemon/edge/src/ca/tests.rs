//! The CA by itself: what it permits, how long its leaves live, and what it makes of damaged input.

use std::net::IpAddr;

use rustls::{client::verify_server_name, pki_types::ServerName};

use super::*;

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn subjects(names: &[&str], addresses: &[&str]) -> Subjects {
    Subjects {
        names: strings(names),
        addresses: addresses.iter().map(|text| text.parse().expect("an address")).collect(),
    }
}

fn now() -> OffsetDateTime {
    CLOCK_FLOOR + Duration::days(100)
}

fn authority(names: &[&str]) -> Authority {
    Authority::make("box", &strings(names), now()).expect("a CA")
}

fn home() -> Subjects {
    subjects(&["localhost", "box", "box.local"], &["127.0.0.1", "::1", "192.168.1.7"])
}

/// A generator of numbers for properties, the same at every run (Knuth's MMIX constants).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    fn name(&mut self) -> String {
        let parts =
            ["box", "local", "localhost", "internal", "home", "arpa", "xlocal", "com", "x_y", "-", "*", "7"];
        let parts: Vec<_> = (0..=self.below(4)).map(|_| self.pick(&parts)).collect();
        let dot = self.pick(&["", "", "", ".", " ", "\u{fc}"]);
        format!("{}{dot}", parts.join("."))
    }

    fn address(&mut self) -> IpAddr {
        let byte = |numbers: &mut Self| u8::try_from(numbers.below(256)).expect("a byte");
        let mut octets: [u8; 16] = std::array::from_fn(|_| byte(self));
        match self.below(8) {
            0 => octets[..2].copy_from_slice(&[0xfe, 0x80]),
            1 => octets[0] = 0xfd,
            2 => octets[..12].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
            3 => return IpAddr::from([10, octets[1], octets[2], octets[3]]),
            4 => return IpAddr::from([172, octets[1], octets[2], octets[3]]),
            5 => return IpAddr::from([octets[0], octets[1], octets[2], octets[3]]),
            6 => return IpAddr::from([100, octets[1], octets[2], octets[3]]),
            _ => {}
        }
        IpAddr::from(octets)
    }
}

#[test]
fn a_leaf_never_bears_what_its_authority_does_not_permit() {
    let mut numbers = Numbers(17);
    for _ in 0..150 {
        let made_for: Vec<_> = (0..numbers.below(3)).map(|_| numbers.name()).collect();
        let authority = Authority::make("box", &made_for, now()).expect("a CA of any names");
        let mut wanted = home();
        wanted.names.extend((0..numbers.below(6)).map(|_| numbers.name()));
        wanted.addresses.extend((0..numbers.below(6)).map(|_| numbers.address()));
        // `issue` has rustls verify the leaf, so one name outside would fail here.
        let (leaf, left_out) = authority.issue(&wanted, now()).expect("a leaf of any names");
        for name in &leaf.facts().names {
            assert!(authority.scope().permits_name(name), "{name} under {made_for:?}");
        }
        for address in &leaf.facts().addresses {
            assert!(authority.scope().permits_address(*address), "{address} under {made_for:?}");
        }
        let borne = leaf.facts().names.len() + leaf.facts().addresses.len();
        let given = wanted.names.len() + wanted.addresses.len();
        assert!(borne + left_out.len() <= given, "each is borne or left out, once");
        assert!(borne >= 5, "the home names are never lost");
    }
}

#[test]
fn what_is_written_is_what_is_read() {
    let made = authority(&["box", "box.example.com", "203.0.113.9", "2001:db8::9"]);
    let read = Authority::from_pem(made.to_pem().as_bytes()).expect("reads back");
    assert_eq!(read.facts(), made.facts());
    assert_eq!(read.scope(), made.scope());
    assert_eq!(read.certificate_pem(), made.certificate_pem());
    assert_eq!(read.fingerprint(), made.fingerprint());
    assert!(made.facts().common_name.as_deref().is_some_and(|name| name.starts_with("GhostLLM CA box ")));
    let (leaf, _) = read.issue(&home(), now()).expect("the CA that was read issues");
    let again = Leaf::from_pem(leaf.to_pem().as_bytes()).expect("reads back");
    assert_eq!(again.facts(), leaf.facts());
    assert_eq!(made.due(&again, &home(), now()), None);
}

#[test]
fn the_authority_alone_is_handed_out_without_its_key() {
    let made = authority(&[]);
    assert!(made.to_pem().contains("PRIVATE KEY"));
    assert!(!made.certificate_pem().contains("PRIVATE KEY"));
    let parsed = CertificateDer::from_pem_slice(made.certificate_pem().as_bytes()).expect("PEM");
    assert_eq!(&parsed, made.certificate_der());
    let groups: Vec<_> = made.fingerprint().split(':').map(str::len).collect();
    assert_eq!(groups, [2; 32]);
}

#[test]
fn two_boxes_of_one_name_are_told_apart() {
    let (one, two) = (authority(&[]), authority(&[]));
    assert_ne!(one.facts().common_name, two.facts().common_name);
    let (leaf, _) = one.issue(&home(), now()).expect("a leaf");
    assert_eq!(two.due(&leaf, &home(), now()), Some(Due::OtherAuthority));
}

#[test]
fn global_addresses_and_new_names_are_left_out_and_said() {
    let authority = authority(&["box"]);
    let mut wanted = home();
    wanted.names.extend(strings(&["other", "*.local", "b\u{fc}cher.local", "box.7"]));
    wanted.addresses.push("2001:db8::5".parse().expect("an address"));
    let (leaf, left_out) = authority.issue(&wanted, now()).expect("a leaf");
    let said: Vec<_> = left_out.iter().map(|left| (left.subject.as_str(), left.reason)).collect();
    assert_eq!(said[0], ("other", Reason::NameOutside));
    assert!(matches!(said[1], ("*.local", Reason::NotAName(_))));
    assert!(matches!(said[2], ("b\u{fc}cher.local", Reason::NotAName(_))));
    assert!(matches!(said[3], ("box.7", Reason::NotAName(_))));
    assert_eq!(said[4], ("2001:db8::5", Reason::AddressOutside));
    assert_eq!(leaf.facts().names, ["box", "box.local", "localhost"]);
}

#[test]
fn names_are_compared_by_whole_labels_in_lower_case() {
    let authority = authority(&["Box.Example.COM."]);
    let scope = authority.scope();
    for inside in ["box.example.com", "a.box.example.com", "x.local", "local", "a.b.home.arpa"] {
        assert!(scope.permits_name(inside), "{inside}");
    }
    for outside in ["example.com", "xbox.example.com", "xlocal", "arpa", "com", ""] {
        assert!(!scope.permits_name(outside), "{outside}");
    }
    let (leaf, _) = authority.issue(&subjects(&["BOX.example.com."], &[]), now()).expect("a leaf");
    assert_eq!(leaf.facts().names, ["box.example.com"]);
    let parsed = ParsedCertificate::try_from(&leaf.certificate).expect("a certificate");
    verify_server_name(&parsed, &ServerName::try_from("box.example.com").expect("a name")).expect("its name");
}

#[test]
fn the_edges_of_each_network() {
    let scope = authority(&[]).scope().clone();
    for inside in [
        "127.0.0.0",
        "127.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.168.0.0",
        "192.168.255.255",
        "169.254.0.0",
        "169.254.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "::1",
        "fe80::",
        "febf:ffff::",
        "fc00::",
        "fdff:ffff::",
    ] {
        assert!(scope.permits_address(inside.parse().expect("an address")), "{inside}");
    }
    for outside in [
        "126.255.255.255",
        "128.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "::",
        "::2",
        "fe7f:ffff::",
        "fec0::",
        "fbff:ffff::",
        "fe00::",
        "2001:db8::1",
        "0.0.0.0",
    ] {
        assert!(!scope.permits_address(outside.parse().expect("an address")), "{outside}");
    }
}

#[test]
fn too_many_names_and_addresses_lose_the_last_ones() {
    let authority = authority(&["box"]);
    let mut wanted = home();
    wanted.names.extend((0..NAMES).map(|index| format!("n{index}.local")));
    wanted.addresses.extend(
        (0..u16::try_from(ADDRESSES).expect("few"))
            .map(|index| IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, index + 1])),
    );
    let (leaf, left_out) = authority.issue(&wanted, now()).expect("a leaf");
    assert_eq!(leaf.facts().names.len(), NAMES);
    assert!(leaf.facts().names.contains(&"localhost".to_owned()), "the first names stay");
    assert_eq!(leaf.facts().addresses.len(), ADDRESSES);
    assert_eq!(left_out.len(), 6);
    assert!(left_out.iter().all(|left| left.reason == Reason::TooMany));
    assert_eq!(leaf.facts().addresses[0], IpAddr::from([127, 0, 0, 1]), "link-local addresses go first");
}

#[test]
fn a_leaf_lives_ninety_days_and_is_renewed_after_sixty() {
    let authority = authority(&[]);
    let (leaf, _) = authority.issue(&home(), now()).expect("a leaf");
    assert_eq!(leaf.facts().not_after, now() + Duration::days(90));
    assert!(leaf.facts().not_before <= now() - Duration::hours(1));
    assert_eq!(authority.renew_at(&leaf), now() + Duration::days(60));
    let second = Duration::seconds(1);
    assert_eq!(authority.due(&leaf, &home(), now() + Duration::days(60) - second), None);
    assert_eq!(authority.due(&leaf, &home(), now() + Duration::days(60)), Some(Due::Old));
    let mut fewer = home();
    fewer.addresses.pop();
    assert_eq!(authority.due(&leaf, &fewer, now()), Some(Due::Subjects));
    let mut outside = home();
    outside.addresses.push("2001:db8::5".parse().expect("an address"));
    assert_eq!(authority.due(&leaf, &outside, now()), None, "what is left out anyway changes nothing");
}

#[test]
fn no_span_is_longer_than_apple_allows() {
    let authority = authority(&[]);
    for day in [0, 700, 800, 1500, 3000, 3600] {
        let (leaf, _) = authority.issue(&home(), now() + Duration::days(day)).expect("a leaf");
        assert!(leaf.facts().not_after - leaf.facts().not_before <= Duration::days(825), "day {day}");
        assert!(leaf.facts().not_after <= authority.facts().not_after, "day {day}");
    }
}

#[test]
fn a_clock_in_1970_makes_certificates_that_are_valid_today() {
    let lost = OffsetDateTime::UNIX_EPOCH + Duration::days(1);
    let authority = Authority::make("box", &[], lost).expect("a CA");
    let (leaf, _) = authority.issue(&home(), lost).expect("a leaf");
    for facts in [authority.facts(), leaf.facts()] {
        assert!(facts.not_before <= CLOCK_FLOOR && facts.not_after > CLOCK_FLOOR + Duration::days(800));
    }
    assert_eq!(authority.due(&leaf, &home(), lost), None, "not again at every tick");
    assert_eq!(authority.due(&leaf, &home(), now()), Some(Due::Clock), "once the clock is right");
    let (right, _) = authority.issue(&home(), now()).expect("a leaf");
    assert_eq!(authority.due(&right, &home(), now()), None);
    assert_eq!(authority.due(&right, &home(), lost), Some(Due::Clock), "the clock was lost again");
}

#[test]
fn a_clock_that_ran_ahead_is_forgiven() {
    let ahead = now() + Duration::days(400);
    let authority = Authority::make("box", &[], ahead).expect("a CA");
    let (leaf, _) = authority.issue(&home(), ahead).expect("a leaf");
    assert!(authority.facts().not_before < now() && leaf.facts().not_before < now());
    assert_eq!(authority.due(&leaf, &home(), now()), Some(Due::Clock));
    for step in [-1, 1] {
        let (leaf, _) = authority.issue(&home(), now()).expect("a leaf");
        assert_eq!(authority.due(&leaf, &home(), now() + Duration::hours(step)), None, "{step} h");
    }
}

#[test]
fn an_authority_at_its_end_says_so_and_does_not_issue_for_ever() {
    let authority = authority(&[]);
    let end = authority.facts().not_after;
    let (last, _) = authority.issue(&home(), end - Duration::days(10)).expect("a last leaf");
    assert_eq!(last.facts().not_after, end);
    assert_eq!(authority.due(&last, &home(), end - Duration::days(9)), None);
    assert!(matches!(authority.issue(&home(), end), Err(CaError::Expired(_))));
    let nothing = subjects(&["example.com"], &["203.0.113.1"]);
    assert!(matches!(authority.issue(&nothing, now()), Err(CaError::NothingPermitted)));
}

#[test]
fn damaged_files_are_refused_with_a_reason() {
    let (one, two) = (authority(&[]), authority(&[]));
    let text = one.to_pem();
    let key_at = text.find("-----BEGIN PRIVATE").expect("a key");
    let mixed = format!("{}{}", two.certificate_pem(), &text[key_at..]);
    assert!(matches!(Authority::from_pem(mixed.as_bytes()), Err(CaError::KeyMismatch)));
    assert!(matches!(Authority::from_pem(&text.as_bytes()[key_at..]), Err(CaError::Missing("certificate"))));
    assert!(matches!(
        Authority::from_pem(one.certificate_pem().as_bytes()),
        Err(CaError::Missing("private key"))
    ));
    for end in (0..text.len() - 2).step_by(7) {
        assert!(Authority::from_pem(&text.as_bytes()[..end]).is_err(), "cut at {end}");
    }
    let (leaf, _) = one.issue(&home(), now()).expect("a leaf");
    assert!(matches!(Authority::from_pem(leaf.to_pem().as_bytes()), Err(CaError::Foreign(_))));
    let leaf = leaf.to_pem();
    for end in (0..leaf.len() - 2).step_by(7) {
        assert!(Leaf::from_pem(&leaf.as_bytes()[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn no_damage_to_the_certificate_makes_the_reader_panic() {
    let authority = authority(&["box"]);
    let (leaf, _) = authority.issue(&home(), now()).expect("a leaf");
    for der in [authority.certificate_der(), &leaf.certificate] {
        for end in 0..der.len() {
            assert!(Facts::read(&der[..end]).is_err(), "cut at {end}");
        }
        let mut damaged = der.to_vec();
        for at in 0..damaged.len() {
            for value in [0, 0x7f, 0x80, 0x84, 0xff] {
                let before = std::mem::replace(&mut damaged[at], value);
                let _any_answer = Facts::read(&damaged);
                damaged[at] = before;
            }
        }
    }
}

#[test]
fn serials_are_random_and_keys_are_new() {
    let authority = authority(&[]);
    let (one, _) = authority.issue(&home(), now()).expect("a leaf");
    let (two, _) = authority.issue(&home(), now()).expect("a leaf");
    assert_ne!(one.facts().public_key, two.facts().public_key);
    assert_ne!(serial().expect("random").to_bytes(), serial().expect("random").to_bytes());
}

#[test]
fn a_ca_of_which_one_bit_has_changed_is_refused() {
    let made = Authority::make("box", &["box".to_owned()], CLOCK_FLOOR).expect("a CA");
    let key = made.issuer.key().serialize_pem();
    let good = made.certificate_der().to_vec();
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1 << (at % 8);
        let text = format!("{}{key}", pem::encode(&pem::Pem::new("CERTIFICATE", changed)));
        assert!(Authority::from_pem(text.as_bytes()).is_err(), "byte {at}");
    }
    // What the text's own blanks have suffered is no part of it, and is not handed on.
    let spaced = made.to_pem().replace('\n', "\r\n\r\n");
    let read = Authority::from_pem(spaced.as_bytes()).expect("the same CA");
    assert_eq!(read.certificate_pem(), made.certificate_pem());
}
