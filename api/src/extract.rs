//! What handlers take from a request's query and headers.

use http::{HeaderMap, HeaderName, Uri, header};
use proto::limits::PAGE_ENTRIES_MAX;

use crate::error::Error;

/// The parameters of a query, in order.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// The query of `uri`.
    pub(crate) fn of(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The first parameter called `name`.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every parameter called `name`.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Which part of a list is asked for (distribution-spec, "Listing Tags").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Most entries; never over [`PAGE_ENTRIES_MAX`].
    pub(crate) limit: usize,
    /// The entry before the first one, which need not exist.
    pub(crate) after: Option<String>,
}

impl Page {
    /// The page that `n` and `last` ask for.
    ///
    /// # Errors
    /// [`Error::PageSize`] when `n` is not a number of 0 or more.
    pub(crate) fn of(query: &Query) -> Result<Self, Error> {
        let limit = match query.first("n") {
            None => PAGE_ENTRIES_MAX,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().unwrap_or(PAGE_ENTRIES_MAX).min(PAGE_ENTRIES_MAX)
            }
            Some(_) => return Err(Error::PageSize),
        };
        let after = query.first("last").filter(|last| !last.is_empty()).map(str::to_owned);
        Ok(Self { limit, after })
    }

    /// The `Link` header to the page after the entry `last` (RFC 8288), with further parameters of
    /// the query in `extra`.
    pub(crate) fn link(&self, path: &str, last: &str, extra: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(extra);
        query.append_pair("n", &self.limit.to_string());
        query.append_pair("last", last);
        format!("<{path}?{}>; rel=\"next\"", query.finish())
    }
}

/// The text of header `name`; `None` when it is absent or not text.
pub(crate) fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The length of the body that `Content-Length` announces, in bytes.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, header::CONTENT_LENGTH)?.parse().ok()
}

/// Whether `If-None-Match` says that the client has `etag` already (RFC 9110, section 13.1.2: weak
/// comparison).
pub(crate) fn has_already(headers: &HeaderMap, etag: &str) -> bool {
    let Some(list) = text(headers, header::IF_NONE_MATCH) else { return false };
    list.split(',')
        .map(str::trim)
        .any(|entry| entry == "*" || entry.strip_prefix("W/").unwrap_or(entry) == etag)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

    use http::HeaderValue;

    use super::*;

    fn page(query: &str) -> Result<Page, Error> {
        let uri: Uri = format!("/v2/_catalog?{query}").parse().unwrap();
        Page::of(&Query::of(&uri))
    }

    #[test]
    fn a_page_has_a_size_within_limits() {
        for (query, limit) in [
            ("", PAGE_ENTRIES_MAX),
            ("n=0", 0),
            ("n=10", 10),
            ("n=99999999999999999999999999", PAGE_ENTRIES_MAX),
        ] {
            assert_eq!(page(query).unwrap().limit, limit, "{query}");
        }
        for query in ["n=-1", "n=abc", "n=", "n=1.5", "n=%2B1"] {
            assert!(matches!(page(query), Err(Error::PageSize)), "{query}");
        }
        assert_eq!(page("last=a%2Fb").unwrap().after.as_deref(), Some("a/b"));
    }

    #[test]
    fn a_link_leads_to_the_next_page() {
        let link = page("n=2").unwrap().link("/v2/_catalog", "a/b", &[("x", "y z")]);
        assert_eq!(link, "</v2/_catalog?x=y+z&n=2&last=a%2Fb>; rel=\"next\"");
    }

    #[test]
    fn an_entity_that_the_client_has_is_recognised() {
        for (header, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(header));
            assert_eq!(has_already(&headers, "\"a\""), expected, "{header}");
        }
    }
}
