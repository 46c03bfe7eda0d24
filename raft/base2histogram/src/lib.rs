//! Histograms for openraft, in the place of the crate of this name.
//!
//! Openraft counts how large its batches are, also where it is built without `runtime-stats` and
//! nobody can read that. The crate that it counts with makes tables for sixteen scales as soon as
//! there is one histogram, and keeps them: 26 MB of an idle node. This one has what openraft needs
//! of it, on one scale that needs no table: see `docs/adr/0016-histograms-without-tables.md`.

use std::fmt;
use std::marker::PhantomData;

/// Buckets: 0, 1, 2 to 3, 4 to 7 and so on, each up to twice as much as the one before.
const BUCKETS: usize = u64::BITS as usize + 1;

/// How often values of which size were recorded. What `T` would say of a period is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: [u64; BUCKETS],
    of: PhantomData<T>,
}

impl<T> Histogram<T> {
    /// A histogram of nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: [0; BUCKETS], of: PhantomData }
    }

    /// Counts `value`.
    pub const fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts `value` as often as `count` says.
    pub const fn record_n(&mut self, value: u64, count: u64) {
        let bucket = (u64::BITS - value.leading_zeros()) as usize;
        self.counts[bucket] = self.counts[bucket].saturating_add(count);
    }

    /// The percentiles, each by the smallest value of the bucket that it is in.
    #[must_use]
    pub fn percentile_stats(&self) -> PercentileStats {
        let samples = self.counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
        let at = |permille| self.at(u128::from(samples) * permille);
        PercentileStats {
            samples,
            p0_1: at(1),
            p1: at(10),
            p5: at(50),
            p10: at(100),
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p99_9: at(999),
        }
    }

    /// The smallest value of the first bucket that has, with those before it, as many thousandths
    /// of a sample.
    fn at(&self, thousandths: u128) -> u64 {
        let mut passed = 0;
        let bucket = self.counts.iter().position(|count| {
            passed += u128::from(*count) * 1000;
            passed > 0 && passed >= thousandths
        });
        bucket.and_then(|bucket| bucket.checked_sub(1)).map_or(0, |bit| 1 << bit)
    }
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Percentiles of what a [`Histogram`] has counted; 0 of nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named after its percentile")]
pub struct PercentileStats {
    /// How many values were recorded.
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, p50, p90, p99, p99_9, .. } = self;
        write!(f, "{samples} values, p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p99_9}")
    }
}

/// Histograms with names, for a chart that only `runtime-stats` would draw.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart {
    histograms: Vec<(&'static str, Histogram)>,
}

impl AsciiChart {
    /// No histograms yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { histograms: Vec::new() }
    }

    /// Adds a histogram.
    #[must_use]
    pub fn add(mut self, name: &'static str, histogram: Histogram) -> Self {
        self.histograms.push((name, histogram));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_powers_of_two() {
        let mut histogram = Histogram::<()>::new();
        assert_eq!(histogram.percentile_stats().p50, 0);
        histogram.record_n(0, 100);
        histogram.record_n(5, 850);
        histogram.record_n(u64::MAX, 50);
        let stats = histogram.percentile_stats();
        assert_eq!(stats.samples, 1000);
        assert_eq!([stats.p0_1, stats.p10, stats.p50, stats.p90], [0, 0, 4, 4]);
        assert_eq!([stats.p99, stats.p99_9], [1 << 63; 2]);
    }

    #[test]
    fn one_value_is_all_percentiles() {
        let mut histogram = Histogram::<()>::default();
        histogram.record(64);
        let stats = histogram.percentile_stats();
        assert_eq!([stats.p0_1, stats.p50, stats.p99_9], [64; 3]);
    }
}
