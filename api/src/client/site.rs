//! Whether a browser sends a request for a page of another site, with what that page does not have:
//! its user's certificate, or a place in a network where everybody is trusted.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::error::Error;

/// Where a browser says how the site of the page and this one are related (Fetch Metadata Request
/// Headers, section 2.3). No page can set it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request that would change something here for a page of another site.
///
/// # Errors
/// [`Error::OtherSite`], when it is one.
pub(crate) fn check(parts: &Parts) -> Result<(), Error> {
    if is_other(parts) { Err(Error::OtherSite) } else { Ok(()) }
}

/// Whether a browser says that it sends this for a page from elsewhere. Clients of registries say
/// nothing of the kind. What only reads passes: such a page does not get to see the answer.
pub(crate) fn is_other(parts: &Parts) -> bool {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return false;
    }
    if let Some(site) = parts.headers.get(SEC_FETCH_SITE) {
        // A proxy may have changed the host to which the origin would be compared.
        return !matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let host = host(parts);
    let is_here = |origin: &HeaderValue| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let (Some((_, at)), Some(host)) = (origin, &host) else { return false };
        at.eq_ignore_ascii_case(host)
    };
    !parts.headers.get_all(header::ORIGIN).iter().all(is_here)
}

/// How the client calls this host, with the port if it says one.
pub(crate) fn host(parts: &Parts) -> Option<String> {
    let host = parts.uri.authority().map(|authority| authority.as_str().to_owned());
    host.or_else(|| host_header(&parts.headers))
}

fn host_header(headers: &HeaderMap) -> Option<String> {
    headers.get(header::HOST).map(HeaderValue::to_str)?.ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use http::Request;

    use super::*;

    fn is_other_for(method: &str, uri: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        is_other(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn what_a_browser_says_of_the_page_decides() {
        let host = ("host", "registry.example:5000");
        let here = ("origin", "https://registry.example:5000");
        let elsewhere = ("origin", "https://evil.example");
        let site = |value| ("sec-fetch-site", value);
        for (said, expected) in [
            (&[][..], false),
            (&[here], false),
            (&[("origin", "https://Registry.example:5000")], false),
            (&[elsewhere], true),
            (&[("origin", "https://registry.example")], true),
            (&[("origin", "null")], true),
            (&[("origin", "")], true),
            (&[here, elsewhere], true),
            (&[site("cross-site")], true),
            (&[site("same-site"), here], true),
            (&[site("anything")], true),
            (&[site("none")], false),
            (&[site("same-origin"), elsewhere], false),
        ] {
            let headers = [&[host][..], said].concat();
            assert_eq!(is_other_for("POST", "/v2/", &headers), expected, "{said:?}");
            assert!(!is_other_for("GET", "/v2/", &headers), "{said:?}");
        }
        assert!(is_other_for("POST", "/v2/", &[here]), "to no host");
        // As HTTP/2 has it.
        let uri = "https://registry.example:5000/v2/";
        assert!(!is_other_for("DELETE", uri, &[here]));
        assert!(is_other_for("DELETE", uri, &[elsewhere]));
    }
}
