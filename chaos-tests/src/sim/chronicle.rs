//! What happened: a timeline to read, counters that show that a run was worth its time, and the
//! first invariant that was violated.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::invariant::Invariant;

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// What shows it.
    pub evidence: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.evidence)
    }
}

/// Everything that is written down of a run. Clones write into the same one.
#[derive(Clone, Debug, Default)]
pub struct Chronicle(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    now: Duration,
    order: u64,
    timeline: Vec<(Duration, String)>,
    coverage: BTreeMap<&'static str, u64>,
    violation: Option<Violation>,
}

impl Chronicle {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that it is `now`, simulated time since the start.
    pub(crate) fn tick(&self, now: Duration) {
        self.pages().now = now;
    }

    /// A number that is larger each time it is asked for: the order in which things happened.
    pub(crate) fn next(&self) -> u64 {
        let mut pages = self.pages();
        pages.order += 1;
        pages.order
    }

    /// Writes down an event for the timeline.
    pub(crate) fn note(&self, event: impl fmt::Display) {
        let event = event.to_string();
        tracing::info!(target: "chronicle", "{event}");
        let mut pages = self.pages();
        let now = pages.now;
        pages.timeline.push((now, event));
    }

    /// Counts that `what` happened once more.
    pub(crate) fn count(&self, what: &'static str) {
        *self.pages().coverage.entry(what).or_default() += 1;
    }

    /// How often `what` happened.
    pub(crate) fn times(&self, what: &str) -> u64 {
        self.pages().coverage.get(what).copied().unwrap_or(0)
    }

    /// How often each thing happened.
    pub fn coverage(&self) -> BTreeMap<&'static str, u64> {
        self.pages().coverage.clone()
    }

    /// Writes down that an invariant does not hold. The first one counts.
    pub(crate) fn violated(&self, invariant: Invariant, evidence: impl fmt::Display) {
        let violation = Violation { invariant, evidence: evidence.to_string() };
        self.note(format_args!("VIOLATION {violation}"));
        self.pages().violation.get_or_insert(violation);
    }

    /// The first invariant that did not hold.
    pub fn violation(&self) -> Option<Violation> {
        self.pages().violation.clone()
    }

    /// The events with their times, in order.
    pub fn timeline(&self) -> Vec<(Duration, String)> {
        self.pages().timeline.clone()
    }
}
