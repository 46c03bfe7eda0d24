//! What an answer says to a client that must not learn anything from it.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::Names;
use crate::sim::client::REPOSITORIES;

/// An answer, with the kinds of the names that it was asked with in the place of these names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    status: StatusCode,
    headers: Vec<(String, String)>,
    body: String,
}

impl Said {
    /// What `response` says, to a request with `names`.
    pub(super) fn of(response: &Response<Bytes>, names: &Names) -> Self {
        let mut headers = Vec::new();
        for (name, value) in response.headers() {
            let value = String::from_utf8_lossy(value.as_bytes());
            let value = match name.as_str() {
                // They are about the moment, and about the connection.
                "date" | "connection" => continue,
                // Each upload has a name of its own: only its form says something.
                "location" | "docker-upload-uuid" => {
                    value.replace(|c: char| c.is_ascii_alphanumeric() || "-_".contains(c), "*")
                }
                _ => names.blank(&value),
            };
            headers.push((name.to_string(), value));
        }
        headers.sort_unstable();
        let body = names.blank(&String::from_utf8_lossy(response.body()));
        Self { status: response.status(), headers, body }
    }
}

/// What leaks in what is said of something that is there, beside what is said of something that is
/// not: that has to be the same, and it names nothing that is there.
pub(super) fn leak(there: &Said, nowhere: &Said) -> Option<String> {
    if there != nowhere {
        return Some(format!("{there:?} is said of what is there, and {nowhere:?} of what is not"));
    }
    let said = format!("{nowhere:?}");
    let named = REPOSITORIES.into_iter().find(|name| said.contains(name));
    named.map(|name| format!("{said} is said of what is not there, and names {name}"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proto::{Algorithm, Digest};

    use super::*;
    use crate::sim::ledger::Item;

    const DENIED: &str = "it needs: pull in {repository}";

    fn names() -> Names {
        Names::of(&Item::blob("team/app", &Digest::of(Algorithm::Sha256, b"a blob")), None)
    }

    /// What this answer says to who asked with `names`.
    fn said(names: &Names, status: u16, headers: &[(&'static str, &str)], body: &str) -> Said {
        let mut response = Response::new(Bytes::from(names.fill(body)));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::try_from(names.fill(value)) {
                response.headers_mut().insert(*name, value);
            }
        }
        Said::of(&response, names)
    }

    #[test]
    fn an_answer_that_is_another_where_something_is_there_leaks_that() {
        let names = names();
        let length = ("content-length", "40");
        let nowhere = said(&names.of_nothing(), 403, &[length], DENIED);
        for (status, headers, body) in [
            (404, &[length][..], DENIED),
            (403, &[length], "it needs: pull in {repository}, which has {digest}"),
            (403, &[length], "it needs: pull in {repository}, which is there"),
            // To HEAD, the length is all that is seen of a body.
            (403, &[("content-length", "41")], DENIED),
            (403, &[length, ("docker-content-digest", "{digest}")], DENIED),
            (403, &[length, ("location", "/v2/{repository}/blobs/{digest}")], DENIED),
            (403, &[length, ("www-authenticate", "Basic realm=\"{repository}\"")], DENIED),
        ] {
            let there = said(&names, status, headers, body);
            assert!(leak(&there, &nowhere).is_some(), "{there:?}");
        }
        assert_eq!(leak(&said(&names, 403, &[length], DENIED), &nowhere), None);
    }

    #[test]
    fn what_is_another_each_time_leaks_nothing() {
        let names = names();
        let begun = |second: &str, id: &str| {
            let date = format!("Thu, 01 Jan 2026 00:00:{second} GMT");
            let location = format!("/v2/other/box/blobs/uploads/{id}?state=a-{id}");
            said(&names, 202, &[("date", &date), ("location", &location)], "")
        };
        assert_eq!(leak(&begun("01", "00ff"), &begun("02", "5a_a")), None);
        assert!(leak(&begun("01", "00ff"), &begun("01", "00ff0")).is_some());
    }

    #[test]
    fn a_list_that_names_what_is_there_leaks_it_whatever_was_asked_for() {
        let names = names();
        let next = ("link", "</v2/_catalog?n=1&last=team/mirror>; rel=\"next\"");
        for (headers, body, leaks) in [
            (&[][..], r#"{"repositories":["team/mirror"]}"#, true),
            (&[next], "{}", true),
            (&[], r#"{"repositories":["other/box"]}"#, false),
        ] {
            let [there, nowhere] =
                [&names, &names.of_nothing()].map(|names| said(names, 200, headers, body));
            assert_eq!(leak(&there, &nowhere).is_some(), leaks, "{nowhere:?}");
        }
    }
}
