//! Addresses at which nodes reach each other.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::limits::ADDRESS_BYTES_MAX;

/// A host, as a name or an IP address, and a port: `node-1.example:5001`, `10.0.0.1:5001` or
/// `[::1]:5001`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress(Box<str>);

impl PeerAddress {
    /// The address as it was written.
    pub const fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it says by itself that no other machine is meant.
    pub fn is_loopback(&self) -> bool {
        self.host() == "localhost" || self.ip().is_some_and(|address| address.is_loopback())
    }

    /// Whether it is every address of a machine, at which one listens, and no other machine finds
    /// it.
    pub fn is_unspecified(&self) -> bool {
        self.ip().is_some_and(|address| address.to_canonical().is_unspecified())
    }

    fn host(&self) -> &str {
        self.0.rsplit_once(':').map_or("", |(host, _)| host)
    }

    fn ip(&self) -> Option<IpAddr> {
        self.host().trim_matches(['[', ']']).parse().ok()
    }
}

impl FromStr for PeerAddress {
    type Err = PeerAddressError;

    fn from_str(text: &str) -> Result<Self, PeerAddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(PeerAddressError)?;
        let is_ipv6 = |host: &str| {
            let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
        };
        let port_is_valid = port.bytes().all(|b| b.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port != 0);
        if text.len() <= ADDRESS_BYTES_MAX && port_is_valid && (is_name(host) || is_ipv6(host)) {
            Ok(Self(text.into()))
        } else {
            Err(PeerAddressError)
        }
    }
}

/// Whether `host` is labels of letters, digits, dashes and underscores (which compose service names
/// have), joined by dots; IPv4 addresses are.
fn is_name(host: &str) -> bool {
    host.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a host and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an address is host:port, of at most {ADDRESS_BYTES_MAX} characters and with a port between 1 \
     and 65535"
)]
pub struct PeerAddressError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_bounded_length() {
        let of = |length: usize| format!("{}:5001", "a".repeat(length - ":5001".len()));
        assert!(of(ADDRESS_BYTES_MAX).parse::<PeerAddress>().is_ok());
        assert!(of(ADDRESS_BYTES_MAX + 1).parse::<PeerAddress>().is_err());
    }

    #[test]
    fn an_address_says_whether_it_is_of_this_machine_alone() {
        for (address, is_loopback) in [
            ("localhost:5001", true),
            ("127.0.0.2:5001", true),
            ("[::1]:5001", true),
            ("10.0.0.1:5001", false),
            ("[fd00::1]:5001", false),
            ("localhost.example:5001", false),
        ] {
            let parsed = address.parse().map(|address: PeerAddress| address.is_loopback());
            assert_eq!(parsed, Ok(is_loopback), "{address}");
        }
    }

    #[test]
    fn an_address_says_whether_it_is_no_address_of_a_machine() {
        for (address, is_unspecified) in [
            ("0.0.0.0:5001", true),
            ("[::]:5001", true),
            ("[::ffff:0.0.0.0]:5001", true),
            ("127.0.0.1:5001", false),
            ("[::1]:5001", false),
            ("node-1:5001", false),
        ] {
            let parsed = address.parse().map(|address: PeerAddress| address.is_unspecified());
            assert_eq!(parsed, Ok(is_unspecified), "{address}");
        }
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for valid in ["localhost:5001", "10.0.0.1:1", "node_1.example-net:65535", "[::1]:5001"] {
            assert!(valid.parse::<PeerAddress>().is_ok(), "{valid}");
        }
        for wrong in [
            "",
            ":",
            "localhost",
            ":5001",
            "localhost:",
            "localhost:0",
            "localhost:65536",
            "a b:1",
            "::1:5001",
            "[localhost]:1",
            "http://a:1",
            "a:+1",
            "-a:1",
            "a.:1",
            "a..b:1",
            "a/b:1",
        ] {
            assert_eq!(wrong.parse::<PeerAddress>(), Err(PeerAddressError), "{wrong}");
        }
    }
}
