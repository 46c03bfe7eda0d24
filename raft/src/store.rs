//! The node's store as all of this crate uses it. When the store has failed for good, the node
//! learns that it must end, whichever part has met the failure.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use proto::Mutant;
use storage::kv::{Synced, Visitor};
use storage::{Batch, Kv, KvError, KvRead, Space};
use tokio::sync::{oneshot, watch};

/// Writes `batch` to [`Space::Log`], and waits until it is durable, and all before it.
pub(crate) async fn write(kv: &Arc<dyn Kv>, batch: Batch) -> Result<(), KvError> {
    kv.write(Space::Log, batch)?;
    let (synced, wait) = oneshot::channel();
    kv.sync(Box::new(move |result| {
        // The caller may have been cancelled; the batch is durable all the same.
        let _ = synced.send(result);
    }));
    wait.await.map_err(|_| KvError::Failed("the store was closed".to_owned()))?
}

/// Whether the store has failed, and of what. Clones tell of the same store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure {
    failed: Arc<watch::Sender<Option<KvError>>>,
    /// What it said when its disk was full for the first time.
    full: Arc<OnceLock<KvError>>,
}

impl Failure {
    /// Resolves with what the store failed of; pending for as long as it works.
    pub(crate) async fn happened(&self) -> KvError {
        let mut failure = self.failed.subscribe();
        // The sender lives as long as this.
        let failed = failure.wait_for(Option::is_some).await.map(|failure| failure.clone());
        match failed {
            Ok(Some(error)) => error,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Whether the store has failed.
    pub(crate) fn has_happened(&self) -> bool {
        self.failed.borrow().is_some()
    }

    /// What the store said when its disk was full, if ever it was. It has not failed then: there
    /// may be space again.
    pub(crate) fn was_full(&self) -> Option<KvError> {
        self.full.get().cloned()
    }

    /// Takes note of `outcome`. Consensus stops when one of its own calls fails. But other parts
    /// read the store and stage rows in it, too: they answer their callers with the error, and go
    /// on.
    fn note<T>(&self, outcome: Result<T, KvError>) -> Result<T, KvError> {
        if let Err(error @ KvError::Full(_)) = &outcome {
            self.full.get_or_init(|| error.clone());
        }
        if let Err(error @ KvError::Failed(_)) = &outcome
            && !Mutant::FailedStoreIgnored.is_active()
        {
            self.failed.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert_with(|| error.clone());
                is_first
            });
        }
        outcome
    }
}

/// A store, or what was frozen of one and still reads from its disk, that tells when it fails.
pub(crate) struct Watched<T: ?Sized> {
    kv: Arc<T>,
    failure: Failure,
}

impl<T: ?Sized> Watched<T> {
    pub(crate) const fn new(kv: Arc<T>, failure: Failure) -> Self {
        Self { kv, failure }
    }
}

impl<T: KvRead + ?Sized> KvRead for Watched<T> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        self.failure.note(self.kv.get(space, key))
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        visit: &mut Visitor<'_>,
    ) -> Result<(), KvError> {
        self.failure.note(self.kv.scan(space, from, to, visit))
    }

    fn last(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<(Bytes, Bytes)>, KvError> {
        self.failure.note(self.kv.last(space, from, to))
    }

    fn fail(&self, reason: String) -> KvError {
        let error = self.kv.fail(reason);
        // The caller gets the error from here.
        let _ = self.failure.note::<()>(Err(error.clone()));
        error
    }
}

impl Kv for Watched<dyn Kv> {
    fn write(&self, space: Space, batch: Batch) -> Result<(), KvError> {
        self.failure.note(self.kv.write(space, batch))
    }

    fn sync(&self, synced: Synced) {
        let failure = self.failure.clone();
        self.kv.sync(Box::new(move |outcome| synced(failure.note(outcome))));
    }

    fn flush(&self) -> Result<(), KvError> {
        self.failure.note(self.kv.flush())
    }

