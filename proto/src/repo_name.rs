//! Repository names (distribution-spec, "Pulling manifests").

use std::fmt;
use std::str::FromStr;

use crate::limits::REPO_NAME_BYTES_MAX;

/// A repository's name, for example `team/app`: components of `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`,
/// joined by slashes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoName(Box<str>);

impl RepoName {
    /// The name as it stands in URLs.
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepoName {
    type Err = RepoNameError;

    fn from_str(text: &str) -> Result<Self, RepoNameError> {
        if text.len() > REPO_NAME_BYTES_MAX {
            return Err(RepoNameError::TooLong);
        }
        if text.split('/').all(is_component) {
            Ok(Self(text.into()))
        } else {
            Err(RepoNameError::Form)
        }
    }
}

/// Whether `text` is runs of `[a-z0-9]+` with one separator between each two: `.`, `_`, `__` or any
/// number of `-`.
fn is_component(text: &str) -> bool {
    let is_alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !is_alphanumeric(*first) || !is_alphanumeric(*last) {
        return false;
    }
    text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).all(|separator| {
        matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
    })
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a repository name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepoNameError {
    /// Longer than [`REPO_NAME_BYTES_MAX`].
    #[error("a repository name has at most {REPO_NAME_BYTES_MAX} characters")]
    TooLong,
    /// Not components of lower-case letters and digits.
    #[error(
        "a repository name is lower-case letters and digits, with single '.', '_', '__' or dashes \
         between them, in components joined by '/'"
    )]
    Form,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_specification() {
        for valid in ["a", "team/app", "a.b_c__d-e---f/0", "library/alpine", &"a".repeat(255)] {
            assert!(valid.parse::<RepoName>().is_ok(), "{valid}");
        }
        for wrong in [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "..", "a/../b", "a-", "-a", "a___b", "a._b",
            "a b", "a%2fb", "é", "a\\b", "a\0", ".a", "a.", "_",
        ] {
            assert_eq!(wrong.parse::<RepoName>(), Err(RepoNameError::Form), "{wrong}");
        }
        assert_eq!("a".repeat(256).parse::<RepoName>(), Err(RepoNameError::TooLong));
    }
}
