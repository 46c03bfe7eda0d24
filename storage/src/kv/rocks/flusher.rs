//! Group commit: one thread that syncs the write-ahead log for all who wait.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::thread::{self, JoinHandle};

use super::super::{KvError, Synced};
use super::engine::Engine;

/// The thread that syncs, and the queue of those who wait for it. The queue is as long as callers
/// let it be: Raft has few appends in flight.
pub(super) struct Flusher {
    queue: Option<Sender<Synced>>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    /// Starts the thread.
    pub(super) fn start(engine: Arc<Engine>) -> Result<Self, KvError> {
        let (queue, waiting) = channel();
        let thread = thread::Builder::new()
            .name("kv-flusher".into())
            .spawn(move || run(&engine, &waiting))
            .map_err(|error| KvError::Failed(format!("no thread for syncing: {error}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Has `synced` called after the next sync that starts.
    pub(super) fn enqueue(&self, synced: Synced) {
        let refused = match &self.queue {
            Some(queue) => queue.send(synced).err().map(|SendError(synced)| synced),
            None => Some(synced),
        };
        if let Some(synced) = refused {
            synced(Err(KvError::Failed("the flusher thread ended".into())));
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            // The last owner may have been one of the callbacks, and a thread cannot wait for its
            // own end.
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("a callback of a sync panicked");
        }
    }
}

/// Syncs until the queue is closed and empty.
fn run(engine: &Engine, waiting: &Receiver<Synced>) {
    while let Ok(first) = waiting.recv() {
        // A write that comes while the sync runs waits for the next one.
        let group: Vec<Synced> = std::iter::once(first).chain(waiting.try_iter()).collect();
        let result = engine.sync();
        for synced in group {
            synced(result.clone());
        }
    }
}
