//! The name of a host in a certificate.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::ServerName;

/// A DNS name, which may begin with `*.`, or an IP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host(String);

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        ServerName::try_from(name).map_err(|_| HostError)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not the name of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a host is a DNS name or an IP address, without a port")]
pub(crate) struct HostError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for text in ["localhost", "registry.example", "*.example", "10.0.0.1", "::1"] {
            assert_eq!(text.parse(), Ok(Host(text.to_owned())), "{text}");
        }
        for text in ["", "localhost:5000", "a b", "*.*.example", "*.10.0.0.1:1", "https://a"] {
            assert_eq!(text.parse::<Host>(), Err(HostError), "{text}");
        }
    }
}
