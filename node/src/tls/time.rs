//! The time by which certificates are valid or not: the world's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use crate::World;

/// The clock of a [`World`], as rustls reads it.
#[derive(Clone)]
pub(crate) struct WorldTime(Arc<dyn World>);

impl WorldTime {
    /// The clock of `world`.
    pub(crate) fn new(world: Arc<dyn World>) -> Self {
        Self(world)
    }

    /// The time now.
    pub(crate) fn now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_millis(self.0.now().as_millis()))
    }
}

impl TimeProvider for WorldTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.now())
    }
}

impl fmt::Debug for WorldTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorldTime")
    }
}
