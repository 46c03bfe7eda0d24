//! Verbs: what can be done in a repository.

use std::fmt;
use std::str::FromStr;

/// Something that can be done in a repository; on all of them, [`Verb::Manage`] is administration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verb {
    /// Read content, tags and lists.
    Pull,
    /// Upload blobs, and put manifests under their digests.
    Push,
    /// Set a tag that does not exist.
    CreateTag,
    /// Point a tag that exists to another manifest.
    MoveTag,
    /// Delete tags, manifests and blobs.
    Delete,
    /// Change accounts, roles, grants and the cluster.
    Manage,
}

impl Verb {
    /// Every verb, in order.
    pub const ALL: [Self; 6] =
        [Self::Pull, Self::Push, Self::CreateTag, Self::MoveTag, Self::Delete, Self::Manage];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::CreateTag => "create-tag",
            Self::MoveTag => "move-tag",
            Self::Delete => "delete",
            Self::Manage => "manage",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Verb {
    type Err = VerbError;

    fn from_str(text: &str) -> Result<Self, VerbError> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == text).ok_or(VerbError)
    }
}

/// The text names no verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a verb is one of pull, push, create-tag, move-tag, delete and manage")]
pub struct VerbError;

/// A set of verbs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verbs(u8);

impl Verbs {
    /// No verb.
    pub const NONE: Self = Self(0);
    /// Every verb.
    pub const ALL: Self = Self::of(&Verb::ALL);

    /// The set of `verbs`.
    pub const fn of(verbs: &[Verb]) -> Self {
        let mut set = 0;
        let mut at = 0;
        while at < verbs.len() {
            set |= 1 << verbs[at] as u8;
            at += 1;
        }
        Self(set)
    }

    /// Whether it has `verb`.
    pub const fn has(self, verb: Verb) -> bool {
        self.0 & (1 << verb as u8) != 0
    }

    /// Whether it has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The verbs that both have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The verbs that either has.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Its verbs, in order.
    pub fn iter(self) -> impl Iterator<Item = Verb> {
        Verb::ALL.into_iter().filter(move |verb| self.has(*verb))
    }
}

impl FromIterator<Verb> for Verbs {
    fn from_iter<T: IntoIterator<Item = Verb>>(verbs: T) -> Self {
        verbs.into_iter().fold(Self::NONE, |set, verb| set.or(Self::of(&[verb])))
    }
}

/// The verbs, separated by commas.
impl fmt::Display for Verbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, verb) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{verb}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Verbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

/// Verbs separated by commas: one at least.
impl FromStr for Verbs {
    type Err = VerbError;

    fn from_str(text: &str) -> Result<Self, VerbError> {
        text.split(',').map(|verb| verb.trim().parse::<Verb>()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_verbs_reads_back() {
        for set in 0..=Verbs::ALL.0 {
            let verbs = Verbs(set);
            let read = verbs.to_string().parse();
            assert_eq!(read, if set == 0 { Err(VerbError) } else { Ok(verbs) });
            assert_eq!(verbs.iter().collect::<Verbs>(), verbs);
        }
        assert_eq!("pull, push".parse(), Ok(Verbs::of(&[Verb::Pull, Verb::Push])));
        for wrong in ["", "pull,", "read", "PULL", "pull push"] {
            assert_eq!(wrong.parse::<Verbs>(), Err(VerbError), "{wrong}");
        }
    }

    #[test]
    fn sets_meet_and_join() {
        let (read, write) = (Verbs::of(&[Verb::Pull]), Verbs::of(&[Verb::Pull, Verb::Push]));
        assert_eq!(read.and(write), read);
        assert_eq!(read.or(write), write);
        assert!(!read.has(Verb::Push) && write.has(Verb::Push) && Verbs::NONE.is_empty());
    }
}
