//! `Warning` headers: what a person should know of an answer that is otherwise as asked for
//! (distribution-spec, "Warnings").
//!
//! Three answers have one: a sparse push, which names what the repository lacks, a manifest of a
//! type that the request's `Accept` does not list, and what a node serves without a quorum.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Most bytes that the warnings of one answer have together (distribution-spec, "Warnings").
const BYTES_MAX: usize = 4096;
/// What comes before the text: the code 299, and no agent.
const HEAD: &str = "299 - \"";
/// What comes after it.
const TAIL: &str = "\"";

const WARNING: HeaderName = HeaderName::from_static("warning");

/// Adds a warning to `headers`, as much of `text` as there is room for.
pub(crate) fn warn(headers: &mut HeaderMap, text: &str) {
    let taken: usize = headers.get_all(WARNING).iter().map(HeaderValue::len).sum();
    let room = BYTES_MAX.saturating_sub(taken + HEAD.len() + TAIL.len());
    let mut quoted = String::with_capacity(text.len());
    for character in text.chars() {
        // A quoted string of visible ASCII: what else there may be is not for a header.
        let escaped = match character {
            '"' | '\\' => format!("\\{character}"),
            ' '..='~' => character.to_string(),
            _ => "?".to_owned(),
        };
        if quoted.len() + escaped.len() > room {
            break;
        }
        quoted.push_str(&escaped);
    }
    if !quoted.is_empty()
        && let Ok(value) = HeaderValue::try_from(format!("{HEAD}{quoted}{TAIL}"))
    {
        headers.append(WARNING, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_warning_has_no_agent_and_no_date() {
        let mut headers = HeaderMap::new();
        warn(&mut headers, "an \"image\" \\ of \u{e9}\n");
        assert_eq!(headers["warning"], r#"299 - "an \"image\" \\ of ??""#);
    }

    proptest! {
        #[test]
        fn all_warnings_together_stay_within_their_bound(
            texts in prop::collection::vec(".{0,3000}", 0..6),
        ) {
            let mut headers = HeaderMap::new();
            for text in &texts {
                warn(&mut headers, text);
            }
            let bytes: usize = headers.get_all("warning").iter().map(HeaderValue::len).sum();
            prop_assert!(bytes <= 4096);
            for value in headers.get_all("warning") {
                let value = value.to_str().unwrap_or_default();
                prop_assert!(value.starts_with("299 - \"") && value.ends_with('"'), "{}", value);
            }
        }
    }
}
