//! Finds addresses of this machine. Requests to them bypass proxies: a proxy would see keys and transcripts that are not
//! meant to leave the machine.

use url::{Host, Url};

/// Returns whether a URL names a loopback address.
///
/// No name is resolved, because its address may change between the check and the request.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Returns whether a host is a loopback address, written as in a URL but without the brackets of IPv6.
pub fn is_loopback_host(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_this_machine() {
        let here = |text: &str| is_loopback(&Url::parse(text).unwrap());
        assert!(here("http://127.0.0.1:9000") && here("http://[::1]:9000") && here("http://localhost:9000"));
        assert!(!here("http://10.0.0.1:9000") && !here("https://s3.example.com"));
        for host in ["127.0.0.1", "127.1.2.3", "::1", "localhost"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["", "10.0.0.1", "[::1]", "localhost.example.com", "/run/postgresql"] {
            assert!(!is_loopback_host(host), "{host}");
        }
        assert!(!here("http://localhost.example.com") && !here("http://127.0.0.1.example.com"));
    }
}
