//! Tags (distribution-spec, "Pulling manifests").

use std::fmt;
use std::str::FromStr;

use crate::limits::TAG_BYTES_MAX;

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Box<str>);

impl Tag {
    /// The tag as it stands in URLs.
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let mut bytes = text.bytes();
        let starts_well = bytes.next().is_some_and(is_word);
        if starts_well
            && text.len() <= TAG_BYTES_MAX
            && bytes.all(|b| is_word(b) || b == b'.' || b == b'-')
        {
            Ok(Self(text.into()))
        } else {
            Err(TagError)
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a tag is at most {TAG_BYTES_MAX} letters, digits, '_', '.' and '-', and starts with neither \
     '.' nor '-'"
)]
pub struct TagError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_follow_the_specification() {
        for valid in ["1", "latest", "_", "v1.2-RC_3", &"a".repeat(128)] {
            assert!(valid.parse::<Tag>().is_ok(), "{valid}");
        }
        for wrong in ["", ".a", "-a", "a/b", "a:b", "a b", "é", &"a".repeat(129)] {
            assert_eq!(wrong.parse::<Tag>(), Err(TagError), "{wrong}");
        }
    }
}
