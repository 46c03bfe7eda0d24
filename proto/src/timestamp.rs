//! Time in the catalog.

use std::fmt;
use std::time::Duration;

use crate::limits::STAMP_AHEAD_MAX;

/// Milliseconds since the Unix epoch, by the clock of the node that says it. What a leader stamps
/// may be earlier than what one before it has stamped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time this many milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time `later` after this one, or the end of time.
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How much later this is than `earlier`; nothing when it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whether less than `lifetime` has passed from this to `now`. What is stamped with a time that
    /// has yet to come by far, [`STAMP_AHEAD_MAX`], was stamped by a clock that was wrong, and is
    /// not recent: it would be until then.
    pub fn is_recent(self, now: Self, lifetime: Duration) -> bool {
        now < self.plus(lifetime) && self <= now.plus(STAMP_AHEAD_MAX)
    }

    /// The time `earlier` before this one, or the epoch.
    pub fn minus(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(earlier.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}
