//! What happened during a run, as it happens.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::fault::Fault;
use crate::report::{ErrorCount, Latency, Moment};

/// Longest latency that is told from longer ones, in microseconds: an hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;
/// Digits of a latency that count.
const LATENCY_DIGITS: u8 = 3;
/// The time that one point of the plot stands for.
pub(crate) const MOMENT: Duration = Duration::from_millis(250);

/// Bytes that an operation has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

impl std::ops::AddAssign for Volume {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
    }
}

/// Counts and times all operations of a run.
pub(crate) struct Recorder {
    latencies: Histogram<u64>,
    errors: BTreeMap<(u16, String), u64>,
    first_error: Option<String>,
    volume: Volume,
    moments: Vec<Moment>,
    /// The moment that is not over, and its latencies.
    current: (u64, Counts, Histogram<u64>),
}

#[derive(Clone, Copy, Default)]
struct Counts {
    succeeded: u64,
    failed: u64,
    bytes: u64,
}

impl Recorder {
    /// A recorder of a run that begins.
    ///
    /// # Errors
    /// None that happens: the bounds of the histograms are valid.
    pub(crate) fn new() -> Result<Self, hdrhistogram::CreationError> {
        let latencies = Histogram::new_with_bounds(1, LATENCY_US_MAX, LATENCY_DIGITS)?;
        Ok(Self {
            current: (0, Counts::default(), latencies.clone()),
            latencies,
            errors: BTreeMap::new(),
            first_error: None,
            volume: Volume::default(),
            moments: Vec::new(),
        })
    }

    /// Takes the end of an operation, `at` after the beginning of the run, that took `latency`.
    pub(crate) fn record(
        &mut self,
        at: Duration,
        latency: Duration,
        outcome: &Result<Volume, Fault>,
    ) {
        self.advance(at);
        let (_, counts, latencies) = &mut self.current;
        match outcome {
            Ok(volume) => {
                let micros = u64::try_from(latency.as_micros()).unwrap_or(LATENCY_US_MAX);
                latencies.saturating_record(micros);
                self.latencies.saturating_record(micros);
                self.volume += *volume;
                counts.succeeded += 1;
                counts.bytes += volume.sent + volume.received;
            }
            Err(fault) => {
                counts.failed += 1;
                *self.errors.entry(fault.kind()).or_default() += 1;
                self.first_error.get_or_insert_with(|| fault.to_string());
            }
        }
    }

    /// Closes the moments before `at`.
    pub(crate) fn advance(&mut self, at: Duration) {
        let number = u64::try_from(at.as_millis() / MOMENT.as_millis()).unwrap_or(u64::MAX);
        while self.current.0 < number {
            let (current, counts, latencies) = &mut self.current;
            let begins = MOMENT * u32::try_from(*current).unwrap_or(u32::MAX);
            self.moments.push(Moment {
                seconds: begins.as_secs_f64(),
                succeeded: counts.succeeded,
                failed: counts.failed,
                bytes: counts.bytes,
                latency: Latency::of(latencies),
            });
            *counts = Counts::default();
            latencies.reset();
            *current += 1;
        }
    }

    /// Operations that are over.
    pub(crate) fn over(&self) -> u64 {
        self.succeeded() + self.failed()
    }

    /// Operations that succeeded.
    pub(crate) fn succeeded(&self) -> u64 {
        self.latencies.len()
    }

    /// Operations that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Bytes that the operations which succeeded have moved.
    pub(crate) const fn volume(&self) -> Volume {
        self.volume
    }

    /// How long the operations took that succeeded.
    pub(crate) fn latency(&self) -> Latency {
        Latency::of(&self.latencies)
    }

    /// What the first failure said.
    pub(crate) fn first_error(&self) -> Option<&str> {
        self.first_error.as_deref()
    }

    /// The failures, by kind.
    pub(crate) fn errors(&self) -> Vec<ErrorCount> {
        let errors = self.errors.iter();
        let errors = errors.map(|((status, code), count)| ErrorCount {
            status: *status,
            code: code.clone(),
            count: *count,
        });
        errors.collect()
    }

    /// The run in moments, those that are over.
    pub(crate) fn moments(&self) -> &[Moment] {
        &self.moments
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a failed test panics")]

    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn moments_and_totals_agree() {
        let mut recorder = Recorder::new().expect("its bounds are valid");
        let volume = Volume { sent: 3, received: 4 };
        for number in 0..100 {
            recorder.record(MILLISECOND * number * 10, MILLISECOND * (number + 1), &Ok(volume));
        }
        recorder.record(MILLISECOND * 995, MILLISECOND, &Err(Fault::Timeout));
        recorder.advance(MILLISECOND * 1_000);
        assert_eq!(recorder.moments().len(), 4);
        let succeeded: u64 = recorder.moments().iter().map(|moment| moment.succeeded).sum();
        assert_eq!((succeeded, recorder.failed(), recorder.over()), (100, 1, 101));
        assert_eq!(recorder.volume(), Volume { sent: 300, received: 400 });
        let latency = recorder.latency();
        assert!((latency.p50_ms - 50.0).abs() < 0.1 && (latency.max_ms - 100.0).abs() < 0.1);
        assert_eq!(recorder.errors()[0].code, "timeout");
    }

    #[test]
    fn a_moment_in_which_nothing_ended_is_not_left_out() {
        let mut recorder = Recorder::new().expect("its bounds are valid");
        recorder.record(MOMENT * 3, MILLISECOND, &Ok(Volume::default()));
        let succeeded: Vec<u64> = recorder.moments().iter().map(|each| each.succeeded).collect();
        assert_eq!(succeeded, [0, 0, 0]);
    }
}
