//! Who gets a blob from the object store itself.

use http::{HeaderMap, header};

use crate::extract::text;

/// Blobs of fewer bytes cost less to send than to send elsewhere for.
const REDIRECT_MIN: u64 = 1024 * 1024;

/// The products, as they call themselves in `User-Agent`, that are known to follow redirects of
/// blobs to other hosts, without taking credentials there.
const FOLLOWERS: [&str; 12] = [
    "buildah",
    "buildkit",
    "containerd",
    "containers",
    "cosign",
    "crane",
    "cri-o",
    "docker",
    "go-containerregistry",
    "oras",
    "regclient",
    "skopeo",
];

/// Whether clients get blobs from the store itself, where it can serve them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirect {
    /// The node hands all bytes on: the store need not be reachable for clients.
    #[default]
    Never,
    /// Large blobs, for clients that are known to follow.
    Auto,
    /// Every blob.
    Always,
}

impl Redirect {
    /// Whether a client with these headers gets a blob of `size` bytes so.
    pub(crate) fn is_for(self, headers: &HeaderMap, size: u64) -> bool {
        match self {
            _ if size == 0 => false,
            Self::Never => false,
            Self::Auto => size >= REDIRECT_MIN && follows(headers),
            Self::Always => true,
        }
    }
}

fn follows(headers: &HeaderMap) -> bool {
    let agent = text(headers, header::USER_AGENT).unwrap_or_default();
    agent
        .split(' ')
        .filter_map(|word| word.split_once('/'))
        .any(|(product, _)| FOLLOWERS.iter().any(|name| product.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn agent(agent: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::USER_AGENT, HeaderValue::from_static(agent))])
    }

    #[test]
    fn only_clients_that_follow_are_sent_elsewhere_and_only_for_much() {
        let docker = agent("docker/29.1.3 go/go1.25 os/linux UpstreamClient(Docker-Client/29.1.3)");
        let podman = agent("containers/5.36.2 (github.com/containers/image)");
        let curl = agent("curl/8.5.0");
        for (redirect, headers, size, expected) in [
            (Redirect::Never, &docker, REDIRECT_MIN, false),
            (Redirect::Auto, &docker, REDIRECT_MIN, true),
            (Redirect::Auto, &podman, REDIRECT_MIN, true),
            (Redirect::Auto, &docker, REDIRECT_MIN - 1, false),
            (Redirect::Auto, &curl, REDIRECT_MIN, false),
            (Redirect::Auto, &HeaderMap::new(), REDIRECT_MIN, false),
            (Redirect::Always, &curl, 1, true),
            (Redirect::Always, &docker, 0, false),
        ] {
            assert_eq!(redirect.is_for(headers, size), expected, "{redirect:?} {headers:?} {size}");
        }
    }
}
