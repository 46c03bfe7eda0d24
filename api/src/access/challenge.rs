//! What a client is told that must show who it is (RFC 9110, section 11.6.1).

use http::request::Parts;

use super::{Access, Need};
use crate::client::scheme::Scheme;
use crate::client::site;
use crate::error::Error;

/// The path of the token service.
pub(crate) const TOKEN_PATH: &str = "/roadstead/v1/token";

/// What is said where no token is good enough.
pub(crate) const BASIC: &str = "Basic realm=\"Roadstead\"";

/// The refusal of a request that needs `need`, for the reason `why` when its token is not for that.
pub(super) fn unauthorized(
    access: &Access,
    parts: &Parts,
    need: &Need,
    why: Option<&'static str>,
) -> Error {
    let challenge = challenge(access, parts, need, why);
    Error::Unauthorized { challenge, has_failed: false }
}

/// The refusal of a request that needs `need`, and came with credentials that are no good.
pub(super) fn login_failed(access: &Access, parts: &Parts, need: &Need) -> Error {
    let challenge = challenge(access, parts, need, None);
    Error::Unauthorized { challenge, has_failed: true }
}

/// Where tokens for `need` are, or what to send in their place.
fn challenge(access: &Access, parts: &Parts, need: &Need, why: Option<&'static str>) -> String {
    if !need.takes_tokens() {
        return BASIC.to_owned();
    }
    let realm = match (&access.options.token_url, &access.options.url) {
        (Some(url), _) => url.clone(),
        (None, Some(url)) => format!("{url}{TOKEN_PATH}"),
        (None, None) => format!("{}{TOKEN_PATH}", called(parts)),
    };
    let mut challenge = format!("Bearer realm=\"{realm}\",service=\"{}\"", access.options.service);
    if let Some(scope) = need.scope() {
        challenge.push_str(&format!(",scope=\"{scope}\""));
    }
    if let Some(why) = why {
        challenge.push_str(&format!(",error=\"{why}\""));
    }
    challenge
}

/// The URL by which the client itself calls the registry. Nobody else sees the answer, so a client
/// that forges it misleads itself; what could end the quoted text is left out.
fn called(parts: &Parts) -> String {
    let host = site::host(parts).unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    let host: String = host.chars().filter(|c| is_plain(*c)).collect();
    let scheme = parts.extensions.get::<Scheme>().copied().unwrap_or(Scheme::Http);
    format!("{scheme}://{host}")
}
