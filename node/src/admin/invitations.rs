//! Join tokens, for operators: `POST /roadstead/v1/cluster/tokens` on the admin listener. A holder
//! of one makes any machine a node of the cluster, which has all that the cluster has. So they are
//! given out neither where clients come, nor to other machines, which reach the admin
//! listener for health and metrics.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use proto::limits::TOKEN_LIFETIME;
use proto::{Actor, Command, JoinToken, RequestId, TokenSecret};
use raft::{Cluster, ProposeError};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{sleep, timeout};

/// How long it may take: with the default timing a dead leader is missed within 1.8 s (ADR 19), so
/// an election or two may fail meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest time for which a token is good: a finder shall have no use for it later.
const LIFETIME_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What an operator can ask for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// For how many seconds the token shall be good.
    lifetime_s: Option<u64>,
    /// Whether those from before shall be good no longer.
    #[serde(default)]
    alone: bool,
}

/// The endpoint, on a listener at `here`.
pub(crate) fn router(cluster: Cluster, here: IpAddr) -> Router {
    let office = Office { cluster, here };
    Router::new().route("/roadstead/v1/cluster/tokens", post(issue)).with_state(office)
}

/// Where tokens are given out.
#[derive(Clone)]
struct Office {
    cluster: Cluster,
    /// The listener's address.
    here: IpAddr,
}

/// Whether a client that asks a listener at `here` from `address` is on the same machine: a
/// connection from another machine has none of this one's addresses.
fn is_here(here: IpAddr, address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || address == here.to_canonical()
}

/// Why a client that asks a listener at `here` from `address`, with `headers`, gets no token.
fn refusal(here: IpAddr, address: IpAddr, headers: &HeaderMap) -> Option<&'static str> {
    let is_forwarded = |name: &HeaderName| {
        let name = name.as_str();
        matches!(name, "forwarded" | "via" | "x-real-ip") || name.starts_with("x-forwarded-")
    };
    if !is_here(here, address) {
        Some(
            "tokens are only for whoever is on the node itself: ask there, at the address of \
             admin.listen, or at a loopback address if that is 0.0.0.0\n",
        )
    } else if headers.keys().any(is_forwarded) {
        // To it, everybody asks from where the proxy is.
        Some("tokens are not given out through a proxy: ask on the node itself, without one\n")
    } else if headers.contains_key(header::ORIGIN) {
        // A page in an operator's browser, which reaches what the operator reaches.
        Some("tokens are not for pages in a browser\n")
    } else {
        None
    }
}

async fn issue(
    State(office): State<Office>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Response {
    if let Some(reason) = refusal(office.here, peer.ip(), &headers) {
        return (StatusCode::FORBIDDEN, reason).into_response();
    }
    let lifetime = wish.lifetime_s.map_or(TOKEN_LIFETIME, Duration::from_secs);
    if lifetime.is_zero() || lifetime > LIFETIME_MAX {
        let reason = "a token is good for a second at least, and a year at most\n";
        return (StatusCode::BAD_REQUEST, reason).into_response();
    }
    match timeout(PATIENCE, invite(&office.cluster, lifetime, wish.alone)).await {
        Ok(Ok(token)) => {
            tracing::info!(target: "audit", client = %peer.ip(), ?lifetime, "join token issued");
            let mut response = Json(json!({ "token": token.to_string() })).into_response();
            let no_store = HeaderValue::from_static("no-store");
            response.headers_mut().insert(header::CACHE_CONTROL, no_store);
            response
        }
        Ok(Err(reason)) => (StatusCode::CONFLICT, format!("{reason}\n")).into_response(),
        Err(_) => {
            let reason = "the cluster has no leader now; try again in a moment\n";
            (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
        }
    }
}

/// A token that the cluster has issued. Waits out an election.
async fn invite(cluster: &Cluster, lifetime: Duration, alone: bool) -> Result<JoinToken, String> {
    let secret = TokenSecret::from_bytes(random()?);
    let (token, shown) = (secret.hash(), cluster.join_token(secret));
    // Otherwise nobody needs one, and those that there are need not be revoked.
    let shown = shown.ok_or_else(|| "nodes of this cluster need no tokens".to_owned())?;
    let request = RequestId::from_bytes(random()?);
    let command = Command::IssueToken { token, lifetime, alone };
    loop {
        match cluster.propose(request, &Actor::CLUSTER, command.clone()).await {
            Ok(_) => return Ok(shown),
            Err(ProposeError::Refused(refusal)) => return Err(refusal.to_string()),
            Err(ProposeError::Unavailable { .. } | ProposeError::Unknown) => sleep(PAUSE).await,
        }
    }
}

/// Fresh randomness, for ids and secrets.
#[expect(clippy::disallowed_methods, reason = "the one function that draws chance here")]
fn random() -> Result<[u8; 16], String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_through_a_proxy_or_from_a_page_gets_no_token() {
        let here = IpAddr::from([127, 0, 0, 1]);
        let refused = |name: &'static str| {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static(name),
                HeaderValue::from_static("10.0.0.6"),
            )]);
            refusal(here, here, &headers).is_some()
        };
        for name in ["forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"] {
            assert!(refused(name), "{name}");
        }
        assert!(refused("origin"));
        assert!(!refused("host"));
    }

    #[test]
    fn whoever_is_on_the_machine_asks_from_loopback_or_from_where_it_listens() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap_or(IpAddr::from([0, 0, 0, 0]));
        for (here, address, expected) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("0.0.0.0", "127.0.0.1", true),
            ("::", "::ffff:127.0.0.1", true),
            ("10.0.0.5", "10.0.0.5", true),
            ("::ffff:10.0.0.5", "10.0.0.5", true),
            ("10.0.0.5", "10.0.0.6", false),
            ("0.0.0.0", "10.0.0.5", false),
        ] {
            assert_eq!(is_here(at(here), at(address)), expected, "{address} at {here}");
        }
    }
}
