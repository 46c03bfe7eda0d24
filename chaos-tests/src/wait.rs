//! Waiting for a condition, never for a time.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Tries `attempt` until it succeeds, and answers what it gave.
///
/// # Errors
/// When it has not succeeded within `deadline`: its last error, and `what` was waited for.
pub async fn eventually<T, F>(what: &str, deadline: Duration, mut attempt: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<T>,
{
    let mut last = None;
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let succeeded = timeout(deadline, async {
        loop {
            ticks.tick().await;
            match attempt().await {
                Ok(value) => return value,
                Err(error) => last = Some(error),
            }
        }
    });
    match succeeded.await {
        Ok(value) => Ok(value),
        Err(_) => Err(last.unwrap_or_else(|| anyhow::anyhow!("the first attempt did not end")))
            .with_context(|| format!("{what}: not within {deadline:?}")),
    }
}