    fn freeze(&self) -> Arc<dyn KvRead> {
        Arc::new(Watched::new(self.kv.freeze(), self.failure.clone()))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use storage::kv::MemoryKv;

    use super::*;
    use crate::StartError;

    /// A store of which every use comes to the same.
    struct Broken(KvError);

    impl KvRead for Broken {
        fn get(&self, _: Space, _: &[u8]) -> Result<Option<Bytes>, KvError> {
            Err(self.0.clone())
        }

        fn scan(&self, _: Space, _: &[u8], _: &[u8], _: &mut Visitor<'_>) -> Result<(), KvError> {
            Err(self.0.clone())
        }

        fn last(&self, _: Space, _: &[u8], _: &[u8]) -> Result<Option<(Bytes, Bytes)>, KvError> {
            Err(self.0.clone())
        }
    }

    impl Kv for Broken {
        fn write(&self, _: Space, _: Batch) -> Result<(), KvError> {
            Err(self.0.clone())
        }

        fn sync(&self, synced: Synced) {
            synced(Err(self.0.clone()));
        }

        fn flush(&self) -> Result<(), KvError> {
            Err(self.0.clone())
        }

        fn freeze(&self) -> Arc<dyn KvRead> {
            Arc::new(Self(self.0.clone()))
        }
    }

    /// What is known of the store after `work` with it.
    fn known(kv: impl Kv, work: impl FnOnce(&Watched<dyn Kv>)) -> Option<KvError> {
        let failure = Failure::default();
        let kv: Arc<dyn Kv> = Arc::new(kv);
        work(&Watched::new(kv, failure.clone()));
        failure.happened().now_or_never()
    }

    fn uses() -> Vec<fn(&Watched<dyn Kv>)> {
        vec![
            |kv| drop(kv.get(Space::Catalog, b"key")),
            |kv| drop(kv.last(Space::Log, b"a", b"b")),
            |kv| drop(kv.freeze().get(Space::Catalog, b"key")),
            |kv| drop(kv.write(Space::Catalog, Batch::new())),
            |kv| kv.sync(Box::new(|_| {})),
            |kv| drop(kv.flush()),
        ]
    }

    #[test]
    fn a_store_that_fails_says_so_whoever_uses_it() {
        for use_it in uses() {
            let failed = KvError::Failed("a checksum is wrong".to_owned());
            assert_eq!(known(Broken(failed.clone()), use_it), Some(failed));
        }
    }

    #[test]
    fn a_store_of_which_readers_say_that_it_failed_has_failed() {
        let failed = Some(KvError::Failed("a row is damaged".to_owned()));
        let reason = || "a row is damaged".to_owned();
        assert_eq!(known(MemoryKv::new(), |kv| drop(kv.fail(reason()))), failed);
        assert_eq!(known(MemoryKv::new(), |kv| drop(kv.freeze().fail(reason()))), failed);
    }

    #[test]
    fn a_node_that_does_not_start_on_a_full_disk_is_not_taken_for_damaged() {
        let why = "the log ends too early";
        for use_it in uses() {
            let (full, failure) = (KvError::Full("no space left".to_owned()), Failure::default());
            let kv: Arc<dyn Kv> = Arc::new(Broken(full.clone()));
            use_it(&Watched::new(kv, failure.clone()));
            let error = StartError::inconsistent(&failure, &why);
            assert!(matches!(&error, StartError::Store(said) if *said == full), "{error}");
        }
        let error = StartError::inconsistent(&Failure::default(), &why);
        assert!(matches!(error, StartError::Inconsistent(_)), "{error}");
    }

    #[test]
    fn a_store_that_works_or_is_full_has_not_failed() {
        for use_it in uses() {
            assert_eq!(known(MemoryKv::new(), use_it), None);
            assert_eq!(known(Broken(KvError::Full("no space left".to_owned())), use_it), None);
        }
    }
}
