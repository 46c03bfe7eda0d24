//! Where an upload stands.

use std::fmt;

/// Which bytes an upload has: a store that cannot promise that one of several appends wins makes a
/// new tip with each, so that two histories of the same length can be told apart. A store that has
/// one history only may note there how it finds its end. A hash of the bytes belongs to the tip
/// that they had.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Tip([u8; 16]);

impl Tip {
    /// The tip whose bytes are these.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Tip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Tip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where an upload stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// How many bytes of it are durable.
    pub extent: u64,
    /// Which bytes they are.
    pub tip: Tip,
}

impl Position {
    /// That of an upload that has no bytes.
    pub const START: Self = Self::at(0);

    /// `extent` bytes in a store in which there is only one history.
    pub(super) const fn at(extent: u64) -> Self {
        Self { extent, tip: Tip([0; 16]) }
    }
}
