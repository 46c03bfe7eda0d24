//! Patterns: which repositories a grant is about.

use std::fmt;
use std::str::FromStr;

use crate::RepoName;
use crate::limits::REPO_NAME_BYTES_MAX;

/// Repositories by the form of their names: components joined by slashes, in which `*` stands for
/// any characters of one component, and a component `**` for any number of components, none
/// included. `team/**` matches `team`, `team/app` and `team/app/web`; `team/app-*` matches
/// `team/app-web`; `**` matches everything.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPattern(Box<str>);

impl RepoPattern {
    /// The pattern that matches every repository.
    pub fn everything() -> Self {
        Self("**".into())
    }

    /// The pattern's text.
    pub const fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it matches every repository.
    pub fn is_everything(&self) -> bool {
        self.as_str() == "**"
    }

    /// Whether it matches `repository`.
    pub fn matches(&self, repository: &RepoName) -> bool {
        if self.is_everything() {
            return true;
        }
        let pattern: Vec<&str> = self.0.split('/').collect();
        let name: Vec<&str> = repository.as_str().split('/').collect();
        is_match(
            &pattern,
            &name,
            |part| *part == "**",
            |part, name| {
                is_match(part.as_bytes(), name.as_bytes(), |byte| *byte == b'*', |a, b| a == b)
            },
        )
    }
}

/// Whether `pattern` matches `text`, where each part of the pattern that `is_wild` stands for any
/// number of the text's. On a mismatch only the last wild part takes one more, which finds a match
/// if there is one: the time is bounded by the product of the lengths.
fn is_match<P, T>(
    pattern: &[P],
    text: &[T],
    is_wild: impl Fn(&P) -> bool,
    is_same: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut again = None;
    while here < text.len() {
        match pattern.get(at) {
            Some(part) if is_wild(part) => {
                again = Some((at, here));
                at += 1;
            }
            Some(part) if is_same(part, &text[here]) => {
                at += 1;
                here += 1;
            }
            _ => {
                let Some((wild, taken)) = again else { return false };
                again = Some((wild, taken + 1));
                at = wild + 1;
                here = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(is_wild)
}

/// The pattern that matches this repository alone.
impl From<&RepoName> for RepoPattern {
    fn from(name: &RepoName) -> Self {
        Self(name.as_str().into())
    }
}

impl FromStr for RepoPattern {
    type Err = RepoPatternError;

    fn from_str(text: &str) -> Result<Self, RepoPatternError> {
        let is_known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-*".contains(&b);
        let is_component = |part: &str| {
            !part.is_empty() && part.bytes().all(is_known) && (part == "**" || !part.contains("**"))
        };
        if text.len() <= REPO_NAME_BYTES_MAX && text.split('/').all(is_component) {
            Ok(Self(text.into()))
        } else {
            Err(RepoPatternError)
        }
    }
}

impl fmt::Display for RepoPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepoPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a pattern is a repository name in which * stands for any characters of a component, and ** \
     for any components: team/**, team/app-*, **"
)]
pub struct RepoPatternError;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn a_pattern_matches_whole_names_component_by_component() {
        for (pattern, matching, other) in [
            ("**", &["a", "a/b", "a/b/c"][..], &[][..]),
            ("a", &["a"], &["ab", "a/b", "b"]),
            ("a/b", &["a/b"], &["a", "a/bc", "a/b/c", "xa/b"]),
            ("a/**", &["a", "a/b", "a/b/c"], &["ab", "ab/c", "b/a"]),
            ("a/*", &["a/b", "a/bc"], &["a", "a/b/c", "b/b"]),
            ("*", &["a", "abc"], &["a/b"]),
            ("a*c/x", &["ac/x", "abc/x", "acc/x"], &["ab/x", "a/c/x"]),
            ("*-web", &["a-web", "a-b-web"], &["web", "a-web2"]),
            ("**/x", &["x", "a/x", "a/b/x"], &["ax", "x/a"]),
            ("a/**/x", &["a/x", "a/b/x", "a/b/c/x", "a/x/x"], &["a", "x", "a/x/b"]),
            ("**/b/**", &["b", "a/b", "b/c", "a/b/c"], &["a", "ab"]),
        ] {
            let parsed: RepoPattern = pattern.parse().unwrap();
            for name in matching {
                assert!(parsed.matches(&name.parse().unwrap()), "{pattern} {name}");
            }
            for name in other {
                assert!(!parsed.matches(&name.parse().unwrap()), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let long = "a".repeat(REPO_NAME_BYTES_MAX + 1);
        for wrong in ["", "/", "a/", "/a", "a//b", "A", "a**", "***", "a b", "a?", "[a]", &long] {
            assert_eq!(wrong.parse::<RepoPattern>(), Err(RepoPatternError), "{wrong}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_matched_in_time() {
        let pattern: RepoPattern = format!("{}b", "*a".repeat(100)).parse().unwrap();
        let name: RepoName = "a".repeat(255).parse().unwrap();
        assert!(!pattern.matches(&name));
    }
}
