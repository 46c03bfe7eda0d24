//! What is known of a change that was asked for several times under one request id.

use std::sync::atomic::{AtomicBool, Ordering};

use raft::{ProposeError, RemoveError};

use crate::error::Error;

/// Whether one of the attempts at a change may have had it done, although nobody has said so.
#[derive(Default)]
pub(crate) struct Doubt(AtomicBool);

/// How an attempt failed that may be repeated.
pub(crate) trait Attempted {
    /// Whether the change may have been done, or may be yet.
    fn is_in_doubt(&self) -> bool;
}

impl Attempted for ProposeError {
    fn is_in_doubt(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

impl Attempted for RemoveError {
    fn is_in_doubt(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

impl Doubt {
    /// Makes an attempt. One that is dropped before its end leaves a doubt.
    pub(crate) async fn attempt<T, E: Attempted>(
        &self,
        attempt: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let before = self.0.swap(true, Ordering::Relaxed);
        let outcome = attempt.await;
        let is_in_doubt = before || outcome.as_ref().is_err_and(E::is_in_doubt);
        self.0.store(is_in_doubt, Ordering::Relaxed);
        outcome
    }

    /// Whether there is one.
    pub(crate) fn exists(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// What `outcome`, that of the last attempt, says of all of them. What the cluster has decided
    /// of the request, it has decided for good; that it cannot agree now says nothing of before.
    pub(crate) fn explain<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        match outcome {
            Err(Error::Unavailable { .. }) if self.exists() => Err(Error::OutcomeUnknown),
            outcome => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;

    use super::*;

    const UNAVAILABLE: ProposeError = ProposeError::Unavailable { retry_after: Duration::ZERO };

    fn unavailable() -> Result<(), Error> {
        Err(UNAVAILABLE.into())
    }

    #[tokio::test]
    async fn what_no_attempt_can_have_done_has_not_happened() {
        let doubt = Doubt::default();
        let _ = doubt.attempt(async { Err::<(), _>(UNAVAILABLE) }).await;
        assert!(!doubt.exists());
        assert!(matches!(doubt.explain(unavailable()), Err(Error::Unavailable { .. })));
    }

    #[tokio::test]
    async fn what_one_attempt_may_have_done_may_have_happened() {
        let doubt = Doubt::default();
        let _ = doubt.attempt(async { Err::<(), _>(ProposeError::Unknown) }).await;
        let _ = doubt.attempt(async { Err::<(), _>(UNAVAILABLE) }).await;
        assert!(doubt.exists());
        assert!(matches!(doubt.explain(unavailable()), Err(Error::OutcomeUnknown)));
        assert!(matches!(doubt.explain(Ok(())), Ok(())));
    }

    #[test]
    fn what_is_under_way_when_time_is_up_may_happen() {
        let doubt = Doubt::default();
        let attempt = std::future::pending::<Result<(), ProposeError>>();
        assert!(doubt.attempt(attempt).now_or_never().is_none());
        assert!(matches!(doubt.explain(unavailable()), Err(Error::OutcomeUnknown)));
    }
}
