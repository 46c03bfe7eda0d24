//! Chance: all of it comes from the seed.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A source of chance that is another for each purpose, so that a new question asked for one
/// purpose changes no answer of another.
#[derive(Clone, Debug)]
pub(crate) struct Dice(fastrand::Rng);

impl Dice {
    /// The dice of a seed for a purpose.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a: short, and the same on every machine and in every version.
        let hash = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash))
    }

    /// Further dice, for one of several that do the same.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.0.fork())
    }

    /// True in one of `of` cases.
    pub(crate) fn one_in(&mut self, of: u64) -> bool {
        self.0.u64(0..of) == 0
    }

    /// A number in `range`.
    pub(crate) fn number(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0.u64(range)
    }

    /// A number from 0 to before `end`, for an index.
    pub(crate) fn index(&mut self, end: usize) -> usize {
        self.0.usize(0..end)
    }

    /// One of `things`, which are not none.
    pub(crate) fn pick<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.index(things.len())]
    }

    /// A time within `range` of milliseconds.
    pub(crate) fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.number(range))
    }

    /// A time of whole milliseconds, at most `longest`.
    pub(crate) fn up_to(&mut self, longest: Duration) -> Duration {
        self.millis(0..=u64::try_from(longest.as_millis()).unwrap_or(u64::MAX))
    }
}
