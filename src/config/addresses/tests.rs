//! Which addresses may be reached, and by which names.

use super::*;

fn judge(rule: &Addresses, host: &str, address: &str) -> Result<(), Forbidden> {
    let host = Host::parse(host).unwrap();
    let host = match &host {
        Host::Domain(name) => Host::Domain(name.as_str()),
        Host::Ipv4(ip) => Host::Ipv4(*ip),
        Host::Ipv6(ip) => Host::Ipv6(*ip),
    };
    rule.judge(&host, address.parse().unwrap())
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_public_address_is_reached_whatever_led_to_it() {
    for address in [
        "1.1.1.1",
        "93.184.216.34",
        "2606:4700::1111",
        "64:ff9b::1.1.1.1",
    ] {
        let rule = Addresses::default();
        assert_eq!(judge(&rule, "shop.example.com", address), Ok(()));
        assert_eq!(judge(&rule, "shop", address), Ok(()));
    }
}

#[test]
fn a_private_address_is_reached_only_where_the_configuration_means_it() {
    let rule = Addresses::default();
    for address in [
        "10.1.2.3",
        "172.31.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "100.64.0.1",
        "::1",
        "fd12::1",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:a00:1::",
        "::127.0.0.1",
        "64:ff9b:1::1",
    ] {
        assert_eq!(
            judge(&rule, "shop.example.com", address),
            Err(Forbidden::Private),
            "{address}"
        );
        for host in [
            "10.1.2.3",
            "[::1]",
            "localhost",
            "LOCALHOST",
            "shop",
            "a.localhost",
            "nas.local",
            "x.internal",
            "x.home.arpa",
            "router.lan",
            "x.test",
            "api.shop.svc",
            "api.cluster.local",
            "x.corp",
            "x.home",
            "x.intranet",
            "shop.",
        ] {
            assert_eq!(judge(&rule, host, address), Ok(()), "{host} {address}");
        }
    }
    assert!(judge(&rule, "notlocal.example", "10.0.0.1").is_err());
    assert!(judge(&rule, "evillocalhost.com", "10.0.0.1").is_err());
    assert!(judge(&rule, "mylan.xlan", "10.0.0.1").is_err());
}

#[test]
fn a_network_or_the_word_private_allows_it() {
    let by_network = Addresses {
        allow: nets(&["10.0.0.0/8"]),
        ..Addresses::default()
    };
    assert_eq!(judge(&by_network, "a.example.com", "10.1.1.1"), Ok(()));
    assert!(judge(&by_network, "a.example.com", "192.168.0.1").is_err());
    let all = Addresses {
        allow_private: true,
        ..Addresses::default()
    };
    assert_eq!(judge(&all, "a.example.com", "192.168.0.1"), Ok(()));
    assert_eq!(judge(&all, "a.example.com", "fd00::1"), Ok(()));
}

#[test]
fn special_addresses_are_reached_only_by_a_network_within_them() {
    let wide = Addresses {
        allow: nets(&["0.0.0.0/0", "::/0"]),
        allow_private: true,
        deny: Vec::new(),
    };
    for address in [
        "169.254.169.254",
        "169.254.1.1",
        "fe80::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "2001:db8::1",
        "192.0.0.192",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "::169.254.169.254",
        "2001::1",
    ] {
        for host in ["localhost", "169.254.169.254", "a.example.com"] {
            let judged = judge(&wide, host, address);
            assert!(matches!(judged, Err(Forbidden::Special(_))), "{address}");
        }
    }
    let narrow = Addresses {
        allow: nets(&["169.254.169.254/32"]),
        ..Addresses::default()
    };
    assert_eq!(judge(&narrow, "a.example.com", "169.254.169.254"), Ok(()));
    assert!(judge(&narrow, "a.example.com", "169.254.169.253").is_err());
}

#[test]
fn what_is_denied_is_denied_for_everybody() {
    let rule = Addresses {
        allow: nets(&["127.0.0.0/8"]),
        allow_private: true,
        deny: nets(&["127.0.0.0/8", "1.1.1.0/24"]),
    };
    for (host, address) in [
        ("localhost", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "::ffff:127.0.0.1"),
        ("a.example.com", "1.1.1.1"),
    ] {
        assert_eq!(judge(&rule, host, address), Err(Forbidden::Denied));
    }
}
