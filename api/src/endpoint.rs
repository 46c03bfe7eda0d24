//! Which endpoint a path means. Repository names contain slashes, so a path is read from its end,
//! and it is read as it came: an escape in a name is refused, never resolved.

mod access;

use http::Method;
use percent_encoding::percent_decode_str;
use proto::access::NameError;
use proto::{
    Digest, DigestError, NodeId, ObjectKey, Reference, ReferenceError, RepoName, RepoNameError,
};

pub(crate) use self::access::AccessEndpoint;

/// What a path addresses (distribution-spec, "Endpoints").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/tags/list`
    Tags(RepoName),
    /// `/v2/<name>/manifests/<reference>`
    Manifest(RepoName, Reference),
    /// `/v2/<name>/blobs/<digest>`
    Blob(RepoName, Digest),
    /// `/v2/<name>/blobs/uploads/`
    Uploads(RepoName),
    /// `/v2/<name>/blobs/uploads/<id>`
    Upload(RepoName, ObjectKey),
    /// `/v2/<name>/referrers/<digest>`
    Referrers(RepoName, Digest),
    /// `/roadstead/v1/...`: what is about access.
    Access(AccessEndpoint),
    /// `/roadstead/v1/cluster`
    Cluster,
    /// `/roadstead/v1/cluster/nodes/<id>`
    ClusterNode(NodeId),
}

/// Why a path addresses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathError {
    /// No endpoint has this form.
    NoEndpoint,
    /// The path holds an escape, a dot component or an empty one where a name belongs.
    Unclean,
    /// What stands where the repository's name belongs is none.
    Name(RepoNameError),
    /// What stands where a digest belongs is none.
    Digest(DigestError),
    /// What stands where a tag or digest belongs is neither.
    Reference(ReferenceError),
    /// What stands where the name of an account or role belongs is none.
    AccessName(NameError),
    /// What stands where an upload's id belongs is none.
    Upload,
}

impl Endpoint {
    /// Reads `path`, which must be as it was sent.
    ///
    /// # Errors
    /// See [`PathError`].
    pub(crate) fn parse(path: &str) -> Result<Self, PathError> {
        let management = path.strip_prefix("/roadstead/v1/");
        if let Some(found) = management.and_then(AccessEndpoint::parse) {
            return found.map(Self::Access);
        }
        if path == "/roadstead/v1/cluster" {
            return Ok(Self::Cluster);
        }
        if let Some(node) = path.strip_prefix("/roadstead/v1/cluster/nodes/") {
            let is_number = node.bytes().all(|byte| byte.is_ascii_digit());
            let node = node.parse().ok().filter(|_| is_number);
            return node.map(Self::ClusterNode).ok_or_else(|| unknown(path));
        }
        if path.contains("//") {
            return Err(PathError::Unclean);
        }
        match path {
            "/v2" | "/v2/" => return Ok(Self::Base),
            "/v2/_catalog" => return Ok(Self::Catalog),
            _ => {}
        }
        let path = path.strip_prefix("/v2/").ok_or_else(|| unknown(path))?;
        if let Some(name) = path.strip_suffix("/tags/list") {
            return Ok(Self::Tags(repository(name)?));
        }
        let (front, last) = path.rsplit_once('/').ok_or_else(|| unknown(path))?;
        if let Some(name) = front.strip_suffix("/manifests") {
            return Ok(Self::Manifest(repository(name)?, reference(last)?));
        }
        if let Some(name) = front.strip_suffix("/referrers") {
            return Ok(Self::Referrers(repository(name)?, digest(last)?));
        }
        if let Some(name) = front.strip_suffix("/blobs/uploads") {
            let name = repository(name)?;
            return match last {
                "" => Ok(Self::Uploads(name)),
                id => Ok(Self::Upload(name, id.parse().map_err(|_| PathError::Upload)?)),
            };
        }
        if let Some(name) = front.strip_suffix("/blobs") {
            let name = repository(name)?;
            return match last {
                "uploads" => Ok(Self::Uploads(name)),
                text => Ok(Self::Blob(name, digest(text)?)),
            };
        }
        Err(unknown(path))
    }

