//! The node that a command asks, and whom it believes to be one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use reqwest::Client;

use super::Failure;
use crate::tls::Trust;

#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    /// Any node's API.
    #[arg(long, value_name = "URL", default_value = "http://localhost:5000", global = true)]
    pub(super) server: Server,
    /// The CA to trust beside those of the system, in PEM.
    #[arg(long, value_name = "FILE", env = "ROADSTEAD_CA", global = true)]
    ca: Option<PathBuf>,
}

impl NodeArgs {
    /// A client that asks it, and waits no longer than `timeout` for an answer.
    pub(super) fn client(&self, timeout: Duration) -> Result<Client, Failure> {
        client(timeout, self.ca.as_deref())
    }
}

/// A client that trusts the CAs of the system and those in the file at `ca`, and waits no longer
/// than `timeout` for an answer.
pub(super) fn client(timeout: Duration, ca: Option<&Path>) -> Result<Client, Failure> {
    let tls = Trust::with(ca)?.client()?;
    Ok(Client::builder().timeout(timeout).tls_backend_preconfigured(tls).build()?)
}

/// The base URL of a node's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server(String);

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let parsed = reqwest::Url::parse(&url).map_err(|_| ServerError)?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(ServerError);
        }
        Ok(Self(url.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not the URL of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server is a URL such as http://localhost:5000 or https://registry.example")]
pub(crate) struct ServerError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_be_named_without_its_scheme() {
        for (text, url) in [
            ("localhost:5000", Ok("http://localhost:5000")),
            ("http://node-1:80/", Ok("http://node-1:80")),
            ("https://node-1", Ok("https://node-1")),
            ("ftp://node-1", Err(ServerError)),
            ("", Err(ServerError)),
            ("http://", Err(ServerError)),
        ] {
            assert_eq!(text.parse(), url.map(|url| Server(url.to_owned())), "{text}");
        }
    }
}
