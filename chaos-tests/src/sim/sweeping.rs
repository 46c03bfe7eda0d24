//! How the machines sweep the object store: as often as nobody does in earnest, and after so short
//! a time that uploads under way are given up as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Between two sweeps of a machine, when it is not said otherwise.
pub(crate) const PAUSE: Duration = Duration::from_millis(1500);

/// After what time something in the store is swept, and how often it is looked for, which changes
/// when a run ends. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Sweeping(Arc<Millis>);

/// Times in milliseconds.
#[derive(Debug)]
struct Millis {
    age: AtomicU64,
    pause: AtomicU64,
}

impl Sweeping {
    /// Sweeps what is as old as `age`, and looks for it after each `pause`.
    pub(crate) fn after(age: Duration, pause: Duration) -> Self {
        let [age, pause] = [age, pause].map(|time| AtomicU64::new(millis(time)));
        Self(Arc::new(Millis { age, pause }))
    }

    /// The time between two sweeps of a machine.
    pub(crate) fn pause(&self) -> Duration {
        Duration::from_millis(self.0.pause.load(Ordering::Relaxed))
    }

    /// The age from which on what nobody needs is swept.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_millis(self.0.age.load(Ordering::Relaxed))
    }

    /// From now on everything is swept that nobody needs.
    pub(crate) fn sweep_all(&self) {
        self.0.age.store(0, Ordering::Relaxed);
        self.0.pause.store(millis(PAUSE), Ordering::Relaxed);
    }

    /// From now on nothing is looked for.
    pub(crate) fn stop(&self) {
        self.0.pause.store(u64::MAX, Ordering::Relaxed);
    }

    /// Whether what was written at `written`, or later, may be old enough by now.
    pub(crate) fn may_reach(&self, written: Instant) -> bool {
        written.elapsed() >= self.age()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