    /// The endpoint's form, as metrics name it.
    pub(crate) const fn route(&self) -> &'static str {
        match self {
            Self::Base => "/v2/",
            Self::Catalog => "/v2/_catalog",
            Self::Tags(_) => "/v2/{name}/tags/list",
            Self::Manifest(..) => "/v2/{name}/manifests/{reference}",
            Self::Blob(..) => "/v2/{name}/blobs/{digest}",
            Self::Uploads(_) => "/v2/{name}/blobs/uploads/",
            Self::Upload(..) => "/v2/{name}/blobs/uploads/{id}",
            Self::Referrers(..) => "/v2/{name}/referrers/{digest}",
            Self::Access(endpoint) => endpoint.route(),
            Self::Cluster => "/roadstead/v1/cluster",
            Self::ClusterNode(_) => "/roadstead/v1/cluster/nodes/{id}",
        }
    }

    /// The methods it has, as the `Allow` header lists them (RFC 9110, section 10.2.1).
    pub(crate) const fn allow(&self) -> &'static str {
        match self {
            Self::Base | Self::Catalog | Self::Tags(_) | Self::Referrers(..) | Self::Cluster => {
                "GET, HEAD"
            }
            Self::Manifest(..) => "GET, HEAD, PUT, DELETE",
            Self::Blob(..) => "GET, HEAD, DELETE",
            Self::Uploads(_) => "POST",
            Self::ClusterNode(_) => "DELETE",
            Self::Upload(..) => "GET, PATCH, PUT, DELETE",
            Self::Access(endpoint) => endpoint.allow(),
        }
    }

    /// The same where what was pushed cannot be deleted; `None` when that is nothing to it.
    pub(crate) fn allow_while_content_stays(&self) -> Option<&'static str> {
        match self {
            Self::Manifest(..) | Self::Blob(..) => self.allow().strip_suffix(", DELETE"),
            _ => None,
        }
    }

    /// Whether it has `method`.
    pub(crate) fn allows(&self, method: &Method) -> bool {
        self.allow().split(", ").any(|allowed| allowed == method.as_str())
    }
}

/// What to say of a path that ends in no endpoint's form: an attempt to climb out of a name is
/// called one.
fn unknown(path: &str) -> PathError {
    let is_unclean = path.contains(['%', '\\'])
        || path.split('/').any(|component| matches!(component, "." | ".."));
    if is_unclean { PathError::Unclean } else { PathError::NoEndpoint }
}

fn repository(text: &str) -> Result<RepoName, PathError> {
    if text.contains('%') {
        return Err(PathError::Unclean);
    }
    text.parse().map_err(PathError::Name)
}

fn digest(text: &str) -> Result<Digest, PathError> {
    let text = decode(text).ok_or(PathError::Digest(DigestError::Form))?;
    text.parse().map_err(PathError::Digest)
}

fn reference(text: &str) -> Result<Reference, PathError> {
    let text = decode(text).ok_or(PathError::Reference(proto::TagError.into()))?;
    text.parse().map_err(PathError::Reference)
}

