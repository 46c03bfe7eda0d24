//! Conditional requests (RFC 9110, section 13): what a client makes an answer or a change depend
//! on, by the entity tags that are digests here.

use http::{HeaderMap, HeaderName, header};
use proto::limits::PRECONDITION_DIGESTS_MAX;
use proto::{Digest, Precondition, Reference, Refusal};

use crate::error::Error;

/// The entity tag of content with this digest: it is the digest, quoted.
pub(crate) fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// What a change depends on. A header that says nothing valid is an error: to pass over it would be
/// to do what the client may have asked not to do.
///
/// # Errors
/// [`Error::Condition`].
pub(crate) fn preconditions(headers: &HeaderMap) -> Result<Vec<Precondition>, Error> {
    let mut preconditions = Vec::new();
    match EntityTags::of(headers, &header::IF_MATCH)? {
        None => {}
        Some(EntityTags::Any) => preconditions.push(Precondition::Exists),
        // A weak tag equals nothing here (section 13.1.1: strong comparison).
        Some(EntityTags::These(tags)) => {
            let strong = tags.into_iter().filter(|tag| !tag.is_weak);
            preconditions.push(Precondition::AnyOf(digests(strong)));
        }
    }
    match EntityTags::of(headers, &header::IF_NONE_MATCH)? {
        None => {}
        Some(EntityTags::Any) => preconditions.push(Precondition::Absent),
        Some(EntityTags::These(tags)) => {
            preconditions.push(Precondition::NoneOf(digests(tags.into_iter())));
        }
    }
    Ok(preconditions)
}

/// Whether a GET or HEAD of content with this digest needs no body, since the client has it.
///
/// # Errors
/// [`Refusal::PreconditionFailed`] about `reference` when `If-Match` wants other content.
pub(crate) fn is_unchanged(
    headers: &HeaderMap,
    reference: impl FnOnce() -> Reference,
    digest: &Digest,
) -> Result<bool, Error> {
    // A condition that cannot be read is passed over here: the answer is then a whole one.
    let preconditions = preconditions(headers).unwrap_or_default();
    let fails = |wanted: &&Precondition| !wanted.holds(Some(digest));
    match preconditions.iter().find(fails) {
        None => Ok(false),
        Some(Precondition::Absent | Precondition::NoneOf(_)) => Ok(true),
        Some(Precondition::Exists | Precondition::AnyOf(_)) => {
            let (reference, current) = (reference(), Some(digest.clone()));
            Err(Error::Refused(Refusal::PreconditionFailed { reference, current }))
        }
    }
}

/// Refuses to delete content with this digest where the request depends on other content. Needs no
/// consensus: what a digest names never changes.
///
/// # Errors
/// [`Error::Condition`], and [`Refusal::PreconditionFailed`].
pub(crate) fn check_delete(headers: &HeaderMap, digest: &Digest) -> Result<(), Error> {
    if preconditions(headers)?.iter().all(|wanted| wanted.holds(Some(digest))) {
        return Ok(());
    }
    let (reference, current) = (Reference::Digest(digest.clone()), Some(digest.clone()));
    Err(Error::Refused(Refusal::PreconditionFailed { reference, current }))
}

/// `error`, without what a tag names, where the client may not pull from the repository.
pub(crate) fn conceal(error: Error, may_pull: bool) -> Error {
    match error {
        Error::Refused(Refusal::PreconditionFailed { reference, .. }) if !may_pull => {
            Error::Concealed(reference)
        }
        other => other,
    }
}

/// What `If-Match` and `If-None-Match` list.
enum EntityTags {
    /// `*`
    Any,
    These(Vec<EntityTag>),
}

struct EntityTag {
    is_weak: bool,
    opaque: String,
}

impl EntityTags {
    /// What the headers called `name` list, which may be several lines of one list.
    fn of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Error> {
        let invalid = || Error::Condition(name.clone());
        let lines: Vec<&str> = headers
            .get_all(name)
            .iter()
            .map(|line| line.to_str().map_err(|_| invalid()))
            .collect::<Result<_, _>>()?;
        match lines.as_slice() {
            [] => Ok(None),
            [line] if line.trim() == "*" => Ok(Some(Self::Any)),
            lines => {
                let mut tags = Vec::new();
                for line in lines {
                    read_list(line, &mut tags).ok_or_else(invalid)?;
                }
                let is_valid = (1..=PRECONDITION_DIGESTS_MAX).contains(&tags.len());
                is_valid.then_some(Some(Self::These(tags))).ok_or_else(invalid)
            }
        }
    }
}

