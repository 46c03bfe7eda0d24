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

    /// The parameters of a form (`application/x-www-form-urlencoded`).
    pub(crate) fn of_form(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
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

/// The media type that `Content-Type` names, without its parameters.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<&str> {
    text(headers, header::CONTENT_TYPE)?.split(';').next().map(str::trim)
}

/// The length of the body that `Content-Length` announces, in bytes.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, header::CONTENT_LENGTH)?.parse().ok()
}

/// Whether `Accept` lists `media_type`, or is absent (RFC 9110, section 12.5.1).
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    if !headers.contains_key(header::ACCEPT) {
        return true;
    }
    let (kind, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|entry| {
        let (range, parameters) = entry.split_once(';').unwrap_or((entry, ""));
        let range = range.trim();
        let is_refused = parameters.split(';').any(|parameter| {
            let weight = parameter.trim().strip_prefix("q=");
            weight.is_some_and(|weight| weight.parse() == Ok(0.0))
        });
        let is_of_kind = || range.strip_suffix("/*").is_some_and(|range| range == kind);
        !is_refused && (range == "*/*" || range == media_type || is_of_kind())
    })
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
    fn a_type_is_accepted_where_a_range_covers_it() {
        for (accept, expected) in [
            (&["*/*"][..], true),
            (&[""], false),
            (&["a/b"], true),
            (&["x/y", "a/c, a/b;q=0.5"], true),
            (&["a/*"], true),
            (&["a/b;q=0"], false),
            (&["a/b; q=0.0, x/*"], false),
            (&["a/bc"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in accept {
                headers.append(header::ACCEPT, HeaderValue::from_static(line));
            }
            assert_eq!(accepts(&headers, "a/b"), expected, "{accept:?}");
        }
        assert!(accepts(&HeaderMap::new(), "a/b"));
    }
}
