//! Who asks, and how, as far as a connection tells: also when there are proxies in between.

pub(crate) mod certificate;
pub(crate) mod scheme;
pub(crate) mod site;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;

use self::scheme::Scheme;

/// Where a proxy appends the address that it was asked from.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Where a proxy says how it was asked itself.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Who is at the other end of a connection, as far as limits tell clients apart: an IPv4 address,
/// or an IPv6 network of 64 bits, of which one client may use every address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(IpAddr);

impl Client {
    /// A client without a connection.
    pub const UNKNOWN: Self = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    /// Who sent the request that these belong to, as [`identify`] found out.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or(Self::UNKNOWN)
    }
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => {
                Self(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into())
            }
        }
    }
}

/// The address that a request came from, for those who read the audit log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin(Option<IpAddr>);

impl Origin {
    /// Of what came without a connection, or from this node itself.
    pub(crate) const NONE: Self = Self(None);

    /// Where the request came from that these belong to, as [`identify`] found out.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or(Self::NONE)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("none"),
        }
    }
}

/// Notes with `request` who sent it and how: its [`Scheme`], and what [`Client::of`] and
/// [`Origin::of`] read.
pub(crate) fn identify(request: &mut Request, trusted: &[IpNet]) {
    let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() else {
        return;
    };
    let peer = peer.ip().to_canonical();
    let address = origin(peer, request.headers(), trusted);
    let scheme = forwarded_scheme(peer, request.headers(), trusted);
    let extensions = request.extensions_mut();
    extensions.insert(Client::from(address));
    extensions.insert(Origin(Some(address)));
    if let Some(scheme) = scheme {
        extensions.insert(scheme);
    }
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// How a proxy that the operator trusts says that it was asked: where TLS ends at the proxy, this
/// node is asked in the clear.
fn forwarded_scheme(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Option<Scheme> {
    if !is_trusted(peer, trusted) {
        return None;
    }
    let last = headers.get_all(FORWARDED_PROTO).iter().next_back()?.to_str().ok()?;
    let said = last.rsplit(',').next()?.trim();
    let schemes = [Scheme::Http, Scheme::Https];
    schemes.into_iter().find(|scheme| said.eq_ignore_ascii_case(scheme.as_str()))
}

/// The address that a request came from: the one that the connection is from or, while that is a
/// proxy that the operator trusts, the one that this proxy was asked from. It appended that to what
/// it was sent, so the last one counts; those before it anybody can have written.
fn origin(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let mut hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    let mut address = peer;
    while is_trusted(address, trusted) {
        match hops.next().and_then(parse) {
            Some(hop) => address = hop.to_canonical(),
            None => break,
        }
    }
    address
}

/// An address as proxies write it: some add the port.
fn parse(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    hop.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use http::HeaderValue;

    use super::*;

    fn client(address: &str) -> Client {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
        assert_eq!(client("::ffff:10.0.0.1"), client("10.0.0.1"));
        assert_ne!(client("10.0.0.2"), client("10.0.0.1"));
        assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::9"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
    }

    #[test]
    fn only_what_trusted_proxies_say_of_where_they_were_asked_from_is_believed() {
        const TRUSTED: [&str; 2] = ["10.0.0.0/8", "2001:db8::/32"];
        let trusted = TRUSTED.map(|network| network.parse::<IpNet>().unwrap());
        for (peer, forwarded, expected) in [
            ("192.0.2.1", &[][..], "192.0.2.1"),
            ("192.0.2.1", &["198.51.100.1"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("2001:db8::1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            // What stands further left is the client's own invention.
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
            // From proxy to proxy.
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1 ,10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1", "10.0.0.2", "10.0.0.3"], "198.51.100.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // Some add the port.
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db9::1]:4711"], "2001:db9::1"),
            // Nobody knows what is behind one that says nothing.
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, "], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, nobody, 10.0.0.2"], "10.0.0.2"),
        ] {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
            }
            let peer: IpAddr = peer.parse().unwrap();
            let found = origin(peer.to_canonical(), &headers, &trusted);
            assert_eq!(found.to_string(), expected, "{peer} {forwarded:?}");
        }
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, HeaderValue::from_bytes(b"198.51.100.1\xff").unwrap());
        let proxy = "10.0.0.1".parse().unwrap();
        assert_eq!(origin(proxy, &headers, &trusted), proxy);
    }

    #[test]
    fn only_a_trusted_proxy_says_how_it_was_asked() {
        let trusted = ["10.0.0.0/8".parse::<IpNet>().unwrap()];
        for (peer, said, expected) in [
            ("10.0.0.1", &["https"][..], Some(Scheme::Https)),
            ("10.0.0.1", &["HTTPS"], Some(Scheme::Https)),
            ("10.0.0.1", &["http"], Some(Scheme::Http)),
            ("10.0.0.1", &["http", "http, https"], Some(Scheme::Https)),
            ("10.0.0.1", &["gopher"], None),
            ("10.0.0.1", &[], None),
            ("192.0.2.1", &["https"], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in said {
                headers.append(FORWARDED_PROTO, HeaderValue::from_static(line));
            }
            let found = forwarded_scheme(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, expected, "{peer} {said:?}");
        }
    }
}