/// `text` without its percent escapes. `None` when they do not make text.
fn decode(text: &str) -> Option<std::borrow::Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

    use proptest::prelude::*;
    use proto::TagError;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn name(text: &str) -> RepoName {
        text.parse().unwrap()
    }

    #[test]
    fn every_endpoint_is_found_from_the_end_of_its_path() {
        let digest: Digest = DIGEST.parse().unwrap();
        let tag = Reference::Tag("v1".parse().unwrap());
        for (path, endpoint) in [
            ("/v2".to_owned(), Endpoint::Base),
            ("/v2/".to_owned(), Endpoint::Base),
            ("/v2/_catalog".to_owned(), Endpoint::Catalog),
            ("/v2/a/b/tags/list".to_owned(), Endpoint::Tags(name("a/b"))),
            ("/v2/a/manifests/v1".to_owned(), Endpoint::Manifest(name("a"), tag.clone())),
            (
                "/v2/a/blobs/uploads/manifests/v1".to_owned(),
                Endpoint::Manifest(name("a/blobs/uploads"), tag),
            ),
            (
                format!("/v2/a/manifests/{}", DIGEST.replace(':', "%3A")),
                Endpoint::Manifest(name("a"), Reference::Digest(digest.clone())),
            ),
            (format!("/v2/a/b/blobs/{DIGEST}"), Endpoint::Blob(name("a/b"), digest.clone())),
            ("/v2/a/blobs/uploads".to_owned(), Endpoint::Uploads(name("a"))),
            ("/v2/a/blobs/uploads/".to_owned(), Endpoint::Uploads(name("a"))),
            (format!("/v2/a/blobs/uploads/{ID}"), Endpoint::Upload(name("a"), ID.parse().unwrap())),
            (format!("/v2/a/referrers/{DIGEST}"), Endpoint::Referrers(name("a"), digest)),
            ("/roadstead/v1/cluster".to_owned(), Endpoint::Cluster),
            ("/roadstead/v1/cluster/nodes/17".to_owned(), Endpoint::ClusterNode(17)),
        ] {
            assert_eq!(Endpoint::parse(&path), Ok(endpoint), "{path}");
        }
    }

    #[test]
    fn every_endpoint_has_the_methods_that_it_lists_and_no_others() {
        let (manifest, blob) =
            (format!("/v2/a/manifests/{DIGEST}"), format!("/v2/a/blobs/{DIGEST}"));
        let (upload, referrers) =
            (format!("/v2/a/blobs/uploads/{ID}"), format!("/v2/a/referrers/{DIGEST}"));
        let key = format!("/roadstead/v1/accounts/a/keys/{ID}");
        for (path, methods) in [
            ("/v2/", "GET HEAD"),
            ("/v2/_catalog", "GET HEAD"),
            ("/v2/a/tags/list", "GET HEAD"),
            ("/v2/a/manifests/v1", "GET HEAD PUT DELETE"),
            (&manifest, "GET HEAD PUT DELETE"),
            (&blob, "GET HEAD DELETE"),
            ("/v2/a/blobs/uploads/", "POST"),
            (&upload, "GET PATCH PUT DELETE"),
            (&referrers, "GET HEAD"),
            ("/roadstead/v1/cluster", "GET HEAD"),
            ("/roadstead/v1/cluster/nodes/17", "DELETE"),
            ("/roadstead/v1/token", "GET POST"),
            ("/roadstead/v1/token/keys", "GET"),
            ("/roadstead/v1/accounts", "GET POST"),
            ("/roadstead/v1/accounts/a", "GET PATCH DELETE"),
            ("/roadstead/v1/accounts/a/keys", "GET POST"),
            (&key, "DELETE"),
            ("/roadstead/v1/roles", "GET"),
            ("/roadstead/v1/roles/a", "PUT DELETE"),
            ("/roadstead/v1/grants", "GET POST DELETE"),
            ("/roadstead/v1/explanation", "GET"),
        ] {
            let endpoint = Endpoint::parse(path).unwrap();
            assert_eq!(endpoint.allow(), methods.replace(' ', ", "), "{path}");
            let all = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "GE"];
            for name in all {
                let is_listed = methods.split(' ').any(|method| method == name);
                let method = Method::from_bytes(name.as_bytes()).unwrap();
                assert_eq!(endpoint.allows(&method), is_listed, "{name} {path}");
            }
        }
    }

    #[test]
    fn where_what_was_pushed_stays_only_its_own_endpoints_lack_delete() {
        for (path, allow) in [
            ("/v2/a/manifests/v1".to_owned(), Some("GET, HEAD, PUT")),
            (format!("/v2/a/blobs/{DIGEST}"), Some("GET, HEAD")),
            (format!("/v2/a/blobs/uploads/{ID}"), None),
            ("/roadstead/v1/grants".to_owned(), None),
        ] {
            let endpoint = Endpoint::parse(&path).unwrap();
            assert_eq!(endpoint.allow_while_content_stays(), allow, "{path}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_and_never_resolved() {
        for path in [
            "/v2/A/manifests/v1",
            "/v2/a/../b/manifests/v1",
            "/v2/../manifests/v1",
            "/v2/a-/tags/list",
            "/v2/a\\b/tags/list",
        ] {
            let found = Endpoint::parse(path);
            assert!(matches!(found, Err(PathError::Name(RepoNameError::Form))), "{path} {found:?}");
        }
        for path in [
            "/v2//manifests/v1",
            "/v2/a//b/manifests/v1",
            "//v2/a/manifests/v1",
            "/v2/%2e%2e/manifests/v1",
            "/v2/a%2fb/manifests/v1",
            "/v2/a%00/tags/list",
            "/v2/a%c0%af/tags/list",
            "/v2/a%2fmanifests%2fv1",
            "/v2/a/manifests/../../etc/passwd",
            "/../etc/passwd",
        ] {
            assert_eq!(Endpoint::parse(path), Err(PathError::Unclean), "{path}");
        }
        let long = format!("/v2/{}/tags/list", "a".repeat(256));
        assert_eq!(Endpoint::parse(&long), Err(PathError::Name(RepoNameError::TooLong)));
    }

    #[test]
    fn what_is_no_reference_is_refused_as_what_it_was_meant_to_be() {
        let tag = Err(PathError::Reference(ReferenceError::Tag(TagError)));
        for path in ["/v2/a/manifests/", "/v2/a/manifests/.x", "/v2/a/manifests/a%2fb"] {
            assert_eq!(Endpoint::parse(path), tag, "{path}");
        }
        assert_eq!(Endpoint::parse("/v2/a/manifests/%ff"), tag);
        assert_eq!(
            Endpoint::parse("/v2/a/manifests/md5:00"),
            Err(PathError::Reference(ReferenceError::Digest(DigestError::Algorithm)))
        );
        assert_eq!(
            Endpoint::parse("/v2/a/blobs/sha256:00"),
            Err(PathError::Digest(DigestError::Form))
        );
        assert_eq!(Endpoint::parse("/v2/a/blobs/uploads/zz"), Err(PathError::Upload));
        for path in ["/", "/v3/", "/v2/a", "/v2/manifests/v1", "/v2/a/tags", "/favicon.ico"] {
            assert_eq!(Endpoint::parse(path), Err(PathError::NoEndpoint), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_is_read_as_two_repositories(path in "/v2/[a-z/.%0-9:_-]{0,60}") {
            if let Ok(Endpoint::Tags(name)) = Endpoint::parse(&path) {
                prop_assert_eq!(path, format!("/v2/{name}/tags/list"));
            }
        }
    }
}
