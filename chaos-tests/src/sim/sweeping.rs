//! How the machines sweep the object store: as often as nobody does in earnest, and after so short
//! a time that uploads under way are given up as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// After what time something in the store is swept, which changes when a run ends. Clones are the
/// same.
#[derive(Clone, Debug)]
pub(crate) struct Sweeping(Arc<AtomicU64>);

impl Sweeping {
    pub(crate) fn after(age: Duration) -> Self {
        Self(Arc::new(AtomicU64::new(millis(age))))
    }

    /// The age from which on what nobody needs is swept.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    /// From now on everything is swept that nobody needs.
    pub(crate) fn sweep_all(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Whether what was written at `written`, or later, may be old enough by now.
    pub(crate) fn may_reach(&self, written: Instant) -> bool {
        written.elapsed() >= self.age()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
