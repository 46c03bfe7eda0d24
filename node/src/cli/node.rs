//! The node that a command asks, and whom it believes to be one.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use reqwest::Client;
use reqwest::redirect::Policy;

use super::Failure;
use crate::tls::Trust;

#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    /// Any node's API.
    #[arg(
        long,
        value_name = "URL",
        env = "ROADSTEAD_SERVER",
        default_value = "http://localhost:5000",
        global = true
    )]
    pub(super) server: Server,
    /// The CA to trust beside those of the system, in PEM.
    #[arg(long, value_name = "FILE", env = "ROADSTEAD_CA", global = true)]
    ca: Option<PathBuf>,
}

impl NodeArgs {
    /// A client that asks it, and waits no longer than `timeout` for an answer.
    pub(super) fn client(&self, timeout: Duration) -> Result<Client, Failure> {
        client(&self.server, timeout, self.ca.as_deref())
    }
}

/// A client for `server`, which trusts the CAs of the system and those in the file at `ca`, and
/// waits no longer than `timeout` for an answer.
pub(super) fn client(
    server: &Server,
    timeout: Duration,
    ca: Option<&Path>,
) -> Result<Client, Failure> {
    let tls = Trust::with(ca)?.client()?;
    let client = Client::builder().timeout(timeout).tls_backend_preconfigured(tls);
    // Within it, so that it is told apart from an answer that does not come.
    let client = client.connect_timeout(timeout / 2);
    // No node sends elsewhere. Followed, a change becomes a GET, and the page that answers it would
    // be taken for success.
    let client = client.redirect(Policy::none());
    // To a proxy, which the environment may name, this machine is another one.
    let client = if server.is_local() { client.no_proxy() } else { client };
    Ok(client.build()?)
}

/// The base URL of a node's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server(String);

impl Server {
    /// Whether it is on this machine, for certain.
    pub(super) fn is_local(&self) -> bool {
        let url = reqwest::Url::parse(&self.0);
        let host = url.as_ref().ok().and_then(reqwest::Url::host_str).unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
    }
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let parsed = reqwest::Url::parse(&url).map_err(|_| ServerError)?;
        // A name and a password in it would be told in every error.
        let has_login = !parsed.username().is_empty() || parsed.password().is_some();
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() || has_login {
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
#[error(
    "a server is a URL such as http://localhost:5000 or https://registry.example, without a name \
     and a password in it"
)]
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
            ("https://alice:secret@node-1", Err(ServerError)),
            ("alice@node-1:5000", Err(ServerError)),
        ] {
            assert_eq!(text.parse(), url.map(|url| Server(url.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_server_on_this_machine_is_known_by_its_host() {
        for (text, is_local) in [
            ("localhost:5000", true),
            ("https://LOCALHOST", true),
            ("127.0.0.1:5002", true),
            ("http://127.1.2.3", true),
            ("http://[::1]:5002", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://0.0.0.0:5000", false),
            ("http://10.0.0.1", false),
            ("http://[2001:db8::1]", false),
            ("http://localhost.example", false),
            ("http://node-1", false),
        ] {
            let server = text.parse::<Server>();
            assert_eq!(server.map(|server| server.is_local()), Ok(is_local), "{text}");
        }
    }
}
