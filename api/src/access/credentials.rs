//! What a request says of who asks: the `Authorization` header (RFC 9110, section 11.6.2).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};

/// What a client proves itself with. Its secrets are never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nothing.
    None,
    /// A name and a password (RFC 7617).
    Basic { name: String, password: String },
    /// A token (RFC 6750).
    Bearer(String),
    /// Something that cannot be read.
    Unreadable,
}

impl Credentials {
    /// The credentials in `headers`.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut all = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = all.next() else { return Self::None };
        if all.next().is_some() {
            return Self::Unreadable;
        }
        let found = value.to_str().ok().and_then(|text| {
            let (scheme, rest) = text.split_once(' ')?;
            let rest = rest.trim_matches(' ');
            if scheme.eq_ignore_ascii_case("basic") {
                basic(rest)
            } else if scheme.eq_ignore_ascii_case("bearer") {
                Some(Self::Bearer(rest.to_owned()))
            } else {
                None
            }
        });
        found.unwrap_or(Self::Unreadable)
    }
}

fn basic(encoded: &str) -> Option<Credentials> {
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some(Credentials::Basic { name: name.to_owned(), password: password.to_owned() })
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(secret)",
            Self::Bearer(_) => "Bearer(secret)",
            Self::Unreadable => "Unreadable",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    fn of(values: &[&str]) -> Credentials {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        Credentials::of(&headers)
    }

    #[test]
    fn credentials_are_read_or_are_none() {
        let basic = |name: &str, password: &str| Credentials::Basic {
            name: name.to_owned(),
            password: password.to_owned(),
        };
        assert_eq!(of(&[]), Credentials::None);
        assert_eq!(of(&["Basic YWxpY2U6c2VjcmV0"]), basic("alice", "secret"));
        assert_eq!(of(&["bAsIc  YWxpY2U6YTpi"]), basic("alice", "a:b"));
        assert_eq!(of(&["Bearer abc"]), Credentials::Bearer("abc".to_owned()));
        for wrong in ["Basic", "Basic !", "Basic YWxpY2U=", "Digest x", "Bearer"] {
            assert_eq!(of(&[wrong]), Credentials::Unreadable, "{wrong}");
        }
        assert_eq!(of(&["Bearer a", "Bearer b"]), Credentials::Unreadable);
    }
}
