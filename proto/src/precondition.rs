//! What a change can be made to depend on: what its tag names at the moment when it is decided.

use std::fmt;

use crate::Digest;

/// A condition on what a tag or digest names (RFC 9110, sections 13.1.1 and 13.1.2). `decide`
/// settles it, so that of two changes that depend on the same state only one happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// It names something: `If-Match: *`.
    Exists,
    /// It names nothing: `If-None-Match: *`.
    Absent,
    /// It names one of these: `If-Match`. Never true of none.
    AnyOf(Vec<Digest>),
    /// It names none of these: `If-None-Match`.
    NoneOf(Vec<Digest>),
}

impl Precondition {
    /// Whether it is true where `current` is named.
    pub fn holds(&self, current: Option<&Digest>) -> bool {
        match self {
            Self::Exists => current.is_some(),
            Self::Absent => current.is_none(),
            Self::AnyOf(digests) => current.is_some_and(|current| digests.contains(current)),
            Self::NoneOf(digests) => current.is_none_or(|current| !digests.contains(current)),
        }
    }

    /// Whether a change that makes `current` into `wanted` may happen under it. What an `If-Match`
    /// guards against cannot happen where the change is already made: its first answer may have
    /// been lost (RFC 9110, section 13.1.1).
    pub fn allows(&self, current: Option<&Digest>, wanted: &Digest) -> bool {
        let is_made = matches!(self, Self::AnyOf(_)) && current == Some(wanted);
        is_made || self.holds(current)
    }
}

impl fmt::Display for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("it exists"),
            Self::Absent => f.write_str("it is absent"),
            Self::AnyOf(digests) => write!(f, "it is one of {digests:?}"),
            Self::NoneOf(digests) => write!(f, "it is none of {digests:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    #[test]
    fn a_precondition_holds_where_http_says_so() {
        let digest = |content: &[u8]| Digest::of(Algorithm::Sha256, content);
        let (old, new) = (digest(b"old"), digest(b"new"));
        for (condition, of_none, of_old, of_new) in [
            (Precondition::Exists, false, true, true),
            (Precondition::Absent, true, false, false),
            (Precondition::AnyOf(vec![old.clone()]), false, true, false),
            (Precondition::AnyOf(vec![]), false, false, false),
            (Precondition::NoneOf(vec![old.clone()]), true, false, true),
            (Precondition::NoneOf(vec![]), true, true, true),
        ] {
            assert_eq!(condition.holds(None), of_none, "{condition} of none");
            assert_eq!(condition.holds(Some(&old)), of_old, "{condition} of old");
            assert_eq!(condition.holds(Some(&new)), of_new, "{condition} of new");
            let is_match = matches!(condition, Precondition::AnyOf(_));
            assert_eq!(condition.allows(Some(&new), &new), of_new || is_match, "{condition} again");
            assert_eq!(condition.allows(Some(&old), &new), of_old, "{condition} now");
        }
    }
}