/// Adds the entity tags of a list (RFC 9110, sections 5.6.1 and 8.8.3) to `tags`. `None` when it is
/// none.
fn read_list(mut list: &str, tags: &mut Vec<EntityTag>) -> Option<()> {
    loop {
        list = list.trim_start_matches([' ', '\t', ',']);
        if list.is_empty() {
            return Some(());
        }
        let (is_weak, quoted) = match list.strip_prefix("W/") {
            Some(rest) => (true, rest),
            None => (false, list),
        };
        let (opaque, rest) = quoted.strip_prefix('"')?.split_once('"')?;
        tags.push(EntityTag { is_weak, opaque: opaque.to_owned() });
        list = rest.trim_start_matches([' ', '\t']);
        if !list.is_empty() && !list.starts_with(',') {
            return None;
        }
    }
}

/// The digests among `tags`; others are no content of this registry, and equal none.
fn digests(tags: impl Iterator<Item = EntityTag>) -> Vec<Digest> {
    tags.filter_map(|tag| tag.opaque.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use http::HeaderValue;
    use proptest::prelude::*;
    use proto::Algorithm;

    use super::*;

    fn digest(content: &[u8]) -> Digest {
        Digest::of(Algorithm::Sha256, content)
    }

    fn read(name: HeaderName, lines: &[&str]) -> Option<Vec<Precondition>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&name, HeaderValue::from_str(line).unwrap());
        }
        preconditions(&headers).ok()
    }

    #[test]
    fn lists_of_entity_tags_become_preconditions() {
        let (a, b) = (digest(b"a"), digest(b"b"));
        let any_of = |digests: &[&Digest]| {
            Some(vec![Precondition::AnyOf(digests.iter().copied().cloned().collect())])
        };
        let both = format!("\"{a}\" ,, \"{b}\",");
        assert_eq!(read(header::IF_MATCH, &[]), Some(vec![]));
        assert_eq!(read(header::IF_MATCH, &["*"]), Some(vec![Precondition::Exists]));
        assert_eq!(read(header::IF_MATCH, &[&both]), any_of(&[&a, &b]));
        assert_eq!(read(header::IF_MATCH, &[&etag(&a), &etag(&b)]), any_of(&[&a, &b]));
        assert_eq!(read(header::IF_MATCH, &[&format!("W/\"{a}\"")]), any_of(&[]));
        assert_eq!(read(header::IF_MATCH, &["\"of another, registry\""]), any_of(&[]));
        assert_eq!(read(header::IF_NONE_MATCH, &["*"]), Some(vec![Precondition::Absent]));
        let none_of = Some(vec![Precondition::NoneOf(vec![a.clone()])]);
        assert_eq!(read(header::IF_NONE_MATCH, &[&format!("W/\"{a}\"")]), none_of);
    }

    #[test]
    fn what_is_no_list_of_entity_tags_is_not_passed_over() {
        let bare = digest(b"a").to_string();
        let many = vec![etag(&digest(b"a")); PRECONDITION_DIGESTS_MAX + 1].join(",");
        let wrong = ["", " ", ",", "\"", "\"a", "a\"", "w/\"a\"", "\"a\"\"b\"", "*, \"a\"", "**"];
        for line in wrong.into_iter().chain([bare.as_str(), &many]) {
            for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
                assert_eq!(read(name, &[line]), None, "{line}");
            }
        }
        assert_eq!(read(header::IF_MATCH, &["*", "\"a\""]), None);
    }

    #[test]
    fn a_reader_is_spared_what_it_has_and_refused_what_it_did_not_mean() {
        let (a, b) = (digest(b"a"), digest(b"b"));
        let unchanged = |name: HeaderName, line: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(line).unwrap());
            is_unchanged(&headers, || Reference::Digest(a.clone()), &a).ok()
        };
        assert_eq!(unchanged(header::IF_NONE_MATCH, &etag(&a)), Some(true));
        assert_eq!(unchanged(header::IF_NONE_MATCH, "*"), Some(true));
        assert_eq!(unchanged(header::IF_NONE_MATCH, &etag(&b)), Some(false));
        assert_eq!(unchanged(header::IF_NONE_MATCH, a.as_str()), Some(false), "not quoted");
        assert_eq!(unchanged(header::IF_MATCH, &etag(&a)), Some(false));
        assert_eq!(unchanged(header::IF_MATCH, &etag(&b)), None);
    }

    proptest! {
        #[test]
        fn every_list_of_digests_reads_back(
            contents in prop::collection::vec("[a-c]", 1..9),
            gap in "[ \\t,]{0,3}",
        ) {
            let wanted: Vec<Digest> = contents.iter().map(|c| digest(c.as_bytes())).collect();
            let list: Vec<String> = wanted.iter().map(etag).collect();
            let line = format!("{gap}{}{gap}", list.join(&format!("{gap},")));
            let found = read(header::IF_MATCH, &[&line]);
            prop_assert_eq!(found, Some(vec![Precondition::AnyOf(wanted)]));
        }
    }
}
