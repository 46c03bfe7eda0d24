//! Where a server is.

use std::fmt;
use std::str::FromStr;

use http::uri::{Authority, Uri};

/// A server's scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    is_tls: bool,
    authority: Authority,
}

impl Endpoint {
    /// Whether it speaks TLS.
    pub(crate) const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Host and port as they stand in its URL, and in the header `Host`.
    pub(crate) fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// The host, an IPv6 address without its brackets.
    pub(crate) fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, by default the scheme's own.
    pub(crate) fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.is_tls { 443 } else { 80 })
    }

    /// Where `reference`, from the header `Location`, leads from here: the server, and path and
    /// query.
    pub(crate) fn resolve(&self, reference: &str) -> Option<(Self, String)> {
        let uri: Uri = reference.parse().ok()?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let server = if uri.authority().is_some() { Self::of(&uri)? } else { self.clone() };
        path.starts_with('/').then_some((server, path))
    }

    fn of(uri: &Uri) -> Option<Self> {
        let is_tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = uri.authority().filter(|authority| !authority.host().is_empty())?;
        Some(Self { is_tls, authority: authority.clone() })
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = url.parse().map_err(|_| EndpointError)?;
        if uri.path() != "/" || uri.query().is_some() {
            return Err(EndpointError);
        }
        Self::of(&uri).ok_or(EndpointError)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

/// The text is not the URL of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server is a URL such as http://localhost:5000 or https://registry.example")]
pub struct EndpointError;

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn a_server_may_be_named_without_its_scheme() {
        for (text, url) in [
            ("localhost:5000", Some("http://localhost:5000")),
            ("https://node-1/", Some("https://node-1")),
            ("http://[::1]:5000", Some("http://[::1]:5000")),
            ("ftp://node-1", None),
            ("http://node-1/registry", None),
            ("http://", None),
            ("", None),
        ] {
            let endpoint = text.parse::<Endpoint>().ok().map(|endpoint| endpoint.to_string());
            assert_eq!(endpoint.as_deref(), url, "{text}");
        }
    }

    #[test]
    fn a_location_may_be_absolute_or_not() {
        let here: Endpoint = "https://[::1]".parse().expect("it is a server");
        assert_eq!((here.host(), here.port()), ("::1", 443));
        for (location, target) in [
            ("/v2/a/b?c=d", Some(("https://[::1]", "/v2/a/b?c=d"))),
            ("http://store:9000/o?x", Some(("http://store:9000", "/o?x"))),
            ("ftp://store/o", None),
            ("relative", None),
        ] {
            let resolved = here.resolve(location).map(|(server, path)| (server.to_string(), path));
            let target = target.map(|(server, path)| (server.to_owned(), path.to_owned()));
            assert_eq!(resolved, target, "{location}");
        }
    }
}
